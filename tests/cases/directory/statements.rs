//! When statements ask the directory, and for whom.

use testbed::expect::admitted;
use testbed::idp::directory::{Kind, Object, Place, Trouble};
use testbed::issuer::{APPLICATION, GROUP, PERSON, TENANT};
use testbed::scene::{ADMIN, Scene};
use testbed::waits::eventually;

use crate::common::directory::{questions, with_directory};
use crate::common::login::{token_of, valid_token};
use crate::common::role_state::{RoleState, labels, linked_object};
use crate::common::statements::{denied, fails, run};

const CREATE: &str = "CREATE ROLE \"ann@contoso.example\" LOGIN IN ROLE azure_ad_user";

/// A server that asks the directory about names only.
fn scene(wait: &str) -> Scene {
    Scene::new().settings(format!(
        "azure_ad_auth.directory_refresh_interval = 1h\nazure_ad_auth.directory_wait = {wait}"
    ))
}

#[test]
fn several_roles_of_one_statement_are_asked_for_in_one_batch() {
    let (cluster, provider) = with_directory(scene("10s"));
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    directory.add_user(APPLICATION, "ben@contoso.example");
    directory.add_group(GROUP, "Readers");
    cluster.sql(
        "CREATE ROLE \"ann@contoso.example\" LOGIN; CREATE ROLE \"ben@contoso.example\" LOGIN; CREATE ROLE \"Readers\" LOGIN",
    );
    directory.forget_requests();
    let all = "\"ann@contoso.example\", \"ben@contoso.example\", \"Readers\"";
    cluster.sql(&format!("GRANT azure_ad_user TO {all}"));
    assert_eq!(directory.requests(Kind::Batch), 1);
    for (role, id) in
        [("ann@contoso.example", PERSON), ("ben@contoso.example", APPLICATION), ("Readers", GROUP)]
    {
        assert_eq!(linked_object(&cluster, role), id);
        assert_eq!(RoleState::of(&cluster, role), RoleState::linked());
    }
    admitted(&cluster, "ann@contoso.example", &valid_token());
    // Links that are there are completed, and nothing is asked.
    directory.forget_requests();
    cluster.sql(&format!("GRANT azure_ad_user TO {all}"));
    assert_eq!(questions(&provider), 0);
    // One that is not found keeps the others from being linked.
    cluster.sql(&format!("REVOKE azure_ad_user FROM {all}; CREATE ROLE nobody"));
    fails(
        &cluster,
        &format!("GRANT azure_ad_user TO {all}, nobody"),
        "42704",
        "the directory has no object named \"nobody\"",
        "",
    );
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.principals"), "1");
    // By ALTER GROUP, and beside other roles.
    cluster.sql("CREATE ROLE team; ALTER GROUP azure_ad_user ADD USER \"Readers\"");
    cluster.sql("GRANT azure_ad_user, team TO \"ann@contoso.example\"");
    let expected = RoleState::linked().and_member_of("team");
    assert_eq!(RoleState::of(&cluster, "ann@contoso.example"), expected);
    // No grant makes an administrator.
    directory.forget_requests();
    fails(
        &cluster,
        "GRANT azure_ad_admin TO \"ben@contoso.example\"",
        "55000",
        "role \"ben@contoso.example\" cannot be a member of role \"azure_ad_admin\"",
        "",
    );
    assert_eq!(questions(&provider), 0);
}

#[test]
fn an_account_that_was_created_anew_is_linked_by_revoke_and_grant() {
    let (cluster, provider) = with_directory(scene("10s"));
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    run(&mut admin, CREATE);
    directory.delete(PERSON);
    directory.add_user(APPLICATION, "ann@contoso.example");
    run(&mut admin, "REVOKE azure_ad_user FROM \"ann@contoso.example\"");
    run(&mut admin, "GRANT azure_ad_user TO \"ann@contoso.example\"");
    assert_eq!(linked_object(&cluster, "ann@contoso.example"), APPLICATION);
    // Revoked tokens stay revoked.
    cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann@contoso.example')");
    cluster.sql("REVOKE azure_ad_user FROM \"ann@contoso.example\"");
    cluster.sql("GRANT azure_ad_user TO \"ann@contoso.example\"");
    let not_before = "SELECT tokens_not_before IS NOT NULL FROM azure_ad_auth.principals WHERE role_name = 'ann@contoso.example'";
    assert_eq!(cluster.sql(not_before), "t");
}

#[test]
fn who_may_not_link_asks_nothing() {
    let (cluster, provider) = with_directory(scene("10s"));
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    cluster.sql("CREATE ROLE local LOGIN CREATEROLE; CREATE ROLE \"ann@contoso.example\"");
    cluster.sql("GRANT USAGE ON SCHEMA azure_ad_auth TO local; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA azure_ad_auth TO local");
    directory.forget_requests();
    for statement in [
        "CREATE ROLE \"ben@contoso.example\" LOGIN IN ROLE azure_ad_user",
        "GRANT azure_ad_user TO \"ann@contoso.example\"",
        "SELECT azure_ad_auth.create_principal('ann@contoso.example')",
        "SELECT azure_ad_auth.create_principal('ben@contoso.example')",
        "SELECT azure_ad_auth.create_principal('ben@contoso.example', '22222222-aaaa-bbbb-cccc-000000000002')",
        "SELECT azure_ad_auth.update_principal('admin')",
        "SELECT azure_ad_auth.set_admin('ann@contoso.example')",
        "SELECT * FROM azure_ad_auth.directory_lookup('ann@contoso.example')",
    ] {
        let error = cluster.acting_as("local").query(statement).expect_err(statement);
        assert_eq!(error.sqlstate, "42501", "{statement}: {error:?}");
    }
    // An administrator may link no role that a superuser keeps for itself, and not itself.
    cluster.sql("CREATE ROLE owner; GRANT owner TO \"ann@contoso.example\"");
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    for statement in [
        "GRANT azure_ad_user TO \"ann@contoso.example\"",
        "SELECT azure_ad_auth.create_principal('ann@contoso.example')",
    ] {
        denied(
            &mut admin,
            statement,
            "permission denied to change the link of role \"ann@contoso.example\"",
            "",
        );
    }
    let itself = "permission denied to change the link of role \"admin\"";
    denied(&mut admin, "SELECT azure_ad_auth.update_principal('admin')", itself, "");
    assert_eq!(questions(&provider), 0);
    // What fails anyway is not asked for.
    cluster.sql("CREATE ROLE \"root@contoso.example\" SUPERUSER");
    for (statement, sqlstate) in [
        ("GRANT azure_ad_user TO \"root@contoso.example\"", "42501"),
        ("CREATE ROLE \"ann@contoso.example\" IN ROLE azure_ad_user", "42710"),
        ("CREATE ROLE \"x@contoso.example\" IN ROLE azure_ad_user, azure_ad_admin", "42501"),
        ("CREATE ROLE \"x@contoso.example\" IN ROLE azure_ad_user ROLE local", "55000"),
        ("CREATE ROLE \"x@contoso.example\" PASSWORD 'secret' IN ROLE azure_ad_user", "22023"),
        ("BEGIN READ ONLY; CREATE ROLE \"x@contoso.example\" IN ROLE azure_ad_user", "25006"),
        ("BEGIN READ ONLY; SELECT azure_ad_auth.create_principal('ann@contoso.example')", "25006"),
    ] {
        fails(&cluster, statement, sqlstate, "", "");
    }
    assert_eq!(questions(&provider), 0);
}

#[test]
fn labels_and_dumps_ask_nothing() {
    let (cluster, provider) = with_directory(scene("10s"));
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    cluster.sql(CREATE);
    cluster.sql("REVOKE azure_ad_user FROM \"ann@contoso.example\"; CREATE ROLE \"Readers\"");
    directory.forget_requests();
    directory.fail(Place::Graph, Trouble::Hang);
    for (role, id) in [("ann@contoso.example", PERSON), ("Readers", GROUP)] {
        // As pg_dumpall writes it: first the label, then the membership.
        cluster.sql(&format!(
            "SECURITY LABEL FOR pgaadauth ON ROLE \"{role}\" IS 'aadauth,oid={id},tenant_id={TENANT}'"
        ));
        cluster.sql(&format!("GRANT azure_ad_user TO \"{role}\""));
        assert_eq!(linked_object(&cluster, role), id);
    }
    cluster
        .sql("SELECT azure_ad_auth.repair(); DROP EXTENSION azure_ad_auth; CREATE EXTENSION azure_ad_auth");
    assert_eq!(questions(&provider), 0);
}

#[test]
fn rolled_back_nothing_remains() {
    let (cluster, provider) = with_directory(scene("10s"));
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    let mut client = cluster.superuser();
    for statement in ["BEGIN", CREATE, "ROLLBACK", "BEGIN", "SAVEPOINT s", CREATE, "ROLLBACK TO s", "COMMIT"]
    {
        run(&mut client, statement);
    }
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'ann%'"), "0");
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_shseclabel WHERE label LIKE '%2222%'"), "0");
    // In a function that is called again, whose tree must not be changed.
    run(
        &mut client,
        &format!("CREATE FUNCTION again() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN {CREATE}; END $f$"),
    );
    for _ in 0..2 {
        run(&mut client, "SELECT again()");
        assert_eq!(linked_object(&cluster, "ann@contoso.example"), PERSON);
        run(&mut client, "DROP ROLE \"ann@contoso.example\"");
    }
}

#[test]
fn a_directory_that_cannot_be_asked_says_why_and_links_nothing() {
    let (cluster, provider) = with_directory(scene("2s"));
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    directory.add(Object::user(APPLICATION, "ben@contoso.example"));
    for trouble in [
        Trouble::Refuse(503, "serviceNotAvailable"),
        Trouble::Throttle(Some("120".to_owned())),
        Trouble::Body(200, "text/html", b"<html>".to_vec()),
        Trouble::Cut,
        Trouble::LosesItem,
        Trouble::Nulls,
    ] {
        directory.fail(Place::Graph, trouble.clone());
        let output = cluster.sql_verbosely(CREATE);
        assert!(!output.success, "{trouble:?}");
        let says = ["58000", "42501", "42704"].iter().any(|code| output.stderr.contains(code));
        assert!(says, "{trouble:?}: {}", output.stderr);
        directory.recover(Place::Graph);
        cluster.sql_verbosely("SELECT azure_ad_auth.refresh_directory()");
        cluster.sql_verbosely("SELECT azure_ad_auth.refresh_directory()");
    }
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.principals"), "1");
    assert_eq!(
        labels(&cluster, "admin"),
        format!("pgaadauth: aadauth,oid={ADMIN},type=user,admin,tenant_id={TENANT}")
    );
    cluster.set("azure_ad_auth.directory_client_id", "");
    assert!(eventually(|| cluster.sql_verbosely(CREATE).stderr.contains("the directory cannot be asked")));
    fails(&cluster, CREATE, "58000", "the directory cannot be asked", "directory_client_id");
}
