//! A provider that is down, out of reach, somebody else or out of its mind: logins go on while the keys last.

use std::sync::Arc;

use serde_json::json;
use trial::client::Outcome;
use trial::cluster::{Cluster, Setup, eventually, free_port};
use trial::expect::admitted;
use trial::idp::{Manners, Provider};
use trial::issuer::*;

use crate::keys::{UNAVAILABLE, message, message_or_ready, try_login};
use crate::{KEY, WORKSHOP, link, scene};

#[test]
fn a_provider_that_is_down_at_first() {
    let port = free_port();
    let settings = format!("azure_ad_auth.authority_url = 'https://127.0.0.1:{port}'");
    let cluster = Cluster::new(&WORKSHOP, &Setup { settings, ..Setup::default() });
    cluster.start();
    cluster.found();
    link(&cluster, "ann", PERSON, "user");
    cluster.await_log(0, "fetching the signing keys failed: https://127.0.0.1:");
    assert_eq!(message(try_login(&cluster, &KEY)), UNAVAILABLE);
    let output = cluster.sql_as("postgres", "SELECT azure_ad_auth.refresh_keys()");
    assert!(output.stderr.contains("ERROR:  the signing keys could not be fetched"), "{}", output.stderr);
    assert!(output.stderr.contains("DETAIL:  https://127.0.0.1:"), "{}", output.stderr);
    let provider = Provider::start(&WORKSHOP.authority, vec![Arc::clone(&KEY)], port);
    assert!(eventually(|| try_login(&cluster, &KEY) == Outcome::Ready), "it tries again by itself");
    drop(provider);
}

#[test]
fn bad_manners_of_a_provider_cost_no_login_while_the_keys_last() {
    let (cluster, provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    let huge = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(1_100_000));
    for (manners, said) in [
        (Manners::Status(404, ""), "answered with status 404"),
        (Manners::Status(429, "retry-after: 7\r\n"), "answered with status 429"),
        (Manners::Status(500, ""), "answered with status 500"),
        (
            Manners::Status(302, "location: https://evil.example/\r\n"),
            "answered with status 302, and redirects are not followed",
        ),
        (Manners::Body(String::new()), "the key document cannot be read: not JSON"),
        (Manners::Body("<html>".to_owned()), "the key document cannot be read: not JSON"),
        (Manners::Body("{}".to_owned()), "the key document has no array \"keys\""),
        (Manners::Body("{\"keys\":[]}".to_owned()), "the key document has no usable key (0 were dropped)"),
        (
            Manners::Body(json!({"keys": [with(KEY.jwk(), "use", json!("enc"))]}).to_string()),
            "the key document has no usable key (1 were dropped)",
        ),
        (Manners::Body(huge), "the response body is larger than request limit: 1048576"),
        (Manners::Cut, "io: "),
        (Manners::Plain, "received corrupt message of type InvalidContentType"),
        (Manners::HangUp, "io: "),
    ] {
        provider.behave(manners.clone());
        let output = cluster.sql_as("postgres", "SELECT azure_ad_auth.refresh_keys()");
        assert!(output.stderr.contains("ERROR:  the signing keys could not be fetched"), "{manners:?}");
        assert!(output.stderr.contains(said), "{manners:?}: {}", output.stderr);
        assert_eq!(try_login(&cluster, &KEY), Outcome::Ready, "{manners:?}");
    }
    provider.behave(Manners::Good);
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
}

#[test]
fn a_provider_that_cannot_be_reached_costs_no_login_while_the_keys_last() {
    let (cluster, provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    drop(provider);
    let output = cluster.sql_as("postgres", "SELECT azure_ad_auth.refresh_keys()");
    assert!(output.stderr.contains("Connection refused"), "{}", output.stderr);
    assert_eq!(try_login(&cluster, &KEY), Outcome::Ready);
}

#[test]
fn a_host_that_nobody_knows() {
    let (cluster, provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    let mark = cluster.log_mark();
    // RFC 6761 section 6.4: no name server knows it.
    cluster.set("azure_ad_auth.authority_url", "https://login.invalid");
    cluster.await_log(mark, "fetching the signing keys failed: https://login.invalid/");
    assert_eq!(message(try_login(&cluster, &KEY)), UNAVAILABLE);
    cluster.set("azure_ad_auth.authority_url", &provider.url());
    assert!(eventually(|| try_login(&cluster, &KEY) == Outcome::Ready));
}

#[test]
fn keys_too_old_are_not_used() {
    let settings = "azure_ad_auth.key_refresh_interval = 1s\nazure_ad_auth.key_max_age = 3s\n\
                    azure_ad_auth.unknown_key_wait = 0";
    let (cluster, provider) = scene(settings);
    link(&cluster, "ann", PERSON, "user");
    admitted(&cluster, "ann", &KEY.token(&user_v1(unix_now())));
    provider.behave(Manners::Status(500, ""));
    let mark = cluster.log_mark();
    assert!(eventually(|| message_or_ready(&cluster) == UNAVAILABLE));
    let log = cluster.log_since(mark);
    let line = log
        .lines()
        .find(|line| line.contains("refused code=keys_unavailable role=ann door=password method=trust"));
    assert!(line.is_some_and(|line| line.contains(" keys=\"too old\"")), "{log}");
    provider.behave(Manners::Good);
    assert!(eventually(|| try_login(&cluster, &KEY) == Outcome::Ready));
}

#[test]
fn a_certificate_of_nobodys() {
    let stranger = trial::ca::Authority::new("Somebody else");
    let provider = Provider::start(&stranger, vec![Arc::clone(&KEY)], 0);
    let settings = format!("azure_ad_auth.authority_url = '{}'", provider.url());
    let cluster = Cluster::new(&WORKSHOP, &Setup { settings, ..Setup::default() });
    cluster.start();
    cluster.found();
    link(&cluster, "ann", PERSON, "user");
    cluster.await_log(0, "invalid peer certificate: UnknownIssuer");
    assert_eq!(message(try_login(&cluster, &KEY)), UNAVAILABLE);
    // Trusted once it is named, by a reload.
    cluster.folder().write("stranger.pem", stranger.pem());
    cluster.set("azure_ad_auth.ca_file", &cluster.path("stranger.pem").display().to_string());
    cluster.await_keys();
    assert_eq!(try_login(&cluster, &KEY), Outcome::Ready);
}
