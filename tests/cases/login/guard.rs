//! A server that was started without the library: the `trust` line is there, and no linked role
//! gets in.

use std::fs;

use testbed::client::{AuthRequest, Outcome};
use testbed::cluster::Configuration;
use testbed::expect::without_debug;
use testbed::issuer::{APPLICATION, PERSON, TENANT};
use testbed::scene::{Scene, provider};

use crate::common::guard::{login_error, refused_by_guard, restart_without_library};
use crate::common::login::valid_token;
use crate::common::statements::link;

#[test]
fn a_linked_role_is_shut_out() {
    let (cluster, _provider) = Scene::new().start();
    cluster
        .sql("CREATE ROLE odd LOGIN; ALTER ROLE odd IN DATABASE postgres SET session_preload_libraries = 'auto_explain'");
    cluster.sql("CREATE DATABASE second");
    link(&cluster, "ann", PERSON, "user");
    // The role had a setting for one database before it was linked, which has precedence over that
    // for all.
    link(&cluster, "odd", PERSON, "user");
    // And a setting that was added later.
    cluster.sql("ALTER ROLE ann IN DATABASE second SET session_preload_libraries = ''");
    cluster.sql("ALTER ROLE ann SET session_preload_libraries = 'auto_explain'");
    cluster.sql("ALTER ROLE admin RESET ALL");
    cluster.sql("ALTER DATABASE postgres SET session_preload_libraries = 'auto_explain'");
    cluster.sql("ALTER ROLE ALL SET session_preload_libraries = 'auto_explain'");
    cluster.sql("ALTER ROLE ALL IN DATABASE postgres SET session_preload_libraries = 'auto_explain'");
    cluster.sql("ALTER SYSTEM SET session_preload_libraries = 'auto_explain'");
    // A library of the same name in another folder is another library.
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
    restart_without_library(&cluster, "session_preload_libraries = ''");
    for role in ["ann", "odd", "admin", "copy", "own"] {
        refused_by_guard(&cluster, role, &[]);
    }
    let second = [("user", "ann"), ("database", "second")];
    let mut client = cluster.client();
    client.start(&second).expect("a connection");
    assert!(matches!(client.auth_request(), AuthRequest::Finished(Outcome::Refused(_))));
    assert_eq!(cluster.sql("SELECT 1"), "1", "others are left alone");
}

#[test]
fn options_of_the_client_do_not_lift_the_guard() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    restart_without_library(&cluster, "");
    // PostgreSQL refuses it unless the role is a superuser.
    for option in ["-c session_preload_libraries=", "-csession_preload_libraries=auto_explain"] {
        let error = login_error(&cluster, "ann", &[("options", option)]);
        assert_eq!(error.message, "permission denied to set parameter \"session_preload_libraries\"");
    }
    refused_by_guard(&cluster, "ann", &[("options", "-c local_preload_libraries=")]);
    // Here it is an ordinary name without a meaning.
    refused_by_guard(&cluster, "ann", &[("options", "-c azure_ad_auth.guard=off")]);
    let error = login_error(&cluster, "ann", &[("options", "-c role=postgres")]);
    assert_eq!(error.message, "permission denied to set role \"postgres\"");
    let error = login_error(&cluster, "ann", &[("options", "-c dynamic_library_path=/nowhere")]);
    assert_eq!(error.message, "permission denied to set parameter \"dynamic_library_path\"");
}

#[test]
fn without_its_file_the_library_lets_nobody_in_either() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    restart_without_library(&cluster, "dynamic_library_path = '/nowhere'");
    let error = login_error(&cluster, "ann", &[]);
    assert_eq!(error.severity, "FATAL");
    assert!(error.message.starts_with("could not access file \"azure_ad_auth\""), "{error:?}");
    assert_eq!(cluster.sql("SELECT 1"), "1");
}

#[test]
fn a_session_of_anybody_else_may_load_the_library_and_nothing_happens() {
    let (cluster, _provider) = Scene::new().start();
    cluster.sql("CREATE ROLE local LOGIN PASSWORD 'secret'");
    link(&cluster, "ann", PERSON, "user");
    restart_without_library(&cluster, "");
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
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("CREATE ROLE local LOGIN");
    restart_without_library(&cluster, "");
    cluster.sql("GRANT azure_ad_user TO local; ALTER ROLE ann SUPERUSER");
    cluster.stop("fast");
    cluster.configure(&Configuration::new());
    cluster.start();
    // With the library, `trust` admits neither roles that are not linked nor privileged ones.
    for role in ["local", "ann"] {
        let outcome = cluster.login(role, &valid_token());
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
    let provider = provider();
    let cluster = Scene::new().create();
    // The postmaster loads another file than the one that sessions find under the library's name.
    let library = cluster.sql_library();
    let copy = cluster.path("azure_ad_auth.so");
    fs::copy(&library, &copy).expect("a copy of the library");
    let settings = format!("azure_ad_auth.authority_url = '{}'", provider.url());
    let with_copy = Configuration::new().settings(settings).preload(copy.display().to_string());
    cluster.configure(&with_copy);
    cluster.start();
    let output = cluster.sql_as("postgres", "CREATE EXTENSION azure_ad_auth");
    assert!(
        output.stderr.contains("the azure_ad_auth library was replaced after the server started"),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("HINT:  Restart the server."), "{}", output.stderr);
    // Labels and logins are handled by the library that the postmaster loaded; the guard does
    // nothing.
    cluster.sql("CREATE ROLE azure_ad_user; CREATE ROLE azure_ad_admin; GRANT azure_ad_user TO azure_ad_admin WITH ADMIN OPTION");
    cluster.sql(&format!(
        "CREATE ROLE ann LOGIN; SECURITY LABEL FOR pgaadauth ON ROLE ann IS 'aadauth,oid={PERSON},type=user,tenant_id={TENANT}'; \
         CREATE ROLE admin LOGIN; SECURITY LABEL FOR pgaadauth ON ROLE admin IS 'aadauth,oid={APPLICATION},admin,tenant_id={TENANT}'"
    ));
    let token = valid_token();
    assert_eq!(cluster.login("ann", &token), Outcome::Ready, "{}", without_debug(&cluster.log()));
    assert!(matches!(cluster.login("ann", "no token"), Outcome::Refused(_)));
    // If the extension exists already, its check names the fault.
    cluster.configure(&Configuration::new());
    cluster.restart();
    cluster.sql("CREATE EXTENSION azure_ad_auth");
    cluster.configure(&with_copy);
    cluster.restart();
    let said = cluster
        .sql("SELECT level || ' ' || topic || ': ' || message FROM azure_ad_auth.check_configuration()");
    let warning = "warning library: the file of azure_ad_auth was replaced after the server started";
    assert!(
        said.contains(warning) && said.contains("notice pg_hba.conf: its lines cannot be checked"),
        "{said}"
    );
}
