//! The guard of a linked role: the setting in pg_db_role_setting, how it is renewed and restored.

use testbed::client::Outcome;
use testbed::cluster::{Cluster, Configuration};
use testbed::issuer::PERSON;
use testbed::scene::Scene;

use crate::common::guard::{GUARD, first_answer, role_settings};
use crate::common::server::{module, run_script};
use crate::common::statements::{link, tamper};

/// Replaces the guard of a role with one of the first kind, whose libraries are copied from the
/// server.
fn put_first_kind(cluster: &Cluster, role: &str, libraries: &str) {
    tamper(
        cluster,
        &format!(
            "UPDATE pg_db_role_setting SET setconfig = ARRAY['session_preload_libraries=azure_ad_auth{libraries}'] \
             WHERE setrole = '{role}'::regrole AND setdatabase = 0"
        ),
    );
}

/// Returns what check_configuration() says about a role.
fn said_of(cluster: &Cluster, role: &str) -> String {
    cluster.sql(&format!(
        "SELECT level || ' ' || message FROM azure_ad_auth.check_configuration() \
         WHERE topic = 'roles' AND message LIKE '%\"{role}\"%' ORDER BY 1"
    ))
}

const OLD_GUARD: &str = "has a guard of an earlier version, or an incomplete one, which keeps its sessions from loading libraries that other sessions load";

#[test]
fn guards_of_the_first_kind_are_renewed_by_repair() {
    let (cluster, _provider) = Scene::new().start();
    let path = module(&cluster, "witness", "gone");
    for role in ["ann", "ben", "cem"] {
        link(&cluster, role, PERSON, "user");
    }
    cluster.set("session_preload_libraries", "auto_explain");
    cluster.sql("ALTER ROLE ben IN DATABASE postgres SET work_mem = '1MB'");
    put_first_kind(&cluster, "ann", ", auto_explain");
    // The server no longer has a library. It cannot be distinguished from one that was set for the
    // role.
    put_first_kind(&cluster, "ben", &format!(", auto_explain, \"{path}\""));
    assert_eq!(said_of(&cluster, "ann"), format!("warning role \"ann\" {OLD_GUARD}"));
    assert_eq!(said_of(&cluster, "ben"), format!("warning role \"ben\" {OLD_GUARD}"));
    assert_eq!(said_of(&cluster, "cem"), "");
    let done = cluster.sql("SELECT azure_ad_auth.repair()");
    let expected = [
        "renewed the guard of role \"ann\"".to_owned(),
        format!("renewed the guard of role \"ben\", which still loads \"{path}\""),
    ];
    assert_eq!(done.lines().collect::<Vec<_>>(), expected);
    assert_eq!(role_settings(&cluster, "ann"), format!("-: {GUARD}"));
    assert_eq!(
        role_settings(&cluster, "ben"),
        format!("-: {GUARD}, \"{path}\"\npostgres: work_mem=1MB; {GUARD}")
    );
    assert_eq!(said_of(&cluster, "ann") + &said_of(&cluster, "ben"), "");
    assert_eq!(cluster.sql("SELECT azure_ad_auth.repair()"), "");
    assert_eq!(first_answer(&cluster, "ann", "postgres", "SHOW auto_explain.log_min_duration"), "-1");
    // Everything that sets the guard does the same, and an unlinked role keeps no copies.
    put_first_kind(&cluster, "ann", ", auto_explain");
    cluster.sql("ALTER ROLE ann SET work_mem = '1MB'");
    assert_eq!(role_settings(&cluster, "ann"), format!("-: work_mem=1MB; {GUARD}"));
    put_first_kind(&cluster, "cem", ", auto_explain");
    cluster.sql("SELECT azure_ad_auth.drop_principal('cem')");
    assert_eq!(role_settings(&cluster, "cem"), "");
}

#[test]
fn one_rule_says_what_a_guard_is() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let open = "danger role \"ann\" has no guard: on a server without azure_ad_auth a trust line lets everybody in as it";
    let old = format!("warning role \"ann\" {OLD_GUARD}");
    for (row, said) in [
        // With a folder in its name it is another library.
        ("azure_ad_auth.guard=on,session_preload_libraries=/usr/lib/azure_ad_auth/audit.so", open),
        ("azure_ad_auth.guard=on,session_preload_libraries=/nowhere/azure_ad_auth", open),
        ("azure_ad_auth.guard=on", open),
        ("azure_ad_auth.guard=on,session_preload_libraries=\\\"$libdir/azure_ad_auth\\\"", ""),
        ("azure_ad_auth.guard=off,session_preload_libraries=azure_ad_auth", &old),
    ] {
        let row: Vec<_> = row.split(',').map(|setting| format!("\"{setting}\"")).collect();
        let row = row.join(",");
        tamper(
            &cluster,
            &format!("UPDATE pg_db_role_setting SET setconfig = '{{{row}}}' WHERE setrole = 'ann'::regrole"),
        );
        assert_eq!(said_of(&cluster, "ann"), said, "{row}");
        let repaired = cluster.sql("SELECT azure_ad_auth.repair()");
        assert_eq!(repaired.is_empty(), said.is_empty(), "{row}: {repaired}");
        assert_eq!(said_of(&cluster, "ann"), "", "{row}");
    }
}

#[test]
fn a_superuser_who_takes_the_guard_away_finds_it_again() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE DATABASE second");
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("ALTER ROLE ann IN DATABASE second SET work_mem = '1MB'");
    let whole = format!("-: {GUARD}\nsecond: work_mem=1MB; {GUARD}");
    assert_eq!(role_settings(&cluster, "ann"), whole);
    for statement in [
        "ALTER ROLE ann SET azure_ad_auth.guard = off",
        "ALTER ROLE ann IN DATABASE second SET azure_ad_auth.guard TO false",
        "ALTER ROLE ann RESET azure_ad_auth.guard",
        "ALTER ROLE ann IN DATABASE second RESET azure_ad_auth.guard",
        "ALTER ROLE ann RESET ALL",
        "ALTER ROLE ann RESET session_preload_libraries",
        "ALTER ROLE ann SET session_preload_libraries TO DEFAULT",
    ] {
        cluster.sql(statement);
        let same = |rows: &str| {
            let mut settings: Vec<_> = rows.split([';', '\n']).map(|part| part.trim().to_owned()).collect();
            settings.sort();
            settings
        };
        let now = role_settings(&cluster, "ann");
        assert_eq!(now.matches("azure_ad_auth.guard=on").count(), 2, "{statement}: {now}");
        assert_eq!(now.matches("libraries=azure_ad_auth").count(), 2, "{statement}: {now}");
        assert_eq!(same(&now).len(), same(&whole).len(), "{statement}: {now}");
    }
    cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
    assert_eq!(role_settings(&cluster, "ann"), "second: work_mem=1MB");
    // The guard is not a setting of a file either.
    let output = cluster.sql_verbosely("ALTER SYSTEM SET azure_ad_auth.guard = off");
    assert!(
        output.stderr.contains("parameter \"azure_ad_auth.guard\" cannot be changed"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_role_that_holds_the_guards_parameter_is_not_linked() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE holder LOGIN; GRANT SET ON PARAMETER azure_ad_auth.guard TO holder");
    let output =
        cluster.sql_verbosely(&format!("SELECT azure_ad_auth.create_principal('holder', '{PERSON}')"));
    let message = "ERROR:  42501: role \"holder\" is linked to a directory object and cannot have SET on parameter \"azure_ad_auth.guard\"";
    assert!(output.stderr.contains(message), "{}", output.stderr);
    let hint = "HINT:  REVOKE SET ON PARAMETER azure_ad_auth.guard FROM holder;";
    assert!(output.stderr.contains(hint), "{}", output.stderr);
    cluster.sql("REVOKE SET ON PARAMETER azure_ad_auth.guard FROM holder");
    link(&cluster, "holder", PERSON, "user");
}

/// Returns what pg_dumpall writes about the roles.
fn role_dump(cluster: &Cluster) -> String {
    let mut dump = cluster.installation().command("pg_dumpall");
    dump.args(["-r", "-U", "postgres", "-p", &cluster.port.to_string(), "-h"]).arg(cluster.folder().path());
    let output = dump.output().expect("pg_dumpall");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).replace("CREATE ROLE postgres;\n", "")
}

#[test]
fn a_dump_restores_the_guard_with_and_without_the_library() {
    // One role is before the two marker roles in the dump, one after them.
    let people = ["ann", "zoe"];
    let (old, provider) = Scene::new().settings("session_preload_libraries = 'auto_explain'").start();
    for role in people {
        link(&old, role, PERSON, "user");
        old.sql(&format!("ALTER ROLE {role} SET session_preload_libraries = 'auth_delay', 'auto_explain'"));
    }
    let dump = role_dump(&old);
    let facts: Vec<_> = people.iter().map(|role| role_settings(&old, role)).collect();
    assert_eq!(facts, [GUARD; 2].map(|guard| format!("-: {guard}, auth_delay, auto_explain")));
    // Libraries that were set for a role are kept, even those that the server's setting has too.
    let settings = format!(
        "azure_ad_auth.authority_url = '{}'\nsession_preload_libraries = 'auto_explain'",
        provider.url()
    );
    let new = Scene::new().settings(&settings).create();
    new.start();
    assert!(run_script(&new, &dump).success);
    new.sql("CREATE EXTENSION azure_ad_auth");
    assert_eq!(people.map(|role| role_settings(&new, role)).to_vec(), facts);
    assert_eq!(new.sql("SELECT azure_ad_auth.repair()"), "");
    // Without the library the labels have no provider and the rest is restored; the guard refuses
    // logins.
    let bare = Scene::new().settings(settings).preload("").create();
    bare.start();
    let labelled = |line: &&str| !line.starts_with("SECURITY LABEL");
    let output = run_script(&bare, &dump.lines().filter(labelled).collect::<Vec<_>>().join("\n"));
    assert!(output.success, "{}", output.stderr);
    assert_eq!(people.map(|role| role_settings(&bare, role)).to_vec(), facts);
    for role in people {
        match bare.client().login(&[("user", role), ("database", "postgres")], "") {
            Outcome::Refused(error) => {
                assert_eq!(error.message, "Azure AD authentication is not configured on this server");
            }
            other => panic!("{role} got in: {other:?}"),
        }
    }
    // With the library and the labels everything is as before.
    bare.configure(&Configuration::new());
    bare.restart();
    bare.sql(&dump.lines().filter(|line| line.starts_with("SECURITY LABEL")).collect::<Vec<_>>().join("\n"));
    bare.sql("CREATE EXTENSION azure_ad_auth");
    assert_eq!(people.map(|role| role_settings(&bare, role)).to_vec(), facts);
}
