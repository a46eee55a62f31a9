//! CREATE ROLE that links, in the dialect of Azure's Single Server.

use testbed::client::Outcome;
use testbed::expect::admitted;
use testbed::issuer::{APPLICATION, CLIENT, PERSON, TENANT, app_v1, unix_now};
use testbed::scene::{KEY, Scene};

use crate::common::login::token_of;
use crate::common::role_state::{RoleState, labels};
use crate::common::statements::{create_linked_role, fails, link};

#[test]
fn a_role_created_in_azure_ad_user_is_linked() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE readers");
    for (role, statement) in [
        ("a1", "CREATE ROLE a1 LOGIN PASSWORD '$' IN ROLE azure_ad_user"),
        ("a2", "CREATE USER a2 PASSWORD '$' IN ROLE azure_ad_user"),
        ("a3", "CREATE USER a3 WITH ENCRYPTED PASSWORD '$' IN GROUP azure_ad_user CONNECTION LIMIT 3"),
        ("a4", "CREATE GROUP a4 IN ROLE readers, \"azure_ad_user\" LOGIN PASSWORD '$'"),
        ("a5", "DO $do$ BEGIN CREATE ROLE a5 LOGIN PASSWORD '$' IN ROLE azure_ad_user; END $do$"),
        ("a6", "DO $do$ BEGIN EXECUTE 'CREATE USER a6 PASSWORD ''$'' IN ROLE azure_ad_user'; END $do$"),
        (
            "a7",
            "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $f$ CREATE USER a7 PASSWORD '$' IN ROLE azure_ad_user $f$; SELECT f()",
        ),
    ] {
        let statement = statement.replace("$'", &format!("{PERSON}'"));
        cluster.sql(&format!("SET aad_validate_oids_in_tenant = off; {statement}"));
        let linked = RoleState::linked();
        let expected = if role == "a4" { linked.and_member_of("readers") } else { linked };
        assert_eq!(RoleState::of(&cluster, role), expected, "{statement}");
        assert_eq!(labels(&cluster, role), format!("pgaadauth: aadauth,oid={PERSON},tenant_id={TENANT}"));
        admitted(&cluster, role, &token_of(PERSON));
    }
    assert_eq!(cluster.sql("SELECT pg_has_role('a4', 'readers', 'MEMBER')"), "t");
    assert_eq!(cluster.sql("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'a3'"), "3");
    // The same by the extended protocol, and by a cached plan, whose tree must not be changed.
    let mut client = cluster.superuser();
    for statement in [
        "SET aad_validate_oids_in_tenant = off",
        &format!("CREATE USER b1 PASSWORD '{PERSON}' IN ROLE azure_ad_user"),
        &format!(
            "CREATE FUNCTION again() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN \
             CREATE USER b2 PASSWORD '{PERSON}' IN ROLE azure_ad_user; END $f$"
        ),
        "SELECT again()",
        "DROP ROLE b2",
        "SELECT again()",
    ] {
        let result = client.query_extended(statement);
        assert!(result.is_ok(), "{statement}: {result:?}");
    }
    for role in ["b1", "b2"] {
        assert_eq!(RoleState::of(&cluster, role), RoleState::linked());
    }
}

#[test]
fn an_application_is_linked_by_the_client_id_in_place_of_a_password() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql(&create_linked_role("myuser", CLIENT));
    admitted(&cluster, "myuser", &KEY.token(&app_v1(unix_now())));
    let output = cluster.sql_as("postgres", &create_linked_role("sleeper", PERSON).replace(" LOGIN", ""));
    let notice = "NOTICE:  role \"sleeper\" is not permitted to log in";
    assert!(output.success && output.stderr.contains(notice), "{}", output.stderr);
    let output = cluster.sql_as(
        "postgres",
        &create_linked_role("strong", PERSON).replace("LOGIN", "CREATEDB CREATEROLE LOGIN"),
    );
    assert!(output.success, "{}", output.stderr);
    let strong = RoleState { can_create_roles: true, can_create_databases: true, ..RoleState::linked() };
    assert_eq!(RoleState::of(&cluster, "strong"), strong);
}

#[test]
fn an_object_id_is_no_password() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql(&create_linked_role("ann", PERSON));
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_authid WHERE rolpassword IS NOT NULL"), "0");
    // Roles that are not linked get the passwords they are given, whatever these look like.
    cluster.sql(&format!("CREATE ROLE local LOGIN PASSWORD '{PERSON}'; CREATE ROLE team; CREATE ROLE b PASSWORD 'x' IN ROLE team"));
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_authid WHERE rolpassword IS NOT NULL"), "2");
    assert_eq!(
        cluster.client().login(&[("user", "local"), ("database", "postgres")], PERSON),
        Outcome::Ready
    );
}

#[test]
fn a_statement_that_names_no_object_says_which_do() {
    let (cluster, _provider) = Scene::new().start();
    let no_object = "role \"x y\" cannot be a member of role \"azure_ad_user\" because it is not linked to a directory object";
    let hint = "HINT:  Give the object id: SET aad_validate_oids_in_tenant = off; CREATE ROLE \"x y\" LOGIN PASSWORD '<object id>' \
                IN ROLE azure_ad_user; or: SELECT azure_ad_auth.create_principal('x y', '<object id>', 'user');";
    for statement in [
        "CREATE ROLE \"x y\" LOGIN IN ROLE azure_ad_user",
        "CREATE USER \"x y\" PASSWORD NULL IN ROLE azure_ad_user",
        "SET aad_validate_oids_in_tenant = off; CREATE USER \"x y\" IN ROLE azure_ad_user",
    ] {
        fails(&cluster, statement, "55000", no_object, hint);
        fails(
            &cluster,
            statement,
            "55000",
            no_object,
            "DETAIL:  The directory cannot be asked for the object id of a name, because azure_ad_auth.directory is off.",
        );
    }
    fails(
        &cluster,
        &create_linked_role("x", PERSON).replace("= off", "= on"),
        "55000",
        "the object id of role \"x\" cannot be validated because the directory cannot be asked",
        "HINT:  To take it as it is: SET aad_validate_oids_in_tenant = off;",
    );
    for password in
        ["secret", "", "22222222-aaaa-bbbb-cccc-00000000000", "{22222222-aaaa-bbbb-cccc-000000000002}"]
    {
        for setting in ["on", "off"] {
            let statement = create_linked_role("x", password).replace("= off", &format!("= {setting}"));
            let hint = "HINT:  PASSWORD takes the id of the directory object that the role is to be linked to, a uuid.";
            fails(&cluster, &statement, "22023", "Azure AD role \"x\" cannot have a password", hint);
        }
    }
    let twice = create_linked_role("x", PERSON).replace("PASSWORD", "PASSWORD 'a' PASSWORD");
    fails(&cluster, &twice, "22023", "Azure AD role \"x\" cannot have a password", "");
    for privilege in ["SUPERUSER", "REPLICATION", "BYPASSRLS"] {
        let statement = create_linked_role("x", PERSON).replace("LOGIN", privilege);
        fails(
            &cluster,
            &statement,
            "42501",
            "role \"x\" cannot be linked to a directory object",
            "HINT:  ALTER ROLE x NOSUPERUSER",
        );
    }
    let both = create_linked_role("x", PERSON) + ", azure_ad_admin";
    fails(
        &cluster,
        &both,
        "42501",
        "role \"azure_ad_admin\" is not granted by GRANT",
        "HINT:  To make it an administrator: SELECT azure_ad_auth.create_principal('x'",
    );
    cluster.sql("CREATE ROLE local");
    for members in [" ROLE local", " ADMIN local"] {
        fails(
            &cluster,
            &(create_linked_role("x", PERSON) + members),
            "55000",
            "role \"x\" cannot be linked because role \"local\" is a member of it",
            "HINT:  Link it first: SELECT azure_ad_auth.create_principal('local', '<object id>');",
        );
    }
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname IN ('x', 'x y')"), "0");
    fails(&cluster, &create_linked_role("local", PERSON), "42710", "role \"local\" already exists", "");
    cluster.sql("ALTER SYSTEM SET azure_ad_auth.tenant_id = ''");
    cluster.reload();
    fails(
        &cluster,
        &create_linked_role("x", PERSON),
        "55000",
        "no Azure AD tenant is configured",
        "azure_ad_auth.tenant_id",
    );
}

#[test]
fn names_that_postgresql_would_cut_are_refused() {
    let (cluster, _provider) = Scene::new().start();
    let fits = "f".repeat(63);
    let odd = format!("o\"{}", "d".repeat(61));
    let wide = "ä".repeat(31) + "x";
    for name in [&fits, &odd, &wide] {
        cluster.sql(&create_linked_role(&format!("\"{}\"", name.replace('"', "\"\"")), PERSON));
        admitted(&cluster, name, &token_of(PERSON));
    }
    for name in
        ["t".repeat(64), format!("\"{}\"", "q".repeat(64)), format!("\"{}\"", "ö".repeat(32)), "U".repeat(70)]
    {
        let shown: String = name.trim_matches('"').chars().take(31).collect::<String>().to_lowercase();
        let output = cluster.sql_as("postgres", &create_linked_role(&name, PERSON));
        let message = format!(
            "ERROR:  role name \"{}",
            if name.starts_with('"') { shown } else { name.to_lowercase()[..63].to_owned() }
        );
        assert!(
            output.stderr.contains(&message) && output.stderr.contains("...\" is too long"),
            "{}",
            output.stderr
        );
        assert!(output.stderr.contains("HINT:  Choose a shorter name"), "{}", output.stderr);
    }
    assert_eq!(
        cluster.sql("SELECT count(*) FROM azure_ad_auth.principals"),
        "4",
        "three, and the administrator"
    );
    // Truncated, it would be the name of another role, which exists.
    let other = "o".repeat(63);
    cluster.sql(&format!("CREATE ROLE {other} LOGIN"));
    let too_long = |statement: &str| {
        let error = cluster.superuser().query(statement).expect_err(statement);
        assert_eq!(error.sqlstate, "42622", "{statement}: {error:?}");
        assert!(error.message.ends_with("...\" is too long"), "{statement}: {error:?}");
    };
    let label = |name: &str| format!("SECURITY LABEL FOR pgaadauth ON ROLE {name} IS 'aadauth,oid={PERSON}'");
    too_long(&label(&format!("{other}x")));
    too_long(&label(&format!("\"{other}x\"")));
    assert_eq!(RoleState::of(&cluster, &other), RoleState::unlinked());
    cluster.sql(&label(&other));
    assert_eq!(RoleState::of(&cluster, &other), RoleState::linked());
    for statement in [
        format!("SECURITY LABEL FOR pgaadauth ON ROLE {other}x IS NULL"),
        format!("GRANT azure_ad_user TO {other}x"),
        format!("REVOKE azure_ad_user FROM {other}x"),
        format!("ALTER GROUP azure_ad_user DROP USER {other}x"),
        format!("ALTER ROLE {other}x RENAME TO short"),
        format!("ALTER ROLE {other} RENAME TO {}", "p".repeat(64)),
        format!("DO $$ BEGIN REVOKE azure_ad_user FROM {other}x; END $$"),
    ] {
        too_long(&statement);
    }
    assert_eq!(RoleState::of(&cluster, &other), RoleState::linked());
    cluster.sql(&format!("ALTER ROLE {other} RENAME TO {}", "p".repeat(63)));
    // PostgreSQL itself handles statements that are not about links.
    cluster.sql(&format!("CREATE ROLE {}", "l".repeat(64)));
}

#[test]
fn whoever_asked_for_it_takes_it_back() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql(&format!("BEGIN; {}; ROLLBACK", create_linked_role("ann", PERSON)));
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'ann'"), "0");
    link(&cluster, "ann", PERSON, "user");
    let before = labels(&cluster, "ann");
    cluster.sql("BEGIN; REVOKE azure_ad_user FROM ann; ROLLBACK");
    cluster.sql("BEGIN; SAVEPOINT s; REVOKE azure_ad_user FROM ann; ROLLBACK TO s; COMMIT");
    cluster.sql("DO $$ BEGIN REVOKE azure_ad_user FROM ann; RAISE 'no'; EXCEPTION WHEN others THEN END $$");
    assert_eq!((RoleState::of(&cluster, "ann"), labels(&cluster, "ann")), (RoleState::linked(), before));
    let mut session = cluster.session("ann", &token_of(PERSON));
    assert!(session.query("SELECT 1").is_ok());
    let again = create_linked_role("ben", APPLICATION);
    cluster.sql(&format!("BEGIN; SAVEPOINT s; {again}; ROLLBACK TO s; {again}; RELEASE s; COMMIT"));
    assert_eq!(RoleState::of(&cluster, "ben"), RoleState::linked());
    assert!(session.query("SELECT 1").is_ok(), "nothing that was taken back has ended it");
}

#[test]
fn the_setting_of_single_server() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE local LOGIN");
    assert_eq!(cluster.sql("SHOW aad_validate_oids_in_tenant"), "on");
    let set = "SET ROLE local; SET aad_validate_oids_in_tenant = off; SHOW aad_validate_oids_in_tenant";
    assert!(cluster.sql(set).ends_with("off"), "anybody may set it");
    let output = cluster.sql_as("postgres", "ALTER SYSTEM SET aad_validate_oids_in_tenant = off");
    assert!(
        output.stderr.contains("ERROR:  parameter \"aad_validate_oids_in_tenant\" cannot be changed"),
        "{}",
        output.stderr
    );
    cluster.sql("ALTER ROLE local SET aad_validate_oids_in_tenant = off");
}

#[test]
fn other_hooks_see_the_statements() {
    let (cluster, _provider) = Scene::new()
        .preload("pg_stat_statements, azure_ad_auth".to_owned())
        .settings("pg_stat_statements.track_utility = on")
        .start();
    cluster.sql("CREATE EXTENSION pg_stat_statements");
    cluster.sql(&create_linked_role("ann", PERSON));
    cluster.sql("REVOKE azure_ad_user FROM ann");
    for statement in ["CREATE ROLE ann %", "REVOKE azure_ad_user FROM ann"] {
        let seen =
            format!("SELECT count(*) FROM pg_stat_statements WHERE query LIKE '{statement}' AND toplevel");
        assert_eq!(cluster.sql(&seen), "1", "{statement}");
    }
}
