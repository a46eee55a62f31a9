//! Grants and links by several sessions at once.

use testbed::issuer::{GROUP, PERSON};
use testbed::scene::{ADMIN, Scene};

use crate::common::locks::waits_until;
use crate::common::statements::{SECOND_ADMIN, link, run};

#[test]
fn sessions_that_link_and_grant_take_turns() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE cand LOGIN; CREATE ROLE local LOGIN");
    link(&cluster, "team", GROUP, "group");
    link(&cluster, "ann", PERSON, "user");
    // An uncommitted grant, and a link that it would break.
    let mut first = cluster.superuser();
    run(&mut first, "BEGIN");
    run(&mut first, "GRANT cand TO local");
    let statement = format!("SELECT azure_ad_auth.create_principal('cand', '{PERSON}', 'user')");
    let outcome = waits_until(&cluster, cluster.superuser(), &statement, || run(&mut first, "COMMIT"));
    let message = "role \"cand\" cannot be linked because role \"local\" is a member of it";
    assert_eq!(outcome.expect_err("linked").message, message);
    // The other way round.
    cluster.sql("REVOKE cand FROM local");
    run(&mut first, "BEGIN");
    run(&mut first, &statement);
    let outcome =
        waits_until(&cluster, cluster.superuser(), "GRANT cand TO local", || run(&mut first, "COMMIT"));
    let fault = outcome.expect_err("granted");
    assert!(fault.message.starts_with("role \"local\" cannot be a member of role \"cand\""), "{fault:?}");
    // An uncommitted grant between two linked roles, of which one is unlinked.
    run(&mut first, "BEGIN");
    run(&mut first, "GRANT team TO ann");
    let unlink = "SELECT azure_ad_auth.drop_principal('ann')";
    let outcome = waits_until(&cluster, cluster.superuser(), unlink, || run(&mut first, "COMMIT"));
    let message = "role \"ann\" cannot be unlinked while it is a member of role \"team\"";
    assert_eq!(outcome.expect_err("unlinked").message, message);
    // A setting that is added while a role is being linked contains the guard.
    cluster.sql("CREATE ROLE late LOGIN");
    run(&mut first, "BEGIN");
    run(&mut first, &format!("SELECT azure_ad_auth.create_principal('late', '{PERSON}', 'user')"));
    let set = "ALTER ROLE late IN DATABASE postgres SET session_preload_libraries = 'auto_explain'";
    let outcome = waits_until(&cluster, cluster.superuser(), set, || run(&mut first, "COMMIT"));
    assert!(outcome.is_ok(), "{outcome:?}");
    let guards = "SELECT count(*) FROM pg_db_role_setting WHERE setrole = 'late'::regrole AND setconfig::text ~ 'azure_ad_auth'";
    assert_eq!(cluster.sql(guards), "2");
}

#[test]
fn nobody_comes_to_reach_a_lifter_of_guards_by_two_sessions() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("CREATE ROLE holder; GRANT SET ON PARAMETER session_preload_libraries TO holder");
    cluster.sql("CREATE ROLE team; CREATE ROLE cand LOGIN; CREATE ROLE mid");
    let label = format!("SECURITY LABEL FOR pgaadauth ON ROLE cand IS 'aadauth,oid={PERSON}'");
    for (one, other, undo) in [
        ("ALTER ROLE team SUPERUSER", "GRANT team TO ann", "ALTER ROLE team NOSUPERUSER"),
        ("GRANT holder TO team", "GRANT team TO ann", "REVOKE holder FROM team"),
        (
            "GRANT SET ON PARAMETER session_preload_libraries TO team",
            "GRANT team TO ann",
            "REVOKE SET ON PARAMETER session_preload_libraries FROM team",
        ),
        ("GRANT holder TO mid", "GRANT team TO ann", "REVOKE holder FROM mid"),
        ("CREATE ROLE wheel SUPERUSER ROLE team", "GRANT team TO ann", "DROP ROLE wheel"),
        ("GRANT holder TO team", &label, "REVOKE holder FROM team"),
    ] {
        cluster.sql("GRANT mid TO team; GRANT team TO cand");
        for (first, second) in [(one, other), (other, one)] {
            let mut client = cluster.superuser();
            run(&mut client, "BEGIN");
            run(&mut client, first);
            let outcome = waits_until(&cluster, cluster.superuser(), second, || run(&mut client, "COMMIT"));
            let fault = outcome.expect_err(second);
            assert_eq!(fault.sqlstate, "42501", "{first}; {second}: {fault:?}");
            assert!(fault.message.contains("is linked to a directory object and cannot be a member of role"));
            // Everything is as before.
            if first == one {
                cluster.sql(undo);
            }
            cluster.sql("REVOKE team FROM ann; SECURITY LABEL FOR pgaadauth ON ROLE cand IS NULL");
        }
        cluster.sql("REVOKE team FROM cand; REVOKE mid FROM team");
    }
}

#[test]
fn the_last_two_administrators_go_at_once() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('admin2', '{SECOND_ADMIN}', 'user', true)"));
    let mut first = cluster.superuser();
    run(&mut first, "BEGIN");
    run(&mut first, "SELECT azure_ad_auth.remove_admin('admin')");
    let statement = "SELECT azure_ad_auth.remove_admin('admin2')";
    let outcome = waits_until(&cluster, cluster.superuser(), statement, || run(&mut first, "COMMIT"));
    assert!(outcome.is_ok(), "{outcome:?}");
    let association = "SELECT count(*) FROM pg_shseclabel WHERE objoid = 'azure_ad_admin'::regrole";
    assert_eq!(cluster.sql(association), "0");
    // Or both are dropped.
    cluster.sql(&format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}')"));
    cluster.sql(&format!(
        "SELECT azure_ad_auth.update_principal('admin2', '{SECOND_ADMIN}', 'user', is_admin => true)"
    ));
    assert_eq!(cluster.sql(association), "1");
    cluster.sql("CREATE ROLE other");
    run(&mut first, "BEGIN");
    run(&mut first, "DROP ROLE admin");
    cluster.sql("DROP ROLE other");
    let outcome =
        waits_until(&cluster, cluster.superuser(), "DROP ROLE admin2", || run(&mut first, "COMMIT"));
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(cluster.sql(association), "0");
}

#[test]
fn who_ends_sessions_commits_at_once() {
    let (cluster, _provider) = Scene::new().settings("max_prepared_transactions = 1").start();
    link(&cluster, "ann", PERSON, "user");
    let mut client = cluster.superuser();
    run(&mut client, "BEGIN");
    run(&mut client, "SELECT azure_ad_auth.drop_principal('ann')");
    let fault = client.query("PREPARE TRANSACTION 'later'").expect_err("a transaction that ends sessions");
    assert_eq!(fault.sqlstate, "0A000");
    assert_eq!(fault.message, "cannot PREPARE a transaction that has unlinked an Azure AD role");
    run(&mut client, "BEGIN");
    run(&mut client, "GRANT azure_ad_user TO ann");
    run(&mut client, "PREPARE TRANSACTION 'later'");
    run(&mut client, "COMMIT PREPARED 'later'");
}
