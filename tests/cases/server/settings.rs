//! Settings: checked at reload, fail closed at start, and in force for the next login.

use std::fs;

use testbed::client::{AuthRequest, Outcome};
use testbed::cluster::{Cluster, Configuration};
use testbed::expect::{Refusal, check_refusal, lacks_token, without_debug};
use testbed::issuer::{CLIENT, PERSON, TENANT};
use testbed::scene::Scene;
use testbed::waits::eventually;

use crate::common::login::valid_token;
use crate::common::statements::link;

/// A bad value for every setting that a login depends on.
const BAD: [(&str, &str); 19] = [
    ("tenant_id", "contoso.example"),
    ("audience", "a,,b"),
    ("cloud", "germany"),
    ("authority_url", "http://login.example"),
    ("issuers", "https://sts.example/"),
    ("key_source", "keys.json"),
    ("ca_file", "ca.pem"),
    ("https_proxy", "not a proxy"),
    ("key_refresh_interval", "0"),
    ("key_max_age", "never"),
    ("key_refresh_cooldown", "-1"),
    ("unknown_key_wait", "1 week"),
    ("clock_skew", "301"),
    ("require_tls", "perhaps"),
    ("session_expiry", "sometimes"),
    ("session_expiry_grace", "-1"),
    ("expiry_warning", "-1"),
    ("allowed_clients", "psql"),
    ("required_permission", "a,b"),
];

/// A bad value for every setting of the directory, on which no login depends.
const BAD_OF_DIRECTORY: [(&str, &str); 16] = [
    ("directory", "kerberos"),
    ("directory_client_id", "postgres"),
    ("directory_secret_file", "secret"),
    ("directory_certificate_file", "certificate.pem"),
    ("directory_key_file", "key.pem"),
    ("directory_token_file", "token"),
    ("directory_url", "https://graph.example/v1.0"),
    ("directory_identity_url", "http://10.0.0.1"),
    ("directory_refresh_interval", "-1"),
    ("directory_wait", "0"),
    ("group_lookup", "never"),
    ("group_lookup_wait", "1h"),
    ("group_lookup_cache", "0"),
    ("group_sync", "perhaps"),
    ("group_sync_interval", "0"),
    ("group_sync_database", ""),
];

/// Expects a login to be refused as `not_configured`, before the prompt, with a line that names the
/// setting.
fn not_configured(cluster: &Cluster, fact: &str) {
    let mark = cluster.log_mark();
    let mut client = cluster.client();
    client.start(&[("user", "ann"), ("database", "postgres")]).expect("a connection");
    let facts = [fact];
    let expected = Refusal {
        code: "not_configured",
        sqlstate: "28000",
        message: "Azure AD authentication is not configured on this server",
        hint: None,
        facts: &facts,
    };
    match client.auth_request() {
        AuthRequest::Finished(outcome) => check_refusal(cluster, mark, "ann", "", &outcome, &expected),
        asked => panic!("{fact}: the token was asked for: {asked:?}"),
    }
}

fn admitted(cluster: &Cluster) {
    let token = valid_token();
    let outcome = cluster.login("ann", &token);
    assert_eq!(outcome, Outcome::Ready, "{}", without_debug(&cluster.log()));
}

#[test]
fn a_bad_value_at_start_fails_closed_and_mends_without_a_restart() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let good = format!("azure_ad_auth.authority_url = '{}'", provider.url());
    // The log contains addresses of memory, but no pieces of keys.
    let long = ["https://127.0.0.1/", "/"].map(|start| format!("{start}{}", "a".repeat(4_000)));
    let long = long.iter().map(|value| ("key_source", value.as_str()));
    for (name, value) in BAD.into_iter().chain(long) {
        cluster.stop("fast");
        let settings = format!("{good}\nazure_ad_auth.{name} = '{value}'");
        cluster.configure(&Configuration::new().settings(settings));
        cluster.start();
        not_configured(&cluster, &format!("setting=azure_ad_auth.{name}"));
        assert_eq!(cluster.sql("SELECT 1"), "1", "others log in");
        // A reload without a change does not help.
        cluster.reload();
        not_configured(&cluster, &format!("setting=azure_ad_auth.{name}"));
        cluster.configure(&Configuration::new().settings(&good));
        cluster.reload();
        cluster.await_keys();
        admitted(&cluster);
    }
}

#[test]
fn a_bad_value_of_the_directory_at_start_refuses_no_login() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let good = format!("azure_ad_auth.authority_url = '{}'", provider.url());
    let bad = BAD_OF_DIRECTORY.map(|(name, value)| format!("azure_ad_auth.{name} = '{value}'"));
    cluster.stop("fast");
    cluster.configure(&Configuration::new().settings(format!("{good}\n{}", bad.join("\n"))));
    cluster.start();
    cluster.await_keys();
    admitted(&cluster);
    assert_eq!(cluster.sql("SHOW azure_ad_auth.directory"), "off", "the default is in force");
}

#[test]
fn a_bad_value_on_the_command_line_fails_closed() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    cluster.stop("fast");
    assert!(cluster.try_start(&["-c", "azure_ad_auth.clock_skew=1000"]));
    not_configured(&cluster, "setting=azure_ad_auth.clock_skew");
    cluster.stop("fast");
    assert!(cluster.try_start(&["-c", "azure_ad_auth.allowed_clients=nobody"]));
    not_configured(&cluster, "setting=azure_ad_auth.allowed_clients");
}

#[test]
fn an_unknown_name_fails_closed_at_start_and_at_reload() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let good = format!("azure_ad_auth.authority_url = '{}'", provider.url());
    let bad = format!("{good}\nAzure_AD_auth.Allowed_Client = '{CLIENT}'");
    cluster.stop("fast");
    cluster.configure(&Configuration::new().settings(&bad));
    let mark = cluster.log_mark();
    cluster.start();
    cluster.await_log(mark, "while there is an unknown setting: Azure_AD_auth.Allowed_Client in ");
    not_configured(&cluster, "unknown_setting=\"Azure_AD_auth.Allowed_Client in ");
    for (settings, said) in [(&good, "signing keys are at hand"), (&bad, "unknown setting")] {
        let mark = cluster.log_mark();
        cluster.configure(&Configuration::new().settings(settings));
        cluster.reload();
        if said == "unknown setting" {
            cluster.await_log(mark, said);
            not_configured(&cluster, "unknown_setting=");
        } else {
            cluster.await_keys();
            assert!(eventually(|| { cluster.login("ann", &valid_token()) == Outcome::Ready }));
        }
    }
}

#[test]
fn an_unknown_name_in_what_alter_system_writes_or_in_an_included_file() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let settings =
        format!("azure_ad_auth.authority_url = '{}'\ninclude_if_exists = 'more.conf'", provider.url());
    cluster.configure(&Configuration::new().settings(settings));
    for name in ["postgresql.auto.conf", "more.conf"] {
        let file = cluster.data().join(name);
        let before = fs::read_to_string(&file).unwrap_or_default();
        fs::write(&file, format!("{before}azure_ad_auth.tenant = ''\n")).expect("a configuration file");
        let line = before.lines().count() + 1;
        let mark = cluster.log_mark();
        cluster.reload();
        let place = format!("azure_ad_auth.tenant in {}:{line}", file.display());
        cluster.await_log(mark, &format!("unknown setting: {place}"));
        not_configured(&cluster, &format!("unknown_setting=\"{place}\""));
        fs::write(&file, before).expect("a configuration file");
        cluster.reload();
        let mends = || cluster.login("ann", &valid_token()) == Outcome::Ready;
        assert!(eventually(mends), "{name}: mended by taking the line out");
    }
}

#[test]
fn a_bad_value_at_reload_is_refused_and_the_old_one_stays() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let good = format!("azure_ad_auth.authority_url = '{}'", provider.url());
    for (name, value) in BAD.into_iter().chain(BAD_OF_DIRECTORY) {
        let before = cluster.sql(&format!("SHOW azure_ad_auth.{name}"));
        let settings = format!("{good}\nazure_ad_auth.{name} = '{value}'");
        cluster.configure(&Configuration::new().settings(settings));
        let mark = cluster.log_mark();
        cluster.reload();
        let log = cluster.log_since(mark);
        assert!(
            log.contains("azure_ad_auth.") && log.contains(name) && log.contains("LOG:"),
            "{name}: {}",
            without_debug(&log)
        );
        assert_eq!(cluster.sql(&format!("SHOW azure_ad_auth.{name}")), before);
        admitted(&cluster);
        let output =
            cluster.sql_as("postgres", &format!("ALTER SYSTEM SET azure_ad_auth.{name} = '{value}'"));
        assert!(!output.success, "{name}");
        assert!(output.stderr.contains("ERROR:"), "{}", output.stderr);
    }
    let output = cluster.sql_as("postgres", "ALTER SYSTEM SET azure_ad_auth.allowed_clients = 'psql'");
    assert!(
        output.stderr.contains("DETAIL:  The value has an item that is not a uuid."),
        "{}",
        output.stderr
    );
}

#[test]
fn a_reload_changes_the_policy_for_the_next_login_only() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let token = valid_token();
    let parameters = [("user", "ann"), ("database", "postgres")];
    let mut session = cluster.client();
    assert_eq!(session.login(&parameters, &token), Outcome::Ready);
    let mut at_the_prompt = cluster.client();
    at_the_prompt.start(&parameters).expect("a connection");
    assert_eq!(at_the_prompt.auth_request(), AuthRequest::Password);
    cluster.set("azure_ad_auth.audience", "api://other");
    match cluster.login("ann", &token) {
        Outcome::Refused(error) => {
            assert_eq!(error.message, "the access token was issued for another resource");
            let hint = "Acquire an access token for the resource \"api://other\".";
            assert_eq!(error.hint.as_deref(), Some(hint));
        }
        other => panic!("{other:?}"),
    }
    assert!(session.query("SELECT 1").is_ok(), "who is in stays in");
    assert_eq!(
        at_the_prompt.answer(&token),
        Outcome::Ready,
        "a login in flight ends by the policy it began with"
    );
}

#[test]
fn who_may_see_and_who_may_set() {
    let (cluster, _provider) = Scene::new().start();
    cluster.set("azure_ad_auth.https_proxy", "http://user:secret@127.0.0.1:1");
    cluster.sql("CREATE ROLE local LOGIN");
    let as_local = |command: &str| cluster.sql_as("postgres", &format!("SET ROLE local; {command}"));
    assert!(as_local("SHOW azure_ad_auth.tenant_id").stdout.contains(TENANT));
    let output = as_local("SHOW azure_ad_auth.https_proxy");
    assert!(!output.success && !output.stderr.contains("secret"), "{}", output.stderr);
    for command in [
        "SET azure_ad_auth.audience = 'x'",
        "ALTER ROLE local SET azure_ad_auth.audience = 'x'",
        "SELECT set_config('azure_ad_auth.clock_skew', '0', false)",
    ] {
        assert!(!as_local(command).success, "{command}");
        assert!(
            !cluster.sql_as("postgres", command).success,
            "{command}: not even a superuser, in a session"
        );
    }
}

#[test]
fn a_client_cannot_set_anything_when_it_connects() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let parameters =
        [("user", "ann"), ("database", "postgres"), ("options", "-c azure_ad_auth.require_tls=off")];
    // Without TLS the login is refused before the token is asked for, and before options are
    // processed.
    let mark = cluster.log_mark();
    let mut client = cluster.plain_client();
    client.start(&parameters).expect("a connection");
    let expected = Refusal {
        code: "tls_required",
        sqlstate: "28000",
        message: "Azure AD authentication requires an encrypted connection",
        hint: None,
        facts: &[],
    };
    match client.auth_request() {
        AuthRequest::Finished(outcome) => check_refusal(&cluster, mark, "ann", "", &outcome, &expected),
        asked => panic!("the token was asked for: {asked:?}"),
    }
    // With TLS the token is accepted, and then PostgreSQL refuses the option.
    let token = valid_token();
    let mark = cluster.log_mark();
    match cluster.client().login(&parameters, &token) {
        Outcome::Refused(error) => {
            assert_eq!((error.severity.as_str(), error.sqlstate.as_str()), ("FATAL", "55P02"));
            assert_eq!(error.message, "parameter \"azure_ad_auth.require_tls\" cannot be changed now");
        }
        other => panic!("{other:?}"),
    }
    let log = cluster.log_since(mark);
    assert!(log.contains("azure_ad_auth: accepted role=ann "), "{}", without_debug(&log));
    assert!(
        log.contains("FATAL:  parameter \"azure_ad_auth.require_tls\" cannot be changed now"),
        "{}",
        without_debug(&log)
    );
    lacks_token(&cluster, &token);
}

#[test]
fn every_setting_is_described() {
    let (cluster, _provider) = Scene::new().start();
    let count = cluster.sql(
        "SELECT count(*) FROM pg_settings WHERE name LIKE 'azure\\_ad\\_auth.%' AND context = 'sighup' \
         AND length(short_desc) > 20 AND length(extra_desc) > 10",
    );
    assert_eq!(count, (BAD.len() + BAD_OF_DIRECTORY.len()).to_string());
    let defaults = cluster.sql(
        "SELECT string_agg(name || '=' || current_setting(name), ' ' ORDER BY name) FROM pg_settings \
         WHERE name ~ '^azure_ad_auth.(cloud|key_(max|ref)|unk|clock|req)'",
    );
    assert_eq!(
        defaults,
        "azure_ad_auth.clock_skew=1min azure_ad_auth.cloud=public azure_ad_auth.key_max_age=1d \
         azure_ad_auth.key_refresh_cooldown=5min azure_ad_auth.key_refresh_interval=1h \
         azure_ad_auth.require_tls=on azure_ad_auth.required_permission= azure_ad_auth.unknown_key_wait=2s"
    );
}
