//! Logins against scratch servers, with real clients over real TLS.
//!
//! `A1`, `R4` and the like are the numbers in the head of src/door/hook.rs.

#![allow(missing_docs, reason = "a test's name says what it pins")]

mod check {
    pub(crate) mod after_restart;
    pub(crate) mod common_mistakes;
    pub(crate) mod configuration;
    pub(crate) mod hba;
}

mod keys {
    pub(crate) mod fetching;
    pub(crate) mod key_wait;
    pub(crate) mod outage;
    pub(crate) mod proxy;
    pub(crate) mod snapshot;
    pub(crate) mod status;
}

mod link {
    pub(crate) mod administrator_limits;
    pub(crate) mod administrators;
    pub(crate) mod authorization;
    pub(crate) mod concurrency;
    pub(crate) mod dump_restore;
    pub(crate) mod linking;
    pub(crate) mod prepared_transactions;
    pub(crate) mod privilege_escalation;
    pub(crate) mod revocation;
    pub(crate) mod revocations_outlive_role;
    pub(crate) mod two_labels;
    pub(crate) mod unlink_notices;
}

mod login {
    pub(crate) mod admission;
    pub(crate) mod doors;
    pub(crate) mod explain_token;
    pub(crate) mod first_connection;
    pub(crate) mod guard;
    pub(crate) mod guard_libraries;
    pub(crate) mod login_load;
    pub(crate) mod membership_changes;
    pub(crate) mod oauth;
    pub(crate) mod other_hooks;
    pub(crate) mod pam;
    pub(crate) mod password_prompt;
    pub(crate) mod seal;
    pub(crate) mod server_refusals;
    pub(crate) mod startup_seal;
    pub(crate) mod superuser_recovery;
    pub(crate) mod token_format;
    pub(crate) mod token_refusals;
}

mod server {
    pub(crate) mod documents;
    pub(crate) mod encodings;
    pub(crate) mod library;
    pub(crate) mod settings;
    pub(crate) mod size_limits;
    pub(crate) mod standby;
}

mod sessions {
    pub(crate) mod changed_link;
    pub(crate) mod ending;
    pub(crate) mod expiry;
    pub(crate) mod lifetime;
    pub(crate) mod many_sessions;
    pub(crate) mod pgbouncer;
}

mod stat {
    pub(crate) mod counters;
}

mod statement {
    pub(crate) mod azure_scripts;
    pub(crate) mod core_errors;
    pub(crate) mod create_role;
    pub(crate) mod hints;
}

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::{Arc, LazyLock};

use testbed::cluster::{Cluster, Setup, Workshop};
use testbed::door::Door;
use testbed::idp::Provider;
use testbed::issuer::Signer;

/// One for all tests of a run; removed when the process ends.
static WORKSHOP: LazyLock<Arc<Workshop>> = LazyLock::new(|| {
    #[expect(unsafe_code, reason = "statics are not dropped")]
    // SAFETY: registers a function that touches nothing but the file system.
    unsafe {
        libc::atexit(remove_workshop);
    }
    Arc::new(Workshop::new())
});

const EVERY_DOOR: [Door; 3] = [Door::Password, Door::Pam, Door::OAuth];

/// The log as talkative as it can be: where it matters that a token is not in it.
const LOUD: &str = "log_min_messages = debug5";

/// Room for the key worker only: nobody ends sessions but the seal and statements.
const NO_REAPER: &str = "max_worker_processes = 2";

/// The provider's key, made once: making one takes a while.
static KEY: LazyLock<Arc<Signer>> = LazyLock::new(|| Arc::new(Signer::new("key-1")));
/// A key the provider does not publish at first.
static NEW_KEY: LazyLock<Arc<Signer>> = LazyLock::new(|| Arc::new(Signer::new("key-2")));

extern "C" fn remove_workshop() {
    let folder = WORKSHOP.ca_file();
    if let Some(folder) = folder.parent() {
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// A provider that publishes [`KEY`].
fn provider() -> Provider {
    Provider::start(&WORKSHOP.authority, vec![Arc::clone(&KEY)], 0)
}

/// A server with the extension, an administrator, and a provider that publishes [`KEY`].
fn scene(settings: &str) -> (Cluster, Provider) {
    scene_at(Door::Password, settings)
}

/// The same with a door.
fn scene_at(door: Door, settings: &str) -> (Cluster, Provider) {
    scene_with_at(door, Setup { settings: settings.to_owned(), ..Setup::default() })
}

/// The same with another pg_hba.conf, or other libraries.
fn scene_with(setup: Setup) -> (Cluster, Provider) {
    scene_with_at(Door::Password, setup)
}

fn scene_with_at(door: Door, setup: Setup) -> (Cluster, Provider) {
    let provider = provider();
    let cluster = Cluster::running_at(door, &WORKSHOP, &provider, setup);
    (cluster, provider)
}

/// Whether the chosen installation has a door. Which ones it must have is in `doors.rs`.
fn has(door: Door) -> bool {
    Door::all(&WORKSHOP.installation).contains(&door)
}

/// Runs a case at those of some doors that the installation has, and names the door at which it fails.
fn at_doors(doors: &[Door], case: impl Fn(Door)) {
    for &door in doors.iter().filter(|door| has(**door)) {
        if let Err(fault) = catch_unwind(AssertUnwindSafe(|| case(door))) {
            let text = fault.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| fault.downcast_ref::<&str>().copied()).unwrap_or_default();
            panic!("at the {} door: {text}", door.name());
        }
    }
}

/// Runs a case at every door, each with a scene of its own.
fn at_every_door(settings: &str, case: impl Fn(Door, Cluster, Provider)) {
    at_doors(&EVERY_DOOR, |door| {
        let (cluster, provider) = scene_at(door, &format!("{LOUD}\n{settings}"));
        case(door, cluster, provider);
    });
}

/// Runs a case at the doors that ask for a password, each with a scene of its own.
fn at_every_prompt(settings: &str, case: impl Fn(Door, Cluster, Provider)) {
    at_doors(&[Door::Password, Door::Pam], |door| {
        let (cluster, provider) = scene_at(door, &format!("{LOUD}\n{settings}"));
        case(door, cluster, provider);
    });
}

fn link(cluster: &Cluster, role: &str, object: &str, kind: &str) {
    let role = role.replace('\'', "''");
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('{role}', '{object}', '{kind}')"));
}

/// Changes a catalog behind everyone's back, as a superuser can who insists.
fn tamper(cluster: &Cluster, statement: &str) {
    cluster.sql(&format!("SET allow_system_table_mods = on; {statement}"));
}

/// Compiles the neighbour, an extension of somebody else with a hook of its own; returns its path.
fn neighbour(cluster: &Cluster) -> String {
    module(cluster, "neighbour", "neighbour")
}

/// Compiles a module of the tests under a name; returns its path.
fn module(cluster: &Cluster, source: &str, name: &str) -> String {
    let target = cluster.path(&format!("{name}.so"));
    let source = format!("{}/modules/{source}.c", env!("CARGO_MANIFEST_DIR"));
    let pg_config = std::env::var("PG_CONFIG").unwrap_or_else(|_| "pg_config".to_owned());
    let headers = Command::new(pg_config).arg("--includedir-server").output().expect("pg_config");
    let headers = String::from_utf8_lossy(&headers.stdout).trim().to_owned();
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&target).arg("-I").arg(headers).arg(source);
    let output = cc.arg(format!("-DNAME={name}")).output().expect("a C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.to_string_lossy().into_owned()
}
