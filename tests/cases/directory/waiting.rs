//! Statements that wait for the directory.

use std::thread;
use std::time::Duration;

use testbed::client::{Answer, RawClient};
use testbed::cluster::Cluster;
use testbed::expect::admitted;
use testbed::idp::Provider;
use testbed::idp::directory::{Kind, Place, Trouble};
use testbed::issuer::{GROUP, PERSON};
use testbed::scene::{ADMIN, Scene};
use testbed::waits::eventually;

use crate::common::directory::{questions, with_directory};
use crate::common::login::token_of;
use crate::common::role_state::linked_object;
use crate::common::statements::run;

const CREATE: &str = "CREATE ROLE \"ann@contoso.example\" LOGIN IN ROLE azure_ad_user";

/// A server that asks the directory about names only.
fn scene(wait: &str) -> Scene {
    Scene::new().settings(format!(
        "azure_ad_auth.directory_refresh_interval = 1h\nazure_ad_auth.directory_wait = {wait}"
    ))
}

/// Runs a statement that the directory does not answer. `meanwhile` is called once it waits.
fn hangs(
    cluster: &Cluster,
    provider: &Provider,
    mut client: RawClient,
    statement: &str,
    meanwhile: impl FnOnce(),
) -> Answer {
    let directory = provider.directory();
    directory.forget_requests();
    directory.fail(Place::Graph, Trouble::Hang);
    let answer = thread::scope(|scope| {
        let waiter = scope.spawn(|| client.query(statement));
        assert!(eventually(|| questions(provider) > 0), "{statement} does not ask");
        let held = "SELECT count(*) FROM pg_locks WHERE classid = 'pg_authid'::regclass OR relation = 'pg_authid'::regclass AND mode <> 'AccessShareLock'";
        assert_eq!(cluster.sql(held), "0", "{statement}");
        meanwhile();
        waiter.join().expect("a thread")
    });
    directory.recover(Place::Graph);
    // What the worker still asks would hang in the next statement's place.
    let lookup = "SELECT * FROM azure_ad_auth.directory_lookup('x')";
    let is_stopped = !cluster.data().join("postmaster.pid").exists();
    assert!(is_stopped || eventually(|| cluster.sql_verbosely(lookup).success));
    answer
}

const STATEMENTS: [&str; 4] = [
    "CREATE ROLE \"ben@contoso.example\" LOGIN IN ROLE azure_ad_user",
    "GRANT azure_ad_user TO \"ann@contoso.example\"",
    "SELECT azure_ad_auth.create_principal('ann@contoso.example')",
    "SELECT azure_ad_auth.set_admin('ann@contoso.example')",
];

#[test]
fn a_statement_waits_without_locks_and_no_longer_than_it_may() {
    let (cluster, provider) = with_directory(scene("2s"));
    provider.directory().add_user(PERSON, "ann@contoso.example");
    cluster.sql("CREATE ROLE \"ann@contoso.example\" LOGIN; CREATE ROLE other");
    for statement in STATEMENTS {
        let answer = hangs(&cluster, &provider, cluster.superuser(), statement, || {
            cluster.sql("SET lock_timeout = '1s'; ALTER ROLE \"ann@contoso.example\" CONNECTION LIMIT 3; GRANT other TO \"ann@contoso.example\"; REVOKE other FROM \"ann@contoso.example\"");
            admitted(&cluster, "admin", &token_of(ADMIN));
        });
        let error = answer.expect_err(statement);
        assert_eq!(error.sqlstate, "58000", "{statement}: {error:?}");
        assert!(error.message.starts_with("the directory did not answer"), "{error:?}");
    }
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.principals"), "1");
    // It is asked again once it answers.
    assert!(eventually(|| cluster.sql_verbosely(STATEMENTS[1]).success));
}

#[test]
fn a_statement_that_waits_can_be_cancelled() {
    let (cluster, provider) = with_directory(scene("60s"));
    provider.directory().add_user(PERSON, "ann@contoso.example");
    cluster.sql("CREATE ROLE \"ann@contoso.example\" LOGIN");
    for statement in STATEMENTS {
        let waiting = cluster.superuser();
        let answer = hangs(&cluster, &provider, waiting, statement, || {
            let cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE query LIKE '%contoso%' AND pid <> pg_backend_pid() AND state = 'active'";
            assert_eq!(cluster.sql(cancel), "1");
        });
        assert_eq!(answer.expect_err(statement).sqlstate, "57014", "{statement}");
    }
    // And by its own time limit.
    let mut client = cluster.superuser();
    run(&mut client, "SET statement_timeout = '1s'");
    let answer = hangs(&cluster, &provider, client, STATEMENTS[0], || {});
    assert_eq!(answer.expect_err("a time limit").sqlstate, "57014");
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.principals"), "1");
}

#[test]
fn the_server_stops_while_a_statement_waits() {
    let (cluster, provider) = with_directory(scene("60s"));
    provider.directory().add_user(PERSON, "ann@contoso.example");
    let answer = hangs(&cluster, &provider, cluster.superuser(), CREATE, || cluster.stop("fast"));
    assert!(answer.is_err(), "{answer:?}");
    cluster.start();
    cluster.await_directory();
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'ann%'"), "0");
    cluster.sql(CREATE);
}

#[test]
fn a_role_that_changes_while_the_directory_is_asked_is_not_linked() {
    let (cluster, provider) = with_directory(scene("60s"));
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    let grant = "GRANT azure_ad_user TO \"ann@contoso.example\"";
    for (change, sqlstate, undo) in [
        (
            "ALTER ROLE \"ann@contoso.example\" RENAME TO ben; CREATE ROLE \"ann@contoso.example\"",
            "55000",
            "DROP ROLE ben, \"ann@contoso.example\"",
        ),
        ("DROP ROLE \"ann@contoso.example\"", "42704", ""),
        ("ALTER ROLE \"ann@contoso.example\" SUPERUSER", "42501", "DROP ROLE \"ann@contoso.example\""),
    ] {
        cluster.sql("CREATE ROLE \"ann@contoso.example\" LOGIN");
        directory.forget_requests();
        directory.fail_times(1, Place::Only(Kind::Batch), Trouble::Slow(Duration::from_secs(2)));
        let answer = thread::scope(|scope| {
            let waiter = scope.spawn(|| cluster.superuser().query(grant));
            assert!(eventually(|| questions(&provider) > 0));
            cluster.sql(change);
            waiter.join().expect("a thread")
        });
        let error = answer.expect_err(change);
        assert_eq!(error.sqlstate, sqlstate, "{change}: {error:?}");
        assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.principals"), "1", "{change}");
        if !undo.is_empty() {
            cluster.sql(undo);
        }
    }
    // Linked by another session meanwhile: completed.
    cluster.sql("CREATE ROLE \"ann@contoso.example\" LOGIN");
    directory.forget_requests();
    directory.fail_times(1, Place::Only(Kind::Batch), Trouble::Slow(Duration::from_secs(2)));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| cluster.superuser().query(grant));
        assert!(eventually(|| questions(&provider) > 0));
        cluster.sql(&format!(
            "SECURITY LABEL FOR pgaadauth ON ROLE \"ann@contoso.example\" IS 'aadauth,oid={GROUP},type=group'"
        ));
        let answer = waiter.join().expect("a thread");
        assert!(answer.is_ok(), "{answer:?}");
    });
    assert_eq!(linked_object(&cluster, "ann@contoso.example"), GROUP);
}
