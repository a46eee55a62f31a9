//! Statements that link and unlink, in the words of Azure's Single Server.

use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::expect::{admitted, ours};
use testbed::issuer::*;

use crate::link::linking::{ADMIN, ADMINISTRATOR, LINKED, UNLINKED, facts, fails, labels, session, token_of};
use crate::{link, scene};

/// A statement that links a role to an object, as Microsoft's own tools send it.
fn create(role: &str, object: &str) -> String {
    format!(
        "SET aad_validate_oids_in_tenant = off; CREATE ROLE {role} WITH LOGIN PASSWORD '{object}' IN ROLE azure_ad_user"
    )
}

fn linked_to(cluster: &Cluster, role: &str) -> String {
    cluster.sql(&format!("SELECT object_id FROM azure_ad_auth.principals WHERE role_name = '{role}'"))
}

#[test]
fn a_role_created_in_azure_ad_user_is_linked() {
    let (cluster, _provider) = scene("");
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
        let facts = facts(&cluster, role);
        assert_eq!(facts.replace(", readers by postgres false", ""), LINKED, "{statement}");
        assert_eq!(labels(&cluster, role), format!("pgaadauth: aadauth,oid={PERSON},tenant_id={TENANT}"));
        admitted(&cluster, role, &token_of(PERSON));
    }
    assert_eq!(cluster.sql("SELECT pg_has_role('a4', 'readers', 'MEMBER')"), "t");
    assert_eq!(cluster.sql("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'a3'"), "3");
    // The same by the extended protocol, and by a plan that is kept: its tree is not ours to change.
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
        assert_eq!(facts(&cluster, role), LINKED);
    }
}

#[test]
fn an_application_is_linked_by_the_client_id_in_place_of_a_password() {
    let (cluster, _provider) = scene("");
    cluster.sql(&create("myuser", CLIENT));
    admitted(&cluster, "myuser", &crate::KEY.token(&app_v1(unix_now())));
    let output = cluster.sql_as("postgres", &create("sleeper", PERSON).replace(" LOGIN", ""));
    let notice = "NOTICE:  role \"sleeper\" is not permitted to log in";
    assert!(output.success && output.stderr.contains(notice), "{}", output.stderr);
    let output =
        cluster.sql_as("postgres", &create("strong", PERSON).replace("LOGIN", "CREATEDB CREATEROLE LOGIN"));
    assert!(output.success, "{}", output.stderr);
    assert_eq!(facts(&cluster, "strong"), LINKED.replace("|t|f|f|t", "|t|t|t|t"));
}

#[test]
fn an_object_id_is_no_password() {
    let (cluster, _provider) = scene("");
    cluster.sql(&create("ann", PERSON));
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_authid WHERE rolpassword IS NOT NULL"), "0");
    // Roles that are none of ours have the passwords they are given, whatever these look like.
    cluster.sql(&format!("CREATE ROLE local LOGIN PASSWORD '{PERSON}'; CREATE ROLE team; CREATE ROLE b PASSWORD 'x' IN ROLE team"));
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_authid WHERE rolpassword IS NOT NULL"), "2");
    assert_eq!(
        cluster.client().login(&[("user", "local"), ("database", "postgres")], PERSON),
        Outcome::Ready
    );
}

#[test]
fn a_statement_that_names_no_object_says_which_do() {
    let (cluster, _provider) = scene("");
    let no_object = "role \"x y\" cannot be a member of role \"azure_ad_user\" because it is not linked to a directory object";
    let hint = "HINT:  Give the object id: SET aad_validate_oids_in_tenant = off; CREATE ROLE \"x y\" LOGIN PASSWORD '<object id>' \
                IN ROLE azure_ad_user; or: SELECT azure_ad_auth.create_principal('x y', '<object id>', 'user');";
    for statement in [
        "CREATE ROLE \"x y\" LOGIN IN ROLE azure_ad_user",
        "CREATE USER \"x y\" PASSWORD NULL IN ROLE azure_ad_user",
        "SET aad_validate_oids_in_tenant = off; CREATE USER \"x y\" IN ROLE azure_ad_user",
    ] {
        fails(&cluster, statement, no_object, hint);
        fails(
            &cluster,
            statement,
            no_object,
            "DETAIL:  The directory cannot be asked for the object id of a name.",
        );
    }
    fails(
        &cluster,
        &create("x", PERSON).replace("= off", "= on"),
        "the object id of role \"x\" cannot be validated because the directory cannot be asked",
        "HINT:  To take it as it is: SET aad_validate_oids_in_tenant = off;",
    );
    for password in
        ["secret", "", "22222222-aaaa-bbbb-cccc-00000000000", "{22222222-aaaa-bbbb-cccc-000000000002}"]
    {
        for setting in ["on", "off"] {
            let statement = create("x", password).replace("= off", &format!("= {setting}"));
            let hint = "HINT:  PASSWORD takes the id of the directory object that the role is to be linked to, a uuid.";
            fails(&cluster, &statement, "Azure AD role \"x\" cannot have a password", hint);
        }
    }
    let twice = create("x", PERSON).replace("PASSWORD", "PASSWORD 'a' PASSWORD");
    fails(&cluster, &twice, "Azure AD role \"x\" cannot have a password", "");
    for privilege in ["SUPERUSER", "REPLICATION", "BYPASSRLS"] {
        let statement = create("x", PERSON).replace("LOGIN", privilege);
        fails(
            &cluster,
            &statement,
            "role \"x\" cannot be linked to a directory object",
            "HINT:  ALTER ROLE x NOSUPERUSER",
        );
    }
    let both = create("x", PERSON) + ", azure_ad_admin";
    fails(
        &cluster,
        &both,
        "role \"azure_ad_admin\" is not granted by GRANT",
        "HINT:  To make it an administrator: SELECT azure_ad_auth.create_principal('x'",
    );
    cluster.sql("CREATE ROLE local");
    for members in [" ROLE local", " ADMIN local"] {
        fails(
            &cluster,
            &(create("x", PERSON) + members),
            "role \"x\" cannot be linked because role \"local\" is a member of it",
            "HINT:  Link it first: SELECT azure_ad_auth.create_principal('local', '<object id>');",
        );
    }
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname IN ('x', 'x y')"), "0");
    fails(&cluster, &create("local", PERSON), "role \"local\" already exists", "");
    cluster.sql("ALTER SYSTEM SET azure_ad_auth.tenant_id = ''");
    cluster.reload();
    fails(&cluster, &create("x", PERSON), "no Azure AD tenant is configured", "azure_ad_auth.tenant_id");
}

#[test]
fn names_that_postgresql_would_cut_are_refused() {
    let (cluster, _provider) = scene("");
    let fits = "f".repeat(63);
    let odd = format!("o\"{}", "d".repeat(61));
    let wide = "ä".repeat(31) + "x";
    for name in [&fits, &odd, &wide] {
        cluster.sql(&create(&format!("\"{}\"", name.replace('"', "\"\"")), PERSON));
        admitted(&cluster, name, &token_of(PERSON));
    }
    for name in
        ["t".repeat(64), format!("\"{}\"", "q".repeat(64)), format!("\"{}\"", "ö".repeat(32)), "U".repeat(70)]
    {
        let shown: String = name.trim_matches('"').chars().take(31).collect::<String>().to_lowercase();
        let output = cluster.sql_as("postgres", &create(&name, PERSON));
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
    // Cut, it would be another role that is there.
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
    assert_eq!(facts(&cluster, &other), UNLINKED);
    cluster.sql(&label(&other));
    assert_eq!(facts(&cluster, &other), LINKED);
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
    assert_eq!(facts(&cluster, &other), LINKED);
    cluster.sql(&format!("ALTER ROLE {other} RENAME TO {}", "p".repeat(63)));
    // What has nothing to do with links is core's.
    cluster.sql(&format!("CREATE ROLE {}", "l".repeat(64)));
}

#[test]
fn whoever_asked_for_it_takes_it_back() {
    let (cluster, _provider) = scene("");
    cluster.sql(&format!("BEGIN; {}; ROLLBACK", create("ann", PERSON)));
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'ann'"), "0");
    link(&cluster, "ann", PERSON, "user");
    let before = labels(&cluster, "ann");
    cluster.sql("BEGIN; REVOKE azure_ad_user FROM ann; ROLLBACK");
    cluster.sql("BEGIN; SAVEPOINT s; REVOKE azure_ad_user FROM ann; ROLLBACK TO s; COMMIT");
    cluster.sql("DO $$ BEGIN REVOKE azure_ad_user FROM ann; RAISE 'no'; EXCEPTION WHEN others THEN END $$");
    assert_eq!((facts(&cluster, "ann"), labels(&cluster, "ann")), (LINKED.to_owned(), before));
    let mut session = session(&cluster, "ann", PERSON);
    assert!(session.query("SELECT 1").is_ok());
    let again = create("ben", APPLICATION);
    cluster.sql(&format!("BEGIN; SAVEPOINT s; {again}; ROLLBACK TO s; {again}; RELEASE s; COMMIT"));
    assert_eq!(facts(&cluster, "ben"), LINKED);
    assert!(session.query("SELECT 1").is_ok(), "nothing that was taken back has ended it");
}

#[test]
fn revoke_unlinks() {
    let (cluster, _provider) = scene("");
    cluster.sql("CREATE ROLE readers");
    for (n, statement) in [
        "REVOKE azure_ad_user FROM ann",
        "REVOKE \"azure_ad_user\" FROM ann GRANTED BY postgres CASCADE",
        "ALTER GROUP azure_ad_user DROP USER ann",
        "REVOKE readers, azure_ad_user FROM ann, other",
        "DO $$ BEGIN REVOKE azure_ad_user FROM ann; END $$",
        "SET ROLE ann; SET ROLE postgres; REVOKE azure_ad_user FROM ann RESTRICT",
    ]
    .into_iter()
    .enumerate()
    {
        link(&cluster, "ann", PERSON, "user");
        link(&cluster, "other", APPLICATION, "user");
        cluster.sql("GRANT readers TO ann, other");
        let mut open = session(&cluster, "ann", PERSON);
        assert!(open.query("SELECT 1").is_ok());
        let output = cluster.sql_as("postgres", statement);
        assert!(output.success && !output.stderr.contains("WARNING"), "{statement}: {}", output.stderr);
        assert_eq!(
            facts(&cluster, "ann").replace("readers by postgres false", "no member"),
            UNLINKED,
            "{statement}"
        );
        assert_eq!(labels(&cluster, "ann"), "");
        let ended = testbed::cluster::eventually(|| open.query("SELECT 1").is_err());
        assert!(ended, "the session goes on");
        let both = n == 3;
        assert_eq!(labels(&cluster, "other").is_empty(), both);
        assert_eq!(cluster.sql("SELECT pg_has_role('other', 'readers', 'MEMBER')") == "f", both);
        cluster.sql("REVOKE readers FROM ann");
    }
    // Linked anew to another object, as after somebody was created anew in the directory.
    link(&cluster, "ann", APPLICATION, "user");
    cluster.sql("GRANT azure_ad_user TO ann");
    assert_eq!(linked_to(&cluster, "ann"), APPLICATION);
    // An administrator too, and with the only one the server's association.
    let output = cluster.sql_as("postgres", "REVOKE azure_ad_user FROM admin");
    assert!(output.stderr.contains("NOTICE:  Azure AD authentication is disabled"), "{}", output.stderr);
    assert_eq!(facts(&cluster, "admin"), UNLINKED);
    // Named twice is named.
    cluster.sql("GRANT azure_ad_user TO ann, ann");
    assert_eq!(facts(&cluster, "ann").replace(", readers by postgres false", ""), LINKED);
    cluster.sql("REVOKE azure_ad_user FROM ann, ann");
    assert_eq!(labels(&cluster, "ann"), "");
    // Who is none of ours is core's to speak about.
    let output = cluster.sql_as("postgres", "REVOKE azure_ad_user FROM readers");
    assert!(output.success && output.stderr.contains("WARNING:  role \"readers\" "), "{}", output.stderr);
    fails(&cluster, "REVOKE azure_ad_user FROM nobody", "role \"nobody\" does not exist", "");
}

#[test]
fn revoking_options_takes_nothing() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    let mut statements = vec!["REVOKE ADMIN OPTION FOR azure_ad_user FROM ann"];
    if cluster.workshop.installation.major >= 16 {
        statements.extend([
            "REVOKE INHERIT OPTION FOR azure_ad_user FROM ann",
            "REVOKE SET OPTION FOR azure_ad_user FROM ann",
            "GRANT azure_ad_user TO ann WITH INHERIT FALSE, SET FALSE, ADMIN TRUE",
        ]);
    }
    for statement in statements {
        cluster.sql(statement);
        assert_eq!(facts(&cluster, "ann"), LINKED, "{statement}");
        if cluster.workshop.installation.major >= 16 {
            let options =
                "SELECT inherit_option, set_option FROM pg_auth_members WHERE member = 'ann'::regrole";
            assert_eq!(cluster.sql(options), "t|t", "{statement}");
        }
    }
    admitted(&cluster, "ann", &token_of(PERSON));
}

#[test]
fn grant_completes_what_a_label_says_and_nothing_else() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('admin2', '{PERSON}', 'user', true)"));
    // As a dump that was restored half leaves it.
    crate::tamper(
        &cluster,
        "DELETE FROM pg_auth_members WHERE member IN ('ann'::regrole, 'admin2'::regrole); \
         DELETE FROM pg_db_role_setting WHERE setrole = 'ann'::regrole; \
         UPDATE pg_authid SET rolpassword = 'md5' || md5('x') WHERE rolname = 'ann'",
    );
    cluster.sql("CREATE ROLE readers; CREATE ROLE local PASSWORD 'x'");
    let before = labels(&cluster, "ann");
    let output = cluster.sql_as("postgres", "GRANT readers, azure_ad_user TO ann");
    assert!(output.stderr.contains("NOTICE:  the password of role \"ann\" was removed"), "{}", output.stderr);
    assert_eq!(facts(&cluster, "ann").replace(", readers by postgres false", ""), LINKED);
    assert_eq!(labels(&cluster, "ann"), before);
    cluster.sql("GRANT azure_ad_admin TO admin2");
    assert_eq!(facts(&cluster, "admin2"), ADMINISTRATOR);
    crate::tamper(&cluster, "DELETE FROM pg_auth_members WHERE member = 'ann'::regrole");
    cluster.sql("ALTER GROUP azure_ad_user ADD USER ann");
    assert_eq!(facts(&cluster, "ann"), LINKED);
    let hint = "HINT:  Link it first: SELECT azure_ad_auth.create_principal('local', '<object id>'); or: SECURITY LABEL FOR pgaadauth";
    for (statement, role) in [
        ("GRANT azure_ad_user TO local", "azure_ad_user"),
        ("GRANT readers, azure_ad_user TO ann, local", "azure_ad_user"),
        ("ALTER GROUP azure_ad_user ADD USER ann, local", "azure_ad_user"),
        ("GRANT azure_ad_admin TO local", "azure_ad_admin"),
        (
            "SECURITY LABEL FOR pgaadauth ON ROLE local IS 'aadauth'; GRANT azure_ad_user TO local",
            "azure_ad_user",
        ),
    ] {
        let message = format!(
            "role \"local\" cannot be a member of role \"{role}\" because it is not linked to a directory object"
        );
        let administers = "HINT:  To make it an administrator: SELECT azure_ad_auth.create_principal('local', '<object id>', 'user', is_admin => true);";
        fails(&cluster, statement, &message, if role == "azure_ad_admin" { administers } else { hint });
    }
    fails(&cluster, "GRANT azure_ad_user TO nobody", "role \"nobody\" does not exist", "");
    assert_eq!(cluster.sql("SELECT pg_has_role('local', 'readers', 'MEMBER')"), "f", "all or nothing");
    assert_eq!(cluster.sql("SELECT rolpassword IS NOT NULL FROM pg_authid WHERE rolname = 'local'"), "t");
}

#[test]
fn the_setting_of_single_server() {
    let (cluster, _provider) = scene("");
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
    let (cluster, _provider) = crate::scene_with(testbed::cluster::Setup {
        preload: Some("pg_stat_statements, azure_ad_auth".to_owned()),
        settings: "pg_stat_statements.track_utility = on".to_owned(),
        ..testbed::cluster::Setup::default()
    });
    cluster.sql("CREATE EXTENSION pg_stat_statements");
    cluster.sql(&create("ann", PERSON));
    cluster.sql("REVOKE azure_ad_user FROM ann");
    for statement in ["CREATE ROLE ann %", "REVOKE azure_ad_user FROM ann"] {
        let seen =
            format!("SELECT count(*) FROM pg_stat_statements WHERE query LIKE '{statement}' AND toplevel");
        assert_eq!(cluster.sql(&seen), "1", "{statement}");
    }
}

#[test]
fn an_old_snapshot_hides_nothing_from_a_link() {
    let (cluster, _provider) = scene("");
    cluster.sql("CREATE ROLE ann LOGIN");
    cluster.sql("CREATE DATABASE second");
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let mut client = cluster.superuser();
        for statement in
            [format!("BEGIN ISOLATION LEVEL {level}"), "SELECT count(*) FROM pg_authid".to_owned()]
        {
            assert!(client.query(&statement).is_ok());
        }
        // What others do now, its queries do not see.
        cluster.sql("ALTER ROLE ann PASSWORD 'x'; ALTER ROLE ann IN DATABASE second SET session_preload_libraries = 'auto_explain'");
        let statement = format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')");
        let result = client.query(&statement);
        assert!(result.is_ok(), "{level}: {result:?}");
        assert!(client.query("COMMIT").is_ok());
        assert_eq!(facts(&cluster, "ann"), LINKED);
        let guards = "SELECT count(*) FROM pg_db_role_setting WHERE setrole = 'ann'::regrole AND setconfig::text ~ 'azure_ad_auth'";
        assert_eq!(cluster.sql(guards), "2", "{level}");
        cluster.sql("REVOKE azure_ad_user FROM ann; ALTER ROLE ann IN DATABASE second RESET ALL");
    }
    // Nor that the two roles are in use.
    let (other, _provider) = scene("");
    other.sql("SELECT azure_ad_auth.drop_principal('admin')");
    let mut client = other.superuser();
    for statement in ["BEGIN ISOLATION LEVEL SERIALIZABLE", "SELECT count(*) FROM pg_authid"] {
        assert!(client.query(statement).is_ok());
    }
    other.sql(&format!("SELECT azure_ad_auth.set_admin('admin', '{ADMIN}')"));
    let error = client.query("ALTER ROLE azure_ad_user RENAME TO x").expect_err("renamed");
    assert_eq!(
        error.message,
        "role \"azure_ad_user\" cannot be renamed while roles are linked to directory objects"
    );
}

#[test]
fn where_nothing_can_be_written_core_says_so() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    for (statement, command) in [
        (create("x", PERSON), "CREATE ROLE"),
        ("REVOKE azure_ad_user FROM ann".to_owned(), "REVOKE ROLE"),
        (format!("SELECT azure_ad_auth.update_principal('ann', '{APPLICATION}')"), "update_principal()"),
        ("SELECT azure_ad_auth.drop_principal('ann')".to_owned(), "drop_principal()"),
    ] {
        let statement = format!("BEGIN READ ONLY; {statement}");
        fails(&cluster, &statement, &format!("cannot execute {command} in a read-only transaction"), "");
    }
    assert_eq!(facts(&cluster, "ann"), LINKED);
    assert!(!ours(&cluster.log()).contains("PANIC"));
}

#[test]
fn a_linked_role_keeps_its_link_under_another_name_and_takes_no_password() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    let before = labels(&cluster, "ann");
    cluster.sql("ALTER ROLE ann RENAME TO \"ann smith\"; ALTER ROLE \"ann smith\" PASSWORD NULL");
    assert_eq!(
        (facts(&cluster, "ann smith"), labels(&cluster, "\"ann smith\"")),
        (LINKED.to_owned(), before)
    );
    admitted(&cluster, "ann smith", &token_of(PERSON));
    for password in ["secret", PERSON] {
        let statement =
            format!("SET aad_validate_oids_in_tenant = off; ALTER ROLE \"ann smith\" PASSWORD '{password}'");
        let message = "role \"ann smith\" is linked to a directory object and cannot have a password";
        fails(&cluster, &statement, message, "DETAIL:  It logs in with an access token or not at all.");
    }
}

#[test]
fn one_revoke_takes_the_grants_of_every_grantor() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    if cluster.workshop.installation.major >= 16 {
        // As a server without the library lets two superusers leave it.
        crate::tamper(
            &cluster,
            "INSERT INTO pg_auth_members SELECT (SELECT max(oid::bigint) + 1 FROM pg_auth_members)::oid, roleid, member, \
             'azure_ad_admin'::regrole, true, false, false FROM pg_auth_members WHERE member = 'ann'::regrole",
        );
        let rows = "SELECT count(*) FROM pg_auth_members WHERE member = 'ann'::regrole";
        assert_eq!(cluster.sql(rows), "2");
    }
    cluster.sql("REVOKE azure_ad_user FROM ann");
    assert_eq!(facts(&cluster, "ann"), UNLINKED);
}
