//! Several sessions at once: they wait for each other when they link and unlink, without deadlocks.

use std::thread;

use testbed::client::{AuthRequest, Outcome};
use testbed::cluster::Cluster;
use testbed::expect::{admitted, without_debug};
use testbed::issuer::{APPLICATION, PERSON, TENANT};
use testbed::scene::{ADMIN, Scene};
use testbed::waits::eventually;

use crate::common::locks::waits_until;
use crate::common::login::{token_of, valid_token};
use crate::common::role_state::RoleState;
use crate::common::statements::{SECOND_ADMIN, link, run};

/// Returns whether a role is completely linked or completely unlinked.
fn is_whole(cluster: &Cluster, role: &str) -> bool {
    let state = RoleState::of(cluster, role);
    let labels = cluster.sql(&format!("SELECT count(*) FROM pg_shseclabel WHERE objoid = '{role}'::regrole"));
    (state == RoleState::linked() && labels == "1") || (state == RoleState::unlinked() && labels == "0")
}

/// Runs the same statements in four sessions, each beginning with another one. Only the expected
/// errors may occur.
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
    let (cluster, _provider) = Scene::new().start();
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
    // Only because another session has just linked or unlinked the role.
    let expected = ["is not linked to a directory object", "is already linked"];
    at_once(&cluster, &statements, 140, &expected);
    assert!(is_whole(&cluster, "ann"), "{:?}", RoleState::of(&cluster, "ann"));
    assert!(!without_debug(&cluster.log()).contains("deadlock"), "{}", without_debug(&cluster.log()));
    cluster.sql("SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL");
    link(&cluster, "ann", PERSON, "user");
    admitted(&cluster, "ann", &token_of(PERSON));
}

#[test]
fn a_role_is_created_by_two_sessions_of_which_one_has_set_the_administrator() {
    let (cluster, _provider) = Scene::new().start();
    let create = format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')");
    let (mut one, mut two) = (cluster.superuser(), cluster.superuser());
    assert!(one.query("BEGIN").is_ok());
    assert!(one.query(&format!("SELECT azure_ad_auth.set_admin('boss', '{APPLICATION}')")).is_ok());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| two.query(&create));
        assert!(eventually(|| cluster.sql("SELECT count(*) FROM pg_locks WHERE NOT granted") == "1"));
        // The other one waits for the lock on the administrators, and holds nothing for which the
        // first could wait.
        let created = one.query(&create);
        assert!(created.is_ok(), "{created:?}");
        assert!(one.query("COMMIT").is_ok());
        let second = waiter.join().expect("a thread");
        assert!(second.is_ok(), "{second:?}");
    });
    assert!(is_whole(&cluster, "ann"), "{:?}", RoleState::of(&cluster, "ann"));
}

#[test]
fn who_loses_the_right_while_he_waits_has_lost_it() {
    let (cluster, _provider) = Scene::new().start();
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
        let (mut one, two) = (cluster.superuser(), cluster.session("admin", &token_of(ADMIN)));
        for step in ["BEGIN", &taken_by] {
            assert!(one.query(step).is_ok(), "{step}");
        }
        let outcome = waits_until(&cluster, two, &statement, || run(&mut one, "COMMIT"));
        let error = outcome.expect_err(&statement);
        assert_eq!(error.sqlstate, "42501", "{taken_by}; {statement}: {error:?}");
        assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'evil'"), "0");
        assert_eq!(cluster.sql("SELECT count(*) FROM pg_shseclabel WHERE provider = 'azure_ad_auth'"), "0");
    }
}

#[test]
fn a_name_that_changes_hands_meanwhile_links_nobody() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE ann LOGIN; CREATE ROLE victim LOGIN PASSWORD 'secret'");
    let link = format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')");
    let mut one = cluster.superuser();
    for step in ["BEGIN", "ALTER ROLE ann RENAME TO eve", "ALTER ROLE victim RENAME TO ann"] {
        assert!(one.query(step).is_ok(), "{step}");
    }
    let error =
        waits_until(&cluster, cluster.superuser(), &link, || run(&mut one, "COMMIT")).expect_err("linked");
    assert_eq!(
        (error.sqlstate.as_str(), error.message.as_str()),
        ("55000", "role \"ann\" was concurrently renamed")
    );
    assert_eq!(RoleState::of(&cluster, "eve"), RoleState::unlinked());
    assert_eq!(
        RoleState::of(&cluster, "ann"),
        RoleState { has_password: true, ..RoleState::unlinked() },
        "the victim has its password"
    );
    // The other way round: the session that renames the role waits for the one that links it.
    for step in ["BEGIN", &link] {
        assert!(one.query(step).is_ok(), "{step}");
    }
    let outcome = waits_until(&cluster, cluster.superuser(), "ALTER ROLE ann RENAME TO victim", || {
        run(&mut one, "COMMIT");
    });
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(RoleState::of(&cluster, "victim"), RoleState::linked());
    // A session that may not rename the role does not block others.
    cluster.sql("CREATE ROLE nopriv LOGIN; CREATE ROLE ben LOGIN");
    for step in ["BEGIN", &link.replace("ann", "ben")] {
        assert!(one.query(step).is_ok(), "{step}");
    }
    let error = cluster.acting_as("nopriv").query("ALTER ROLE ben RENAME TO x").expect_err("renamed");
    assert_eq!(error.sqlstate, "42501", "{error:?}");
    assert!(one.query("COMMIT").is_ok());
}

#[test]
fn who_comes_second_sees_what_the_first_has_done() {
    let (cluster, _provider) = Scene::new().start();
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
        match (waits_until(&cluster, two, &second, || run(&mut one, "COMMIT")), error) {
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
    let (cluster, _provider) = Scene::new().start();
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
    assert!(!without_debug(&cluster.log()).contains("deadlock"), "{}", without_debug(&cluster.log()));
    let association = "SELECT count(*) FROM pg_shseclabel WHERE objoid = 'azure_ad_admin'::regrole";
    let administrators = "SELECT count(*) > 0 FROM azure_ad_auth.principals WHERE is_admin";
    let is_there = |count: &str| if count == "1" { "t" } else { "f" };
    assert_eq!(is_there(&cluster.sql(association)), cluster.sql(administrators));
}

#[test]
fn a_role_dropped_during_its_login() {
    let (cluster, _provider) = Scene::new().start();
    for statement in
        ["DROP ROLE ann", "REVOKE azure_ad_user FROM ann", "DROP ROLE ann; CREATE ROLE ann LOGIN"]
    {
        cluster.sql("DROP ROLE IF EXISTS ann");
        link(&cluster, "ann", PERSON, "user");
        let mut client = cluster.client();
        client.start(&[("user", "ann"), ("database", "postgres")]).expect("a connection");
        assert_eq!(client.auth_request(), AuthRequest::Password);
        for part in statement.split("; ") {
            cluster.sql(part);
        }
        let outcome = client.answer(&valid_token());
        let Outcome::Refused(error) = outcome else { panic!("{statement}: {outcome:?}") };
        assert_eq!(error.sqlstate, "28P01", "{statement}: {error:?}");
        assert_eq!(error.message, "Azure AD authentication failed for role \"ann\"", "{statement}");
    }
}

#[test]
fn logins_while_a_role_comes_and_goes_end_one_way_or_the_other() {
    let (cluster, _provider) = Scene::new().start();
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
                // The login is admitted, and then the session is that role's, or there is none.
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
    let log = without_debug(&cluster.log());
    assert!(!log.contains("PANIC") && !log.contains("code=internal"), "{log}");
}
