//! Who may link which role, by every statement and every way to run it.

use testbed::client::RawClient;
use testbed::cluster::Cluster;
use testbed::expect::{admitted, without_debug};
use testbed::issuer::{APPLICATION, PERSON};
use testbed::scene::{ADMIN, Scene};

use crate::common::doors::at_every_door;
use crate::common::login::token_of;
use crate::common::role_state::RoleState;
use crate::common::statements::{SECOND_ADMIN, denied, link};

const REFUSED: &str = "permission denied to administer Azure AD roles";

const NO_ADMINISTRATOR: &str = "Only superusers and members of role \"azure_ad_admin\" may.";

const NO_TOKEN: &str = "This session did not log in with an access token.";

/// Returns statements that link `victim` or a new role, or unlink `ann`.
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

/// Expects every attempt to be refused for want of a privilege, and nothing to have changed.
fn all_denied(cluster: &Cluster, client: &mut RawClient, detail: &str) {
    assert!(client.query("SET aad_validate_oids_in_tenant = off").is_ok());
    for statement in attempts() {
        denied(client, &statement, REFUSED, detail);
        // The same by the extended protocol.
        let error = client.query_extended(&statement).expect_err(&statement);
        assert_eq!((error.sqlstate.as_str(), error.message.as_str()), ("42501", REFUSED), "{statement}");
    }
    assert_eq!(RoleState::of(cluster, "ann"), RoleState::linked());
    assert_eq!(RoleState::of(cluster, "victim"), RoleState::unlinked());
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'fresh'"), "0");
}

#[test]
fn a_local_role_may_not_whatever_core_lets_it() {
    let (cluster, _provider) = Scene::new().start();
    open_to_all(&cluster);
    cluster.sql("CREATE ROLE local LOGIN CREATEROLE PASSWORD 'secret'");
    if cluster.major() >= 16 {
        cluster.sql("GRANT victim TO local WITH ADMIN TRUE, INHERIT FALSE, SET FALSE");
    }
    all_denied(&cluster, &mut cluster.session("local", "secret"), NO_ADMINISTRATOR);
}

#[test]
fn a_linked_role_that_is_no_administrator_may_not() {
    at_every_door("", |_, cluster, _provider| {
        open_to_all(&cluster);
        link(&cluster, "ben", PERSON, "user");
        cluster.sql("ALTER ROLE ben CREATEROLE");
        all_denied(&cluster, &mut cluster.session("ben", &token_of(PERSON)), NO_ADMINISTRATOR);
    });
}

#[test]
fn an_administrators_rights_do_not_go_with_his_functions_to_a_password_session() {
    at_every_door("", |_, cluster, _provider| {
        open_to_all(&cluster);
        cluster.sql("CREATE ROLE local LOGIN PASSWORD 'secret'; CREATE SCHEMA his AUTHORIZATION admin");
        let mut admin = cluster.session("admin", &token_of(ADMIN));
        let function = "CREATE FUNCTION his.run(statement text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER \
                    AS $f$ BEGIN EXECUTE statement; END $f$";
        for statement in [function, "GRANT USAGE ON SCHEMA his TO PUBLIC"] {
            assert!(admin.query(statement).is_ok(), "{statement}");
        }
        let mut local = cluster.session("local", "secret");
        assert!(local.query("SET aad_validate_oids_in_tenant = off").is_ok());
        for statement in attempts() {
            let call = format!("SELECT his.run('{}')", statement.replace('\'', "''"));
            denied(&mut local, &call, REFUSED, NO_TOKEN);
            let prepared = format!("PREPARE p AS {call}; EXECUTE p; DEALLOCATE p");
            denied(&mut local, &prepared, REFUSED, NO_TOKEN);
            assert!(local.query("DEALLOCATE ALL").is_ok());
        }
        // A trigger runs the same functions.
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
        // Not for the token of another person either.
        link(&cluster, "ben", PERSON, "user");
        let mut ben = cluster.session("ben", &token_of(PERSON));
        let lent = "The role that this session logged in as is no Azure AD administrator.";
        denied(&mut ben, &bait, REFUSED, lent);
        denied(&mut ben, &format!("SELECT his.run('{drop}')"), REFUSED, lent);
        assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
        assert_eq!(RoleState::of(&cluster, "victim"), RoleState::unlinked());
        // The administrator too has these rights only while being one.
        let prepare = "PREPARE late AS SELECT azure_ad_auth.drop_principal('ann')";
        assert!(admin.query(prepare).is_ok());
        cluster.sql("SELECT azure_ad_auth.remove_admin('admin')");
        for statement in ["EXECUTE late", &format!("SELECT his.run('{drop}')")] {
            denied(&mut admin, statement, REFUSED, NO_ADMINISTRATOR);
        }
        assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
    });
}

#[test]
fn set_role_makes_nobody_an_administrator_who_did_not_come_as_one() {
    at_every_door("", |_, cluster, _provider| {
        open_to_all(&cluster);
        // A superuser who sets another role and cannot get back.
        let mut client = cluster.superuser();
        for step in ["SET ROLE admin", "SET SESSION AUTHORIZATION admin"] {
            assert!(client.query(step).is_ok());
            all_denied(&cluster, &mut client, NO_TOKEN);
            assert!(client.query("RESET SESSION AUTHORIZATION").is_ok());
            assert!(client.query("RESET ROLE").is_ok());
        }
        // An administrator who sets another role has no more privileges than that role.
        cluster.sql("CREATE ROLE plain; GRANT plain TO admin");
        let mut admin = cluster.session("admin", &token_of(ADMIN));
        assert!(admin.query("SET ROLE plain").is_ok());
        all_denied(&cluster, &mut admin, NO_ADMINISTRATOR);
        // Setting the marker role of the administrators gives no more either.
        assert!(admin.query("SET ROLE azure_ad_admin").is_ok());
        all_denied(&cluster, &mut admin, NO_ADMINISTRATOR);
        assert!(admin.query("RESET ROLE").is_ok());
        assert!(admin.query(&attempts()[0]).is_ok());
    });
}

#[test]
fn an_event_trigger_lends_nobody_a_superusers_rights() {
    let (cluster, _provider) = Scene::new().start();
    open_to_all(&cluster);
    cluster.sql("CREATE ROLE local LOGIN PASSWORD 'secret'; GRANT CREATE ON SCHEMA public TO local");
    cluster.sql(&format!(
        "CREATE FUNCTION react() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN \
         SECURITY LABEL FOR pgaadauth ON ROLE victim IS 'aadauth,oid={PERSON}'; END $f$; \
         CREATE EVENT TRIGGER reaction ON ddl_command_end EXECUTE FUNCTION react()"
    ));
    let mut local = cluster.session("local", "secret");
    denied(&mut local, "CREATE TABLE t ()", REFUSED, NO_ADMINISTRATOR);
    assert_eq!(RoleState::of(&cluster, "victim"), RoleState::unlinked());
}

#[test]
fn an_administrator_does_it_in_every_dialect() {
    at_every_door("", |_, cluster, _provider| {
        let mut admin = cluster.session("admin", &token_of(ADMIN));
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
            assert_eq!(RoleState::of(&cluster, role), RoleState::linked(), "{role}");
            admitted(&cluster, role, &token_of(PERSON));
        }
        // What one administrator created another manages, also one who is added later.
        cluster
            .sql(&format!("SELECT azure_ad_auth.create_principal('admin2', '{SECOND_ADMIN}', 'user', true)"));
        let mut second = cluster.session("admin2", &token_of(SECOND_ADMIN));
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
            assert!(!without_debug(&cluster.log()).contains("WARNING"), "{statement}");
        }
    });
}
