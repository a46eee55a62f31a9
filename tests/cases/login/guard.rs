//! A server that was started without the library: the `trust` line is there, and nobody gets in by it.

use std::fs;

use testbed::client::{Asked, Outcome, ServerError, psql};
use testbed::cluster::{Cluster, Setup};
use testbed::expect::ours;
use testbed::issuer::*;

use crate::{KEY, WORKSHOP, link, scene};

/// Stops the server and starts it without the library.
fn unload(cluster: &Cluster, settings: &str) {
    cluster.stop("fast");
    cluster.configure(&Setup {
        settings: settings.to_owned(),
        preload: Some(String::new()),
        ..Setup::default()
    });
    cluster.start();
}

/// What becomes of a login that `trust` lets in: the session ends before it begins.
fn shut_out(cluster: &Cluster, role: &str, options: &[(&str, &str)]) -> ServerError {
    let mut parameters = vec![("user", role), ("database", "postgres")];
    parameters.extend(options);
    let mut client = cluster.client();
    client.start(&parameters).expect("a connection");
    match client.asked() {
        Asked::Nothing(Outcome::Refused(error)) => error,
        other => panic!("{role} got in: {other:?}"),
    }
}

fn guarded(cluster: &Cluster, role: &str, options: &[(&str, &str)]) {
    let mark = cluster.log_mark();
    let error = shut_out(cluster, role, options);
    assert_eq!(error.severity, "FATAL");
    assert_eq!(error.sqlstate, "28000");
    assert_eq!(error.message, "Azure AD authentication is not configured on this server");
    assert_eq!((error.detail, error.hint), (None, None));
    let log = ours(&cluster.log_since(mark));
    assert!(log.contains("refused code=not_configured ") && log.contains("door=guard"), "{log}");
    assert!(log.contains("does not have azure_ad_auth in shared_preload_libraries"), "{log}");
    // By libpq too, with the client's options where they are asked for.
    let options = options.iter().find(|(name, _)| *name == "options").map_or("", |(_, value)| *value);
    let connection = format!(
        "host=localhost port={} dbname=postgres user='{role}' sslmode=require options='{}'",
        cluster.port,
        options.replace('\\', "\\\\").replace('\'', "\\'")
    );
    let output = psql(&cluster.workshop.installation.program("psql"), &connection, None, "SELECT 1");
    assert!(!output.success && output.stdout.is_empty(), "psql was let in as {role}");
    let message = "FATAL:  Azure AD authentication is not configured on this server\n";
    assert!(output.stderr.contains(message), "{}", output.stderr);
}

#[test]
fn a_linked_role_is_shut_out() {
    let (cluster, _provider) = scene("");
    cluster
        .sql("CREATE ROLE odd LOGIN; ALTER ROLE odd IN DATABASE postgres SET session_preload_libraries = 'auto_explain'");
    cluster.sql("CREATE DATABASE second");
    link(&cluster, "ann", PERSON, "user");
    // It had a row of its own for a database before it was linked; that row wins over the role's.
    link(&cluster, "odd", PERSON, "user");
    // And one that came later.
    cluster.sql("ALTER ROLE ann IN DATABASE second SET session_preload_libraries = ''");
    cluster.sql("ALTER ROLE ann SET session_preload_libraries = 'auto_explain'");
    cluster.sql("ALTER ROLE admin RESET ALL");
    cluster.sql("ALTER DATABASE postgres SET session_preload_libraries = 'auto_explain'");
    cluster.sql("ALTER ROLE ALL SET session_preload_libraries = 'auto_explain'");
    cluster.sql("ALTER ROLE ALL IN DATABASE postgres SET session_preload_libraries = 'auto_explain'");
    cluster.sql("ALTER SYSTEM SET session_preload_libraries = 'auto_explain'");
    // A library of its name in another place is another.
    cluster.sql(
        "CREATE ROLE copy LOGIN; ALTER ROLE copy SET session_preload_libraries = '/nowhere/azure_ad_auth'",
    );
    let own = cluster.sql_library().display().to_string();
    cluster.sql(&format!("CREATE ROLE own LOGIN; ALTER ROLE own SET session_preload_libraries = '{own}'"));
    link(&cluster, "copy", PERSON, "user");
    link(&cluster, "own", PERSON, "user");
    let setting = |role: &str| {
        let setting = format!(
            "SELECT c FROM pg_db_role_setting, unnest(setconfig) c \
             WHERE setrole = '{role}'::regrole AND c LIKE 'session%'"
        );
        cluster.sql(&setting).replace("session_preload_libraries=", "").replace('"', "")
    };
    assert_eq!(setting("copy"), "azure_ad_auth, /nowhere/azure_ad_auth");
    assert_eq!(setting("own"), own);
    unload(&cluster, "session_preload_libraries = ''");
    for role in ["ann", "odd", "admin", "copy", "own"] {
        guarded(&cluster, role, &[]);
    }
    let second = [("user", "ann"), ("database", "second")];
    let mut client = cluster.client();
    client.start(&second).expect("a connection");
    assert!(matches!(client.asked(), Asked::Nothing(Outcome::Refused(_))));
    assert_eq!(cluster.sql("SELECT 1"), "1", "others are left alone");
}

#[test]
fn options_of_the_client_do_not_lift_the_guard() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    unload(&cluster, "");
    // PostgreSQL refuses it to whoever is no superuser.
    for option in ["-c session_preload_libraries=", "-csession_preload_libraries=auto_explain"] {
        let error = shut_out(&cluster, "ann", &[("options", option)]);
        assert_eq!(error.message, "permission denied to set parameter \"session_preload_libraries\"");
    }
    guarded(&cluster, "ann", &[("options", "-c local_preload_libraries=")]);
    // Here it is a name like any other, and says nothing.
    guarded(&cluster, "ann", &[("options", "-c azure_ad_auth.guard=off")]);
    let error = shut_out(&cluster, "ann", &[("options", "-c role=postgres")]);
    assert_eq!(error.message, "permission denied to set role \"postgres\"");
    let error = shut_out(&cluster, "ann", &[("options", "-c dynamic_library_path=/nowhere")]);
    assert_eq!(error.message, "permission denied to set parameter \"dynamic_library_path\"");
}

#[test]
fn without_its_file_the_library_lets_nobody_in_either() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    unload(&cluster, "dynamic_library_path = '/nowhere'");
    let error = shut_out(&cluster, "ann", &[]);
    assert_eq!(error.severity, "FATAL");
    assert!(error.message.starts_with("could not access file \"azure_ad_auth\""), "{error:?}");
    assert_eq!(cluster.sql("SELECT 1"), "1");
}

#[test]
fn nobody_becomes_a_member_of_a_linked_role_without_being_linked() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("CREATE ROLE local LOGIN; CREATE ROLE boss SUPERUSER LOGIN; CREATE GROUP crowd");
    let refusals = [
        ("GRANT ann TO local", "local", "ann"),
        ("GRANT ann TO boss", "boss", "ann"),
        ("GRANT ann TO crowd", "crowd", "ann"),
        ("GRANT azure_ad_user TO local", "local", "azure_ad_user"),
        ("GRANT azure_ad_admin TO local", "local", "azure_ad_admin"),
        ("GRANT azure_ad_user TO boss", "boss", "azure_ad_user"),
        ("CREATE ROLE fresh IN ROLE ann", "fresh", "ann"),
        ("CREATE ROLE fresh IN GROUP crowd, ann", "fresh", "ann"),
        ("CREATE ROLE fresh IN ROLE azure_ad_user", "fresh", "azure_ad_user"),
        ("ALTER GROUP ann ADD USER local", "local", "ann"),
        // Of several the first by oid is named.
        ("ALTER GROUP ann ADD USER crowd, boss", "boss", "ann"),
        ("DO $$ BEGIN EXECUTE 'GRANT ann TO local'; END $$", "local", "ann"),
    ];
    for (statement, member, role) in refusals {
        let output = cluster.sql_verbosely(statement);
        let expected = format!(
            "ERROR:  55000: role \"{member}\" cannot be a member of role \"{role}\" because it is not linked to a directory object"
        );
        assert!(output.stderr.contains(&expected), "{statement}: {}", output.stderr);
        let creates_in_azure_ad_user = statement.starts_with("CREATE ROLE") && role == "azure_ad_user";
        let hint = match role {
            _ if creates_in_azure_ad_user => "HINT:  Give the object id",
            _ if statement.starts_with("CREATE ROLE fresh IN") => "HINT:  Create it linked",
            "azure_ad_admin" => "HINT:  To make it an administrator",
            _ => "HINT:  Link it first",
        };
        assert!(output.stderr.contains(hint), "{}", output.stderr);
    }
    assert!(!cluster.sql_as("postgres", "CREATE ROLE fresh ROLE local; GRANT ann TO fresh").success);
    // Members first, link afterwards: the same thing the other way round.
    cluster.sql("CREATE ROLE leader LOGIN; GRANT leader TO local");
    let output =
        cluster.sql_verbosely(&format!("SELECT azure_ad_auth.create_principal('leader', '{PERSON}')"));
    assert!(
        output.stderr.contains(
            "ERROR:  55000: role \"leader\" cannot be linked because role \"local\" is a member of it"
        ) && output.stderr.contains("HINT:  REVOKE leader FROM local;"),
        "{}",
        output.stderr
    );
    unload(&cluster, "");
    for role in ["local", "boss", "crowd"] {
        let mut client = cluster.client();
        client.start(&[("user", role), ("database", "postgres")]).expect("a connection");
        assert_eq!(client.asked(), Asked::Password, "{role} is not matched by the door's line");
    }
    guarded(&cluster, "ann", &[]);
}

#[test]
fn the_creator_of_a_role_is_a_member_of_it_from_16_on() {
    let (cluster, _provider) = scene("");
    cluster.sql("CREATE ROLE dba LOGIN CREATEROLE");
    assert!(cluster.sql_as("postgres", "SET ROLE dba; CREATE ROLE person LOGIN").success);
    let create = format!("SELECT azure_ad_auth.create_principal('person', '{PERSON}', 'user')");
    if cluster.workshop.installation.major >= 16 {
        let output = cluster.sql_verbosely(&create);
        assert!(output.stderr.starts_with("ERROR:  55000: "), "{}", output.stderr);
        assert!(output.stderr.contains("because role \"dba\" is a member of it"), "{}", output.stderr);
        assert!(output.stderr.contains("HINT:  REVOKE person FROM dba"), "{}", output.stderr);
        cluster.sql("REVOKE person FROM dba");
    }
    cluster.sql(&create);
    unload(&cluster, "");
    guarded(&cluster, "person", &[]);
    let mut client = cluster.client();
    client.start(&[("user", "dba"), ("database", "postgres")]).expect("a connection");
    assert_eq!(client.asked(), Asked::Password, "who made the role is not matched by the door's line");
}

#[test]
fn a_linked_role_gains_nothing_to_step_around_its_guard_with() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("CREATE ROLE holder; CREATE ROLE wide");
    let privileged = ("42501", "cannot be a superuser, or have REPLICATION or BYPASSRLS");
    let changed = ("2BP01", "cannot be changed while roles are linked");
    let owned = ("2BP01", "DROP OWNED or REASSIGN OWNED while roles are linked");
    let mut refusals = vec![
        ("ALTER ROLE ann SUPERUSER", privileged),
        ("ALTER ROLE ann REPLICATION", privileged),
        ("ALTER USER ann BYPASSRLS", privileged),
        ("ALTER ROLE ann PASSWORD 'x'", ("55000", "cannot have a password")),
        ("ALTER ROLE azure_ad_user LOGIN", changed),
        ("ALTER ROLE azure_ad_admin SUPERUSER", changed),
        ("ALTER ROLE azure_ad_user SET work_mem = '1MB'", changed),
        ("REVOKE azure_ad_user FROM azure_ad_admin", changed),
        ("REVOKE ADMIN OPTION FOR azure_ad_user FROM azure_ad_admin", changed),
        ("DROP ROLE azure_ad_user", ("2BP01", "cannot be dropped while roles are linked")),
        ("DROP ROLE IF EXISTS nobody, azure_ad_admin", ("2BP01", "cannot be dropped while roles are linked")),
        ("ALTER ROLE azure_ad_admin RENAME TO x", ("2BP01", "cannot be renamed while roles are linked")),
        ("DROP OWNED BY azure_ad_admin", owned),
        ("REASSIGN OWNED BY azure_ad_user TO ann", owned),
        ("REVOKE azure_ad_admin FROM admin", ("55000", "stays a member of role")),
    ];
    let parameter = ("42501", "cannot have SET on parameter \"session_preload_libraries\"");
    refusals.extend([
        ("GRANT SET ON PARAMETER session_preload_libraries TO ann", parameter),
        ("GRANT SET ON PARAMETER session_preload_libraries TO PUBLIC", parameter),
        ("GRANT SET ON PARAMETER work_mem, session_preload_libraries TO azure_ad_user", parameter),
        ("CREATE SCHEMA hers GRANT SET ON PARAMETER session_preload_libraries TO ann", parameter),
        // Where the library is looked for is as good as which one.
        (
            "GRANT SET ON PARAMETER dynamic_library_path TO ann",
            ("42501", "cannot have SET on parameter \"dynamic_library_path\""),
        ),
        // Who may set this keeps libraries from their own sessions that others load.
        (
            "GRANT SET ON PARAMETER azure_ad_auth.guard TO ann",
            ("42501", "cannot have SET on parameter \"azure_ad_auth.guard\""),
        ),
    ]);
    cluster.sql("GRANT SET ON PARAMETER session_preload_libraries TO holder; GRANT wide TO ann");
    let through = "cannot be a member of role \"holder\", which is a superuser or has SET on parameter";
    refusals
        .extend([("GRANT holder TO ann", ("42501", through)), ("GRANT holder TO wide", ("42501", through))]);
    for (statement, (sqlstate, expected)) in refusals {
        let output = cluster.sql_verbosely(statement);
        let opening = format!("ERROR:  {sqlstate}: role \"");
        let as_expected = output.stderr.starts_with(&opening) && output.stderr.contains(expected);
        assert!(!output.success && as_expected, "{statement}: {}", output.stderr);
    }
    cluster.sql("CREATE ROLE able LOGIN; GRANT holder TO able");
    let output = cluster.sql_verbosely(&format!("SELECT azure_ad_auth.create_principal('able', '{PERSON}')"));
    let as_expected = output.stderr.starts_with("ERROR:  42501: ") && output.stderr.contains(through);
    assert!(as_expected, "{}", output.stderr);
    for statement in [
        "ALTER ROLE ann CONNECTION LIMIT 5",
        "ALTER ROLE ann SET work_mem = '1MB'",
        "GRANT pg_monitor TO ann",
    ] {
        cluster.sql(statement);
    }
}

#[test]
fn a_session_of_anybody_else_may_load_the_library_and_nothing_happens() {
    let (cluster, _provider) = scene("");
    cluster.sql("CREATE ROLE local LOGIN PASSWORD 'secret'");
    link(&cluster, "ann", PERSON, "user");
    unload(&cluster, "");
    let mut client = cluster.client();
    assert_eq!(client.login(&[("user", "local"), ("database", "postgres")], "secret"), Outcome::Ready);
    cluster.sql("LOAD 'azure_ad_auth'");
    for function in [
        "set_admin('a', gen_random_uuid())",
        "remove_admin()",
        "create_principal('a', gen_random_uuid())",
        "update_principal('a', gen_random_uuid())",
        "drop_principal('ann')",
        "repair()",
        "refresh_keys()",
    ] {
        let output = cluster.sql_verbosely(&format!("SELECT azure_ad_auth.{function}"));
        let expected = "ERROR:  55000: azure_ad_auth must be loaded via shared_preload_libraries";
        assert!(output.stderr.contains(expected), "{function}: {}", output.stderr);
        let hint =
            "HINT:  Add azure_ad_auth to shared_preload_libraries in postgresql.conf and restart the server.";
        assert!(output.stderr.contains(hint), "{}", output.stderr);
    }
    let output = cluster.sql_as("postgres", "SECURITY LABEL FOR pgaadauth ON ROLE local IS 'aadauth'");
    assert!(
        output.stderr.contains("security label provider \"pgaadauth\" is not loaded"),
        "{}",
        output.stderr
    );
    assert!(client.query("SELECT 1").is_ok());
}

#[test]
fn what_was_broken_while_the_library_was_away_stays_shut() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("CREATE ROLE local LOGIN");
    unload(&cluster, "");
    cluster.sql("GRANT azure_ad_user TO local; ALTER ROLE ann SUPERUSER");
    cluster.stop("fast");
    cluster.configure(&Setup::default());
    cluster.start();
    // With the library back, `trust` lets in neither who has no link nor who is privileged.
    for role in ["local", "ann"] {
        let outcome = cluster.login(role, &KEY.token(&user_v1(unix_now())));
        assert!(matches!(outcome, Outcome::Refused(_)), "{role}: {outcome:?}");
    }
    let output = cluster.sql_as("postgres", "SELECT azure_ad_auth.repair()");
    assert!(
        output.stderr.contains("role \"local\" is a member of role \"azure_ad_user\" but is not linked"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_library_replaced_under_a_running_server() {
    let provider = crate::provider();
    let cluster = Cluster::new(&WORKSHOP, &Setup::default());
    // The postmaster loads a file that is not the one sessions will find under the library's name.
    let library = cluster.sql_library();
    let copy = cluster.path("azure_ad_auth.so");
    fs::copy(&library, &copy).expect("a copy of the library");
    let settings = format!("azure_ad_auth.authority_url = '{}'", provider.url());
    let with_copy = Setup { settings, preload: Some(copy.display().to_string()), ..Setup::default() };
    cluster.configure(&with_copy);
    cluster.start();
    let output = cluster.sql_as("postgres", "CREATE EXTENSION azure_ad_auth");
    assert!(
        output.stderr.contains("the azure_ad_auth library was replaced after the server started"),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("HINT:  Restart the server."), "{}", output.stderr);
    // Labels go to the library that the postmaster loaded, which also judges logins; the guard stands aside.
    cluster.sql("CREATE ROLE azure_ad_user; CREATE ROLE azure_ad_admin; GRANT azure_ad_user TO azure_ad_admin WITH ADMIN OPTION");
    cluster.sql(&format!(
        "CREATE ROLE ann LOGIN; SECURITY LABEL FOR pgaadauth ON ROLE ann IS 'aadauth,oid={PERSON},type=user,tenant_id={TENANT}'; \
         CREATE ROLE admin LOGIN; SECURITY LABEL FOR pgaadauth ON ROLE admin IS 'aadauth,oid={APPLICATION},admin,tenant_id={TENANT}'"
    ));
    let token = KEY.token(&user_v1(unix_now()));
    assert_eq!(cluster.login("ann", &token), Outcome::Ready, "{}", ours(&cluster.log()));
    assert!(matches!(cluster.login("ann", "no token"), Outcome::Refused(_)));
    // Where the extension is there already, it says what is wrong.
    cluster.configure(&Setup::default());
    cluster.restart();
    cluster.sql("CREATE EXTENSION azure_ad_auth");
    cluster.configure(&with_copy);
    cluster.restart();
    let said = cluster
        .sql("SELECT level || ' ' || topic || ': ' || message FROM azure_ad_auth.check_configuration()");
    let warning = "warning library: the file of azure_ad_auth was replaced after the server started";
    assert!(
        said.contains(warning) && said.contains("notice pg_hba.conf: its lines cannot be looked at"),
        "{said}"
    );
}
