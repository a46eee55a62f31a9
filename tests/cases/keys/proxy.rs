//! Keys that are fetched through a proxy.

use std::fs;
use std::sync::Arc;

use testbed::cluster::Cluster;
use testbed::expect::{Refusal, admitted, refused, without_debug};
use testbed::idp::{Behavior, Provider};
use testbed::issuer::{PERSON, b64, unix_now, user_v1};
use testbed::port::free_port;
use testbed::proxy::Proxy;
use testbed::scene::{KEY, NEW_KEY, Scene, provider};
use testbed::waits::eventually;

use crate::common::login::{UNAVAILABLE, valid_token};
use crate::common::statements::link;

/// Starts a server that fetches its keys through a proxy on `port` as the user `reader`. Does not
/// wait for the keys.
fn behind_a_proxy(provider: &Provider, port: u16, password: &str) -> Cluster {
    let settings = format!(
        "azure_ad_auth.authority_url = '{}'\nazure_ad_auth.unknown_key_wait = 0\n\
         azure_ad_auth.https_proxy = 'http://reader:{password}@127.0.0.1:{port}'",
        provider.url()
    );
    let cluster = Scene::new().settings(settings).create();
    cluster.start();
    cluster.create_extension();
    link(&cluster, "ann", PERSON, "user");
    cluster
}

/// Expects a text not to contain a proxy's password: as in the setting, decoded, or as it is sent.
fn lacks_password(text: &str, password: &str) {
    let decoded = password.replace("%40", "@");
    let sent = b64(format!("reader:{decoded}"));
    for form in [password, &decoded, &sent] {
        assert!(!text.contains(form), "{form}: {}", without_debug(text));
    }
}

#[test]
fn keys_come_through_a_proxy_that_wants_a_password() {
    let (provider, proxy) = (provider(), Proxy::start(Some("reader:open@sesame")));
    let cluster = behind_a_proxy(&provider, proxy.port(), "open%40sesame");
    cluster.await_keys();
    assert!(proxy.tunnels() > 0);
    admitted(&cluster, "ann", &valid_token());
    provider.publish(vec![Arc::clone(&KEY), Arc::clone(&NEW_KEY)]);
    let before = proxy.tunnels();
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "2");
    assert!(proxy.tunnels() > before);
    admitted(&cluster, "ann", &NEW_KEY.token(&user_v1(unix_now())));
    lacks_password(&cluster.log(), "open%40sesame");
}

#[test]
fn a_proxy_that_refuses_or_is_dead_is_not_passed_by_and_its_password_not_told() {
    let (provider, proxy) = (provider(), Proxy::start(Some("reader:open@sesame")));
    for (port, said) in [
        (proxy.port(), "CONNECT proxy failed: proxy server responded 407/407"),
        (free_port(), "io: Connection refused"),
    ] {
        let cluster = behind_a_proxy(&provider, port, "open%40barley");
        let output = cluster.sql_as("postgres", "SELECT azure_ad_auth.refresh_keys()");
        assert!(output.stderr.contains("ERROR:  the signing keys could not be fetched"), "{}", output.stderr);
        assert!(output.stderr.contains(said), "{}", output.stderr);
        lacks_password(&output.stderr, "open%40barley");
        let expected = Refusal {
            code: "keys_unavailable",
            sqlstate: "57P03",
            message: UNAVAILABLE,
            hint: None,
            facts: &["keys=empty", "problem="],
        };
        refused(&cluster, "ann", &valid_token(), &expected);
        let log = cluster.log();
        assert!(log.contains("fetching the signing keys failed"), "{}", without_debug(&log));
        lacks_password(&log, "open%40barley");
    }
    assert!(proxy.requests() > 0);
    assert_eq!((proxy.tunnels(), provider.requests()), (0, 0));
}

#[test]
fn the_environments_proxy_and_authorities_are_not_looked_at() {
    let provider = provider();
    let settings = format!("azure_ad_auth.authority_url = '{}'", provider.url());
    let cluster = Scene::new().settings(settings).create();
    let dead = format!("http://127.0.0.1:{}", free_port());
    let mut pg_ctl = cluster.installation().command("pg_ctl");
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        pg_ctl.env(name, &dead);
    }
    // The authority that it names is not trusted.
    let stranger = testbed::ca::Authority::new("Somebody else");
    let file = cluster.folder().write("stranger.pem", stranger.pem());
    pg_ctl.env("SSL_CERT_FILE", &file);
    pg_ctl.args(["start", "-w", "-s", "-D"]).arg(cluster.data()).arg("-l").arg(cluster.path("log"));
    assert!(pg_ctl.status().expect("pg_ctl").success());
    let environment = fs::read(format!("/proc/{}/environ", cluster.pid())).expect("the server's environment");
    assert!(String::from_utf8_lossy(&environment).contains(&format!("HTTPS_PROXY={dead}")));
    assert!(String::from_utf8_lossy(&environment).contains("SSL_CERT_FILE="));
    cluster.create_extension();
    link(&cluster, "ann", PERSON, "user");
    cluster.await_keys();
    admitted(&cluster, "ann", &valid_token());
    provider.present(&stranger.identity());
    let output = cluster.sql_as("postgres", "SELECT azure_ad_auth.refresh_keys()");
    assert!(output.stderr.contains("invalid peer certificate: UnknownIssuer"), "{}", output.stderr);
}

#[test]
fn proxies_that_are_none_of_http() {
    let (cluster, _provider) = Scene::new().start();
    for scheme in ["socks4", "socks4a", "socks5", "socks5h"] {
        let statement = format!("ALTER SYSTEM SET azure_ad_auth.https_proxy = '{scheme}://127.0.0.1:1080'");
        let output = cluster.sql_as("postgres", &statement);
        let detail = "DETAIL:  The value is not the http or https address of a proxy.";
        assert!(output.stderr.contains(detail), "{}", output.stderr);
    }
}

#[test]
fn a_proxy_changed_during_a_fetch_is_used() {
    let (cluster, provider) = Scene::new().start();
    provider.behave(Behavior::Hang);
    let before = provider.requests();
    cluster.sql("SELECT pg_reload_conf()");
    assert!(eventually(|| provider.requests() > before), "a fetch hangs");
    let proxy = Proxy::start(None);
    cluster.set("azure_ad_auth.https_proxy", &format!("http://127.0.0.1:{}", proxy.port()));
    provider.behave(Behavior::Good);
    assert!(eventually(|| proxy.tunnels() > 0));
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
}
