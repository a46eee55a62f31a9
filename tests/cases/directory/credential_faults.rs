//! What the token endpoint says against the server's credential: the number, what to do, one line
//! in the log, and no storm of requests.

use testbed::cluster::Cluster;
use testbed::expect::without_debug;
use testbed::idp::Provider;
use testbed::idp::directory::{ClientCertificate, Kind, Place, SERVER_PRINCIPAL, Trouble};
use testbed::issuer::OTHER_TENANT;
use testbed::scene::Scene;
use testbed::scratch::Folder;

use crate::common::credential::{
    await_attempts, await_error, by_credential, federated_token, provider_with_admin, trust_federated_tokens,
};
use crate::common::directory::{lacks_secrets, refresh, status, with_directory};

/// Expects a fault to be shown with these texts, to be in the log once, and not to be asked about
/// again soon.
fn is_told_once(cluster: &Cluster, provider: &Provider, texts: &[&str]) {
    let directory = provider.directory();
    let mark = cluster.log_mark();
    directory.forget_requests();
    directory.revoke_tokens();
    await_error(cluster, texts.first().expect("a text"));
    let fault = status(cluster, "last_error");
    for text in texts {
        assert!(fault.contains(text), "{text}: {fault}");
    }
    await_attempts(cluster, 3);
    assert_eq!(directory.requests(Kind::Token), 1, "{fault}");
    assert_eq!(status(cluster, "last_error"), fault);
    let log = without_debug(&cluster.log_since(mark));
    assert_eq!(log.matches("looking at the directory failed: ").count(), 1, "{log}");
    for text in texts {
        assert!(log.contains(text), "{text}: {log}");
    }
    lacks_secrets(cluster, provider);
}

#[test]
fn a_secret_that_is_wrong_or_has_expired() {
    let (cluster, provider) = with_directory(Scene::new());
    provider.directory().expire_secrets();
    is_told_once(&cluster, &provider, &["AADSTS7000222: the client secret has expired"]);
    let (cluster, provider) = with_directory(Scene::new());
    provider.directory().set_secret("another~secret");
    let advice = "the client secret is wrong; the file must have the secret's value, not its id";
    is_told_once(&cluster, &provider, &["AADSTS7000215", advice]);
}

#[test]
fn an_application_that_is_disabled() {
    let (cluster, provider) = with_directory(Scene::new());
    provider.directory().disable(SERVER_PRINCIPAL);
    is_told_once(&cluster, &provider, &["AADSTS7000112: the application is disabled in the tenant"]);
}

#[test]
fn a_tenant_without_the_application_and_one_that_does_not_exist() {
    let (cluster, provider) = with_directory(Scene::new());
    cluster.set("azure_ad_auth.tenant_id", OTHER_TENANT);
    await_error(&cluster, "AADSTS700016: the tenant has no application of this client id");
    cluster.set("azure_ad_auth.tenant_id", "11111111-aaaa-bbbb-cccc-000000000077");
    await_error(&cluster, "AADSTS90002: there is no such tenant");
    let asked = provider.directory().requests(Kind::Token);
    await_attempts(&cluster, 3);
    assert_eq!(provider.directory().requests(Kind::Token), asked);
    cluster.sql("ALTER SYSTEM RESET azure_ad_auth.tenant_id");
    cluster.reload();
    assert_eq!(refresh(&cluster), "1");
}

fn by_certificate() -> (Cluster, Provider, ClientCertificate) {
    let (provider, certificate) = (provider_with_admin(), ClientCertificate::new());
    provider.directory().register(&certificate);
    let both = format!("{}{}", certificate.certificate_pem, certificate.key_pem);
    let scene =
        by_credential(&provider, "certificate", "azure_ad_auth.directory_certificate_file = '/nowhere.pem'");
    let cluster = scene.start_with(&provider);
    let file = cluster.folder().write("both.pem", both);
    cluster.set("azure_ad_auth.directory_certificate_file", &file.display().to_string());
    cluster.await_directory();
    (cluster, provider, certificate)
}

#[test]
fn a_clock_that_is_off_by_an_hour() {
    for (ahead, direction) in
        [(3_600, "seconds ahead of this server's)"), (-3_600, "seconds behind this server's)")]
    {
        let (cluster, provider, _certificate) = by_certificate();
        provider.set_clock_ahead(ahead);
        let advice = "AADSTS700024: the assertion is outside its time: a clock is wrong";
        is_told_once(&cluster, &provider, &[advice, "(its clock is 3", direction]);
        provider.set_clock_ahead(0);
        assert_eq!(refresh(&cluster), "1");
    }
}

#[test]
fn a_certificate_that_is_not_registered_or_was_revoked() {
    let (cluster, provider, certificate) = by_certificate();
    provider.directory().revoke_certificates();
    is_told_once(&cluster, &provider, &["AADSTS7000214: the certificate is outside its validity or revoked"]);
    provider.directory().remove_certificates();
    provider.directory().register(&certificate);
    assert_eq!(refresh(&cluster), "1");
    provider.directory().remove_certificates();
    let advice = "AADSTS700027: the certificate is not registered with the application";
    is_told_once(&cluster, &provider, &[advice, "(its SHA-256 thumbprint is "]);
}

#[test]
fn a_federated_token_that_matches_no_credential_says_what_it_has() {
    let (provider, folder) = (provider_with_admin(), Folder::new("credential"));
    trust_federated_tokens(&provider);
    let file = folder.write("token", federated_token("system:other", 3_600));
    let settings = format!("azure_ad_auth.directory_token_file = '{}'", file.display());
    let cluster = by_credential(&provider, "federated_token", &settings).start_with(&provider);
    let said = "(the file's token has iss \"https://oidc.example/cluster\", sub \"system:other\", aud \
                \"api://AzureADTokenExchange\"; ";
    await_error(&cluster, "AADSTS700213");
    assert!(status(&cluster, "last_error").contains(said), "{}", status(&cluster, "last_error"));
    await_attempts(&cluster, 3);
    assert_eq!(provider.directory().requests(Kind::Token), 1);
    lacks_secrets(&cluster, &provider);
}

#[test]
fn a_server_that_is_told_that_it_asks_in_a_loop_waits() {
    let (cluster, provider) = with_directory(Scene::new());
    provider.directory().fail(Place::Token, Trouble::Refuse(400, "50196"));
    is_told_once(&cluster, &provider, &["AADSTS50196: the server asks too often; it waits for minutes"]);
}
