//! Scripts written for Azure Database for PostgreSQL.

use testbed::cluster::Cluster;
use testbed::expect::admitted;
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON, TENANT, app_v1, unix_now};
use testbed::scene::{ADMIN, KEY, Scene};

use crate::common::login::{token_of, valid_token};
use crate::common::role_state::RoleState;
use crate::common::statements::SECOND_ADMIN;

/// Returns the text of a script.
fn script(name: &str) -> String {
    let file = format!("{}/scripts/{name}.sql", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(file).expect("a script")
}

/// Runs a script by psql as the administrator with a token. Returns the results of its queries.
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
    let (cluster, _provider) = Scene::new().start();
    let results = run_script(&cluster, "flexible_server", &script("flexible_server"));
    assert_eq!(
        results,
        format!(
            "admin|user|{ADMIN}|{TENANT}|0|1|admin\n\
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
    let person = valid_token();
    admitted(&cluster, "ann@contoso.example", &person);
    admitted(&cluster, "Database Readers", &person);
    assert_eq!(RoleState::of(&cluster, "deputy"), RoleState::administrator());
    let mut deputy = cluster.session("deputy", &token_of(SECOND_ADMIN));
    assert!(deputy.query("REVOKE azure_ad_user FROM \"ann@contoso.example\"").is_ok());
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.principals WHERE role_name = 'billing'"), "0");
}

#[test]
fn a_script_for_single_server() {
    let (cluster, _provider) = Scene::new().start();
    let mut text = script("single_server");
    if cluster.major() < 16 {
        // Before 16 CREATEROLE allows to manage every role, and only a superuser grants it.
        let line = text.lines().find(|line| line.contains("CREATEROLE")).expect("the line").to_owned();
        let mut admin = cluster.session("admin", &token_of(ADMIN));
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
    admitted(&cluster, "user1@yourtenant.onmicrosoft.com", &valid_token());
    let application = KEY.token(&app_v1(unix_now()));
    admitted(&cluster, "deployer", &application);
    admitted(&cluster, "myuser", &application);
}

#[test]
fn statements_of_both_that_differ_here() {
    let (cluster, _provider) = Scene::new().start();
    let mut admin = cluster.session("admin", &token_of(ADMIN));
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
        (
            "SELECT * FROM pgaadauth_sync_roles_for_group_members()",
            "55000",
            "the synchronisation of groups is off",
        ),
    ] {
        let error = admin.query(statement).expect_err(statement);
        assert_eq!(error.sqlstate, sqlstate, "{statement}: {error:?}");
        assert!(error.message.contains(message), "{statement}: {error:?}");
    }
}

#[test]
fn what_azure_functions_refuse() {
    let (cluster, _provider) = Scene::new().start();
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

#[test]
fn both_names_of_the_first_column_answer() {
    let (cluster, _provider) = Scene::new().start();
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    for column in ["rolname", "rolename"] {
        let query = format!("SELECT 1 FROM pgaadauth_list_principals(false) WHERE {column} = 'admin'");
        assert_eq!(admin.query(&query).as_deref(), Ok(&[Some("1".to_owned())][..]), "{column}");
    }
    // The columns of a server of Azure come first, in its order.
    assert_eq!(
        cluster.sql("SELECT * FROM pgaadauth_list_principals(true)"),
        format!("admin|user|{ADMIN}|{TENANT}|0|1|admin")
    );
}

/// Scripts as they are in use: roles that exist already, other types of strings, other spellings of
/// the object's type, calls within expressions and blocks.
#[test]
fn azures_functions_as_live_scripts_use_them() {
    let (cluster, _provider) = Scene::new().start();
    let mut admin = cluster.session("admin", &token_of(ADMIN));
    let mut run = |statement: &str| {
        admin.query(statement).unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    };
    // A plain role exists, and either function links it.
    run("CREATE ROLE mgid WITH LOGIN");
    run(&format!(
        "SELECT pgaadauth_update_principal_with_oid('mgid', '{APPLICATION}', 'service', false, false)"
    ));
    run(&format!("SELECT pgaadauth_update_principal_with_oid('mgid', '{CLIENT}', 'service', false, false)"));
    run("CREATE ROLE app LOGIN");
    run(&format!(
        "SELECT * FROM pgaadauth_create_principal_with_oid('app', '{APPLICATION}', 'service', false, false)"
    ));
    // The same again changes nothing.
    run(&format!(
        "SELECT * FROM pgaadauth_create_principal_with_oid('app', '{APPLICATION}', 'service', false, false)"
    ));
    for (role, kind, object) in [
        ("t1", "ServicePrincipal", APPLICATION),
        ("t2", "servicePrincipal", APPLICATION),
        ("t3", "User", PERSON),
        ("t4", "Group", GROUP),
        ("t5", "SERVICE", APPLICATION),
    ] {
        run(&format!(
            "SELECT pgaadauth_create_principal_with_oid('{role}', '{object}', '{kind}', false, false)"
        ));
    }
    // Other types of strings.
    let call = |role: &str, id: &str, kind: &str| {
        format!("SELECT pg_catalog.pgaadauth_create_principal_with_oid({role}, {id}, {kind}, false, false)")
    };
    let id = format!("'{PERSON}'");
    run(&call("'s1'::varchar(63)", &format!("{id}::varchar"), "'user'::varchar(10)"));
    run(&call("'s2'::name", &format!("{id}::text"), "'user'::name"));
    run(&call("'s3'::bpchar", &format!("{id}::bpchar"), "'user'::char(4)"));
    run("CREATE DOMAIN pg_temp.word AS text");
    run(&call("'s4'::pg_temp.word", &format!("{id}::pg_temp.word"), "'user'::pg_temp.word"));
    // Within expressions and blocks.
    run(&format!(
        "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = 'b1') THEN \
           PERFORM pg_catalog.pgaadauth_create_principal_with_oid('b1', '{PERSON}', 'user', false, false); END IF; END $$"
    ));
    run(&format!(
        "SELECT CASE WHEN EXISTS (SELECT FROM pgaadauth_list_principals(false) WHERE rolname = 'b2') THEN 'there' \
         ELSE pgaadauth_create_principal_with_oid('b2', '{PERSON}', 'user', false, false) END"
    ));
    run(&format!(
        "SELECT CASE WHEN EXISTS (SELECT FROM pgaadauth_list_principals(false) WHERE rolname = 'b2') THEN 'there' \
         ELSE pgaadauth_create_principal_with_oid('b2', '{GROUP}', 'group', false, false) END"
    ));
    run(&format!(
        "SELECT upper(f) FROM (VALUES ('b3'), ('b4')) AS names (n), \
         LATERAL pgaadauth_create_principal_with_oid(n, '{PERSON}', 'user', false, false) AS f"
    ));
    let roles = "SELECT string_agg(concat_ws(' ', rolname, principaltype, objectid = ANY (ARRAY['{ids}'])), ',' ORDER BY rolname) \
                 FROM pgaadauth_list_principals(false) WHERE isadmin = 0";
    let roles = roles.replace("{ids}", &[PERSON, GROUP, CLIENT, APPLICATION].join("','"));
    assert_eq!(
        cluster.sql(&roles),
        "app service t,b1 user t,b2 user t,b3 user t,b4 user t,mgid service t,s1 user t,s2 user t,s3 user t,s4 user t,\
         t1 service t,t2 service t,t3 user t,t4 group t,t5 service t"
    );
    admitted(&cluster, "mgid", &KEY.token(&app_v1(unix_now())));
    // A role that the caller does not manage cannot be linked, by either function.
    cluster.sql("CREATE ROLE hers LOGIN; CREATE ROLE owner; GRANT owner TO hers");
    for function in ["create", "update"] {
        let statement = format!(
            "SELECT pgaadauth_{function}_principal_with_oid('hers', '{PERSON}', 'user', false, false)"
        );
        let error = admin.query(&statement).expect_err(&statement);
        assert_eq!(
            (error.sqlstate.as_str(), error.message.as_str()),
            ("42501", "permission denied to change the link of role \"hers\"")
        );
    }
    let error = admin.query("SELECT pgaadauth_create_principal_with_oid('x', NULL, 'user', false, false)");
    assert!(error.is_err_and(|error| error.message.contains("the directory cannot be asked")));
}

/// The statement that `pg_dump` writes for every database of a Flexible Server.
#[test]
fn the_extension_that_dumps_of_a_flexible_server_ask_for_is_there_and_empty() {
    let (cluster, _provider) = Scene::new().start();
    let script = "CREATE EXTENSION IF NOT EXISTS pgaadauth WITH SCHEMA pg_catalog; \
                  COMMENT ON EXTENSION pgaadauth IS 'Microsoft Entra ID Authentication'";
    // By the owner of the database, as a dump is restored.
    cluster.sql("CREATE ROLE restorer; GRANT CREATE ON DATABASE postgres TO restorer");
    cluster.sql(&format!("SET ROLE restorer; {script}"));
    let objects = "SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' \
                   AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pgaadauth')";
    assert_eq!(cluster.sql(objects), "0");
    assert_eq!(
        cluster.sql("SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'pgaadauth'"),
        "pg_catalog"
    );
    for statement in [
        "CREATE EXTENSION IF NOT EXISTS pgaadauth",
        "DROP EXTENSION pgaadauth",
        "CREATE EXTENSION pgaadauth",
        "ALTER EXTENSION pgaadauth SET SCHEMA pg_catalog",
        "DROP EXTENSION pgaadauth; DROP EXTENSION azure_ad_auth; CREATE EXTENSION IF NOT EXISTS pgaadauth WITH SCHEMA pg_catalog",
        "CREATE EXTENSION azure_ad_auth",
    ] {
        cluster.sql(statement);
    }
}
