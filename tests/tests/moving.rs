//! Roles that come from elsewhere: a dump of this server, a role dump of Azure's Flexible Server.

use std::fs;
use std::io::Write as _;
use std::sync::Arc;

use trial::client::{Outcome, PsqlOutput, RawClient};
use trial::cluster::{Cluster, Installation, Setup, Workshop, eventually, free_port};
use trial::expect::admitted;
use trial::idp::Provider;
use trial::issuer::*;

use crate::links::{ADMIN, SECOND_ADMIN, session};
use crate::{KEY, WORKSHOP, link, provider, scene, tamper};

/// Everything that links, and that follows from a link, as text.
const FACTS: &str = "SELECT string_agg(line, E'\\n' ORDER BY line) FROM ( \
    SELECT 'role ' || rolname || rolcanlogin || rolcreaterole || rolcreatedb || (rolpassword IS NULL) AS line \
    FROM pg_authid WHERE rolname !~ '^pg_' \
    UNION ALL SELECT 'label ' || objoid::regrole || provider || label FROM pg_shseclabel \
    UNION ALL SELECT 'member ' || roleid::regrole || member::regrole || grantor::regrole || admin_option \
    FROM pg_auth_members WHERE roleid::regrole::text !~ '^pg_' \
    UNION ALL SELECT 'setting ' || setrole::regrole || coalesce(datname, '') || unnest(setconfig) \
    FROM pg_db_role_setting LEFT JOIN pg_database d ON d.oid = setdatabase) _";

/// A server nobody has done anything on.
fn fresh_house() -> (Cluster, Provider) {
    let provider = provider();
    let settings = format!("azure_ad_auth.authority_url = '{}'", provider.url());
    let cluster = Cluster::new(&WORKSHOP, &Setup { settings, ..Setup::default() });
    cluster.start();
    (cluster, provider)
}

/// Runs a script that must not meet a single error.
pub(crate) fn restore(cluster: &Cluster, script: &str) -> PsqlOutput {
    let file = cluster.folder().write("dump.sql", script);
    let mut psql = cluster.workshop.installation.command("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres", "-f"])
        .arg(file)
        .env("PGHOST", cluster.folder().path())
        .env("PGPORT", cluster.port.to_string());
    let output = psql.output().expect("psql");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    PsqlOutput {
        success: output.status.success(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

#[test]
fn a_dump_restores_whole_without_an_error() {
    let (old, _provider) = scene("");
    for (role, object, kind) in
        [("ann", PERSON, "user"), ("dbas", GROUP, "group"), ("robot", APPLICATION, "service")]
    {
        link(&old, role, object, kind);
    }
    old.sql("CREATE ROLE readers; GRANT readers TO ann");
    old.sql("CREATE DATABASE second");
    old.sql("ALTER ROLE ann IN DATABASE second SET work_mem = '1MB'; ALTER ROLE dbas SET work_mem = '2MB'");
    old.sql("ALTER ROLE dbas IN DATABASE second SET session_preload_libraries = 'auto_explain'");
    let mut admin = session(&old, "admin", ADMIN);
    let create = format!("SELECT azure_ad_auth.create_principal('made', '{PERSON}', 'user')");
    run_all(&mut admin, &[&create, "CREATE ROLE team", "GRANT team TO made"]);
    drop(admin);
    let mut dump = old.workshop.installation.command("pg_dumpall");
    dump.arg("-h").arg(old.folder().path()).args(["-p", &old.port.to_string(), "-U", "postgres"]);
    let dump = dump.output().expect("pg_dumpall");
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    // The one role that is there already.
    let dump = String::from_utf8_lossy(&dump.stdout).replace("CREATE ROLE postgres;\n", "");

    let (new, _provider) = fresh_house();
    let output = restore(&new, &dump);
    assert!(output.success, "{}", output.stderr);
    assert_eq!(new.sql(FACTS), old.sql(FACTS));
    assert_eq!(new.sql("SELECT count(*) FROM azure_ad_auth.repair()"), "0", "nothing is left to complete");
    new.await_keys();
    let token = KEY.token(&user_v1(unix_now()));
    admitted(&new, "ann", &token);
    admitted(&new, "dbas", &token);
    admitted(&new, "robot", &KEY.token(&app_v1(unix_now())));
    admitted(&new, "made", &token);
    // And belongs to whoever administers.
    new.sql(&format!("SELECT azure_ad_auth.set_admin('admin2', '{SECOND_ADMIN}')"));
    let mut admin = session(&new, "admin2", SECOND_ADMIN);
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

fn run_all(client: &mut RawClient, statements: &[&str]) {
    for statement in statements {
        let result = client.query(statement);
        assert!(result.is_ok(), "{statement}: {result:?}");
    }
}

#[test]
fn roles_alone_are_completed_by_the_extension() {
    let (old, _provider) = scene("");
    link(&old, "ann", PERSON, "user");
    let mut dump = old.workshop.installation.command("pg_dumpall");
    dump.arg("-r").arg("-h").arg(old.folder().path()).args(["-p", &old.port.to_string(), "-U", "postgres"]);
    let dump = dump.output().expect("pg_dumpall");
    let dump = String::from_utf8_lossy(&dump.stdout).replace("CREATE ROLE postgres;\n", "");

    let (new, _provider) = fresh_house();
    let output = restore(&new, &dump);
    assert!(output.success, "{}", output.stderr);
    new.sql("CREATE EXTENSION azure_ad_auth");
    assert_eq!(new.sql(FACTS), old.sql(FACTS));
    new.await_keys();
    admitted(&new, "ann", &KEY.token(&user_v1(unix_now())));
}

/// What `pg_dumpall -r` writes of a Flexible Server's roles: two labels each, no role azure_ad_user.
fn flexible_dump() -> String {
    let role = |name: &str, attributes: &str, label: &str, kind: &str, object: &str| {
        format!(
            "CREATE ROLE \"{name}\";\n\
             ALTER ROLE \"{name}\" WITH NOSUPERUSER INHERIT {attributes} LOGIN NOREPLICATION NOBYPASSRLS;\n\
             SECURITY LABEL FOR pgaadauth ON ROLE \"{name}\" IS '{label}';\n\
             SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE \"{name}\" IS 'type={kind},oid={object},tenant_id={TENANT}';\n"
        )
    };
    let plain = "NOCREATEROLE NOCREATEDB";
    [
        "CREATE ROLE azure_pg_admin;\nALTER ROLE azure_pg_admin WITH NOLOGIN;\n".to_owned(),
        role("admin@contoso.example", "CREATEROLE CREATEDB", "aadauth,admin", "user", ADMIN),
        role("ann@contoso.example", plain, "aadauth", "user", PERSON),
        role("Database Readers", plain, "aadauth", "group", GROUP),
        role("billing", plain, "aadauth", "service", APPLICATION),
        "GRANT azure_pg_admin TO \"admin@contoso.example\";\n".to_owned(),
    ]
    .concat()
}

#[test]
fn a_role_dump_of_a_flexible_server_restores_and_its_people_log_in() {
    for extension_first in [true, false] {
        let (new, _provider) = fresh_house();
        if extension_first {
            new.sql("CREATE EXTENSION azure_ad_auth");
        }
        let output = restore(&new, &flexible_dump());
        assert!(output.success, "{}", output.stderr);
        if !extension_first {
            new.sql("CREATE EXTENSION azure_ad_auth");
        }
        new.await_keys();
        let person = user_v1(unix_now());
        for role in ["ann@contoso.example", "Database Readers"] {
            admitted(&new, role, &KEY.token(&person));
        }
        admitted(&new, "billing", &KEY.token(&app_v2(unix_now())));
        let admin = with(person, "oid", serde_json::json!(ADMIN));
        admitted(&new, "admin@contoso.example", &KEY.token(&admin));
        let guards = "SELECT count(*) FROM pg_db_role_setting WHERE setconfig::text ~ 'azure_ad_auth'";
        assert_eq!(new.sql(guards), "4");
        // Whom an administrator has created is granted to it, from 16 on; one who administers has no members here.
        if new.workshop.installation.major >= 16 {
            let options = "WITH ADMIN OPTION, INHERIT FALSE, SET FALSE";
            let creator = "\"admin@contoso.example\"";
            assert!(restore(&new, &format!("GRANT \"ann@contoso.example\" TO {creator} {options};")).success);
            new.sql(&format!(
                "SELECT azure_ad_auth.create_principal('deputy', '{SECOND_ADMIN}', 'user', true)"
            ));
            let output = restore(&new, &format!("GRANT deputy TO {creator} {options};"));
            let message = "ERROR:  role \"deputy\" administers Azure AD roles and cannot have members";
            assert!(output.stderr.contains(message), "{}", output.stderr);
        }
    }
}

/// On Azure it is administrators who make Azure AD roles; here they administer them after a move, but for what holds more.
#[test]
fn what_came_from_azure_is_the_administrators_to_manage() {
    const ADMINISTRATOR: &str = "admin@contoso.example";
    for extension_first in [true, false] {
        let (new, _provider) = fresh_house();
        if extension_first {
            new.sql("CREATE EXTENSION azure_ad_auth");
        }
        // What holds more than administrators could have given it is a superuser's, and so is what one links here.
        let mut dump = flexible_dump() + "GRANT pg_read_all_data TO billing;\n";
        if new.workshop.installation.major >= 16 {
            // As it stands there, and as it restores.
            let granted = format!(
                "GRANT \"ann@contoso.example\" TO \"{ADMINISTRATOR}\" WITH ADMIN OPTION, INHERIT FALSE, SET FALSE GRANTED BY azuresu;\n"
            );
            assert!(!restore(&new, &granted).success);
            dump += &granted.replace(" GRANTED BY azuresu", "");
        }
        let output = restore(&new, &dump);
        assert!(output.success, "{}", output.stderr);
        if !extension_first {
            new.sql("CREATE EXTENSION azure_ad_auth");
        }
        link(&new, "ours", PERSON, "user");
        new.sql(&format!(
            "CREATE ROLE labelled LOGIN; SECURITY LABEL FOR pgaadauth ON ROLE labelled IS 'aadauth,oid={PERSON},type=user'"
        ));
        let output = new.sql_as("postgres", "SELECT azure_ad_auth.repair()");
        let withheld =
            "NOTICE:  role \"billing\" was created by an Azure AD administrator but is not granted";
        assert!(output.stderr.contains(withheld), "{}", output.stderr);
        assert_eq!(new.sql("SELECT count(*) FROM azure_ad_auth.repair()"), "0", "once is enough");
        new.await_keys();
        let mut admin = session(&new, ADMINISTRATOR, ADMIN);
        run_all(
            &mut admin,
            &[
                "ALTER ROLE \"ann@contoso.example\" SET work_mem = '1MB'",
                "GRANT \"Database Readers\" TO \"ann@contoso.example\"",
                &format!("SELECT azure_ad_auth.update_principal('Database Readers', '{SECOND_ADMIN}')"),
                "REVOKE \"Database Readers\" FROM \"ann@contoso.example\"",
                "SELECT azure_ad_auth.drop_principal('ann@contoso.example')",
                "DROP ROLE \"ann@contoso.example\"",
            ],
        );
        // Before 16 whoever is linked, and holds no more than an administrator does, is his to change.
        let since_16 = new.workshop.installation.major >= 16;
        for role in if since_16 { vec!["billing", "ours", "labelled"] } else { vec!["billing"] } {
            let fault = admin.query(&format!("ALTER ROLE {role} SET work_mem = '1MB'")).expect_err(role);
            assert_eq!(fault.sqlstate, "42501", "{role}: {fault:?}");
        }
        let theirs =
            "SELECT string_agg(objoid::regrole::text, ' ') FROM pg_shseclabel WHERE label = 'managed'";
        assert_eq!(new.sql(theirs), if since_16 { "" } else { "\"Database Readers\"" });
    }
}

#[test]
fn an_administrator_who_was_created_by_another_comes_without_that_grant() {
    let (new, _provider) = fresh_house();
    let dump = flexible_dump()
        + &format!(
            "CREATE ROLE deputy LOGIN CREATEROLE CREATEDB;\nSECURITY LABEL FOR pgaadauth ON ROLE deputy IS 'aadauth,admin';\n\
             SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE deputy IS 'type=user,oid={SECOND_ADMIN},tenant_id={TENANT}';\n\
             GRANT deputy TO \"admin@contoso.example\" WITH ADMIN OPTION;\n"
        );
    assert!(restore(&new, &dump).success);
    let output = new.sql_as("postgres", "CREATE EXTENSION azure_ad_auth");
    let hint = "HINT:  REVOKE deputy FROM \"admin@contoso.example\";";
    assert!(output.stderr.contains(hint), "{}", output.stderr);
    new.sql("REVOKE deputy FROM \"admin@contoso.example\"; CREATE EXTENSION azure_ad_auth");
    assert_eq!(new.sql("SELECT count(*) FROM azure_ad_auth.principals WHERE is_admin"), "2");
}

#[test]
fn the_two_roles_are_protected_while_a_dump_is_restored() {
    let (new, _provider) = fresh_house();
    assert!(restore(&new, &flexible_dump()).success);
    fs::remove_file(new.path("dump.sql")).expect("the dump");
    for role in ["azure_ad_user", "azure_ad_admin"] {
        // Made by whoever restores, before the extension is there.
        assert!(restore(&new, &format!("CREATE ROLE {role}; ALTER ROLE {role} WITH NOLOGIN;")).success);
        let output = restore(&new, &format!("ALTER ROLE {role} LOGIN"));
        let message =
            format!("ERROR:  role \"{role}\" cannot be changed while roles are linked to directory objects");
        assert!(output.stderr.contains(&message), "{}", output.stderr);
    }
}

/// A new server that does not preload the library is said to be unfit before anything is done.
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

/// What check_configuration() leaves to repair().
const TO_REPAIR: &str = "SELECT level || ' ' || message FROM azure_ad_auth.check_configuration() \
    WHERE topic = 'roles' AND what_to_do LIKE '%repair()%' ORDER BY message";

const OLD_GUARD_OF_ROBOT: &str = "warning role \"robot\" has a guard of an earlier version, or a part of one: it keeps \
    libraries from the role that others load";

fn not_handed_over(role: &str) -> String {
    format!(
        "notice role \"{role}\" was made by an Azure AD administrator elsewhere, on Azure or before PostgreSQL 16, and administrators here cannot \
         manage it yet"
    )
}

#[test]
fn pg_upgrade_keeps_everything() {
    let workshop = Arc::new(Workshop::of(Installation::old()));
    let provider = Provider::start(&workshop.authority, vec![Arc::clone(&KEY)], 0);
    let old = Cluster::running(&workshop, &provider, "");
    let mut admin = session(&old, "admin", ADMIN);
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
    let facts = old.sql(FACTS);
    // One has a guard of the first kind, with a copy of what the server had then.
    tamper(
        &old,
        "UPDATE pg_db_role_setting SET setconfig = '{\"session_preload_libraries=azure_ad_auth, auto_explain\"}' \
         WHERE setrole = 'robot'::regrole",
    );
    old.stop("fast");

    let (new, _provider) = fresh_house();
    new.stop("fast");
    let (before, after) = (old.workshop.installation.clone(), new.workshop.installation.clone());
    if before.major < 18 && after.major >= 18 {
        // From 18 on initdb turns them on, and pg_upgrade wants both alike.
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
    let (done, said) = upgrade(&[]);
    assert!(done, "{said}");
    let configuration = new.data().join("postgresql.conf");
    let mut file = fs::OpenOptions::new().append(true).open(&configuration).expect("postgresql.conf");
    file.write_all(b"session_preload_libraries = 'auto_explain'\n").expect("written");
    new.start();
    new.await_keys();
    // What administrators made before 16 is handed over to them.
    let marked = before.major < 16 && after.major >= 16;
    // Both are named before they are done.
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
    admitted(&new, "ann", &KEY.token(&user_v1(unix_now())));
    admitted(&new, "robot", &KEY.token(&app_v1(unix_now())));
    let mut admin = session(&new, "admin", ADMIN);
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

#[test]
fn a_standby_applies_what_statements_unlink() {
    let (primary, provider) = scene("wal_level = replica\nhot_standby = on");
    let standby = primary.standby();
    standby.start();
    standby.await_keys();
    let token = KEY.token(&user_v1(unix_now()));
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
