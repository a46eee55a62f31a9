//! Tokens that are issued before and after a revocation.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::issuer::{unix_now, with};
use testbed::scene::KEY;

/// The clock skew for which revocations allow in these tests.
pub(crate) const SKEW: &str = "azure_ad_auth.clock_skew = '1s'";

/// Returns claims of a token that was issued so many seconds ago, or will be.
pub(crate) fn issued(claims: Value, seconds_ago: i64) -> Value {
    with(claims, "iat", json!(unix_now() - seconds_ago))
}

/// Returns a token that was issued after all revocations so far.
pub(crate) fn fresh(claims: Value) -> String {
    thread::sleep(Duration::from_millis(2_500));
    KEY.token(&issued(claims, 0))
}

/// Expects a login to be refused because its token has been revoked.
pub(crate) fn revoked(cluster: &Cluster, role: &str, token: &str) {
    let mark = cluster.log_mark();
    let Outcome::Refused(error) = cluster.login(role, token) else { panic!("{role} was admitted") };
    assert_eq!(error.sqlstate, "28P01");
    let (before, after) =
        ("access tokens issued before ", format!(" are no longer accepted for role \"{role}\""));
    assert!(error.message.starts_with(before) && error.message.ends_with(&after), "{}", error.message);
    cluster.await_log(mark, &format!("azure_ad_auth: refused code=token_revoked role={role} "));
}
