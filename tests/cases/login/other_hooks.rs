//! Hooks of other extensions.

use std::time::{Duration, Instant};

use testbed::client::Outcome;
use testbed::cluster::{Cluster, Configuration};
use testbed::idp::Provider;
use testbed::issuer::PERSON;
use testbed::scene::{Scene, provider};

use crate::common::login::valid_token;
use crate::common::server::neighbour;
use crate::common::statements::link;

/// Starts a server with other libraries before or after this one. `NEIGHBOUR` stands for the
/// neighbour's path.
fn server(libraries: &str, settings: &str) -> (Cluster, Provider) {
    let provider = provider();
    let cluster = Scene::new().create();
    let libraries = if libraries.contains("NEIGHBOUR") {
        libraries.replace("NEIGHBOUR", &neighbour(&cluster))
    } else {
        libraries.to_owned()
    };
    let settings = format!("azure_ad_auth.authority_url = '{}'\n{settings}", provider.url());
    cluster.configure(&Configuration::new().settings(settings).preload(libraries));
    cluster.start();
    cluster.create_extension();
    cluster.await_keys();
    link(&cluster, "ann", PERSON, "user");
    (cluster, provider)
}

#[test]
fn a_hook_before_ours_sees_the_true_result() {
    let (cluster, _provider) = server("NEIGHBOUR,azure_ad_auth", "");
    let good = valid_token();
    let mark = cluster.log_mark();
    assert_eq!(cluster.login("ann", &good), Outcome::Ready);
    cluster.await_log(mark, "neighbour: role=ann status=0");
    let mark = cluster.log_mark();
    assert!(matches!(cluster.login("ann", "no token"), Outcome::Refused(_)));
    cluster.await_log(mark, "neighbour: role=ann status=-1");
    let mark = cluster.log_mark();
    let mut client = cluster.client();
    client.start(&[("user", "ann"), ("database", "postgres")]).expect("a connection");
    let _ = client.auth_request();
    drop(client);
    cluster.await_log(mark, "neighbour: role=ann status=-2");
    // The status is also -1 for a refusal before the prompt and for one by PostgreSQL.
    let mark = cluster.log_mark();
    let parameters = [("user", "ann"), ("database", "postgres")];
    assert!(matches!(cluster.plain_client().login(&parameters, &good), Outcome::Refused(_)));
    cluster.await_log(mark, "neighbour: role=ann status=-1");
    let mark = cluster.log_mark();
    assert!(matches!(cluster.login("nobody", "x"), Outcome::Refused(_)));
    cluster.await_log(mark, "neighbour: role=nobody status=-1");
}

#[test]
fn a_hook_after_ours_sees_no_refusal() {
    let (cluster, _provider) = server("azure_ad_auth,NEIGHBOUR", "");
    let mark = cluster.log_mark();
    assert_eq!(cluster.login("ann", &valid_token()), Outcome::Ready);
    cluster.await_log(mark, "neighbour: role=ann status=0");
    let mark = cluster.log_mark();
    assert!(matches!(cluster.login("ann", "no token"), Outcome::Refused(_)));
    cluster.sql("SELECT 1");
    assert!(!cluster.log_since(mark).contains("neighbour: role=ann"), "as the README says");
}

#[test]
fn auth_delay_before_ours_delays_a_refusal() {
    let (cluster, _provider) = server("auth_delay,azure_ad_auth", "auth_delay.milliseconds = 1500");
    let begin = Instant::now();
    assert!(matches!(cluster.login("ann", "no token"), Outcome::Refused(_)));
    // The delay itself is tested, not the speed of the machine.
    assert!(begin.elapsed() >= Duration::from_millis(1_500));
    assert_eq!(cluster.login("ann", &valid_token()), Outcome::Ready);
}

#[test]
fn auth_delay_after_ours_does_not_but_lets_in_who_may() {
    let (cluster, _provider) = server("azure_ad_auth,auth_delay", "auth_delay.milliseconds = 500");
    assert_eq!(cluster.login("ann", &valid_token()), Outcome::Ready);
    assert!(matches!(cluster.login("ann", "no token"), Outcome::Refused(_)));
}
