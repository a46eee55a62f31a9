//! Logins against scratch servers, with real clients over real TLS.
//!
//! `A1`, `R4` and the like are the numbers in the head of src/door/hook.rs.

#![allow(missing_docs, reason = "a test's name says what it pins")]

mod administered;
mod administrators;
mod admissions;
mod azure;
mod chain;
mod configuration;
mod crash;
mod crowds;
mod documents;
mod doors;
mod encodings;
mod ending;
mod entitlement;
mod errors;
mod expiry;
mod explain;
mod guard;
mod guard_libraries;
mod hba;
mod hints;
mod invariant;
mod keys;
mod labels;
mod left_open;
mod library;
mod links;
mod memberships;
mod moving;
mod next_start;
mod oauth;
mod outage;
mod pam;
mod pooled;
mod prepared;
mod prompt;
mod proxy;
mod refusals;
mod remembered;
mod revocation;
mod seal;
mod server_refusals;
mod sessions;
mod settings;
mod sizes;
mod slips;
mod snapshot;
mod standby;
mod startup;
mod stat;
mod statements;
mod status;
mod storms;
mod terms;
mod tokens;
mod turns;
mod waiting;
mod way_back;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::{Arc, LazyLock};

use trial::cluster::{Cluster, Setup, Workshop};
use trial::door::Door;
use trial::idp::Provider;
use trial::issuer::Signer;

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
