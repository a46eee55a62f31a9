//! What an administrator may change, and what a superuser has reserved.

use testbed::client::RawClient;
use testbed::issuer::PERSON;
use testbed::scene::{ADMIN, Scene};

use crate::common::login::token_of;
use crate::common::role_state::RoleState;
use crate::common::statements::{SECOND_ADMIN, denied, link};

#[test]
fn an_administrator_gives_nobody_what_he_may_not() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('admin2', '{SECOND_ADMIN}', 'user', true)"));
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    assert!(admin.query("CREATE ROLE his LOGIN").is_ok());
    assert!(admin.query("SET aad_validate_oids_in_tenant = off").is_ok());
    for statement in [
        "ALTER ROLE his SUPERUSER",
        "ALTER ROLE his REPLICATION",
        "ALTER ROLE his BYPASSRLS",
        "ALTER ROLE admin SUPERUSER",
        "ALTER ROLE admin REPLICATION",
        &format!("CREATE ROLE x SUPERUSER PASSWORD '{PERSON}' IN ROLE azure_ad_user"),
        &format!("CREATE ROLE x REPLICATION PASSWORD '{PERSON}' IN ROLE azure_ad_user"),
        &format!("CREATE ROLE x PASSWORD '{PERSON}' IN ROLE azure_ad_user, pg_write_server_files"),
        &format!("CREATE ROLE x PASSWORD '{PERSON}' IN ROLE azure_ad_user, azure_ad_admin"),
        "GRANT pg_monitor TO admin",
        "GRANT pg_write_all_data TO his",
        "GRANT postgres TO his",
        "GRANT azure_ad_admin TO his",
        "GRANT azure_ad_admin TO ann",
        "REVOKE azure_ad_admin FROM admin2",
        "REVOKE azure_ad_user FROM admin2",
        "REVOKE azure_ad_user FROM admin",
        "SECURITY LABEL FOR azure_ad_auth ON ROLE ann IS 'managed'",
    ] {
        let error = admin.query(statement).expect_err(statement);
        let not_now = ["REVOKE azure_ad_admin FROM admin2", "GRANT azure_ad_admin TO his"];
        let expected = if not_now.contains(&statement) { "55000" } else { "42501" };
        assert_eq!(error.sqlstate, expected, "{statement}: {error:?}");
    }
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'x'"), "0");
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.principals WHERE is_admin"), "2");
}

#[test]
fn an_administrator_changes_only_what_is_linked_or_made_by_one() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE local LOGIN PASSWORD 'secret'");
    link(&cluster, "ann", PERSON, "user");
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    for statement in [
        "ALTER ROLE local PASSWORD 'mine'",
        "ALTER ROLE local SET work_mem = '1MB'",
        "ALTER ROLE local RENAME TO x",
        "DROP ROLE local",
    ] {
        let error = admin.query(statement).expect_err(statement);
        assert_eq!(error.sqlstate, "42501", "{statement}: {error:?}");
        if cluster.major() < 16 {
            // From 16 on PostgreSQL itself refuses it, because the ADMIN option is missing.
            assert_eq!(error.message, "permission denied to change role \"local\"");
            let detail = "It is no Azure AD role, and no Azure AD administrator has made it.";
            assert_eq!(error.detail.as_deref(), Some(detail));
        }
    }
    // Roles that the administrator creates are separate from those of superusers.
    for statement in [
        "CREATE ROLE made LOGIN",
        "ALTER ROLE made PASSWORD 'x'",
        "ALTER ROLE made RENAME TO his",
        "DROP ROLE his",
    ] {
        assert!(admin.query(statement).is_ok(), "{statement}");
    }
    if cluster.major() < 16 {
        assert!(admin.query("ALTER ROLE ann CONNECTION LIMIT 5").is_ok());
    }
    assert_eq!(cluster.session("local", "secret").query("SELECT 1"), Ok(vec![Some("1".to_owned())]));
}

#[test]
fn who_is_no_administrator_any_more_is_theirs_again() {
    let (cluster, _provider) = Scene::new().start();
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    for statement in ["CREATE ROLE deputy LOGIN", "CREATE ROLE plain LOGIN"] {
        assert!(admin.query(statement).is_ok(), "{statement}");
    }
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('deputy', '{SECOND_ADMIN}', 'user', true)"));
    // And a role that has been an administrator from the beginning.
    let create = format!("SELECT azure_ad_auth.create_principal('second', '{SECOND_ADMIN}', 'user', true)");
    assert!(admin.query(&create).is_ok());
    for role in ["deputy", "second"] {
        denied(
            &mut admin,
            &format!("SELECT azure_ad_auth.drop_principal('{role}')"),
            &format!("permission denied to change the link of role \"{role}\""),
            "It is another administrator",
        );
        assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.repair()"), "0");
        cluster.sql(&format!("SELECT azure_ad_auth.remove_admin('{role}')"));
        for statement in [
            &format!("ALTER ROLE {role} CONNECTION LIMIT 5"),
            &format!("SELECT azure_ad_auth.drop_principal('{role}')"),
            &format!("DROP ROLE {role}"),
        ] {
            let result = admin.query(statement);
            assert!(result.is_ok(), "{statement}: {result:?}");
        }
    }
}

#[test]
fn what_administrators_have_granted_keeps_them_from_nothing() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('admin2', '{SECOND_ADMIN}', 'user', true)"));
    let mut first = cluster.session("admin", &token_of(ADMIN));
    let mut second = cluster.session("admin2", &token_of(SECOND_ADMIN));
    let run = |client: &mut RawClient, statement: &str| {
        let result = client.query(statement);
        assert!(result.is_ok(), "{statement}: {result:?}");
    };
    let create = format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')");
    for statement in
        ["CREATE ROLE readers", "CREATE ROLE plain LOGIN", &create, "GRANT readers TO ann, plain"]
    {
        run(&mut first, statement);
    }
    let revoke = "SELECT azure_ad_auth.revoke_tokens('ann', now() - interval '1 day')";
    let update = format!("SELECT azure_ad_auth.update_principal('ann', '{PERSON}', 'user')");
    let everywhere = format!("SELECT azure_ad_auth.revoke_principal('{PERSON}')");
    for admin in [&mut first, &mut second] {
        for statement in [
            &update,
            revoke,
            &everywhere,
            "SELECT azure_ad_auth.drop_principal('ann')",
            &create,
            "REVOKE azure_ad_user FROM ann",
            &create,
            "SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL",
            &create,
            "ALTER ROLE plain CREATEDB",
            "ALTER ROLE plain PASSWORD 'secret'",
            "ALTER ROLE ann SET work_mem = '1MB'",
        ] {
            run(admin, statement);
        }
    }
    run(&mut second, "DROP ROLE plain");
    // The owner of a role cannot prevent unlinking by granting it. The link cannot be changed to
    // another object then.
    cluster.sql("CREATE ROLE x; CREATE ROLE owner LOGIN; GRANT x TO owner WITH ADMIN OPTION");
    cluster.sql("SET ROLE owner; GRANT x TO ann");
    let denied_link = "permission denied to change the link of role \"ann\"";
    let detail = "It is a member of role \"x\", of which you are none.";
    denied(&mut first, &update, denied_link, detail);
    run(&mut first, revoke);
    run(&mut first, "REVOKE azure_ad_user FROM ann");
    denied(&mut first, &create, denied_link, detail);
    let label = format!("SECURITY LABEL FOR pgaadauth ON ROLE ann IS 'aadauth,oid={PERSON},type=user'");
    denied(&mut first, &label, denied_link, detail);
    cluster.sql("SET ROLE owner; REVOKE x FROM ann");
    // Granting it to all linked roles does not prevent it either.
    let unusable = if cluster.major() >= 16 { " WITH INHERIT FALSE, SET FALSE" } else { "" };
    cluster.sql(&format!("GRANT x TO azure_ad_user{unusable}"));
    for statement in [&create, &update, "SELECT azure_ad_auth.drop_principal('ann')"] {
        run(&mut first, statement);
    }
    // In the end the two marker roles can be dropped.
    cluster.sql("SELECT azure_ad_auth.drop_principal(role_name) FROM azure_ad_auth.principals");
    cluster.sql("SECURITY LABEL FOR azure_ad_auth ON ROLE azure_ad_user IS NULL");
    cluster.sql("DROP OWNED BY azure_ad_admin; DROP ROLE azure_ad_admin, azure_ad_user");
}

#[test]
fn before_16_what_leads_further_is_not_renamed_or_configured() {
    let (cluster, _provider) = Scene::new().start();
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("GRANT pg_execute_server_program TO ann");
    let since_16 = cluster.major() >= 16;
    for statement in [
        "ALTER ROLE ann SET search_path = evil",
        "ALTER ROLE ann IN DATABASE postgres SET search_path = evil",
        "ALTER ROLE ann RESET ALL",
        "ALTER ROLE ann RENAME TO ben",
    ] {
        let error = admin.query(statement).expect_err(statement);
        assert_eq!(error.sqlstate, "42501", "{statement}: {error:?}");
        let detail = "It is a member of role \"pg_execute_server_program\", of which you are none.";
        // From 16 on the administrators have no ADMIN option for it.
        assert!(since_16 || error.detail.as_deref() == Some(detail), "{statement}: {error:?}");
    }
    if !since_16 {
        assert!(admin.query("ALTER ROLE ann CONNECTION LIMIT 5").is_ok());
    }
}

#[test]
fn an_administrator_is_a_superusers_to_change() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE local LOGIN CREATEROLE PASSWORD 'secret'");
    let mut local = cluster.session("local", "secret");
    for statement in [
        "ALTER ROLE admin NOLOGIN",
        "ALTER ROLE admin SET search_path = evil",
        "ALTER ROLE admin IN DATABASE postgres RESET ALL",
        "ALTER ROLE admin RENAME TO x",
        "DROP ROLE admin",
        "DO $$ BEGIN EXECUTE 'DROP ROLE admin'; END $$",
    ] {
        let error = local.query(statement).expect_err(statement);
        assert_eq!(error.sqlstate, "42501", "{statement}: {error:?}");
        if cluster.major() < 16 {
            // From 16 on PostgreSQL itself refuses it, because the ADMIN option is missing.
            assert_eq!(error.message, "permission denied to change role \"admin\"", "{statement}");
            let detail = "It is an Azure AD administrator; only a superuser may change that.";
            assert_eq!(error.detail.as_deref(), Some(detail));
        }
    }
    assert_eq!(RoleState::of(&cluster, "admin"), RoleState::administrator());
    cluster.sql("ALTER ROLE admin SET work_mem = '1MB'; ALTER ROLE admin RENAME TO boss; DROP ROLE boss");
}

#[test]
fn before_16_what_a_superuser_has_given_more_is_a_superusers() {
    let (cluster, _provider) = Scene::new().start();
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    for statement in ["CREATE ROLE deploy LOGIN", "CREATE ROLE readers", "CREATE ROLE plain LOGIN"] {
        assert!(admin.query(statement).is_ok(), "{statement}");
    }
    cluster.sql("CREATE ROLE monitoring LOGIN; GRANT pg_monitor TO monitoring");
    let mut since_16 = vec![];
    for statement in ["GRANT readers TO plain", "REVOKE readers FROM plain"] {
        let result = admin.query(statement);
        assert!(result.is_ok(), "{statement}: {result:?}");
    }
    cluster.sql("GRANT pg_execute_server_program TO deploy");
    for statement in [
        "ALTER ROLE deploy PASSWORD 'mine'",
        "GRANT deploy TO plain",
        "REVOKE pg_monitor FROM monitoring",
        "ALTER ROLE deploy RENAME TO his",
    ] {
        match admin.query(statement) {
            Err(error) => assert_eq!(error.sqlstate, "42501", "{statement}: {error:?}"),
            // PostgreSQL checks the ADMIN option only.
            Ok(_) => since_16.push(statement),
        }
    }
    assert!(cluster.major() >= 16 || since_16.is_empty(), "{since_16:?}");
    assert_eq!(cluster.sql("SELECT pg_has_role('monitoring', 'pg_monitor', 'MEMBER')"), "t");
}

#[test]
fn stepping_down_lifts_no_limit_of_an_administrators_session() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql(
        "CREATE ROLE helper CREATEROLE; GRANT helper TO admin; CREATE ROLE local LOGIN PASSWORD 'secret'",
    );
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    assert!(admin.query("SET ROLE helper").is_ok());
    for statement in [
        "GRANT pg_execute_server_program TO helper",
        "ALTER ROLE local PASSWORD 'mine'",
        "CREATE ROLE x IN ROLE pg_write_all_data",
        "DROP ROLE local",
    ] {
        let error = admin.query(statement).expect_err(statement);
        assert_eq!(error.sqlstate, "42501", "{statement}: {error:?}");
    }
}
