//! Ways for the server to prove who it is, other than by a secret.

use std::collections::BTreeSet;
use std::sync::Arc;

use testbed::cluster::Cluster;
use testbed::idp::Provider;
use testbed::idp::directory::Federation;
use testbed::issuer::unix_now;
use testbed::scene::{ADMIN, KEY, Scene, provider};
use testbed::waits::eventually;

use super::directory::status;

/// The issuer of the federated token.
pub(crate) const ISSUER: &str = "https://oidc.example/cluster";

/// Whom the federated token is about.
pub(crate) const SUBJECT: &str = "system:serviceaccount:databases:postgres";

/// The audience of the federated token.
pub(crate) const EXCHANGE: &str = "api://AzureADTokenExchange";

/// Starts a provider whose directory has the administrator.
pub(crate) fn provider_with_admin() -> Provider {
    let provider = provider();
    provider.directory().add_user(ADMIN, "admin@contoso.example");
    provider
}

/// Begins a scene whose server asks the directory of `provider` by a credential, with these
/// settings. It looks at linked objects once a second.
pub(crate) fn by_credential(provider: &Provider, mode: &str, settings: &str) -> Scene {
    Scene::new().directory(provider).settings(format!(
        "azure_ad_auth.directory = '{mode}'\nazure_ad_auth.directory_secret_file = ''\n{settings}"
    ))
}

/// Has the server's application trust the federated token that is about [`SUBJECT`].
pub(crate) fn trust_federated_tokens(provider: &Provider) {
    provider.directory().trust(Federation {
        issuer: ISSUER.to_owned(),
        subject: SUBJECT.to_owned(),
        audience: EXCHANGE.to_owned(),
        key: Arc::clone(&KEY),
    });
}

/// Returns a federated token about somebody that expires in so many seconds.
pub(crate) fn federated_token(subject: &str, expires_in: i64) -> String {
    let now = unix_now();
    let header = format!(r#"{{"alg":"RS256","kid":"{}"}}"#, KEY.id);
    let claims = format!(
        r#"{{"iss":"{ISSUER}","sub":"{subject}","aud":["{EXCHANGE}"],"iat":{now},"nbf":{now},"exp":{}}}"#,
        now + expires_in
    );
    KEY.token_of(header.as_bytes(), claims.as_bytes())
}

/// Waits until this many looks more have begun by themselves, however they end.
pub(crate) fn await_attempts(cluster: &Cluster, count: usize) {
    let mut times = BTreeSet::new();
    let reached = eventually(|| {
        times.insert(status(cluster, "last_attempt"));
        times.len() > count + 1
    });
    assert!(reached, "{times:?}");
}

/// Waits until the last error of the directory contains a text.
pub(crate) fn await_error(cluster: &Cluster, text: &str) {
    let mut last = String::new();
    let found = eventually(|| {
        last = status(cluster, "last_error");
        last.contains(text)
    });
    assert!(found, "{text}: {last}");
}
