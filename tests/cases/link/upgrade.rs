//! pg_upgrade.

use std::fs;
use std::io::Write as _;
use std::sync::Arc;
use std::thread;

use serde_json::json;
use testbed::cluster::Cluster;
use testbed::expect::admitted;
use testbed::idp::Provider;
use testbed::installation::Installation;
use testbed::issuer::{APPLICATION, GROUP, PERSON, app_v1, unix_now, user_v1, with};
use testbed::port::free_port;
use testbed::scene::{ADMIN, KEY, Scene};
use testbed::template::Template;

use crate::common::dumps::not_handed_over;
use crate::common::dumps::{FACTS, server_without_extension};
use crate::common::login::{token_of, valid_token};
use crate::common::revocation::{issued, revoked};
use crate::common::statements::{link, tamper};

/// Expects `pg_upgrade --check` to name the library if the new server does not preload it.
fn check_wants_the_library(new: &Cluster, upgrade: &impl Fn(&[&str]) -> (bool, String)) {
    let configuration = new.data().join("postgresql.conf");
    let whole = fs::read_to_string(&configuration).expect("postgresql.conf");
    fs::write(&configuration, whole.replace("shared_preload_libraries = 'azure_ad_auth'", ""))
        .expect("a file");
    let (fits, said) = upgrade(&["--check"]);
    assert!(!fits, "{said}");
    let list = said.lines().find(|line| line.ends_with("loadable_libraries.txt"));
    let list = list.unwrap_or_else(|| panic!("no list of libraries: {said}")).trim();
    let libraries = fs::read_to_string(list).expect("the list of libraries");
    for line in [
        "azure_ad_auth\": ERROR:  azure_ad_auth must be loaded via shared_preload_libraries",
        "HINT:  Add azure_ad_auth to shared_preload_libraries in postgresql.conf of the new server, and run pg_upgrade again.",
    ] {
        assert!(libraries.contains(line), "{libraries}");
    }
    fs::write(&configuration, whole).expect("a file");
    let (fits, said) = upgrade(&["--check"]);
    assert!(fits, "{said}");
}

/// The findings of check_configuration() that repair() removes.
const TO_REPAIR: &str = "SELECT level || ' ' || message FROM azure_ad_auth.check_configuration() \
    WHERE topic = 'roles' AND what_to_do LIKE '%repair()%' ORDER BY message";

const OLD_GUARD_OF_ROBOT: &str = "warning role \"robot\" has a guard of an earlier version, or an incomplete one, which keeps its sessions from loading libraries that other sessions load";

/// The objects whose tokens are revoked before the upgrade: those of one role, and all of one
/// object.
const REVOKED: [(&str, &str); 2] = [("cleo", PERSON), ("dave", "88888888-aaaa-bbbb-cccc-000000000008")];

/// Starts a server of the version to upgrade from, with links of all kinds.
fn linked_server(installation: &Installation) -> (Cluster, Provider) {
    let template = Arc::new(Template::new(installation.clone()));
    let (old, provider) = Scene::from_template(&template).start();
    let mut admin = old.session("admin", &token_of(ADMIN));
    for statement in [
        &format!("SELECT azure_ad_auth.create_principal('ann', '{PERSON}', 'user')"),
        "CREATE ROLE team",
        "SET aad_validate_oids_in_tenant = off",
        &format!("CREATE USER robot PASSWORD '{APPLICATION}' IN ROLE azure_ad_user"),
    ] {
        let result = admin.query(statement);
        assert!(result.is_ok(), "{statement}: {result:?}");
    }
    drop(admin);
    old.sql("ALTER ROLE ann IN DATABASE postgres SET work_mem = '1MB'; CREATE TABLE hers (); ALTER TABLE hers OWNER TO ann");
    for (role, object) in REVOKED {
        link(&old, role, object, "user");
    }
    old.sql("SELECT azure_ad_auth.revoke_tokens('cleo')");
    old.sql(&format!("SELECT azure_ad_auth.revoke_principal('{}')", REVOKED[1].1));
    (old, provider)
}

/// Expects `pg_upgrade --check` to name a role whose name has a line break, from PostgreSQL 19 on.
/// Then such a linked role is renamed, as docs/administration.md says.
fn check_wants_names_of_one_line(old: &Cluster, upgrade: &impl Fn(&[&str]) -> (bool, String)) {
    old.start();
    old.sql("ALTER ROLE ann RENAME TO \"an\nn\"");
    old.stop("fast");
    let (fits, said) = upgrade(&["--check"]);
    assert!(!fits && said.contains("with invalid characters (newline or carriage return)"), "{said}");
    old.start();
    old.sql("ALTER ROLE \"an\nn\" RENAME TO ann");
    old.stop("fast");
}

#[test]
fn pg_upgrade_keeps_everything() {
    let old = Installation::old();
    thread::scope(|scope| {
        for before in &old {
            // The name is shown if it fails.
            let run = thread::Builder::new().name(format!("from PostgreSQL {}", before.major));
            run.spawn_scoped(scope, || keeps_everything(before)).expect("a thread");
        }
    });
}

fn keeps_everything(before: &Installation) {
    let (old, _provider) = linked_server(before);
    let facts = old.sql(FACTS);
    // One role has a guard of the first kind, with a copy of the server's setting of that time.
    tamper(
        &old,
        "UPDATE pg_db_role_setting SET setconfig = '{\"session_preload_libraries=azure_ad_auth, auto_explain\"}' \
         WHERE setrole = 'robot'::regrole",
    );
    old.stop("fast");

    let (new, _provider) = server_without_extension();
    new.stop("fast");
    let after = new.installation().clone();
    if before.major < 18 && after.major >= 18 {
        // From 18 on initdb enables checksums, and pg_upgrade requires both servers to have the
        // same.
        let mut checksums = before.command("pg_checksums");
        let output = checksums.arg("--enable").arg("-D").arg(old.data()).output().expect("pg_checksums");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let upgrade = |options: &[&str]| {
        let mut upgrade = after.command("pg_upgrade");
        upgrade.arg("-b").arg(before.programs()).arg("-B").arg(after.programs());
        upgrade.arg("-d").arg(old.data()).arg("-D").arg(new.data()).arg("-s").arg(new.folder().path());
        upgrade.args(["-p", &free_port().to_string(), "-P", &free_port().to_string(), "-U", "postgres"]);
        let output = upgrade.args(options).current_dir(new.folder().path()).output().expect("pg_upgrade");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    check_wants_the_library(&new, &upgrade);
    if before.major < 19 && after.major >= 19 {
        check_wants_names_of_one_line(&old, &upgrade);
    }
    let (done, said) = upgrade(&[]);
    assert!(done, "{said}");
    let configuration = new.data().join("postgresql.conf");
    let mut file = fs::OpenOptions::new().append(true).open(&configuration).expect("postgresql.conf");
    file.write_all(b"session_preload_libraries = 'auto_explain'\n").expect("written");
    new.start();
    new.await_keys();
    // Roles that administrators created before 16 are granted to them.
    let marked = before.major < 16 && after.major >= 16;
    // Both repairs are announced before they are made.
    let to_do = || new.sql(TO_REPAIR);
    let mut expected = vec![OLD_GUARD_OF_ROBOT.to_owned()];
    if marked {
        expected.extend(["ann", "robot", "team"].map(not_handed_over));
    }
    let mut named: Vec<_> = to_do().lines().map(str::to_owned).collect();
    expected.sort();
    named.sort();
    assert_eq!(named, expected);
    let repaired = new.sql("SELECT azure_ad_auth.repair()");
    assert_eq!(repaired.lines().count(), if marked { 4 } else { 1 }, "{repaired}");
    assert!(repaired.contains("renewed the guard of role \"robot\""), "{repaired}");
    assert_eq!(to_do(), "");
    let unmarked = |facts: &str| {
        let handed_over = |line: &str| {
            line.ends_with("azure_ad_authmanaged") || line.ends_with("azure_ad_adminpostgrestrue")
        };
        let kept: Vec<_> = facts.lines().filter(|line| !handed_over(line)).collect();
        kept.join("\n")
    };
    assert_eq!(unmarked(&new.sql(FACTS)), unmarked(&facts));
    admitted(&new, "ann", &valid_token());
    admitted(&new, "robot", &KEY.token(&app_v1(unix_now())));
    for (role, object) in REVOKED {
        let claims = with(user_v1(unix_now()), "oid", json!(object));
        revoked(&new, role, &KEY.token(&issued(claims, 600)));
    }
    let mut admin = new.session("admin", &token_of(ADMIN));
    for statement in [
        "ALTER ROLE team CREATEDB".to_owned(),
        format!("SELECT azure_ad_auth.create_principal('team', '{GROUP}', 'group')"),
        "DROP ROLE team".to_owned(),
        "SELECT azure_ad_auth.drop_principal('ann')".to_owned(),
    ] {
        let result = admin.query(&statement);
        assert!(result.is_ok(), "{statement}: {result:?}");
    }
}
