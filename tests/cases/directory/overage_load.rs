//! Many logins at once whose tokens do not list their groups.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::idp::Provider;
use testbed::idp::directory::{Kind, Place, Trouble};
use testbed::issuer::{GROUP, PERSON, with};
use testbed::scene::{KEY, NEW_KEY, Scene};

use crate::common::directory::{overage_claims, overage_token, with_ann_and_readers};
use crate::common::login::{UNVERIFIED, refusal_message};

/// The log level of production, and room for many clients.
const SETTINGS: &str = "azure_ad_auth.directory_refresh_interval = 1h\nazure_ad_auth.group_lookup_wait = 30s\n\
                        log_min_messages = log\nlog_statement = none\nmax_connections = 150";

fn scene() -> (Cluster, Provider) {
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(SETTINGS));
    provider.directory().add_member(GROUP, PERSON);
    (cluster, provider)
}

/// Logs in `count` times by `clients` clients at a time.
fn log_in(clients: usize, count: usize, login: impl Fn(usize) -> Outcome + Sync) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let client = || {
        let numbers = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::SeqCst)));
        numbers.take_while(|number| *number < count).map(&login).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().expect("a thread")).collect()
    })
}

#[test]
fn five_hundred_logins_of_one_person_at_once_are_one_question() {
    let (cluster, provider) = scene();
    let directory = provider.directory();
    directory.fail_times(1, Place::Only(Kind::Batch), Trouble::Slow(Duration::from_secs(3)));
    let (token, batches) = (overage_token(), directory.requests(Kind::Batch));
    let outcomes = log_in(100, 500, |_| cluster.login("readers", &token));
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Ready).count(), 500);
    assert_eq!((directory.questions(Kind::Membership), directory.requests(Kind::Batch)), (1, batches + 1));
}

#[test]
fn a_thousand_forged_tokens_are_no_question_and_no_fetch_of_keys() {
    let (cluster, provider) = scene();
    let directory = provider.directory();
    directory.forget_requests();
    let keys = provider.requests();
    let header = KEY.header().to_string();
    let outcomes = log_in(8, 1_000, |number| {
        let person = format!("22222222-aaaa-bbbb-cccc-{number:012}");
        let claims = with(overage_claims(), "oid", json!(person));
        // One half names a key that is there, the other one that is not.
        let token = if number % 2 == 0 {
            NEW_KEY.token_of(header.as_bytes(), claims.to_string().as_bytes())
        } else {
            NEW_KEY.token(&claims)
        };
        cluster.login("readers", &token)
    });
    assert!(outcomes.into_iter().all(|outcome| refusal_message(outcome) == UNVERIFIED));
    assert_eq!((directory.arrived().len(), provider.requests()), (0, keys));
    // The waits of statements come from the scene.
    let waits = "SELECT sum(value) FROM azure_ad_auth.stat \
                 WHERE metric IN ('directory_waits', 'key_waits') AND kind IS DISTINCT FROM 'statement'";
    assert_eq!(cluster.sql(waits), "0");
}
