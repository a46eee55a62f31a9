//! The identity of an Azure machine: its metadata service is asked in clear text, directly, and as
//! often as its documentation says.

use testbed::cluster::Cluster;
use testbed::expect::without_debug;
use testbed::idp::Provider;
use testbed::idp::directory::{IdentityEndpoint, Kind, Place, Trouble};
use testbed::issuer::{CLIENT, PERSON};
use testbed::port::free_port;
use testbed::proxy::Proxy;

use crate::common::credential::{await_attempts, await_error, by_credential, provider_with_admin};
use crate::common::directory::{DIRECTORY_WORKER, await_status, lacks_secrets, refresh, status};
use crate::common::server::process;
use crate::common::statements::fails;

/// Starts a server on a machine. Does not wait for a look.
fn on_a_machine(provider: &Provider, settings: &str) -> (Cluster, IdentityEndpoint) {
    let machine = provider.directory().virtual_machine();
    let settings = format!(
        "azure_ad_auth.directory_client_id = ''\nazure_ad_auth.directory_identity_url = '{}'\n{settings}",
        machine.url()
    );
    let cluster = by_credential(provider, "managed_identity", &settings).start_with(provider);
    (cluster, machine)
}

#[test]
fn the_machine_is_asked_directly_and_graph_through_the_proxy() {
    let (provider, proxy) = (provider_with_admin(), Proxy::start(None));
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    let settings = format!("azure_ad_auth.https_proxy = 'http://127.0.0.1:{}'", proxy.port());
    let (cluster, _machine) = on_a_machine(&provider, &settings);
    cluster.await_directory();
    cluster.sql("CREATE ROLE \"ann@contoso.example\" LOGIN IN ROLE azure_ad_user");
    // Numbers come as texts, and say how long the token lives.
    let lifetime = "mode, token_expires_at - now() BETWEEN interval '23 h' AND interval '24 h'";
    assert_eq!(status(&cluster, lifetime), "managed_identity|t");
    assert_eq!((directory.requests(Kind::Identity), directory.requests(Kind::Token)), (1, 0));
    let asked = directory.last(Kind::Identity).expect("a request");
    let target = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=";
    assert!(asked.target.starts_with(target), "{}", asked.target);
    let target = format!("CONNECT 127.0.0.1:{} HTTP/1.1", provider.port());
    let through = proxy.asked();
    assert!(!through.is_empty() && through.iter().all(|line| *line == target), "{through:?}");
    // Without the proxy, Graph cannot be reached, and the machine can.
    directory.revoke_tokens();
    directory.forget_requests();
    cluster.set("azure_ad_auth.https_proxy", &format!("http://127.0.0.1:{}", free_port()));
    fails(
        &cluster,
        "SELECT azure_ad_auth.refresh_directory()",
        "58030",
        "the directory could not be looked at",
        "",
    );
    assert!(directory.requests(Kind::Identity) > 0);
    assert_eq!(directory.requests(Kind::GetByIds), 0);
    lacks_secrets(&cluster, &provider);
}

#[test]
fn an_identity_that_is_not_assigned_is_not_asked_for_again() {
    let provider = provider_with_admin();
    let directory = provider.directory();
    let (cluster, machine) =
        on_a_machine(&provider, &format!("azure_ad_auth.directory_client_id = '{CLIENT}'"));
    await_error(&cluster, "answered with status 400: this identity is not assigned to the machine");
    await_attempts(&cluster, 3);
    assert_eq!(directory.requests(Kind::Identity), 1);
    let log = without_debug(&cluster.log());
    assert_eq!(log.matches("this identity is not assigned to the machine").count(), 1, "{log}");
    machine.assign(CLIENT);
    assert_eq!(refresh(&cluster), "1");
    assert_eq!(status(&cluster, "last_error"), "");
}

#[test]
fn a_machine_whose_service_is_being_updated_is_waited_for() {
    let provider = provider_with_admin();
    let directory = provider.directory();
    directory.fail(Place::Identity, Trouble::Refuse(410, "gone"));
    let (cluster, _machine) = on_a_machine(&provider, "");
    await_error(&cluster, "answered with status 410: the machine's identity endpoint is being updated");
    await_attempts(&cluster, 5);
    assert!(directory.requests(Kind::Identity) < 5, "not as often as somebody wants a token");
    // It is asked again by itself.
    directory.recover(Place::Identity);
    cluster.await_directory();
}

#[test]
fn what_is_no_token_is_not_used_and_the_worker_lives() {
    let provider = provider_with_admin();
    let directory = provider.directory();
    let (cluster, machine) = on_a_machine(&provider, "azure_ad_auth.directory_refresh_interval = 1h");
    cluster.await_directory();
    let worker = process(&cluster, DIRECTORY_WORKER);
    for trouble in [
        Trouble::Body(200, "text/html", b"<html>".to_vec()),
        Trouble::Body(200, "application/json", b"{\"access_token\":7,\"expires_in\":\"7\"}".to_vec()),
        Trouble::Body(200, "application/json", b"[".repeat(100_000)),
        Trouble::Huge(10 * 1_048_576),
        Trouble::Redirect(provider.url()),
        Trouble::Cut,
    ] {
        directory.fail(Place::Identity, trouble.clone());
        machine.forget_tokens();
        directory.revoke_tokens();
        let refused = cluster.sql_verbosely("SELECT azure_ad_auth.refresh_directory()");
        assert!(refused.stderr.contains("58030"), "{trouble:?}: {}", refused.stderr);
    }
    directory.recover(Place::Identity);
    assert_eq!(refresh(&cluster), "1");
    await_status(&cluster, "state", "fresh");
    assert_eq!(process(&cluster, DIRECTORY_WORKER), worker);
}
