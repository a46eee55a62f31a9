//! A provider that is down, cannot be reached, or sends nonsense: logins go on while the keys last.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use entra::Snapshot;
use testbed::client::Outcome;
use testbed::expect::admitted;
use testbed::idp::{Behavior, Provider};
use testbed::issuer::{PERSON, with};
use testbed::port::free_port;
use testbed::scene::{KEY, NEW_KEY, Scene};
use testbed::template::Template;
use testbed::waits::eventually;

use crate::common::login::{UNAVAILABLE, login_with_key, message_or_ready, refusal_message, valid_token};
use crate::common::statements::link;
use serde_json::json;

#[test]
fn a_provider_that_is_down_at_first() {
    let port = free_port();
    let settings = format!("azure_ad_auth.authority_url = 'https://127.0.0.1:{port}'");
    let cluster = Scene::new().settings(settings).create();
    cluster.start();
    cluster.create_extension();
    link(&cluster, "ann", PERSON, "user");
    cluster.await_log(0, "fetching the signing keys failed: https://127.0.0.1:");
    assert_eq!(refusal_message(login_with_key(&cluster, &KEY)), UNAVAILABLE);
    let output = cluster.sql_as("postgres", "SELECT azure_ad_auth.refresh_keys()");
    assert!(output.stderr.contains("ERROR:  the signing keys could not be fetched"), "{}", output.stderr);
    assert!(output.stderr.contains("DETAIL:  https://127.0.0.1:"), "{}", output.stderr);
    let provider = Provider::start(&Template::shared().authority, vec![Arc::clone(&KEY)], port);
    assert!(eventually(|| login_with_key(&cluster, &KEY) == Outcome::Ready), "it tries again by itself");
    drop(provider);
}

#[test]
fn bad_manners_of_a_provider_cost_no_login_while_the_keys_last() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let huge = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(1_100_000));
    for (manners, said) in [
        (Behavior::Status(404, ""), "answered with status 404"),
        (Behavior::Status(429, "retry-after: 7\r\n"), "answered with status 429"),
        (Behavior::Status(500, ""), "answered with status 500"),
        (
            Behavior::Status(302, "location: https://evil.example/\r\n"),
            "answered with status 302, and redirects are not followed",
        ),
        (Behavior::Body(String::new()), "the key document cannot be read: not JSON"),
        (Behavior::Body("<html>".to_owned()), "the key document cannot be read: not JSON"),
        (Behavior::Body("{}".to_owned()), "the key document has no array \"keys\""),
        (Behavior::Body("{\"keys\":[]}".to_owned()), "the key document has no usable key (0 were dropped)"),
        (
            Behavior::Body(json!({"keys": [with(KEY.jwk(), "use", json!("enc"))]}).to_string()),
            "the key document has no usable key (1 were dropped)",
        ),
        (Behavior::Body(huge), "the response body is larger than request limit: 1048576"),
        (Behavior::Cut, "io: "),
        (Behavior::Plain, "received corrupt message of type InvalidContentType"),
        (Behavior::HangUp, "io: "),
    ] {
        provider.behave(manners.clone());
        let output = cluster.sql_as("postgres", "SELECT azure_ad_auth.refresh_keys()");
        assert!(output.stderr.contains("ERROR:  the signing keys could not be fetched"), "{manners:?}");
        assert!(output.stderr.contains(said), "{manners:?}: {}", output.stderr);
        assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready, "{manners:?}");
    }
    provider.behave(Behavior::Good);
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
}

#[test]
fn redirects_are_not_followed() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let target = Provider::start(&Template::shared().authority, vec![Arc::clone(&NEW_KEY)], 0);
    let place = format!("location: {}/keys\r\n", target.url()).leak();
    for status in [301, 302, 303, 307, 308] {
        provider.behave(Behavior::Status(status, place));
        let output = cluster.sql_as("postgres", "SELECT azure_ad_auth.refresh_keys()");
        let said = format!("answered with status {status}, and redirects are not followed");
        assert!(output.stderr.contains(&said), "{}", output.stderr);
        assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready);
    }
    assert_eq!(target.requests(), 0);
}

#[test]
fn a_certificate_that_has_become_bad_costs_no_login_while_the_keys_last() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let authority = &Template::shared().authority;
    let stranger = testbed::ca::Authority::new("Somebody else");
    for (identity, said) in [
        (authority.expired_identity(), "invalid peer certificate: certificate expired"),
        (authority.identity_of_another_host(), "invalid peer certificate: certificate not valid for name"),
        (stranger.identity(), "invalid peer certificate: UnknownIssuer"),
    ] {
        provider.present(&identity);
        let output = cluster.sql_as("postgres", "SELECT azure_ad_auth.refresh_keys()");
        assert!(output.stderr.contains(said), "{said}: {}", output.stderr);
        assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready, "{said}");
    }
    provider.present(&authority.identity());
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
}

#[test]
fn a_provider_that_cannot_be_reached_costs_no_login_while_the_keys_last() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    drop(provider);
    let output = cluster.sql_as("postgres", "SELECT azure_ad_auth.refresh_keys()");
    assert!(output.stderr.contains("Connection refused"), "{}", output.stderr);
    assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready);
}

#[test]
fn a_host_that_nobody_knows() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let mark = cluster.log_mark();
    // RFC 6761 section 6.4: no name server knows it.
    cluster.set("azure_ad_auth.authority_url", "https://login.invalid");
    cluster.await_log(mark, "fetching the signing keys failed: https://login.invalid/");
    assert_eq!(refusal_message(login_with_key(&cluster, &KEY)), UNAVAILABLE);
    // A server that starts without a name server, with the keys it fetched before.
    cluster.stop("fast");
    let bytes = fs::read(cluster.key_snapshot()).expect("a snapshot");
    let mut snapshot = Snapshot::parse(&bytes).expect("a snapshot");
    snapshot.origin = snapshot.origin.replace(&provider.url(), "https://login.invalid");
    fs::write(cluster.key_snapshot(), snapshot.to_bytes()).expect("a snapshot");
    cluster.start();
    assert!(eventually(|| login_with_key(&cluster, &KEY) == Outcome::Ready));
    assert!(eventually(|| cluster.sql("SELECT state FROM azure_ad_auth.key_status") == "failing"));
    assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready);
    cluster.set("azure_ad_auth.authority_url", &provider.url());
    assert!(eventually(|| login_with_key(&cluster, &KEY) == Outcome::Ready));
}

#[test]
fn keys_are_used_until_they_are_too_old_and_never_get_so_while_the_provider_is_well() {
    // The interval does not matter: keys are fetched ahead of expiry.
    let (cluster, provider) = Scene::new().settings("azure_ad_auth.key_max_age = 4s").start();
    link(&cluster, "ann", PERSON, "user");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(6) {
        admitted(&cluster, "ann", &valid_token());
    }
    cluster.set("azure_ad_auth.unknown_key_wait", "0");
    for manners in [Behavior::Status(500, ""), Behavior::HangUp, Behavior::Hang, Behavior::Silent] {
        // Not by logins, because only a limited number of refusals is logged in half a minute.
        let fetched = || cluster.sql_as("postgres", "SELECT azure_ad_auth.refresh_keys()").success;
        assert!(eventually(fetched), "{manners:?}");
        provider.behave(manners.clone());
        let mark = cluster.log_mark();
        assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready, "{manners:?}");
        assert!(eventually(|| message_or_ready(&cluster) == UNAVAILABLE));
        let log = cluster.log_since(mark);
        let line = log
            .lines()
            .find(|line| line.contains("refused code=keys_unavailable role=ann door=password method=trust"));
        assert!(line.is_some_and(|line| line.contains(" keys=\"too old\"")), "{manners:?}: {log}");
        provider.behave(Behavior::Good);
    }
    assert!(eventually(|| login_with_key(&cluster, &KEY) == Outcome::Ready));
}

#[test]
fn a_certificate_of_nobodys() {
    let stranger = testbed::ca::Authority::new("Somebody else");
    let provider = Provider::start(&stranger, vec![Arc::clone(&KEY)], 0);
    let settings = format!("azure_ad_auth.authority_url = '{}'", provider.url());
    let cluster = Scene::new().settings(settings).create();
    cluster.start();
    cluster.create_extension();
    link(&cluster, "ann", PERSON, "user");
    cluster.await_log(0, "invalid peer certificate: UnknownIssuer");
    assert_eq!(refusal_message(login_with_key(&cluster, &KEY)), UNAVAILABLE);
    // The certificate is trusted once ca_file names it and the server reloads.
    cluster.folder().write("stranger.pem", stranger.pem());
    cluster.set("azure_ad_auth.ca_file", &cluster.path("stranger.pem").display().to_string());
    cluster.await_keys();
    assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready);
    // A file without certificates is refused, and logins go on.
    let own = cluster.path("stranger.pem").display().to_string();
    for (path, said) in [
        ("/nowhere/ca.pem", "No such file or directory"),
        ("/etc", "not a regular file"),
        ("/etc/passwd", "no certificate in it"),
    ] {
        let statement = format!("ALTER SYSTEM SET azure_ad_auth.ca_file = '{path}'");
        let output = cluster.sql_as("postgres", &statement);
        let detail = "DETAIL:  The value is not a file of certificates: ";
        assert!(output.stderr.contains(detail) && output.stderr.contains(said), "{}", output.stderr);
        let line = format!("azure_ad_auth.ca_file = '{path}'\n");
        let written = fs::read_to_string(cluster.data().join("postgresql.auto.conf")).expect("settings");
        let mark = cluster.log_mark();
        cluster.folder().write("data/postgresql.auto.conf", written.clone() + &line);
        cluster.reload();
        let log = cluster.log_since(mark);
        assert!(log.contains("invalid value for parameter \"azure_ad_auth.ca_file\""), "{log}");
        assert_eq!(cluster.sql("SHOW azure_ad_auth.ca_file"), own);
        assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready, "{path}");
        cluster.folder().write("data/postgresql.auto.conf", written);
    }
    // The certificate of another authority is not trusted. Then the first one again.
    cluster.set("azure_ad_auth.ca_file", &Template::shared().ca_file().display().to_string());
    assert!(eventually(|| message_or_ready(&cluster) == UNAVAILABLE));
    cluster.set("azure_ad_auth.ca_file", &own);
    assert!(eventually(|| login_with_key(&cluster, &KEY) == Outcome::Ready));
    // If the file is removed, only the next fetch fails: sessions and their parallel workers go on.
    fs::remove_file(&own).expect("a file");
    let major = cluster.major();
    let forced = if major < 16 { "force_parallel_mode" } else { "debug_parallel_query" };
    let plan = cluster.sql(&format!(
        "SET {forced} = on; EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT count(*) FROM pg_class"
    ));
    assert!(plan.contains("Workers Launched: 1"), "{plan}");
    assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready);
}
