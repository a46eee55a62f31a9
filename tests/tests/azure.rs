//! Scripts written for Azure Database for PostgreSQL.

use trial::cluster::Cluster;
use trial::expect::admitted;
use trial::issuer::*;

use crate::links::{ADMIN, ADMINISTRATOR, SECOND_ADMIN, facts, session, token_of};
use crate::{KEY, scene};

/// Runs a script by psql, as the administrator with a token; what its queries returned.
fn run_script(cluster: &Cluster, name: &str) -> String {
    let file = format!("{}/scripts/{name}.sql", env!("CARGO_MANIFEST_DIR"));
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
    let results = run_script(&cluster, "flexible_server");
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
    let results = run_script(&cluster, "single_server");
    assert_eq!(results, "azure_ad_admin\ndeployer\nmyuser\nuser1@yourtenant.onmicrosoft.com");
    admitted(&cluster, "user1@yourtenant.onmicrosoft.com", &KEY.token(&user_v1(unix_now())));
    let application = KEY.token(&app_v1(unix_now()));
    admitted(&cluster, "deployer", &application);
    admitted(&cluster, "myuser", &application);
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
