//! Attempts to make the guard ineffective: by a chain of roles, by the privileges of an
//! administrator, or by changes of the catalogs.

use testbed::client::{RawClient, ServerError};
use testbed::issuer::{APPLICATION, GROUP, PERSON, TENANT};
use testbed::scene::{ADMIN, Scene};

use crate::common::login::token_of;
use crate::common::server::NO_REAPER;
use crate::common::statements::{SECOND_ADMIN, link, run, tamper};

fn error(client: &mut RawClient, statement: &str) -> ServerError {
    client.query(statement).expect_err(statement)
}

#[test]
fn a_linked_role_reaches_nobody_who_could_lift_its_guard() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("CREATE ROLE holder; CREATE ROLE team; GRANT team TO ann; CREATE ROLE local LOGIN");
    cluster.sql("GRANT SET ON PARAMETER session_preload_libraries TO holder");
    let since_16 = cluster.major() >= 16;
    let unusable = if since_16 { " WITH INHERIT FALSE, SET FALSE" } else { "" };
    let refused = |statement: &str, top: &str| {
        let output = cluster.sql_as("postgres", statement);
        let message = format!(
            "ERROR:  role \"ann\" is linked to a directory object and cannot be a member of role \"{top}\", which is a \
             superuser or has SET on parameter \"session_preload_libraries\""
        );
        assert!(output.stderr.contains(&message), "{statement}: {}", output.stderr);
        assert!(output.stderr.contains("DETAIL:  It could keep azure_ad_auth out"), "{}", output.stderr);
    };
    refused("GRANT postgres TO ann", "postgres");
    refused(&format!("GRANT postgres TO ann{unusable}"), "postgres");
    refused("GRANT holder TO ann", "holder");
    refused("GRANT holder TO team", "holder");
    refused("ALTER ROLE team SUPERUSER", "team");
    refused("GRANT SET ON PARAMETER session_preload_libraries TO team", "team");
    refused("CREATE ROLE wheel SUPERUSER ROLE ann", "wheel");
    refused("CREATE ROLE wheel IN ROLE holder ROLE ann", "wheel");
    refused("CREATE ROLE wheel IN ROLE holder ADMIN team", "holder");
    refused("GRANT holder TO azure_ad_user", "holder");
    refused("ALTER GROUP holder ADD USER ann", "holder");
    // The hint revokes the last grant of the chain.
    let output = cluster.sql_as("postgres", "GRANT holder TO team");
    assert!(output.stderr.contains("HINT:  REVOKE team FROM ann;"), "{}", output.stderr);
    let output = cluster.sql_as("postgres", "GRANT holder TO ann");
    assert!(
        output.stderr.contains("HINT:  Unlink it first: SELECT azure_ad_auth.drop_principal('ann');"),
        "{}",
        output.stderr
    );
    // Roles that are not linked may have it, and cannot be linked then.
    cluster.sql("GRANT postgres, holder TO local");
    let output = cluster.sql_as(
        "postgres",
        &format!("SELECT azure_ad_auth.create_principal('local', '{APPLICATION}', 'user')"),
    );
    assert!(output.stderr.contains("cannot be a member of role"), "{}", output.stderr);
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_shseclabel WHERE objoid = 'local'::regrole"), "0");
    assert!(cluster.sql_as("postgres", "ALTER ROLE team CREATEDB; ALTER ROLE holder SUPERUSER").success);
}

#[test]
fn a_snapshot_hides_no_member() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE cand LOGIN");
    let mut first = cluster.superuser();
    run(&mut first, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    run(&mut first, "SELECT 1");
    cluster.sql("GRANT cand TO pg_monitor");
    let statement = format!("SELECT azure_ad_auth.create_principal('cand', '{PERSON}', 'user')");
    let fault = error(&mut first, &statement);
    assert_eq!(fault.message, "role \"cand\" cannot be linked because role \"pg_monitor\" is a member of it");
}

#[test]
fn statements_about_other_roles_wait_for_nobody() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE a; CREATE ROLE b; CREATE ROLE c; CREATE ROLE d; CREATE ROLE x LOGIN; CREATE ROLE y LOGIN");
    let mut first = cluster.superuser();
    run(&mut first, "BEGIN");
    for statement in [
        "GRANT a TO x",
        "ALTER ROLE x SET work_mem = '1MB'",
        "GRANT a TO azure_ad_user, azure_ad_admin",
        "CREATE ROLE z IN ROLE b ROLE y",
    ] {
        run(&mut first, statement);
    }
    let mut second = cluster.superuser();
    run(&mut second, "SET lock_timeout = '10s'");
    for statement in ["GRANT c TO x", "GRANT d TO y", "DROP ROLE c"] {
        run(&mut second, statement);
    }
    // Linking does not revoke it either, whatever was granted to the two marker roles.
    run(&mut second, &format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')"));
    run(&mut first, "COMMIT");
}

#[test]
fn what_was_broken_elsewhere_is_mended_step_by_step() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("CREATE ROLE wheel SUPERUSER; CREATE ROLE other SUPERUSER");
    let (oid, options) = if cluster.major() < 16 {
        ("", "")
    } else {
        (
            "(SELECT max(oid::bigint) FROM pg_auth_members)::oid::bigint + row_number() OVER (), ",
            ", true, true",
        )
    };
    let cast = if oid.is_empty() {
        String::new()
    } else {
        format!("({oid_expr})::oid, ", oid_expr = oid.trim_end_matches(", "))
    };
    tamper(
        &cluster,
        &format!(
            "INSERT INTO pg_auth_members SELECT {cast}oid, 'ann'::regrole, 10, false{options} FROM pg_authid \
             WHERE rolname IN ('wheel', 'other')"
        ),
    );
    cluster.sql("REVOKE wheel FROM ann");
    cluster.sql("REVOKE other FROM ann");
    cluster.sql("GRANT pg_monitor TO ann");
}

#[test]
fn who_the_role_no_longer_stands_for_administers_no_more() {
    let (cluster, _provider) = Scene::new().settings(NO_REAPER).start();
    let mut old = cluster.session("admin", &token_of(ADMIN));
    run(&mut old, &format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')"));
    cluster.sql(&format!("SELECT azure_ad_auth.set_admin('admin', '{SECOND_ADMIN}')"));
    let statement = format!("SELECT azure_ad_auth.create_principal('back', '{ADMIN}', 'user')");
    let fault = error(&mut old, &statement);
    assert_eq!(fault.sqlstate, "42501");
    assert_eq!(
        fault.detail.as_deref(),
        Some("The role of this session has been linked to another directory object since it logged in.")
    );
    run(&mut cluster.session("admin", &token_of(SECOND_ADMIN)), &statement);
}

#[test]
fn what_taking_over_does_not_take_back() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql(&format!(
        "SECURITY LABEL FOR pgaadauth ON ROLE admin IS \
         'aadauth,oid={ADMIN},type=user,admin,mfa,tenant_id={TENANT},not_before=1700000000'"
    ));
    cluster.sql(&format!("SELECT azure_ad_auth.set_admin('admin', '{SECOND_ADMIN}')"));
    let row = "SELECT object_id, is_mfa, extract(epoch FROM tokens_not_before)::bigint FROM azure_ad_auth.principals";
    assert_eq!(cluster.sql(row), format!("{SECOND_ADMIN}|t|1700000000"));
}

#[test]
fn the_two_roles_are_looked_at_whenever_a_role_is_linked() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("DROP ROLE admin");
    let set = format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}')");
    // While no role is linked, the two are ordinary roles.
    cluster.sql("ALTER ROLE azure_ad_user LOGIN");
    let output = cluster.sql_as("postgres", &set);
    let message = "ERROR:  role \"azure_ad_user\" exists and is used for something else";
    assert!(output.stderr.contains(message), "{}", output.stderr);
    cluster.sql("ALTER ROLE azure_ad_user NOLOGIN; REVOKE azure_ad_user FROM azure_ad_admin");
    cluster.sql(&set);
    assert_eq!(cluster.sql("SELECT pg_has_role('admin', 'azure_ad_user', 'MEMBER')"), "t");
    run(&mut cluster.session("admin", &token_of(ADMIN)), "SELECT 1");
}

#[test]
fn from_16_on_what_an_administrator_creates_belongs_to_all_of_them() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('admin2', '{SECOND_ADMIN}', 'user', true)"));
    let mut first = cluster.session("admin", &token_of(ADMIN));
    run(&mut first, "CREATE ROLE team");
    if cluster.major() >= 16 {
        run(&mut first, "SET createrole_self_grant = 'set, inherit'");
    }
    run(&mut first, "CREATE ROLE other");
    // The member with which it was created stays.
    run(&mut first, "CREATE ROLE bob LOGIN");
    run(&mut first, "CREATE ROLE eve LOGIN");
    run(&mut first, "CREATE ROLE crew ROLE bob ADMIN eve");
    let crew = "SELECT string_agg(member::regrole || ' ' || admin_option, ' ' ORDER BY member::regrole::text) FROM pg_auth_members \
                WHERE roleid = 'crew'::regrole AND member::regrole::text IN ('bob', 'eve', 'admin')";
    assert_eq!(cluster.sql(crew), "bob false eve true");
    let mut second = cluster.session("admin2", &token_of(SECOND_ADMIN));
    for role in ["team", "other"] {
        if cluster.major() >= 16 {
            let rows = format!(
                "SELECT member::regrole, grantor::regrole, admin_option, inherit_option, set_option FROM pg_auth_members \
                 WHERE roleid = '{role}'::regrole"
            );
            assert_eq!(cluster.sql(&rows), "azure_ad_admin|postgres|t|f|f");
        }
        run(&mut second, &format!("ALTER ROLE {role} CREATEDB"));
        run(&mut second, &format!("SELECT azure_ad_auth.create_principal('{role}', '{GROUP}', 'group')"));
        run(&mut first, &format!("SELECT azure_ad_auth.drop_principal('{role}')"));
        run(&mut first, &format!("DROP ROLE {role}"));
    }
    // Roles of others are not granted.
    cluster.sql("CREATE ROLE creator CREATEROLE; SET ROLE creator; CREATE ROLE theirs");
    let foreign = "SELECT count(*) FROM pg_auth_members WHERE roleid = 'theirs'::regrole AND member = 'azure_ad_admin'::regrole";
    assert_eq!(cluster.sql(foreign), "0");
}

#[test]
fn before_16_an_administrator_gives_no_more_than_he_holds() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('admin2', '{SECOND_ADMIN}', 'user', true)"));
    cluster.sql("CREATE ROLE held; GRANT held TO admin; CREATE ROLE plain LOGIN");
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    run(&mut admin, "CREATE ROLE made LOGIN");
    let since_16 = cluster.major() >= 16;
    let theirs = "It is another administrator; only a superuser may change that one.";
    let foreign = "Azure AD administrators may grant roles they are members of.";
    let createrole = "Azure AD administrators may not make others administrators of roles; a superuser may.";
    for (statement, detail) in [
        ("GRANT pg_execute_server_program TO admin", foreign),
        ("GRANT held, pg_write_all_data TO plain", foreign),
        ("CREATE ROLE more IN ROLE pg_read_server_files", foreign),
        ("GRANT admin2 TO admin", foreign),
        ("ALTER ROLE plain CREATEROLE", "It is no Azure AD role, and no Azure AD administrator has made it."),
        ("ALTER ROLE admin2 NOLOGIN", theirs),
        ("ALTER ROLE admin2 SET work_mem = '1MB'", theirs),
        ("ALTER ROLE admin2 RENAME TO admin3", theirs),
        ("DROP ROLE admin2", theirs),
    ] {
        let fault = error(&mut admin, statement);
        assert_eq!(fault.sqlstate, "42501", "{statement}: {fault:?}");
        // From 16 on PostgreSQL itself refuses it, because the ADMIN option is missing.
        assert!(since_16 || fault.detail.as_deref() == Some(detail), "{statement}: {fault:?}");
    }
    if !since_16 {
        for statement in ["CREATE ROLE more CREATEROLE", "ALTER ROLE made CREATEROLE"] {
            assert_eq!(error(&mut admin, statement).detail.as_deref(), Some(createrole));
        }
        run(&mut admin, "GRANT held TO plain");
    }
    run(&mut admin, "CREATE ROLE fine LOGIN NOCREATEROLE");
    run(&mut admin, "ALTER ROLE admin SET work_mem = '1MB'");
    let mut other = cluster.superuser();
    run(&mut other, "GRANT pg_write_all_data TO plain");
}

#[test]
fn a_chain_of_roles_gives_an_administrator_no_more_than_he_holds() {
    let (cluster, _provider) = Scene::new().start();
    if cluster.major() < 16 {
        // Before 16 a member has all privileges of the role, so there is no such chain.
        cluster.sql("CREATE ROLE q; CREATE ROLE p IN ROLE q; GRANT p TO admin");
        assert_eq!(cluster.sql("SELECT pg_has_role('admin', 'q', 'USAGE')"), "t");
        return;
    }
    cluster.sql("CREATE ROLE q; CREATE ROLE p; CREATE ROLE target LOGIN");
    cluster.sql("GRANT p TO admin WITH INHERIT TRUE, SET FALSE; GRANT q TO p WITH INHERIT FALSE, SET TRUE");
    cluster.sql(
        "GRANT p TO target WITH SET TRUE; GRANT target TO admin WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
    );
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    let statement = format!("SELECT azure_ad_auth.create_principal('target', '{PERSON}', 'user')");
    let fault = error(&mut admin, &statement);
    assert_eq!(
        fault.detail.as_deref(),
        Some("It is a member of role \"q\", of which you are none."),
        "{fault:?}"
    );
}
