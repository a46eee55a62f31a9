//! Scripts written for Azure Database for PostgreSQL.

use trial::expect::admitted;
use trial::issuer::*;

use crate::links::{ADMIN, session};
use crate::{KEY, scene};

#[test]
fn a_script_for_flexible_server() {
    let (cluster, _provider) = scene("");
    let mut admin = session(&cluster, "admin", ADMIN);
    let mut first = |statement: &str| {
        let rows = admin.query(statement).unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        rows.into_iter().next().flatten().unwrap_or_default()
    };
    let created = first(&format!(
        "SELECT * FROM pgaadauth_create_principal_with_oid('ann@contoso.example', '{PERSON}', 'user', false, false)"
    ));
    assert_eq!(created, "Created role for \"ann@contoso.example\"");
    first(&format!(
        "SELECT pgaadauth_create_principal_with_oid(rolename => 'billing', objectid => '{APPLICATION}', \
         objecttype => 'service', isadmin => false, ismfa => false)"
    ));
    first("CREATE ROLE \"Database Readers\" LOGIN");
    first(&format!(
        "SECURITY LABEL for \"pgaadauth\" on role \"Database Readers\" is 'aadauth,oid={GROUP},type=group'"
    ));
    let listed = "SELECT string_agg(rolename || ' ' || principaltype || ' ' || objectid || ' ' || tenantid || ' ' || ismfa || ' ' \
                  || isadmin, E'\\n') FROM pgaadauth_list_principals";
    let administrators = format!("admin user {ADMIN} {TENANT} 0 1");
    assert_eq!(first(&format!("{listed}(true)")), administrators);
    // A link made by a label keeps the tenant it was given: none, which is the server's.
    let everyone = first(&format!("{listed}(false)"));
    assert_eq!(
        everyone,
        format!(
            "{administrators}\nann@contoso.example user {PERSON} {TENANT} 0 0\nbilling service {APPLICATION} {TENANT} 0 0"
        )
    );
    let updated = first(&format!(
        "SELECT pgaadauth_update_principal_with_oid('billing', '{CLIENT}', 'service', false, false)"
    ));
    assert_eq!(updated, "Updated role for \"billing\"");

    let person = KEY.token(&user_v1(unix_now()));
    admitted(&cluster, "ann@contoso.example", &person);
    admitted(&cluster, "Database Readers", &person);
    admitted(&cluster, "billing", &KEY.token(&app_v1(unix_now())));
    first("DROP ROLE billing");
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.principals WHERE role_name = 'billing'"), "0");
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
