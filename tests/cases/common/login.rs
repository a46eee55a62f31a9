//! Tokens to log in with, and what logins and sessions come to.

use serde_json::json;
use testbed::client::{Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::issuer::{Signer, unix_now, user_v1, with};
use testbed::scene::KEY;
use testbed::waits::eventually;

/// The message of a token whose signature could not be verified.
pub(crate) const UNVERIFIED: &str = "the access token's signature could not be verified";

/// The message of a login for which the server has no keys.
pub(crate) const UNAVAILABLE: &str =
    "the signing keys of the Azure AD tenant are not available; try again later";

/// How a session ends that pg_terminate_backend() ends.
pub(crate) const TERMINATED: &str = "FATAL 57P01: terminating connection due to administrator command";

/// Returns a valid token of [`PERSON`](testbed::issuer::PERSON).
pub(crate) fn valid_token() -> String {
    KEY.token(&user_v1(unix_now()))
}

/// Returns a valid token of an object.
pub(crate) fn token_of(object: &str) -> String {
    KEY.token(&with(user_v1(unix_now()), "oid", json!(object)))
}

/// Logs in as `ann` with a token that a key has signed.
pub(crate) fn login_with_key(cluster: &Cluster, key: &Signer) -> Outcome {
    cluster.login("ann", &key.token(&user_v1(unix_now())))
}

/// Returns the message of a login that was refused.
pub(crate) fn refusal_message(outcome: Outcome) -> String {
    match outcome {
        Outcome::Refused(error) => error.message,
        other => panic!("{other:?}"),
    }
}

/// Logs in as `ann` with a valid token. Returns the message of the refusal; empty if there is none.
pub(crate) fn message_or_ready(cluster: &Cluster) -> String {
    match login_with_key(cluster, &KEY) {
        Outcome::Refused(error) => error.message,
        _ => String::new(),
    }
}

/// Runs a query in a session. Returns the first value, or an empty text.
pub(crate) fn value(client: &mut RawClient, query: &str) -> String {
    let rows = client.query(query).unwrap_or_else(|error| panic!("{query}: {error:?}"));
    rows.into_iter().next().flatten().unwrap_or_default()
}

/// Waits until a session has ended. Returns what its client is told.
pub(crate) fn end_of(client: &mut RawClient) -> String {
    let mut error = None;
    assert!(eventually(|| {
        error = client.query("SELECT 1").err();
        error.is_some()
    }));
    error
        .map_or_else(String::new, |error| format!("{} {}: {}", error.severity, error.sqlstate, error.message))
}

/// Returns the number of sessions that logged in with a token.
pub(crate) fn session_count(cluster: &Cluster) -> String {
    cluster.sql("SELECT count(*) FROM azure_ad_auth.sessions")
}
