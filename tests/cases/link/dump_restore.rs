//! A dump of this server, restored elsewhere.

use std::fs;

use testbed::client::Outcome;
use testbed::expect::admitted;
use testbed::issuer::{APPLICATION, GROUP, PERSON, TENANT, app_v1, unix_now};
use testbed::scene::{ADMIN, KEY, Scene};
use testbed::waits::eventually;

use crate::common::dumps::{FACTS, flexible_dump, server_without_extension};
use crate::common::login::{token_of, valid_token};
use crate::common::server::run_script;
use crate::common::statements::{SECOND_ADMIN, link, run_all};

#[test]
fn a_dump_restores_whole_without_an_error() {
    let (old, _provider) = Scene::new().start();
    for (role, object, kind) in
        [("ann", PERSON, "user"), ("dbas", GROUP, "group"), ("robot", APPLICATION, "service")]
    {
        link(&old, role, object, kind);
    }
    old.sql("CREATE ROLE readers; GRANT readers TO ann");
    old.sql("CREATE DATABASE second");
    old.sql("ALTER ROLE ann IN DATABASE second SET work_mem = '1MB'; ALTER ROLE dbas SET work_mem = '2MB'");
    old.sql("ALTER ROLE dbas IN DATABASE second SET session_preload_libraries = 'auto_explain'");
    let mut admin = old.session("admin", &token_of(ADMIN));
    let create = format!("SELECT azure_ad_auth.create_principal('made', '{PERSON}', 'user')");
    run_all(&mut admin, &[&create, "CREATE ROLE team", "GRANT team TO made"]);
    drop(admin);
    let mut dump = old.installation().command("pg_dumpall");
    dump.arg("-h").arg(old.folder().path()).args(["-p", &old.port.to_string(), "-U", "postgres"]);
    let dump = dump.output().expect("pg_dumpall");
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    // The only role that exists already.
    let dump = String::from_utf8_lossy(&dump.stdout).replace("CREATE ROLE postgres;\n", "");

    let (new, _provider) = server_without_extension();
    let output = run_script(&new, &dump);
    assert!(output.success, "{}", output.stderr);
    assert_eq!(new.sql(FACTS), old.sql(FACTS));
    assert_eq!(new.sql("SELECT count(*) FROM azure_ad_auth.repair()"), "0", "nothing is left to complete");
    new.await_keys();
    let token = valid_token();
    admitted(&new, "ann", &token);
    admitted(&new, "dbas", &token);
    admitted(&new, "robot", &KEY.token(&app_v1(unix_now())));
    admitted(&new, "made", &token);
    // The restored role is managed by the administrators.
    new.sql(&format!("SELECT azure_ad_auth.set_admin('admin2', '{SECOND_ADMIN}')"));
    let mut admin = new.session("admin2", &token_of(SECOND_ADMIN));
    run_all(
        &mut admin,
        &[
            &format!("SELECT azure_ad_auth.update_principal('made', '{APPLICATION}')"),
            "REVOKE team FROM made",
            "ALTER ROLE team CREATEDB",
            "SELECT azure_ad_auth.drop_principal('made')",
            "DROP ROLE made, team",
        ],
    );
}

#[test]
fn roles_alone_are_completed_by_the_extension() {
    let (old, _provider) = Scene::new().start();
    link(&old, "ann", PERSON, "user");
    let mut dump = old.installation().command("pg_dumpall");
    dump.arg("-r").arg("-h").arg(old.folder().path()).args(["-p", &old.port.to_string(), "-U", "postgres"]);
    let dump = dump.output().expect("pg_dumpall");
    let dump = String::from_utf8_lossy(&dump.stdout).replace("CREATE ROLE postgres;\n", "");

    let (new, _provider) = server_without_extension();
    let output = run_script(&new, &dump);
    assert!(output.success, "{}", output.stderr);
    new.sql("CREATE EXTENSION azure_ad_auth");
    assert_eq!(new.sql(FACTS), old.sql(FACTS));
    new.await_keys();
    admitted(&new, "ann", &valid_token());
}

#[test]
fn an_administrator_who_was_created_by_another_comes_without_that_grant() {
    let (new, _provider) = server_without_extension();
    let dump = flexible_dump()
        + &format!(
            "CREATE ROLE deputy LOGIN CREATEROLE CREATEDB;\nSECURITY LABEL FOR pgaadauth ON ROLE deputy IS 'aadauth,admin';\n\
             SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE deputy IS 'type=user,oid={SECOND_ADMIN},tenant_id={TENANT}';\n\
             GRANT deputy TO \"admin@contoso.example\" WITH ADMIN OPTION;\n"
        );
    assert!(run_script(&new, &dump).success);
    let output = new.sql_as("postgres", "CREATE EXTENSION azure_ad_auth");
    let hint = "HINT:  REVOKE deputy FROM \"admin@contoso.example\";";
    assert!(output.stderr.contains(hint), "{}", output.stderr);
    new.sql("REVOKE deputy FROM \"admin@contoso.example\"; CREATE EXTENSION azure_ad_auth");
    assert_eq!(new.sql("SELECT count(*) FROM azure_ad_auth.principals WHERE is_admin"), "2");
}

#[test]
fn the_two_roles_are_protected_while_a_dump_is_restored() {
    let (new, _provider) = server_without_extension();
    assert!(run_script(&new, &flexible_dump()).success);
    fs::remove_file(new.path("dump.sql")).expect("the dump");
    for role in ["azure_ad_user", "azure_ad_admin"] {
        // Created by the role that restores, before the extension exists.
        assert!(run_script(&new, &format!("CREATE ROLE {role}; ALTER ROLE {role} WITH NOLOGIN;")).success);
        let output = run_script(&new, &format!("ALTER ROLE {role} LOGIN"));
        let message =
            format!("ERROR:  role \"{role}\" cannot be changed while roles are linked to directory objects");
        assert!(output.stderr.contains(&message), "{}", output.stderr);
    }
}

#[test]
fn a_standby_applies_what_statements_unlink() {
    let (primary, provider) = Scene::new().settings("wal_level = replica\nhot_standby = on").start();
    let standby = primary.standby();
    standby.start();
    standby.await_keys();
    let token = valid_token();
    let link = format!(
        "SET aad_validate_oids_in_tenant = off; CREATE USER ann PASSWORD '{PERSON}' IN ROLE azure_ad_user"
    );
    primary.sql(&link);
    assert!(eventually(|| standby.login("ann", &token) == Outcome::Ready), "as soon as it is replayed");
    admitted(&standby, "ann", &token);
    for (statement, command) in
        [(link.as_str(), "CREATE ROLE"), ("REVOKE azure_ad_user FROM ann", "REVOKE ROLE")]
    {
        let output = standby.sql_as("postgres", statement);
        let message = format!("ERROR:  cannot execute {command} in a read-only transaction");
        assert!(output.stderr.contains(&message), "{}", output.stderr);
    }
    primary.sql("REVOKE azure_ad_user FROM ann");
    assert!(eventually(|| matches!(standby.login("ann", &token), Outcome::Refused(_))));
    drop(provider);
}
