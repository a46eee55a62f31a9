//! Scripts written for Azure Database for PostgreSQL.

use trial::cluster::Cluster;
use trial::expect::admitted;
use trial::issuer::*;

use crate::links::{ADMIN, ADMINISTRATOR, SECOND_ADMIN, facts, session, token_of};
use crate::{KEY, scene};

/// The text of a script.
fn script(name: &str) -> String {
    let file = format!("{}/scripts/{name}.sql", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(file).expect("a script")
}

/// Runs a script by psql, as the administrator with a token; what its queries returned.
fn run_script(cluster: &Cluster, name: &str, text: &str) -> String {
    cluster.folder().write("script.sql", text);
    let file = cluster.path("script.sql").display().to_string();
    let output = cluster.psql("admin", &token_of(ADMIN), &format!("\\i {file}"));
    assert!(output.success, "{name}: {}", output.stderr);
    assert!(!output.stderr.contains("WARNING"), "{name}: {}", output.stderr);
    let results = output.stdout.lines().filter(|line| {
        !["CREATE ROLE", "ALTER ROLE", "DROP ROLE", "SECURITY LABEL", "SET"].contains(line)
            && !line.starts_with("GRANT")
            && !line.starts_with("REVOKE")
    });
    results.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_script_for_flexible_server() {
    let (cluster, _provider) = scene("");
    let results = run_script(&cluster, "flexible_server", &script("flexible_server"));
    assert_eq!(
        results,
        format!(
            "admin|user|{ADMIN}|{TENANT}|0|1\n\
             Created role for \"ann@contoso.example\"\n\
             Created role for \"billing\"\n\
             Updated role for \"billing\"\n\
             Database Readers|group|{GROUP}|0|0\n\
             admin|user|{ADMIN}|0|1\n\
             ann@contoso.example|user|{PERSON}|0|0\n\
             billing|service|{CLIENT}|0|0\n\
             deputy|user|{SECOND_ADMIN}|0|1"
        )
    );
    let person = KEY.token(&user_v1(unix_now()));
    admitted(&cluster, "ann@contoso.example", &person);
    admitted(&cluster, "Database Readers", &person);
    assert_eq!(facts(&cluster, "deputy"), ADMINISTRATOR);
    let mut deputy = session(&cluster, "deputy", SECOND_ADMIN);
    assert!(deputy.query("REVOKE azure_ad_user FROM \"ann@contoso.example\"").is_ok());
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.principals WHERE role_name = 'billing'"), "0");
}

#[test]
fn a_script_for_single_server() {
    let (cluster, _provider) = scene("");
    let mut text = script("single_server");
    if cluster.workshop.installation.major < 16 {
        // Before, CREATEROLE administers every role, and only a superuser gives it.
        let line = text.lines().find(|line| line.contains("CREATEROLE")).expect("the line").to_owned();
        let mut admin = session(&cluster, "admin", ADMIN);
        assert!(admin.query("SET aad_validate_oids_in_tenant = off").is_ok());
        let error = admin.query(&line).expect_err(&line);
        assert_eq!(
            (error.sqlstate.as_str(), error.message.as_str()),
            ("42501", "permission denied to give CREATEROLE")
        );
        text = text.replace(" CREATEROLE", "");
    }
    let results = run_script(&cluster, "single_server", &text);
    assert_eq!(results, "azure_ad_admin\ndeployer\nmyuser\nuser1@yourtenant.onmicrosoft.com");
    admitted(&cluster, "user1@yourtenant.onmicrosoft.com", &KEY.token(&user_v1(unix_now())));
    let application = KEY.token(&app_v1(unix_now()));
    admitted(&cluster, "deployer", &application);
    admitted(&cluster, "myuser", &application);
}

#[test]
fn statements_of_both_that_differ_here() {
    let (cluster, _provider) = scene("");
    let mut admin = session(&cluster, "admin", ADMIN);
    for statement in ["SET aad_validate_oids_in_tenant = off", "CREATE ROLE \"x@tenant\" LOGIN"] {
        assert!(admin.query(statement).is_ok(), "{statement}");
    }
    let not_linked = "because it is not linked to a directory object";
    for (statement, sqlstate, message) in [
        ("CREATE USER \"user1@yourtenant.onmicrosoft.com\" IN ROLE azure_ad_user", "55000", not_linked),
        ("CREATE ROLE \"Prod DB Readonly\" WITH LOGIN IN ROLE azure_ad_user", "55000", not_linked),
        ("GRANT azure_ad_user TO \"x@tenant\"", "55000", not_linked),
        ("REVOKE azure_ad_user FROM \"x@tenant\"; GRANT azure_ad_user TO \"x@tenant\"", "55000", not_linked),
        ("GRANT azure_pg_admin TO \"x@tenant\"", "42704", "role \"azure_pg_admin\" does not exist"),
        (
            "SELECT * FROM pgaadauth_create_principal(roleName => 'mary@contoso.com', isAdmin => false, isMfa => false)",
            "55000",
            "the directory cannot be asked",
        ),
        ("SELECT * FROM pgaadauth_sync_roles_for_group_members()", "42883", "does not exist"),
    ] {
        let error = admin.query(statement).expect_err(statement);
        assert_eq!(error.sqlstate, sqlstate, "{statement}: {error:?}");
        assert!(error.message.contains(message), "{statement}: {error:?}");
    }
}

#[test]
fn what_azure_functions_refuse() {
    let (cluster, _provider) = scene("");
    let fails = |statement: &str, expected: &str| {
        let output = cluster.sql_as("postgres", statement);
        assert!(output.stderr.contains(expected), "{statement}: {}", output.stderr);
    };
    fails(
        "SELECT pgaadauth_create_principal_with_oid('x', 'no uuid', 'user', false, false)",
        "ERROR:  invalid input syntax for type uuid: \"no uuid\"",
    );
    fails(
        "SELECT pgaadauth_create_principal('x', false, false)",
        "ERROR:  the directory cannot be asked for the object id of a name",
    );
    fails(
        &format!("SELECT pgaadauth_create_principal_with_oid('x', '{PERSON}', 'robot', false, false)"),
        "ERROR:  invalid object type \"robot\"",
    );
    fails(
        &format!("SELECT pgaadauth_update_principal_with_oid('nobody', '{PERSON}', 'user', false, false)"),
        "ERROR:  role \"nobody\" does not exist",
    );
    cluster.sql("CREATE ROLE local LOGIN");
    for call in ["pgaadauth_list_principals(false)", "pgaadauth_create_principal('x', false, false)"] {
        let statement = format!("SET ROLE local; SELECT * FROM {call}");
        fails(&statement, "ERROR:  permission denied for function pgaadauth_");
    }
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'x'"), "0");
}
