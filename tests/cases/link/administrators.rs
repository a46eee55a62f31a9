//! What an administrator may do who is not a superuser, and what other roles may not.

use testbed::client::Outcome;
use testbed::expect::admitted;
use testbed::issuer::{APPLICATION, GROUP, OTHER_TENANT, PERSON, app_v2, unix_now};
use testbed::scene::{ADMIN, KEY, Scene};

use crate::common::login::token_of;
use crate::common::role_state::RoleState;
use crate::common::statements::{SECOND_ADMIN, denied, link};

#[test]
fn an_administrator_who_logged_in_with_a_token() {
    let (cluster, _provider) = Scene::new().start();
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    let create = |role: &str| format!("SELECT azure_ad_auth.create_principal('{role}', '{PERSON}', 'user')");
    assert!(admin.query(&create("ann")).is_ok());
    assert_eq!(RoleState::of(&cluster, "ann"), RoleState::linked());
    admitted(&cluster, "ann", &token_of(PERSON));
    assert!(admin.query(&format!("SELECT azure_ad_auth.update_principal('ann', '{APPLICATION}')")).is_ok());
    assert!(admin.query("SELECT azure_ad_auth.drop_principal('ann')").is_ok());
    assert!(admin.query(&create("ann")).is_ok(), "linked again: a role he may change");
    assert!(admin.query("SELECT count(*) FROM azure_ad_auth.principals").is_ok());
    // An administrator also manages what another administrator created.
    assert!(
        admin
            .query(&format!(
                "SELECT azure_ad_auth.create_principal('admin2', '{SECOND_ADMIN}', 'user', true)"
            ))
            .is_ok()
    );
    let mut second = cluster.session("admin2", &token_of(SECOND_ADMIN));
    assert!(second.query(&format!("SELECT azure_ad_auth.update_principal('ann', '{APPLICATION}')")).is_ok());
    assert!(second.query("SELECT azure_ad_auth.drop_principal('ann')").is_ok());
    let rename = second.query("DROP ROLE ann");
    assert!(rename.is_ok(), "{rename:?}");
}

#[test]
fn a_new_administrator_manages_what_the_old_one_made() {
    let (cluster, _provider) = Scene::new().start();
    let mut old = cluster.session("admin", &token_of(ADMIN));
    let create = format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')");
    for statement in [&create, "CREATE ROLE team", "GRANT team TO ann"] {
        assert!(old.query(statement).is_ok(), "{statement}");
    }
    cluster.sql(&format!("SELECT azure_ad_auth.set_admin('admin2', '{SECOND_ADMIN}')"));
    let mut new = cluster.session("admin2", &token_of(SECOND_ADMIN));
    for statement in [
        &format!("SELECT azure_ad_auth.update_principal('ann', '{APPLICATION}')"),
        "REVOKE team FROM ann",
        "ALTER ROLE team CREATEDB",
        "SELECT azure_ad_auth.drop_principal('ann')",
        "DROP ROLE ann, team",
    ] {
        let result = new.query(statement);
        assert!(result.is_ok(), "{statement}: {result:?}");
    }
}

#[test]
fn what_an_administrator_makes_belongs_to_all_administrators() {
    let (cluster, _provider) = Scene::new().start();
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    let create = format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')");
    assert!(admin.query(&create).is_ok());
    // Before 16 CREATEROLE is enough, and there is no membership.
    let (columns, expected) = if cluster.major() >= 16 {
        ("member::regrole, admin_option, inherit_option, set_option", "azure_ad_admin t f f")
    } else {
        ("member::regrole, admin_option", "")
    };
    let members = format!(
        "SELECT string_agg(concat_ws(' ', {columns}), ', ') FROM pg_auth_members WHERE roleid = 'ann'::regrole"
    );
    assert_eq!(cluster.sql(&members), expected);
    let error = admin.query("SET ROLE ann").expect_err("he manages her and cannot act as her");
    assert_eq!(error.message, "permission denied to set role \"ann\"");
}

#[test]
fn a_member_of_an_administrator_group() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql(&format!("SELECT azure_ad_auth.set_admin('dbas', '{GROUP}', 'group')"));
    // The token of a person who is in the administrators' group.
    let mut member = cluster.session("dbas", &token_of(PERSON));
    let create = format!("SELECT azure_ad_auth.create_principal('ben', '{APPLICATION}', 'user')");
    assert_eq!(member.query(&create), Ok(vec![Some("Created role for \"ben\"".to_owned())]));
    assert_eq!(RoleState::of(&cluster, "ben"), RoleState::linked());
    admitted(&cluster, "ben", &token_of(APPLICATION));
    assert!(member.query("SELECT azure_ad_auth.drop_principal('ben')").is_ok());
    assert_eq!(RoleState::of(&cluster, "ben"), RoleState::unlinked());
}

#[test]
fn an_application_that_administers() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql(&format!("SELECT azure_ad_auth.set_admin('pipeline', '{APPLICATION}', 'service')"));
    let mut client = cluster.client();
    let outcome =
        client.login(&[("user", "pipeline"), ("database", "postgres")], &KEY.token(&app_v2(unix_now())));
    assert_eq!(outcome, Outcome::Ready);
    for statement in [
        "SET aad_validate_oids_in_tenant = off",
        &format!("CREATE USER ann PASSWORD '{PERSON}' IN ROLE azure_ad_user"),
    ] {
        let result = client.query(statement);
        assert!(result.is_ok(), "{statement}: {result:?}");
    }
    admitted(&cluster, "ann", &token_of(PERSON));
}

/// From 16 on a role that an administrator created is granted to all administrators with ADMIN
/// OPTION, unless a superuser has given it more privileges.
#[test]
fn what_superusers_have_given_more_is_not_handed_to_administrators() {
    let (cluster, _provider) = Scene::new().start();
    if cluster.major() < 16 {
        return;
    }
    let theirs = |role: &str| {
        cluster.sql(&format!("SELECT pg_has_role('azure_ad_admin', '{role}', 'MEMBER WITH ADMIN OPTION')"))
            == "t"
    };
    // As after an upgrade from 15: each role is a member of the next.
    let roles = ["etl", "tool", "able", "plain", "base"];
    for role in roles {
        cluster.sql(&format!(
            "CREATE ROLE {role} LOGIN; SECURITY LABEL FOR azure_ad_auth ON ROLE {role} IS 'managed'"
        ));
    }
    cluster.sql("GRANT pg_execute_server_program TO etl; GRANT etl TO tool; ALTER ROLE able CREATEROLE; GRANT base TO plain");
    let output = cluster.sql_as("postgres", "SELECT azure_ad_auth.repair()");
    assert!(output.success, "{}", output.stderr);
    let found = roles.map(theirs);
    assert_eq!(found, [false, false, false, true, true], "{}{}", output.stdout, output.stderr);
    for role in ["etl", "tool", "able"] {
        let said =
            format!("NOTICE:  role \"{role}\" was created by an Azure AD administrator but is not granted");
        assert!(output.stderr.contains(&said), "{}", output.stderr);
    }
    // Once it has no more privileges than administrators could have given it, they manage it.
    cluster.sql("REVOKE pg_execute_server_program FROM etl; ALTER ROLE able NOCREATEROLE");
    cluster.sql("SELECT azure_ad_auth.repair()");
    assert_eq!(roles.map(theirs), [true; 5]);
    // An administrator whom another one created, to whom a superuser gives more privileges, and who
    // is then demoted.
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    for (role, given) in [("more", true), ("no_more", false)] {
        let create =
            format!("SELECT azure_ad_auth.create_principal('{role}', '{SECOND_ADMIN}', 'user', true)");
        assert!(admin.query(&create).is_ok());
        if given {
            cluster.sql(&format!("GRANT pg_execute_server_program TO {role}"));
        }
        cluster.sql(&format!("SELECT azure_ad_auth.remove_admin('{role}')"));
        assert_eq!(theirs(role), !given, "{role}");
        cluster.sql(&format!("SELECT azure_ad_auth.drop_principal('{role}')"));
        assert_eq!(theirs(role), !given, "{role}");
    }
}

#[test]
fn what_an_administrator_may_not() {
    let (cluster, _provider) = Scene::new().start();
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    cluster.sql("CREATE ROLE local LOGIN; CREATE ROLE writer LOGIN; GRANT pg_write_all_data TO writer");
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('admin2', '{SECOND_ADMIN}', 'user', true)"));
    let create = |role: &str| format!("SELECT azure_ad_auth.create_principal('{role}', '{ADMIN}', 'user')");
    let change = |role: &str| format!("permission denied to change the link of role \"{role}\"");
    if cluster.major() >= 16 {
        denied(&mut admin, &create("local"), &change("local"), "and the ADMIN option on it");
        cluster.sql("GRANT writer TO admin WITH ADMIN TRUE, INHERIT FALSE, SET FALSE");
    } else {
        let detail = "It is no Azure AD role, and no Azure AD administrator has made it.";
        denied(&mut admin, &create("local"), &change("local"), detail);
        // As if an administrator had created it.
        cluster.sql("SECURITY LABEL FOR azure_ad_auth ON ROLE writer IS 'managed'");
    }
    denied(&mut admin, &create("writer"), &change("writer"), "It is a member of role \"pg_write_all_data\"");
    denied(
        &mut admin,
        &create("postgres"),
        "role \"postgres\" cannot be linked to a directory object",
        "It is a superuser",
    );
    let update = |role: &str| format!("SELECT azure_ad_auth.update_principal('{role}', '{ADMIN}')");
    denied(&mut admin, &update("admin"), &change("admin"), "A role cannot change its own link.");
    denied(&mut admin, &update("admin2"), &change("admin2"), "It is another administrator");
    let drop = "SELECT azure_ad_auth.drop_principal('admin2')";
    denied(&mut admin, drop, &change("admin2"), "It is another administrator");
    for function in ["set_admin('admin', gen_random_uuid())", "remove_admin()", "repair()", "refresh_keys()"]
    {
        let error = admin.query(&format!("SELECT azure_ad_auth.{function}")).expect_err(function);
        assert_eq!(error.sqlstate, "42501", "{function}");
    }
    let error = admin
        .query(&format!(
            "SECURITY LABEL FOR pgaadauth ON ROLE azure_ad_admin IS 'aadauth,tenant_id={OTHER_TENANT}'"
        ))
        .expect_err("the association");
    assert_eq!(error.sqlstate, "42501");
}

#[test]
fn everybody_else_is_refused() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("CREATE ROLE local LOGIN CREATEROLE PASSWORD 'secret'; CREATE ROLE victim LOGIN");
    cluster.sql("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA azure_ad_auth TO PUBLIC; GRANT USAGE ON SCHEMA azure_ad_auth TO PUBLIC");
    let create = format!("SELECT azure_ad_auth.create_principal('victim', '{PERSON}', 'user')");
    let denied_text = "permission denied to administer Azure AD roles";
    // A plain Azure AD user, with a token; a CREATEROLE role, with a password.
    denied(
        &mut cluster.session("ann", &token_of(PERSON)),
        &create,
        denied_text,
        "members of role \"azure_ad_admin\"",
    );
    let mut local = cluster.client();
    assert_eq!(local.login(&[("user", "local"), ("database", "postgres")], "secret"), Outcome::Ready);
    denied(&mut local, &create, denied_text, "members of role \"azure_ad_admin\"");
    let label = format!("SECURITY LABEL FOR pgaadauth ON ROLE victim IS 'aadauth,oid={PERSON}'");
    assert_eq!(local.query(&label).expect_err("a label").sqlstate, "42501");
    // An administrator's role without a token: a session of a superuser that sets it.
    let output = cluster.sql_as("postgres", &format!("SET ROLE admin; {create}"));
    assert!(output.stderr.contains(&format!("ERROR:  {denied_text}")), "{}", output.stderr);
    assert!(
        output.stderr.contains("DETAIL:  This session did not log in with an access token."),
        "{}",
        output.stderr
    );
    // An administrator's function, run within a restricted operation (an index expression), in a
    // session with a token.
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    cluster.sql("CREATE SCHEMA his AUTHORIZATION admin");
    for statement in [
        format!(
            "CREATE FUNCTION his.f(x int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN \
                 PERFORM azure_ad_auth.create_principal('victim2', '{PERSON}'); RETURN x; END $f$"
        ),
        "CREATE TABLE his.t (x int)".to_owned(),
        "INSERT INTO his.t VALUES (1)".to_owned(),
    ] {
        assert!(admin.query(&statement).is_ok(), "{statement}");
    }
    let error = admin.query("CREATE INDEX ON his.t (his.f(x))").expect_err("an index");
    assert_eq!(
        error.detail.as_deref(),
        Some("It cannot be done within a security-restricted operation."),
        "{error:?}"
    );
    assert_eq!(RoleState::of(&cluster, "victim"), RoleState::unlinked());
}
