//! Several sessions at once: what links and unlinks takes turns, and nobody waits in a circle.

use std::thread;

use testbed::client::{Asked, Outcome, RawClient, ServerError};
use testbed::cluster::{Cluster, eventually};
use testbed::expect::{admitted, ours};
use testbed::issuer::*;

use crate::link::linking::{ADMIN, LINKED, SECOND_ADMIN, UNLINKED, facts, session, token_of};
use crate::{KEY, link, scene};

/// A role is whole, linked or not: never something in between.
fn is_whole(cluster: &Cluster, role: &str) -> bool {
    let facts = facts(cluster, role);
    let labels = cluster.sql(&format!("SELECT count(*) FROM pg_shseclabel WHERE objoid = '{role}'::regrole"));
    (facts == LINKED && labels == "1") || (facts == UNLINKED && labels == "0")
}

/// Four sessions run the same statements, each from another one on; an error must be one of those expected.
fn at_once(cluster: &Cluster, statements: &[String], count: usize, expected: &[&str]) {
    thread::scope(|scope| {
        for first in 0..4 {
            scope.spawn(move || {
                let mut client = cluster.superuser();
                for statement in statements.iter().cycle().skip(first * 2).take(count) {
                    if let Err(error) = client.query(statement) {
                        assert!(
                            expected.iter().any(|text| error.message.contains(text)),
                            "{statement}: {error:?}"
                        );
                    }
                }
            });
        }
    });
}

#[test]
fn sessions_that_link_and_unlink_one_role_leave_it_whole() {
    let (cluster, _provider) = scene("");
    cluster.sql("CREATE ROLE ann LOGIN");
    let label = format!(
        "SECURITY LABEL FOR pgaadauth ON ROLE ann IS 'aadauth,oid={PERSON},type=user,tenant_id={TENANT}'"
    );
    let statements = [
        format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')"),
        "REVOKE azure_ad_user FROM ann".to_owned(),
        label,
        "SELECT azure_ad_auth.drop_principal('ann')".to_owned(),
        format!("SELECT azure_ad_auth.update_principal('ann', '{APPLICATION}', 'user')"),
        "SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL".to_owned(),
        "GRANT azure_ad_user TO ann".to_owned(),
    ];
    // Only for want of what another session has just done, or undone.
    let expected = ["is not linked to a directory object", "is already linked"];
    at_once(&cluster, &statements, 140, &expected);
    assert!(is_whole(&cluster, "ann"), "{}", facts(&cluster, "ann"));
    assert!(!ours(&cluster.log()).contains("deadlock"), "{}", ours(&cluster.log()));
    cluster.sql("SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL");
    link(&cluster, "ann", PERSON, "user");
    admitted(&cluster, "ann", &token_of(PERSON));
}

#[test]
fn a_role_is_created_by_two_sessions_of_which_one_has_set_the_administrator() {
    let (cluster, _provider) = scene("");
    let create = format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')");
    let (mut one, mut two) = (cluster.superuser(), cluster.superuser());
    assert!(one.query("BEGIN").is_ok());
    assert!(one.query(&format!("SELECT azure_ad_auth.set_admin('boss', '{APPLICATION}')")).is_ok());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| two.query(&create));
        assert!(eventually(|| cluster.sql("SELECT count(*) FROM pg_locks WHERE NOT granted") == "1"));
        // The other one waits for the administrators, and has nothing that we could wait for.
        let created = one.query(&create);
        assert!(created.is_ok(), "{created:?}");
        assert!(one.query("COMMIT").is_ok());
        let second = waiter.join().expect("a thread");
        assert!(second.is_ok(), "{second:?}");
    });
    assert!(is_whole(&cluster, "ann"), "{}", facts(&cluster, "ann"));
}

/// Runs a statement that is to wait for what another session has done and not committed; what it comes to when that is.
fn waiting_for(
    cluster: &Cluster,
    first: &mut RawClient,
    mut second: RawClient,
    statement: &str,
) -> Result<Vec<Option<String>>, ServerError> {
    thread::scope(|scope| {
        let waiter = scope.spawn(|| second.query(statement));
        let blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        assert!(eventually(|| cluster.sql(blocked) == "1"), "{statement} waits for nobody");
        assert!(first.query("COMMIT").is_ok());
        waiter.join().expect("a thread")
    })
}

#[test]
fn who_loses_the_right_while_he_waits_has_lost_it() {
    let (cluster, _provider) = scene("");
    let set_admin =
        |role: &str, object: &str| format!("SELECT azure_ad_auth.set_admin('{role}', '{object}')");
    let create =
        |admin: bool| format!("SELECT azure_ad_auth.create_principal('evil', '{PERSON}', 'user', {admin})");
    let everywhere = format!("SELECT azure_ad_auth.revoke_principal('{PERSON}')");
    for (taken_by, statement) in [
        ("SELECT azure_ad_auth.remove_admin('admin')".to_owned(), create(true)),
        (set_admin("other", SECOND_ADMIN), create(true)),
        (set_admin("other", SECOND_ADMIN), create(false)),
        ("SELECT azure_ad_auth.remove_admin('admin')".to_owned(), everywhere),
    ] {
        cluster.sql(&set_admin("admin", ADMIN));
        let (mut one, two) = (cluster.superuser(), session(&cluster, "admin", ADMIN));
        for step in ["BEGIN", &taken_by] {
            assert!(one.query(step).is_ok(), "{step}");
        }
        let outcome = waiting_for(&cluster, &mut one, two, &statement);
        let error = outcome.expect_err(&statement);
        assert_eq!(error.sqlstate, "42501", "{taken_by}; {statement}: {error:?}");
        assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'evil'"), "0");
        assert_eq!(cluster.sql("SELECT count(*) FROM pg_shseclabel WHERE provider = 'azure_ad_auth'"), "0");
    }
}

#[test]
fn a_name_that_changes_hands_meanwhile_links_nobody() {
    let (cluster, _provider) = scene("");
    cluster.sql("CREATE ROLE ann LOGIN; CREATE ROLE victim LOGIN PASSWORD 'secret'");
    let link = format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')");
    let mut one = cluster.superuser();
    for step in ["BEGIN", "ALTER ROLE ann RENAME TO eve", "ALTER ROLE victim RENAME TO ann"] {
        assert!(one.query(step).is_ok(), "{step}");
    }
    let error = waiting_for(&cluster, &mut one, cluster.superuser(), &link).expect_err("linked");
    assert_eq!(
        (error.sqlstate.as_str(), error.message.as_str()),
        ("55000", "role \"ann\" was concurrently renamed")
    );
    assert_eq!(facts(&cluster, "eve"), UNLINKED);
    assert_eq!(
        facts(&cluster, "ann"),
        UNLINKED.replace("|t|f|f|t", "|f|f|f|t"),
        "the victim has its password"
    );
    // The other way round: who gives it another name waits for who links it.
    for step in ["BEGIN", &link] {
        assert!(one.query(step).is_ok(), "{step}");
    }
    let outcome = waiting_for(&cluster, &mut one, cluster.superuser(), "ALTER ROLE ann RENAME TO victim");
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(facts(&cluster, "victim"), LINKED);
    // Whoever may not rename it holds up nobody.
    cluster.sql("CREATE ROLE nopriv LOGIN; CREATE ROLE ben LOGIN");
    for step in ["BEGIN", &link.replace("ann", "ben")] {
        assert!(one.query(step).is_ok(), "{step}");
    }
    let error = nobody(&cluster).query("ALTER ROLE ben RENAME TO x").expect_err("renamed");
    assert_eq!(error.sqlstate, "42501", "{error:?}");
    assert!(one.query("COMMIT").is_ok());
}

#[test]
fn who_comes_second_sees_what_the_first_has_done() {
    let (cluster, _provider) = scene("");
    cluster.sql("CREATE ROLE ann LOGIN");
    let by_function =
        |object: &str| format!("SELECT azure_ad_auth.create_principal('ann', '{object}', 'user')");
    let already = "role \"ann\" is already linked to a directory object";
    let not_linked = "role \"ann\" is not linked to a directory object";
    let unlink = || "SELECT azure_ad_auth.drop_principal('ann')".to_owned();
    let rebind = || format!("SELECT azure_ad_auth.update_principal('ann', '{APPLICATION}', 'user')");
    for (linked, first, second, error) in [
        (false, by_function(PERSON), by_function(APPLICATION), Some(already)),
        (false, by_function(PERSON), by_function(PERSON), None),
        (true, unlink(), rebind(), Some(not_linked)),
        (true, unlink(), unlink(), Some(not_linked)),
        (true, unlink(), by_function(APPLICATION), None),
        (true, rebind(), "REVOKE azure_ad_user FROM ann".to_owned(), None),
        (
            true,
            "REVOKE azure_ad_user FROM ann".to_owned(),
            "GRANT azure_ad_user TO ann".to_owned(),
            Some("role \"ann\" cannot be a member"),
        ),
        (true, rebind(), "DROP ROLE ann".to_owned(), None),
    ] {
        cluster.sql("SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL");
        if linked {
            link(&cluster, "ann", PERSON, "user");
        }
        let (mut one, two) = (cluster.superuser(), cluster.superuser());
        assert!(one.query("BEGIN").is_ok());
        let result = one.query(&first);
        assert!(result.is_ok(), "{first}: {result:?}");
        match (waiting_for(&cluster, &mut one, two, &second), error) {
            (Ok(_), None) => {}
            (Err(found), Some(expected)) => {
                assert!(found.message.starts_with(expected), "{second}: {found:?}");
            }
            other => panic!("{first}; {second}: {other:?}"),
        }
    }
}

#[test]
fn administrators_come_and_go_without_a_circle() {
    let (cluster, _provider) = scene("");
    let admin2 = format!("SELECT azure_ad_auth.create_principal('admin2', '{SECOND_ADMIN}', 'user', true)");
    cluster.sql(&admin2);
    let statements = [
        format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}')"),
        "SELECT azure_ad_auth.remove_admin('admin2')".to_owned(),
        format!(
            "SELECT azure_ad_auth.update_principal('admin2', '{SECOND_ADMIN}', 'user', is_admin => true)"
        ),
        "SELECT azure_ad_auth.remove_admin()".to_owned(),
        format!("SELECT azure_ad_auth.set_admin('admin2', '{SECOND_ADMIN}')"),
        format!(
            "SECURITY LABEL FOR pgaadauth ON ROLE admin IS 'aadauth,oid={ADMIN},type=user,admin,tenant_id={TENANT}'"
        ),
        format!(
            "SECURITY LABEL FOR pgaadauth ON ROLE admin2 IS 'aadauth,oid={SECOND_ADMIN},type=user,tenant_id={TENANT}'"
        ),
    ];
    at_once(&cluster, &statements, 84, &["is not an Azure AD administrator"]);
    assert!(!ours(&cluster.log()).contains("deadlock"), "{}", ours(&cluster.log()));
    let association = "SELECT count(*) FROM pg_shseclabel WHERE objoid = 'azure_ad_admin'::regrole";
    let administrators = "SELECT count(*) > 0 FROM azure_ad_auth.principals WHERE is_admin";
    let is_there = |count: &str| if count == "1" { "t" } else { "f" };
    assert_eq!(is_there(&cluster.sql(association)), cluster.sql(administrators));
}

#[test]
fn a_role_dropped_during_its_login() {
    let (cluster, _provider) = scene("");
    for statement in
        ["DROP ROLE ann", "REVOKE azure_ad_user FROM ann", "DROP ROLE ann; CREATE ROLE ann LOGIN"]
    {
        cluster.sql("DROP ROLE IF EXISTS ann");
        link(&cluster, "ann", PERSON, "user");
        let mut client = cluster.client();
        client.start(&[("user", "ann"), ("database", "postgres")]).expect("a connection");
        assert_eq!(client.asked(), Asked::Password);
        for part in statement.split("; ") {
            cluster.sql(part);
        }
        let outcome = client.answer(&KEY.token(&user_v1(unix_now())));
        let Outcome::Refused(error) = outcome else { panic!("{statement}: {outcome:?}") };
        assert_eq!(error.sqlstate, "28P01", "{statement}: {error:?}");
        assert_eq!(error.message, "Azure AD authentication failed for role \"ann\"", "{statement}");
    }
}

#[test]
fn logins_while_a_role_comes_and_goes_end_one_way_or_the_other() {
    let (cluster, _provider) = scene("");
    let token = token_of(PERSON);
    thread::scope(|scope| {
        let cluster = &cluster;
        let changes = scope.spawn(move || {
            let mut client = cluster.superuser();
            for _ in 0..60 {
                for statement in [
                    format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')").as_str(),
                    "REVOKE azure_ad_user FROM ann",
                    "DROP ROLE ann",
                ] {
                    let result = client.query(statement);
                    assert!(result.is_ok(), "{statement}: {result:?}");
                }
            }
        });
        while !changes.is_finished() {
            let mut client = cluster.client();
            match client.login(&[("user", "ann"), ("database", "postgres")], &token) {
                // Let in for a moment, and then it is her session or none.
                Outcome::Ready => {
                    if let Ok(rows) = client.query("SELECT session_user") {
                        assert_eq!(rows, [Some("ann".to_owned())]);
                    }
                }
                Outcome::Refused(error) => assert!(!error.sqlstate.starts_with("XX"), "{error:?}"),
                Outcome::HungUp => {}
            }
        }
        changes.join().expect("a thread");
    });
    let log = ours(&cluster.log());
    assert!(!log.contains("PANIC") && !log.contains("code=internal"), "{log}");
}

#[test]
fn ten_thousand_roles_in_one_transaction() {
    let (cluster, _provider) =
        scene("max_locks_per_transaction = 1024\nlog_min_messages = warning\nlog_statement = none");
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
    // Half of them an administrator makes, who is no superuser, and who from 16 on holds each.
    let both = |from: u32| {
        format!(
            "BEGIN; {}; {}; COMMIT",
            by_function(from, from + 2499),
            by_statement(from + 2500, from + 4999)
        )
    };
    let result = session(&cluster, "admin", ADMIN).query(&both(1));
    assert!(result.is_ok(), "{result:?}");
    cluster.sql(&both(5001));
    assert_eq!(cluster.sql(linked), "10000");
    let whole = "SELECT count(*) FROM pg_roles r JOIN pg_auth_members m ON m.member = r.oid AND m.roleid = 'azure_ad_user'::regrole \
                 JOIN pg_db_role_setting s ON s.setrole = r.oid WHERE rolname ~ '^r' AND setconfig::text ~ 'azure_ad_auth'";
    assert_eq!(cluster.sql(whole), "10000");
    for role in ["r1", "r5000", "r5001", "r10000"] {
        admitted(&cluster, role, &token_of(PERSON));
    }
    // What ends a link of one among so many.
    let names = cluster.sql("SELECT string_agg('r' || n, ', ') FROM generate_series(4901, 5100) n");
    cluster.sql(&format!("REVOKE azure_ad_user FROM {names}"));
    assert_eq!(cluster.sql(linked), "9800");
    assert_eq!(cluster.sql(whole), "9800");
}

/// A session of a role that has no rights, waiting for nobody.
fn nobody(cluster: &Cluster) -> RawClient {
    let mut client = cluster.superuser();
    assert!(client.query("SET SESSION AUTHORIZATION nopriv").is_ok());
    client
}

fn all_run(cluster: &Cluster, statements: &[&str]) {
    let mut client = cluster.superuser();
    assert!(client.query("SET lock_timeout = '20s'").is_ok());
    for statement in statements {
        let result = client.query(statement);
        assert!(result.is_ok(), "{statement}: {result:?}");
    }
}

#[test]
fn who_has_no_right_to_what_he_asks_for_holds_up_nobody() {
    let (cluster, _provider) = scene("");
    cluster.sql("CREATE ROLE nopriv LOGIN; CREATE ROLE bystander; CREATE ROLE team");
    link(&cluster, "ann", PERSON, "user");
    let (mut first, mut second) = (nobody(&cluster), nobody(&cluster));
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
    let (cluster, _provider) = scene("");
    cluster.sql("CREATE ROLE mine; CREATE ROLE owner LOGIN; GRANT mine TO owner WITH ADMIN OPTION");
    link(&cluster, "evil", PERSON, "user");
    link(&cluster, "victim", PERSON, "user");
    let mut holders: Vec<_> = ["evil", "admin", "owner"]
        .into_iter()
        .map(|role| {
            let mut client = cluster.superuser();
            // As somebody whose first statement has been made: the seal asks for the token of the session's own role.
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
    // A link under way too; but from 16 on core lets one transaction at a time change who is in azure_ad_user.
    let mut linking = cluster.superuser();
    if cluster.workshop.installation.major < 16 {
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
    // The row of its settings is one that core waits for; ending the session that holds it is what ends that.
    let blocked =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'ALTER ROLE evil%'";
    cluster.sql(blocked);
    assert!(client.query("REVOKE azure_ad_user FROM evil").is_ok());
    assert!(linking.query("COMMIT").is_ok());
}

#[test]
fn statements_about_local_roles_do_not_wait_for_each_other() {
    let (cluster, _provider) = scene("");
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
