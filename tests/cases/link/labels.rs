//! Labels written by statements and by functions.

use std::thread;

use testbed::cluster::Cluster;
use testbed::expect::admitted;
use testbed::issuer::{GROUP, OTHER_TENANT, PERSON, TENANT};
use testbed::scene::Scene;
use testbed::waits::eventually;

use crate::common::login::token_of;
use crate::common::role_state::{RoleState, labels};
use crate::common::statements::{fails, link, tamper};

/// Returns a statement that sets the label of `ann`.
fn label(text: &str) -> String {
    format!("SECURITY LABEL FOR pgaadauth ON ROLE ann IS '{text}'")
}

fn invalid_labels_are_refused(cluster: &Cluster) {
    for (text, detail) in [
        ("admin", "It must begin with \"aadauth\"."),
        ("aadauth,Admin", "\"Admin\" is not known."),
        ("aadauth,oid=42", "\"42\" is not a valid value of \"oid\"."),
        ("aadauth,type=robot", "\"robot\" is not a valid value of \"type\"."),
        ("aadauth,mfa,mfa", "\"mfa\" is given twice."),
        (&format!("aadauth,{}", "x".repeat(1_000)), "It has 1008 bytes; at most 1000 are allowed."),
    ] {
        fails(
            cluster,
            &label(text),
            "22023",
            "invalid label for provider pgaadauth",
            &format!("DETAIL:  {detail}"),
        );
    }
    fails(
        cluster,
        "SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE ann IS 'aadauth'",
        "22023",
        "invalid label for provider pgaadauth-int",
        "HINT:  A label is type=user|group|service,oid=<uuid>,tenant_id=<uuid>",
    );
    fails(
        cluster,
        "SECURITY LABEL FOR pgaadauth ON TABLE t IS 'aadauth'",
        "0A000",
        "labels of pgaadauth can be given to roles only",
        "",
    );
    fails(
        cluster,
        "SECURITY LABEL ON ROLE ann IS 'aadauth'",
        "22023",
        "must specify provider when multiple",
        "",
    );
    fails(
        cluster,
        &format!(
            "SECURITY LABEL FOR pgaadauth ON ROLE azure_ad_admin IS 'aadauth,oid={PERSON},tenant_id={TENANT}'"
        ),
        "22023",
        "role \"azure_ad_admin\" cannot be linked",
        "",
    );
}

#[test]
fn labels_are_checked_and_followed() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE ann LOGIN; CREATE TABLE t ()");
    invalid_labels_are_refused(&cluster);
    // A label does what a function does.
    cluster.sql(&label(&format!("aadauth,oid={PERSON},type=user")));
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
    admitted(&cluster, "ann", &token_of(PERSON));
    cluster.sql(&label(&format!("aadauth,oid={PERSON},type=user,admin")));
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::administrator());
    cluster.sql(&label(&format!("aadauth,oid={PERSON},type=user")));
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
    cluster.sql("SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL");
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::unlinked());
    // Azure's two labels, in either order.
    let internal = format!(
        "SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE ann IS 'type=group,oid={GROUP},tenant_id={TENANT}'"
    );
    for (first, second) in [(label("aadauth,mfa"), internal.clone()), (internal, label("aadauth"))] {
        let output = cluster.sql_as("postgres", &first);
        assert!(output.success, "{}", output.stderr);
        assert_eq!(RoleState::of(&cluster, "ann"), RoleState::unlinked());
        cluster.sql(&second);
        assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
        admitted(&cluster, "ann", &token_of(PERSON));
        assert_eq!(
            cluster
                .sql("SELECT object_id, object_type FROM azure_ad_auth.principals WHERE role_name = 'ann'"),
            format!("{GROUP}|group")
        );
        cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
        assert_eq!(cluster.sql("SELECT count(*) FROM pg_shseclabel WHERE objoid = 'ann'::regrole"), "0");
    }
    let output = cluster.sql_as("postgres", &label("aadauth"));
    assert!(
        output.stderr.contains("NOTICE:  role \"ann\" is not linked: its label names no directory object")
    );
    // A label raises the same notices as a function, and is as complete.
    cluster.sql("ALTER ROLE ann NOLOGIN");
    let output = cluster.sql_as("postgres", &label(&format!("aadauth,oid={PERSON},mfa")));
    let (no_login, mfa) = (
        "NOTICE:  role \"ann\" is not permitted to log in",
        "NOTICE:  multi-factor authentication can be verified in version 1.0 access tokens only",
    );
    assert!(output.stderr.contains(no_login) && output.stderr.contains(mfa), "{}", output.stderr);
    let found_out = format!("pgaadauth-int: tenant_id={TENANT}");
    assert_eq!(labels(&cluster, "ann"), format!("pgaadauth: aadauth,oid={PERSON},mfa; {found_out}"));
    for statement in ["GRANT azure_ad_user TO ann", &label(&format!("aadauth,oid={PERSON},mfa"))] {
        let output = cluster.sql_as("postgres", statement);
        assert!(output.success && !output.stderr.contains("NOTICE"), "nothing new: {}", output.stderr);
    }
    tamper(&cluster, "DELETE FROM pg_auth_members WHERE member = 'ann'::regrole");
    let output = cluster.sql_as("postgres", "GRANT azure_ad_user TO ann");
    assert!(output.success && output.stderr.contains(no_login), "{}", output.stderr);
    // As a dump is restored before the tenant is configured: the tenant is added as soon as it is
    // known.
    cluster.set("azure_ad_auth.tenant_id", "");
    cluster.sql("SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE ann IS NULL");
    cluster.sql(&label(&format!("aadauth,oid={PERSON}")));
    assert_eq!(labels(&cluster, "ann"), format!("pgaadauth: aadauth,oid={PERSON}"));
    cluster.set("azure_ad_auth.tenant_id", TENANT);
    assert!(cluster.sql("SELECT azure_ad_auth.repair()").contains(&format!("named tenant {TENANT}")));
    assert_eq!(labels(&cluster, "ann"), format!("pgaadauth: aadauth,oid={PERSON}; {found_out}"));
    cluster.sql("ALTER ROLE ann LOGIN");
    // A transaction that is rolled back leaves nothing behind.
    cluster.sql("SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL");
    cluster.sql(&format!("BEGIN; {}; ROLLBACK", label(&format!("aadauth,oid={PERSON}"))));
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::unlinked());
    cluster.sql(&format!(
        "DO $$ BEGIN EXECUTE '{}'; END $$",
        label(&format!("aadauth,oid={PERSON}")).replace('\'', "''")
    ));
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
}

#[test]
fn a_link_by_a_function_is_one_complete_label() {
    let (cluster, _provider) = Scene::new().start();
    let internal = |role: &str| {
        format!(
            "SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE {role} IS 'type=group,oid={GROUP},tenant_id={OTHER_TENANT}'"
        )
    };
    // One role has one of Azure's two labels, another has both.
    cluster.sql("CREATE ROLE ann LOGIN; CREATE ROLE ben LOGIN");
    cluster.sql(&format!(
        "{}; {}; SECURITY LABEL FOR pgaadauth ON ROLE ben IS 'aadauth'",
        internal("ann"),
        internal("ben")
    ));
    link(&cluster, "ann", PERSON, "user");
    cluster.sql(&format!("SELECT azure_ad_auth.update_principal('ben', '{PERSON}', 'user')"));
    for role in ["ann", "ben"] {
        let complete = format!("pgaadauth: aadauth,oid={PERSON},type=user,tenant_id={TENANT}");
        assert_eq!(labels(&cluster, role), complete);
        admitted(&cluster, role, &token_of(PERSON));
    }
}

#[test]
fn the_view_shows_since_when_tokens_count() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    link(&cluster, "ben", PERSON, "user");
    let label = format!("aadauth,oid={PERSON},type=user,tenant_id={TENANT},not_before=1700000000");
    cluster.sql(&format!("SECURITY LABEL FOR pgaadauth ON ROLE ann IS '{label}'"));
    let since = "SELECT role_name, extract(epoch FROM tokens_not_before)::bigint FROM azure_ad_auth.principals \
                 WHERE NOT is_admin ORDER BY role_name";
    assert_eq!(cluster.sql(since), "ann|1700000000\nben|");
}

#[test]
fn a_label_is_written_to_the_role_that_had_the_name_when_the_statement_began() {
    let (cluster, _provider) = Scene::new().start();
    let unlink = "SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL";
    // The statement waits where it reads the role's labels, before PostgreSQL looks the name up, or
    // where PostgreSQL writes the label, after that.
    for (mode, refused) in [("ACCESS EXCLUSIVE", true), ("SHARE", false)] {
        cluster.sql("DROP ROLE IF EXISTS ann, eve; CREATE ROLE victim LOGIN PASSWORD 'secret'");
        link(&cluster, "ann", PERSON, "user");
        let (mut one, mut two) = (cluster.superuser(), cluster.superuser());
        assert!(two.query("SELECT 1").is_ok());
        for step in [
            "BEGIN",
            &format!("LOCK TABLE pg_catalog.pg_shseclabel IN {mode} MODE"),
            "ALTER ROLE ann RENAME TO eve",
            "ALTER ROLE victim RENAME TO ann",
        ] {
            let result = one.query(step);
            assert!(result.is_ok(), "{step}: {result:?}");
        }
        let outcome = thread::scope(|scope| {
            let waiter = scope.spawn(|| two.query(unlink));
            let blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted";
            assert!(eventually(|| one.query(blocked).expect("a count") == [Some("1".to_owned())]));
            assert!(one.query("COMMIT").is_ok());
            waiter.join().expect("a thread")
        });
        if refused {
            let error = outcome.expect_err("unlinked");
            let expected = ("55000", "role \"ann\" was concurrently renamed");
            assert_eq!((error.sqlstate.as_str(), error.message.as_str()), expected);
            assert_eq!(RoleState::of(&cluster, "eve"), RoleState::linked());
        } else {
            assert!(outcome.is_ok(), "{outcome:?}");
            assert_eq!(RoleState::of(&cluster, "eve"), RoleState::unlinked());
        }
        let labels = cluster.sql("SELECT count(*) FROM pg_shseclabel WHERE objoid = 'eve'::regrole");
        assert_eq!(labels, if refused { "1" } else { "0" });
        let as_it_was = RoleState { has_password: true, ..RoleState::unlinked() };
        assert_eq!(RoleState::of(&cluster, "ann"), as_it_was, "the victim is as it was");
    }
}
