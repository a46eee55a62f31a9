//! Measures how long the server itself takes from a token's arrival to the decision, by its own
//! statistics.

use testbed::client::{Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::issuer::{Signer, unix_now, user_v1};

use crate::logins::{Kind, Logins};

/// Logins, one at a time, so that the statistics grow by one login between two looks.
const LOGINS: usize = 600;

/// The length of a token with many claims.
const TOKEN_BYTES: usize = 2_048;

/// The longest median that is acceptable, in microseconds.
const BUDGET: u64 = 150;

pub(crate) fn report(cluster: &Cluster, key: &Signer) {
    let token = key.token_of_length(&user_v1(unix_now()), TOKEN_BYTES);
    let logins = Logins { cluster, token: &token };
    let mut reader = cluster.superuser();
    let mut before = total(&mut reader);
    let mut times: Vec<_> = (0..LOGINS)
        .map(|_| {
            assert_eq!(logins.once(Kind::Token(Door::Password)), Outcome::Ready);
            let after = total(&mut reader);
            after - std::mem::replace(&mut before, after)
        })
        .collect();
    times.sort_unstable();
    let median = times.get(LOGINS / 2).copied().unwrap_or_default();
    println!("\nfrom the arrival of a token of {TOKEN_BYTES} bytes to the decision: a median of {median} µs");
    let verdict = if median <= BUDGET { "held" } else { "MISSED" };
    println!("budget: an admission takes at most {BUDGET} µs: {verdict}");
}

/// Returns how many microseconds all admissions have taken so far.
pub(crate) fn total(reader: &mut RawClient) -> u64 {
    let query = "SELECT value FROM azure_ad_auth.stat WHERE metric = 'admission_time_microseconds'";
    let rows = reader.query(query).expect("statistics");
    rows.into_iter().flatten().next().and_then(|text| text.parse().ok()).expect("a number")
}
