//! Every path of the hook as the first connection of a server: after a start, after a crash, with
//! cold caches.
//!
//! What works with warm caches may fail before a database is selected: that broke Azure's own
//! service on PostgreSQL 18.

use std::fs;

use testbed::client::{AuthRequest, Outcome};
use testbed::cluster::Cluster;
use testbed::idp::{Behavior, Provider};
use testbed::issuer::{PERSON, TENANT};
use testbed::process::signal;
use testbed::scene::Scene;
use testbed::waits::eventually;

use crate::common::login::valid_token;
use crate::common::server::{Restart, process, restart, signal_worker};
use crate::common::statements::{link, tamper};

/// A path of the hook: its number in the header of door/hook.rs, and a login that takes it.
type Path = (&'static str, fn(&Cluster, &str));

const PATHS: [Path; 18] = [
    ("A1", |cluster, _| assert_eq!(cluster.login("local", "secret"), Outcome::Ready)),
    ("A2", |cluster, token| assert_eq!(cluster.login("ann", token), Outcome::Ready)),
    ("A2, Azure's labels", |cluster, token| assert_eq!(cluster.login("azure", token), Outcome::Ready)),
    ("A3", |cluster, _| {
        assert_eq!(cluster.socket_client().login(&parameters("heir"), ""), Outcome::Ready);
    }),
    ("R1", |cluster, _| {
        refused(cluster.login("local", "x"), "password authentication failed for user \"local\"");
    }),
    ("R2", |cluster, _| {
        refused(cluster.login("azure_ad_user", ""), "role \"azure_ad_user\" is not permitted to log in");
    }),
    ("R3", |cluster, _| {
        let outcome = cluster.socket_client().login(&parameters("ann"), "");
        refused(outcome, "role \"ann\" is an Azure AD role and can only log in with an access token");
    }),
    ("R4", |cluster, _| {
        let outcome = cluster.plain_client().login(&parameters("ann"), "");
        refused(outcome, "Azure AD authentication requires an encrypted connection");
    }),
    ("R7", |cluster, _| {
        let message = "role \"root\" cannot use Azure AD authentication because it is a superuser, replication or \
                       BYPASSRLS role";
        refused(cluster.login("root", ""), message);
    }),
    ("R7, NOLOGIN", |cluster, _| {
        refused(cluster.login("asleep", ""), "role \"asleep\" is not permitted to log in");
    }),
    ("R8", |cluster, _| {
        let mut client = cluster.client();
        client.start(&parameters("ann")).expect("a connection");
        assert_eq!(client.auth_request(), AuthRequest::Password);
    }),
    ("R9", |cluster, _| {
        let mut client = cluster.client();
        client.start(&parameters("ann")).expect("a connection");
        assert_eq!(client.auth_request(), AuthRequest::Password);
        client.send(b'Q', b"SELECT 1\0").expect("a connection");
        let AuthRequest::Finished(outcome) = client.auth_request() else { panic!("asked again") };
        refused(outcome, "expected password response, got message type 81");
    }),
    ("R10", |cluster, _| {
        let message = "the access token has an invalid format (1 part instead of 3, 1 bytes)";
        refused(cluster.login("ann", "x"), message);
    }),
    ("R12", |cluster, token| {
        refused(cluster.login("orphan", token), "Azure AD authentication failed for role \"orphan\"");
    }),
    ("R12, a member of a member", |cluster, token| {
        refused(cluster.login("heir", token), "Azure AD authentication failed for role \"heir\"");
    }),
    ("R12, an unreadable label", |cluster, token| {
        refused(cluster.login("scrawl", token), "Azure AD authentication failed for role \"scrawl\"");
    }),
    ("R12, nobody of that name", |cluster, _| {
        refused(cluster.login("nobody", "x"), "password authentication failed for user \"nobody\"");
    }),
    ("R12, another object", |cluster, token| {
        refused(cluster.login("admin", token), "Azure AD authentication failed for role \"admin\"");
    }),
];

fn parameters(role: &str) -> [(&str, &str); 2] {
    [("user", role), ("database", "postgres")]
}

fn refused(outcome: Outcome, message: &str) {
    match outcome {
        Outcome::Refused(error) => assert_eq!(error.message, message),
        other => panic!("{other:?}"),
    }
}

/// Starts a server on which every path can be taken.
fn scene_with_every_path() -> (Cluster, Provider) {
    // pg_ctl tests whether the server runs by a connection that is never authenticated.
    let hba = "local all postgres trust\nlocal all ann,heir peer map=anyone\nlocal all +azure_ad_user trust\n\
               host all +azure_ad_user 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 password\n";
    let (cluster, provider) = Scene::new().hba(hba).start();
    fs::write(cluster.data().join("pg_ident.conf"), "anyone /^.*$ ann\nanyone /^.*$ heir\n")
        .expect("pg_ident.conf");
    cluster.sql("CREATE ROLE local LOGIN PASSWORD 'secret'");
    link(&cluster, "ann", PERSON, "user");
    link(&cluster, "orphan", PERSON, "user");
    tamper(&cluster, "DELETE FROM pg_shseclabel WHERE objoid = 'orphan'::regrole");
    for role in ["root", "asleep", "scrawl"] {
        link(&cluster, role, PERSON, "user");
    }
    tamper(&cluster, "UPDATE pg_authid SET rolsuper = true WHERE rolname = 'root'");
    cluster.sql("ALTER ROLE asleep NOLOGIN; CREATE ROLE heir LOGIN");
    tamper(&cluster, "UPDATE pg_shseclabel SET label = 'aadauth,oid=?' WHERE objoid = 'scrawl'::regrole");
    let (oid, options) = if cluster.major() < 16 {
        ("", "")
    } else {
        ("(SELECT max(oid::bigint) + 1 FROM pg_auth_members)::oid, ", ", true, true")
    };
    let member = format!("{oid}'ann'::regrole, 'heir'::regrole, 10, false{options}");
    tamper(&cluster, &format!("INSERT INTO pg_auth_members SELECT {member}"));
    // As in a dump from Azure: two labels.
    cluster.sql("CREATE ROLE azure LOGIN; SECURITY LABEL FOR pgaadauth ON ROLE azure IS 'aadauth'");
    let label = format!("type=user,oid={PERSON},tenant_id={TENANT}");
    cluster.sql(&format!("SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE azure IS '{label}'"));
    (cluster, provider)
}

#[test]
fn every_path_as_the_first_connection() {
    let (cluster, _provider) = scene_with_every_path();
    take_all(&cluster, &PATHS, Some("signing keys, fetched "));
}

#[test]
fn every_path_of_a_server_that_lets_nobody_in_as_the_first_connection() {
    let (cluster, provider) = scene_with_every_path();
    // From now on there are no keys, and no login waits for any.
    provider.behave(Behavior::Status(503, ""));
    fs::remove_file(cluster.key_snapshot()).expect("a snapshot");
    cluster.set("azure_ad_auth.unknown_key_wait", "0");
    take_all(
        &cluster,
        &[("R10, without keys", |cluster, token| {
            let message = "the signing keys of the Azure AD tenant are not available; try again later";
            refused(cluster.login("ann", token), message);
        })],
        None,
    );
    cluster.sql("SELECT azure_ad_auth.remove_admin()");
    take_all(
        &cluster,
        &[("R6", |cluster, _| {
            let message = "Azure AD authentication is disabled: the server has no Azure AD administrator";
            refused(cluster.login("ann", ""), message);
        })],
        None,
    );
    cluster.set("azure_ad_auth.audience", "");
    take_all(
        &cluster,
        &[("R5", |cluster, _| {
            refused(cluster.login("ann", ""), "Azure AD authentication is not configured on this server");
        })],
        None,
    );
}

/// Takes each path as the first connection after each kind of start. A line of the log is awaited
/// before that, if one is given: that the keys are there, which no connection may be asked for.
fn take_all(cluster: &Cluster, paths: &[Path], line: Option<&str>) {
    let token = valid_token();
    for (name, path) in paths {
        for how in [
            Restart::Clean,
            Restart::AfterCrash,
            Restart::WithoutCacheFile,
            Restart::AfterCrashWithoutCacheFile,
        ] {
            let before = cluster.log_mark();
            restart(cluster, how);
            if let Some(line) = line {
                cluster.await_log(before, line);
            }
            let mark = cluster.log_mark();
            path(cluster, &token);
            let log = cluster.log_since(mark);
            let bad = ["without having selected a database", "PANIC", "terminated by signal"];
            assert!(!bad.iter().any(|bad| log.contains(bad)), "{name} after {how:?}: {log}");
        }
    }
}

#[test]
fn a_worker_killed_restarts_the_server_and_logins_go_on() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let token = valid_token();
    assert_eq!(cluster.login("ann", &token), Outcome::Ready);
    let mark = cluster.log_mark();
    signal_worker(&cluster, libc::SIGKILL);
    cluster.await_log(mark, "was terminated by signal 9");
    cluster.await_log(mark, "database system is ready to accept connections");
    assert!(eventually(|| cluster.login("ann", &token) == Outcome::Ready));
}

#[test]
fn a_backend_killed_at_the_prompt() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let mut client = cluster.client();
    client.start(&[("user", "ann"), ("database", "postgres")]).expect("a connection");
    assert_eq!(client.auth_request(), AuthRequest::Password);
    let mark = cluster.log_mark();
    let pid = process(&cluster, "authentication").expect("a backend at the prompt");
    signal(pid, libc::SIGKILL);
    cluster.await_log(mark, "database system is ready to accept connections");
    let token = valid_token();
    assert!(eventually(|| cluster.login("ann", &token) == Outcome::Ready));
}

#[test]
fn a_start_for_pg_upgrade() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("CREATE ROLE restored SUPERUSER; CREATE ROLE local");
    cluster.stop("fast");
    let mark = cluster.log_mark();
    assert!(cluster.try_start(&["-b"]), "the server starts in binary upgrade mode");
    // What pg_upgrade restores is not checked, because roles and memberships come later.
    cluster.sql(&format!("SECURITY LABEL FOR pgaadauth ON ROLE restored IS 'aadauth,oid={PERSON}'"));
    cluster.sql("SECURITY LABEL FOR pgaadauth ON ROLE azure_ad_user IS 'aadauth,mfa'");
    cluster.sql("GRANT ann TO local; ALTER ROLE azure_ad_user SET work_mem = '1MB'");
    let settings = cluster.sql("SELECT count(*) FROM pg_db_role_setting WHERE setrole = 'restored'::regrole");
    assert_eq!(settings, "0", "nothing follows from a label");
    assert_eq!(cluster.sql("SHOW azure_ad_auth.tenant_id"), TENANT);
    assert!(!cluster.log_since(mark).contains("signing keys"), "no worker");
    let output = cluster.sql_as("postgres", "SECURITY LABEL FOR pgaadauth ON ROLE local IS 'nonsense'");
    assert!(output.stderr.contains("invalid label"), "{}", output.stderr);
}
