//! Which statements wait for each other, and which do not.

use testbed::cluster::Cluster;
use testbed::expect::admitted;
use testbed::issuer::PERSON;
use testbed::scene::{ADMIN, Scene};

use crate::common::locks::waits_until;
use crate::common::login::token_of;
use crate::common::statements::{SECOND_ADMIN, link};

#[test]
fn ten_thousand_roles_in_one_transaction() {
    let (cluster, _provider) = Scene::new()
        .settings("max_locks_per_transaction = 1024\nlog_min_messages = warning\nlog_statement = none")
        .start();
    let linked = "SELECT count(*) FROM azure_ad_auth.principals WHERE NOT is_admin";
    let by_function = |from: u32, to: u32| {
        format!(
            "SELECT count(azure_ad_auth.create_principal('r' || n, '{PERSON}', 'user')) FROM generate_series({from}, {to}) n"
        )
    };
    let by_statement = |from: u32, to: u32| {
        format!(
            "SET LOCAL aad_validate_oids_in_tenant = off; DO $$ BEGIN FOR n IN {from} .. {to} LOOP \
             EXECUTE format('CREATE USER r%s PASSWORD ''{PERSON}'' IN ROLE azure_ad_user', n); END LOOP; END $$"
        )
    };
    // Half of them are created by an administrator, who from 16 on has the ADMIN option for each.
    let both = |from: u32| {
        format!(
            "BEGIN; {}; {}; COMMIT",
            by_function(from, from + 2499),
            by_statement(from + 2500, from + 4999)
        )
    };
    let result = cluster.session("admin", &token_of(ADMIN)).query(&both(1));
    assert!(result.is_ok(), "{result:?}");
    cluster.sql(&both(5001));
    assert_eq!(cluster.sql(linked), "10000");
    let whole = "SELECT count(*) FROM pg_roles r JOIN pg_auth_members m ON m.member = r.oid AND m.roleid = 'azure_ad_user'::regrole \
                 JOIN pg_db_role_setting s ON s.setrole = r.oid WHERE rolname ~ '^r' AND setconfig::text ~ 'azure_ad_auth'";
    assert_eq!(cluster.sql(whole), "10000");
    for role in ["r1", "r5000", "r5001", "r10000"] {
        admitted(&cluster, role, &token_of(PERSON));
    }
    // Statements that unlink one of so many.
    let names = cluster.sql("SELECT string_agg('r' || n, ', ') FROM generate_series(4901, 5100) n");
    cluster.sql(&format!("REVOKE azure_ad_user FROM {names}"));
    assert_eq!(cluster.sql(linked), "9800");
    assert_eq!(cluster.sql(whole), "9800");
}

fn all_run(cluster: &Cluster, statements: &[&str]) {
    let mut client = cluster.superuser();
    assert!(client.query("SET lock_timeout = '20s'").is_ok());
    for statement in statements {
        let result = client.query(statement);
        assert!(result.is_ok(), "{statement}: {result:?}");
    }
}

/// The demotion acts by name. From 16 on it waits for links that are not committed, between taking
/// the membership away and the attributes; before, it does not wait there.
#[test]
fn a_demotion_does_not_reach_a_role_that_takes_the_name_meanwhile() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql(&format!(
        "SELECT azure_ad_auth.create_principal('boss', '{SECOND_ADMIN}', 'user', is_admin => true)"
    ));
    let state = || {
        cluster.sql(
            "SELECT string_agg(rolname || ' ' || rolcreaterole || rolcreatedb, ', ' ORDER BY rolname) \
        FROM pg_roles WHERE rolname IN ('boss', 'other')",
        )
    };
    if cluster.major() < 16 {
        cluster.sql("SELECT azure_ad_auth.remove_admin('boss')");
        assert_eq!(state(), "boss falsefalse");
        return;
    }
    let mut linking = cluster.superuser();
    assert!(linking.query("BEGIN").is_ok());
    let create = format!("SELECT azure_ad_auth.create_principal('bob', '{PERSON}', 'user')");
    assert!(linking.query(&create).is_ok());
    let demote = "SELECT azure_ad_auth.remove_admin('boss')";
    let result = waits_until(&cluster, cluster.superuser(), demote, || {
        cluster.sql("ALTER ROLE boss RENAME TO other; CREATE ROLE boss CREATEROLE CREATEDB");
        assert!(linking.query("COMMIT").is_ok());
    });
    let error = result.expect_err("the demotion of another role");
    assert_eq!(
        (error.sqlstate.as_str(), error.message.as_str()),
        ("55000", "role \"boss\" was concurrently renamed")
    );
    assert_eq!(state(), "boss truetrue, other truetrue");
}

#[test]
fn who_has_no_right_to_what_he_asks_for_holds_up_nobody() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE nopriv LOGIN; CREATE ROLE bystander; CREATE ROLE team");
    link(&cluster, "ann", PERSON, "user");
    let (mut first, mut second) = (cluster.acting_as("nopriv"), cluster.acting_as("nopriv"));
    for statement in ["BEGIN", "ALTER ROLE nopriv SET work_mem = '1MB'"] {
        assert!(first.query(statement).is_ok());
    }
    for statement in [
        "REVOKE azure_ad_user FROM admin, bystander, ann, nopriv",
        "GRANT azure_ad_user TO nopriv, ann",
        "GRANT team, nopriv TO bystander, ann",
        "SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL",
        "DROP ROLE admin",
    ] {
        let error = second.query(statement).expect_err(statement);
        assert_eq!(error.sqlstate, "42501", "{statement}: {error:?}");
    }
    all_run(
        &cluster,
        &[
            &format!("SELECT azure_ad_auth.create_principal('new1', '{PERSON}', 'user')"),
            "SELECT azure_ad_auth.remove_admin()",
            "SELECT azure_ad_auth.drop_principal('ann')",
            "GRANT team TO bystander",
            "DROP ROLE bystander",
        ],
    );
    assert!(first.query("COMMIT").is_ok());
}

#[test]
fn nobody_keeps_himself_from_being_unlinked() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE mine; CREATE ROLE owner LOGIN; GRANT mine TO owner WITH ADMIN OPTION");
    link(&cluster, "evil", PERSON, "user");
    link(&cluster, "victim", PERSON, "user");
    let mut holders: Vec<_> = ["evil", "admin", "owner"]
        .into_iter()
        .map(|role| {
            let mut client = cluster.superuser();
            // The session has run a statement before, because the seal checks the token of the
            // session's own role.
            assert!(client.query(&format!("SET ROLE {role}")).is_ok());
            assert!(client.query("BEGIN").is_ok());
            client
        })
        .collect();
    for (holder, statement) in holders.iter_mut().zip([
        "ALTER ROLE evil SET work_mem = '1MB'",
        "ALTER ROLE admin SET work_mem = '1MB'",
        "GRANT mine TO victim",
    ]) {
        let result = holder.query(statement);
        assert!(result.is_ok(), "{statement}: {result:?}");
    }
    // An uncommitted link too. But from 16 on PostgreSQL lets only one transaction at a time change
    // the members of azure_ad_user.
    let mut linking = cluster.superuser();
    if cluster.major() < 16 {
        for statement in
            ["BEGIN", &format!("SELECT azure_ad_auth.create_principal('late', '{PERSON}', 'user')")]
        {
            assert!(linking.query(statement).is_ok());
        }
    }
    let mut client = cluster.superuser();
    assert!(client.query("SET lock_timeout = '20s'").is_ok());
    for statement in ["SELECT azure_ad_auth.drop_principal('victim')", "SELECT azure_ad_auth.remove_admin()"]
    {
        let result = client.query(statement);
        assert!(result.is_ok(), "{statement}: {result:?}");
    }
    // PostgreSQL waits for the row of the role's settings. Ending the session that locks it ends
    // the wait.
    let blocked =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'ALTER ROLE evil%'";
    cluster.sql(blocked);
    assert!(client.query("REVOKE azure_ad_user FROM evil").is_ok());
    assert!(linking.query("COMMIT").is_ok());
}

#[test]
fn statements_about_local_roles_do_not_wait_for_each_other() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE la; CREATE ROLE lb; CREATE ROLE lc; CREATE ROLE lr; CREATE ROLE ls");
    let mut first = cluster.superuser();
    for statement in ["BEGIN", "GRANT lr TO la", "GRANT lr TO lb", "ALTER ROLE lc CREATEDB"] {
        assert!(first.query(statement).is_ok());
    }
    all_run(
        &cluster,
        &["GRANT la TO lc", "GRANT ls TO lb", "ALTER ROLE la CREATEDB", "ALTER ROLE lb SET work_mem = '1MB'"],
    );
    assert!(first.query("COMMIT").is_ok());
}
