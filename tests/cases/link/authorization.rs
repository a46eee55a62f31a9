//! Who may link which role, by whichever words and ways.

use testbed::client::{Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::expect::admitted;
use testbed::issuer::*;

use crate::link::linking::{
    ADMIN, ADMINISTRATOR, LINKED, SECOND_ADMIN, UNLINKED, denied, facts, fails, session, token_of,
};
use crate::{at_every_door, link, scene, tamper};

const REFUSED: &str = "permission denied to administer Azure AD roles";
const NO_ADMINISTRATOR: &str = "Only superusers and members of role \"azure_ad_admin\" may.";
const NO_TOKEN: &str = "This session did not log in with an access token.";

/// Statements that link `victim` or a role made for the purpose, or unlink `ann`.
fn attempts() -> Vec<String> {
    vec![
        format!("CREATE USER fresh PASSWORD '{PERSON}' IN ROLE azure_ad_user"),
        format!("DO $$ BEGIN CREATE USER fresh PASSWORD '{PERSON}' IN ROLE azure_ad_user; END $$"),
        format!("SECURITY LABEL FOR pgaadauth ON ROLE victim IS 'aadauth,oid={PERSON}'"),
        format!("SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE victim IS 'oid={PERSON}'"),
        "SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL".to_owned(),
        format!("SELECT azure_ad_auth.create_principal('victim', '{PERSON}', 'user')"),
        format!("SELECT pgaadauth_create_principal_with_oid('victim', '{PERSON}', 'user', false, false)"),
        "SELECT azure_ad_auth.drop_principal('ann')".to_owned(),
        "REVOKE azure_ad_user FROM ann".to_owned(),
        "ALTER GROUP azure_ad_user DROP USER ann".to_owned(),
        format!("CREATE USER fresh PASSWORD '{PERSON}' IN ROLE azure_ad_admin"),
        format!("SECURITY LABEL FOR pgaadauth ON ROLE victim IS 'aadauth,oid={PERSON},admin'"),
        format!("SELECT azure_ad_auth.create_principal('fresh', '{PERSON}', 'user', is_admin => true)"),
        format!("SELECT azure_ad_auth.update_principal('ann', '{PERSON}', 'user', is_admin => true)"),
        format!("SELECT pgaadauth_update_principal_with_oid('ann', '{PERSON}', 'user', false, false)"),
        "GRANT azure_ad_user TO victim".to_owned(),
        "GRANT azure_ad_user TO ann".to_owned(),
        "GRANT azure_ad_admin TO ann, victim".to_owned(),
        "ALTER GROUP azure_ad_user ADD USER victim".to_owned(),
    ]
}

fn open_to_all(cluster: &Cluster) {
    link(cluster, "ann", APPLICATION, "user");
    cluster.sql("CREATE ROLE victim LOGIN");
    cluster.sql(
        "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA azure_ad_auth TO PUBLIC; GRANT USAGE ON SCHEMA azure_ad_auth TO PUBLIC; \
         GRANT EXECUTE ON FUNCTION pgaadauth_create_principal_with_oid(text, text, text, boolean, boolean), \
         pgaadauth_update_principal_with_oid(text, text, text, boolean, boolean) TO PUBLIC",
    );
}

/// Everything is refused for want of a right, and everything is as it was.
fn all_denied(cluster: &Cluster, client: &mut RawClient, detail: &str) {
    assert!(client.query("SET aad_validate_oids_in_tenant = off").is_ok());
    for statement in attempts() {
        denied(client, &statement, REFUSED, detail);
        // The same by the extended protocol.
        let error = client.query_extended(&statement).expect_err(&statement);
        assert_eq!((error.sqlstate.as_str(), error.message.as_str()), ("42501", REFUSED), "{statement}");
    }
    assert_eq!(facts(cluster, "ann"), LINKED);
    assert_eq!(facts(cluster, "victim"), UNLINKED);
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'fresh'"), "0");
}

fn password_session(cluster: &Cluster, role: &str) -> RawClient {
    let mut client = cluster.client();
    assert_eq!(client.login(&[("user", role), ("database", "postgres")], "secret"), Outcome::Ready);
    client
}

#[test]
fn a_local_role_may_not_whatever_core_lets_it() {
    let (cluster, _provider) = scene("");
    open_to_all(&cluster);
    cluster.sql("CREATE ROLE local LOGIN CREATEROLE PASSWORD 'secret'");
    if cluster.workshop.installation.major >= 16 {
        cluster.sql("GRANT victim TO local WITH ADMIN TRUE, INHERIT FALSE, SET FALSE");
    }
    all_denied(&cluster, &mut password_session(&cluster, "local"), NO_ADMINISTRATOR);
}

#[test]
fn a_linked_role_that_is_no_administrator_may_not() {
    at_every_door("", |_, cluster, _provider| {
        open_to_all(&cluster);
        link(&cluster, "ben", PERSON, "user");
        cluster.sql("ALTER ROLE ben CREATEROLE");
        all_denied(&cluster, &mut session(&cluster, "ben", PERSON), NO_ADMINISTRATOR);
    });
}

#[test]
fn an_administrators_rights_do_not_go_with_his_functions_to_a_password_session() {
    at_every_door("", |_, cluster, _provider| {
        open_to_all(&cluster);
        cluster.sql("CREATE ROLE local LOGIN PASSWORD 'secret'; CREATE SCHEMA his AUTHORIZATION admin");
        let mut admin = session(&cluster, "admin", ADMIN);
        let function = "CREATE FUNCTION his.run(statement text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER \
                    AS $f$ BEGIN EXECUTE statement; END $f$";
        for statement in [function, "GRANT USAGE ON SCHEMA his TO PUBLIC"] {
            assert!(admin.query(statement).is_ok(), "{statement}");
        }
        let mut local = password_session(&cluster, "local");
        assert!(local.query("SET aad_validate_oids_in_tenant = off").is_ok());
        for statement in attempts() {
            let call = format!("SELECT his.run('{}')", statement.replace('\'', "''"));
            denied(&mut local, &call, REFUSED, NO_TOKEN);
            let prepared = format!("PREPARE p AS {call}; EXECUTE p; DEALLOCATE p");
            denied(&mut local, &prepared, REFUSED, NO_TOKEN);
            assert!(local.query("DEALLOCATE ALL").is_ok());
        }
        // A table's trigger runs what is his no less.
        for statement in [
            "CREATE TABLE his.bait (statement text)",
            "CREATE FUNCTION his.react() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER \
             AS $f$ BEGIN EXECUTE NEW.statement; RETURN NEW; END $f$",
            "CREATE TRIGGER reaction BEFORE INSERT ON his.bait FOR EACH ROW EXECUTE FUNCTION his.react()",
            "GRANT INSERT ON his.bait TO PUBLIC",
        ] {
            assert!(admin.query(statement).is_ok(), "{statement}");
        }
        let drop = "SELECT azure_ad_auth.drop_principal(''ann'')";
        let bait = format!("INSERT INTO his.bait VALUES ('{drop}')");
        denied(&mut local, &bait, REFUSED, NO_TOKEN);
        // Nor to the token of somebody else.
        link(&cluster, "ben", PERSON, "user");
        let mut ben = session(&cluster, "ben", PERSON);
        let lent = "The role that this session logged in as is no Azure AD administrator.";
        denied(&mut ben, &bait, REFUSED, lent);
        denied(&mut ben, &format!("SELECT his.run('{drop}')"), REFUSED, lent);
        assert_eq!(facts(&cluster, "ann"), LINKED);
        assert_eq!(facts(&cluster, "victim"), UNLINKED);
        // And he himself has them no longer than he is one.
        let prepare = "PREPARE late AS SELECT azure_ad_auth.drop_principal('ann')";
        assert!(admin.query(prepare).is_ok());
        cluster.sql("SELECT azure_ad_auth.remove_admin('admin')");
        for statement in ["EXECUTE late", &format!("SELECT his.run('{drop}')")] {
            denied(&mut admin, statement, REFUSED, NO_ADMINISTRATOR);
        }
        assert_eq!(facts(&cluster, "ann"), LINKED);
    });
}

#[test]
fn set_role_makes_nobody_an_administrator_who_did_not_come_as_one() {
    at_every_door("", |_, cluster, _provider| {
        open_to_all(&cluster);
        // A superuser who steps down, and stays down.
        let mut client = cluster.superuser();
        for step in ["SET ROLE admin", "SET SESSION AUTHORIZATION admin"] {
            assert!(client.query(step).is_ok());
            all_denied(&cluster, &mut client, NO_TOKEN);
            assert!(client.query("RESET SESSION AUTHORIZATION").is_ok());
            assert!(client.query("RESET ROLE").is_ok());
        }
        // An administrator who steps down has no more than what he steps down to.
        cluster.sql("CREATE ROLE plain; GRANT plain TO admin");
        let mut admin = session(&cluster, "admin", ADMIN);
        assert!(admin.query("SET ROLE plain").is_ok());
        all_denied(&cluster, &mut admin, NO_ADMINISTRATOR);
        // Nor more than he is, as the role that stands for all administrators.
        assert!(admin.query("SET ROLE azure_ad_admin").is_ok());
        all_denied(&cluster, &mut admin, NO_ADMINISTRATOR);
        assert!(admin.query("RESET ROLE").is_ok());
        assert!(admin.query(&attempts()[0]).is_ok());
    });
}

#[test]
fn an_event_trigger_lends_nobody_a_superusers_rights() {
    let (cluster, _provider) = scene("");
    open_to_all(&cluster);
    cluster.sql("CREATE ROLE local LOGIN PASSWORD 'secret'; GRANT CREATE ON SCHEMA public TO local");
    cluster.sql(&format!(
        "CREATE FUNCTION react() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN \
         SECURITY LABEL FOR pgaadauth ON ROLE victim IS 'aadauth,oid={PERSON}'; END $f$; \
         CREATE EVENT TRIGGER reaction ON ddl_command_end EXECUTE FUNCTION react()"
    ));
    let mut local = password_session(&cluster, "local");
    denied(&mut local, "CREATE TABLE t ()", REFUSED, NO_ADMINISTRATOR);
    assert_eq!(facts(&cluster, "victim"), UNLINKED);
}

#[test]
fn an_administrator_does_it_in_every_dialect() {
    at_every_door("", |_, cluster, _provider| {
        let mut admin = session(&cluster, "admin", ADMIN);
        for statement in [
            "SET aad_validate_oids_in_tenant = off",
            &format!("CREATE USER a PASSWORD '{PERSON}' IN ROLE azure_ad_user"),
            &format!("DO $$ BEGIN CREATE USER b PASSWORD '{PERSON}' IN ROLE azure_ad_user; END $$"),
            "CREATE ROLE c LOGIN",
            &format!("SECURITY LABEL FOR pgaadauth ON ROLE c IS 'aadauth,oid={PERSON},type=user'"),
            &format!("SELECT pgaadauth_create_principal_with_oid('d', '{PERSON}', 'user', false, false)"),
        ] {
            let result = admin.query(statement);
            assert!(result.is_ok(), "{statement}: {result:?}");
        }
        for role in ["a", "b", "c", "d"] {
            assert_eq!(facts(&cluster, role), LINKED, "{role}");
            admitted(&cluster, role, &token_of(PERSON));
        }
        // What he made another administrator manages, one who comes later too.
        cluster
            .sql(&format!("SELECT azure_ad_auth.create_principal('admin2', '{SECOND_ADMIN}', 'user', true)"));
        let mut second = session(&cluster, "admin2", SECOND_ADMIN);
        for statement in [
            "REVOKE azure_ad_user FROM a",
            "ALTER GROUP azure_ad_user DROP USER b",
            "SECURITY LABEL FOR pgaadauth ON ROLE c IS NULL",
            "SELECT azure_ad_auth.drop_principal('d')",
            "ALTER ROLE a CONNECTION LIMIT 5",
            "ALTER ROLE b PASSWORD 'secret'",
            "ALTER ROLE c RENAME TO e",
            "DROP ROLE a, b, e, d",
        ] {
            let result = second.query(statement);
            assert!(result.is_ok(), "{statement}: {result:?}");
            assert!(!testbed::expect::ours(&cluster.log()).contains("WARNING"), "{statement}");
        }
    });
}

#[test]
fn an_administrator_gives_nobody_what_he_may_not() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('admin2', '{SECOND_ADMIN}', 'user', true)"));
    let mut admin = session(&cluster, "admin", ADMIN);
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
    let (cluster, _provider) = scene("");
    cluster.sql("CREATE ROLE local LOGIN PASSWORD 'secret'");
    link(&cluster, "ann", PERSON, "user");
    let mut admin = session(&cluster, "admin", ADMIN);
    for statement in [
        "ALTER ROLE local PASSWORD 'mine'",
        "ALTER ROLE local SET work_mem = '1MB'",
        "ALTER ROLE local RENAME TO x",
        "DROP ROLE local",
    ] {
        let error = admin.query(statement).expect_err(statement);
        assert_eq!(error.sqlstate, "42501", "{statement}: {error:?}");
        if cluster.workshop.installation.major < 16 {
            // From 16 on core refuses it by itself, for want of the ADMIN option.
            assert_eq!(error.message, "permission denied to change role \"local\"");
            let detail = "It is no Azure AD role, and no Azure AD administrator has made it.";
            assert_eq!(error.detail.as_deref(), Some(detail));
        }
    }
    // A member of a superuser's making is of no use to him either: what he makes stays apart.
    for statement in [
        "CREATE ROLE made LOGIN",
        "ALTER ROLE made PASSWORD 'x'",
        "ALTER ROLE made RENAME TO his",
        "DROP ROLE his",
    ] {
        assert!(admin.query(statement).is_ok(), "{statement}");
    }
    if cluster.workshop.installation.major < 16 {
        assert!(admin.query("ALTER ROLE ann CONNECTION LIMIT 5").is_ok());
    }
    assert_eq!(password_session(&cluster, "local").query("SELECT 1"), Ok(vec![Some("1".to_owned())]));
}

#[test]
fn an_administrators_role_has_no_members() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    let message = "role \"admin\" administers Azure AD roles and cannot have members";
    let hint = &format!(
        "HINT:  To make it an administrator: SELECT azure_ad_auth.update_principal('ann', '{PERSON}', 'user', is_admin => true);"
    );
    fails(&cluster, "GRANT admin TO ann", message, hint);
    fails(&cluster, "ALTER GROUP admin ADD USER ann", message, hint);
    let create = format!(
        "SET aad_validate_oids_in_tenant = off; CREATE USER ben PASSWORD '{PERSON}' IN ROLE azure_ad_user, admin"
    );
    fails(
        &cluster,
        &create,
        message,
        "azure_ad_auth.create_principal('ben', '<object id>', 'user', is_admin => true);",
    );
    cluster.sql("CREATE ROLE deputy LOGIN");
    link(&cluster, "deputy", SECOND_ADMIN, "user");
    cluster.sql("GRANT deputy TO ann");
    let promote = format!(
        "SELECT azure_ad_auth.update_principal('deputy', '{SECOND_ADMIN}', 'user', is_admin => true)"
    );
    fails(
        &cluster,
        &promote,
        "role \"deputy\" administers Azure AD roles and cannot have members",
        "HINT:  REVOKE deputy FROM ann;",
    );
    cluster.sql("REVOKE deputy FROM ann");
    cluster.sql(&promote);
    assert_eq!(cluster.sql("SELECT pg_has_role('ann', 'azure_ad_admin', 'MEMBER')"), "f");
}

#[test]
fn who_is_no_administrator_any_more_is_theirs_again() {
    let (cluster, _provider) = scene("");
    let mut admin = session(&cluster, "admin", ADMIN);
    for statement in ["CREATE ROLE deputy LOGIN", "CREATE ROLE plain LOGIN"] {
        assert!(admin.query(statement).is_ok(), "{statement}");
    }
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('deputy', '{SECOND_ADMIN}', 'user', true)"));
    // And one that was one from the beginning.
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
    let (cluster, _provider) = scene("");
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('admin2', '{SECOND_ADMIN}', 'user', true)"));
    let mut first = session(&cluster, "admin", ADMIN);
    let mut second = session(&cluster, "admin2", SECOND_ADMIN);
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
    // Who owns a role keeps nobody linked by granting it; only that it leads to somebody else then.
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
    // Nor by granting it to all of them.
    let unusable =
        if cluster.workshop.installation.major >= 16 { " WITH INHERIT FALSE, SET FALSE" } else { "" };
    cluster.sql(&format!("GRANT x TO azure_ad_user{unusable}"));
    for statement in [&create, &update, "SELECT azure_ad_auth.drop_principal('ann')"] {
        run(&mut first, statement);
    }
    // Nor the two roles from going, in the end.
    cluster.sql("SELECT azure_ad_auth.drop_principal(role_name) FROM azure_ad_auth.principals");
    cluster.sql("SECURITY LABEL FOR azure_ad_auth ON ROLE azure_ad_user IS NULL");
    cluster.sql("DROP OWNED BY azure_ad_admin; DROP ROLE azure_ad_admin, azure_ad_user");
}

#[test]
fn before_16_what_leads_further_is_not_renamed_or_configured() {
    let (cluster, _provider) = scene("");
    let mut admin = session(&cluster, "admin", ADMIN);
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("GRANT pg_execute_server_program TO ann");
    let since_16 = cluster.workshop.installation.major >= 16;
    for statement in [
        "ALTER ROLE ann SET search_path = evil",
        "ALTER ROLE ann IN DATABASE postgres SET search_path = evil",
        "ALTER ROLE ann RESET ALL",
        "ALTER ROLE ann RENAME TO ben",
    ] {
        let error = admin.query(statement).expect_err(statement);
        assert_eq!(error.sqlstate, "42501", "{statement}: {error:?}");
        let detail = "It is a member of role \"pg_execute_server_program\", of which you are none.";
        // From 16 on it is no role of theirs.
        assert!(since_16 || error.detail.as_deref() == Some(detail), "{statement}: {error:?}");
    }
    if !since_16 {
        assert!(admin.query("ALTER ROLE ann CONNECTION LIMIT 5").is_ok());
    }
}

#[test]
fn an_administrator_is_a_superusers_to_change() {
    let (cluster, _provider) = scene("");
    cluster.sql("CREATE ROLE local LOGIN CREATEROLE PASSWORD 'secret'");
    let mut local = password_session(&cluster, "local");
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
        if cluster.workshop.installation.major < 16 {
            // From 16 on core refuses it by itself, for want of the ADMIN option.
            assert_eq!(error.message, "permission denied to change role \"admin\"", "{statement}");
            let detail = "It is an Azure AD administrator; only a superuser may change that.";
            assert_eq!(error.detail.as_deref(), Some(detail));
        }
    }
    assert_eq!(facts(&cluster, "admin"), ADMINISTRATOR);
    cluster.sql("ALTER ROLE admin SET work_mem = '1MB'; ALTER ROLE admin RENAME TO boss; DROP ROLE boss");
}

#[test]
fn taking_options_away_completes_no_link() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    tamper(&cluster, "DELETE FROM pg_auth_members WHERE member = 'ann'::regrole");
    let before = facts(&cluster, "ann");
    cluster.sql("CREATE ROLE local LOGIN CREATEROLE PASSWORD 'secret'");
    // Whether core lets it through does not matter.
    let statement = "REVOKE ADMIN OPTION FOR azure_ad_user FROM ann";
    let _ = password_session(&cluster, "local").query(statement);
    let _ = cluster.sql_as("postgres", &format!("SET ROLE admin; {statement}"));
    assert_eq!(facts(&cluster, "ann"), before);
    cluster.sql("GRANT azure_ad_user TO ann");
    assert_eq!(facts(&cluster, "ann"), LINKED);
}

#[test]
fn before_16_what_a_superuser_has_given_more_is_a_superusers() {
    let (cluster, _provider) = scene("");
    let mut admin = session(&cluster, "admin", ADMIN);
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
            // The ADMIN option is what core goes by.
            Ok(_) => since_16.push(statement),
        }
    }
    assert!(cluster.workshop.installation.major >= 16 || since_16.is_empty(), "{since_16:?}");
    assert_eq!(cluster.sql("SELECT pg_has_role('monitoring', 'pg_monitor', 'MEMBER')"), "t");
}

#[test]
fn the_two_roles_do_not_come_back_with_members_under_their_names() {
    let (cluster, _provider) = scene("");
    cluster.sql("SELECT azure_ad_auth.drop_principal('admin')");
    cluster.sql("ALTER ROLE azure_ad_user RENAME TO foo; GRANT foo TO postgres");
    let message =
        "role \"postgres\" is a member of role \"azure_ad_user\" but is not linked to a directory object";
    fails(&cluster, "ALTER ROLE foo RENAME TO azure_ad_user", message, "HINT:  REVOKE foo FROM postgres;");
    cluster.sql("REVOKE foo FROM postgres; ALTER ROLE foo RENAME TO azure_ad_user");
    cluster.sql(&format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}')"));
    admitted(&cluster, "admin", &token_of(ADMIN));
}

#[test]
fn stepping_down_lifts_no_limit_of_an_administrators_session() {
    let (cluster, _provider) = scene("");
    cluster.sql(
        "CREATE ROLE helper CREATEROLE; GRANT helper TO admin; CREATE ROLE local LOGIN PASSWORD 'secret'",
    );
    let mut admin = session(&cluster, "admin", ADMIN);
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
