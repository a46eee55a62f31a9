//! What the views and the log say of the keys.

use std::sync::Arc;

use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::expect::without_debug;
use testbed::idp::Behavior;
use testbed::issuer::{PERSON, Signer, TENANT};
use testbed::scene::{KEY, NEW_KEY, Scene};
use testbed::template::Template;
use testbed::waits::eventually;

use crate::common::login::{UNVERIFIED, login_with_key, refusal_message};
use crate::common::server::{WORKER, process, signal_worker};
use crate::common::statements::link;

fn status(cluster: &Cluster, columns: &str) -> String {
    cluster.sql(&format!("SELECT {columns} FROM azure_ad_auth.key_status"))
}

#[test]
fn a_day_in_the_life_of_the_keys() {
    let (cluster, provider) = Scene::new().settings("azure_ad_auth.unknown_key_wait = 20s").start();
    link(&cluster, "ann", PERSON, "user");
    let urls = ["v2.0/keys", "keys"].map(|path| format!("{}/{TENANT}/discovery/{path}", provider.url()));
    let columns = "source, state, fetching, keys, last_error IS NULL, failures, on_demand_fetches";
    assert_eq!(status(&cluster, columns), format!("{}|fresh|f|1|t|0|0", urls.join(", ")));
    let times = "last_success >= last_attempt AND last_success <= now(), next_attempt - last_success, \
                 worker_heartbeat > now() - interval '2 min'";
    let times = status(&cluster, times);
    assert!(times.starts_with("t|00:59:5") || times.starts_with("t|01:00:0"), "{times}");
    assert!(times.ends_with("|t"), "{times}");
    // One fetch for an unknown key, and one that fails.
    let fetches: u64 = status(&cluster, "fetches").parse().expect("a number");
    assert_eq!(refusal_message(login_with_key(&cluster, &NEW_KEY)), UNVERIFIED);
    provider.behave(Behavior::Status(500, ""));
    assert!(!cluster.sql_as("postgres", "SELECT azure_ad_auth.refresh_keys()").success);
    let columns = "state, keys, last_error, failures > 0, on_demand_fetches";
    assert_eq!(status(&cluster, columns), format!("failing|1|{}: answered with status 500|t|1", urls[0]));
    assert!(status(&cluster, "fetches").parse::<u64>().expect("a number") >= fetches + 2);
    // A fetch that hangs: the status is as before, and it is running.
    provider.behave(Behavior::Hang);
    cluster.sql("SELECT pg_reload_conf()");
    assert!(eventually(|| status(&cluster, "state, fetching, next_attempt IS NULL") == "failing|t|t"));
    provider.behave(Behavior::Good);
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
    assert_eq!(status(&cluster, "state, last_error IS NULL"), "fresh|t");
    // The next fetch is due before the keys expire, however long the interval.
    cluster.set("azure_ad_auth.key_max_age", "10s");
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
    let ahead = status(&cluster, "next_attempt - last_success");
    assert!(["00:00:04", "00:00:05", "00:00:06"].contains(&ahead.as_str()), "{ahead}");
    cluster.sql("ALTER SYSTEM RESET azure_ad_auth.key_max_age");
    // One fetch after a success.
    provider.behave(Behavior::Hang);
    cluster.sql("SELECT pg_reload_conf()");
    assert!(eventually(|| status(&cluster, "state, fetching") == "in flight|t"));
    // Another source, of which nothing has been fetched yet.
    cluster.set("azure_ad_auth.key_source", "/nowhere/keys.json");
    assert!(eventually(|| status(&cluster, "source, state, keys") == "/nowhere/keys.json|empty|0"));
    cluster.set("azure_ad_auth.tenant_id", "");
    assert_eq!(status(&cluster, "source IS NULL"), "t");
}

#[test]
fn the_worker_is_seen_to_come_and_go() {
    let (cluster, _provider) = Scene::new().start();
    let before: i32 = status(&cluster, "worker_pid").parse().expect("a process id");
    assert_eq!(Some(before), process(&cluster, WORKER));
    signal_worker(&cluster, libc::SIGTERM);
    let another = || status(&cluster, "worker_pid").parse::<i32>().is_ok_and(|pid| pid != before);
    assert!(eventually(another));
    assert!(eventually(|| status(&cluster, "state") == "fresh"));
}

#[test]
fn a_key_has_been_seen_since_it_came_and_until_it_went() {
    let (cluster, provider) = Scene::new().start();
    let first = cluster.sql("SELECT first_seen FROM azure_ad_auth.signing_keys WHERE key_id = 'key-1'");
    cluster.sql("SELECT pg_sleep(1.1)");
    provider.publish(vec![Arc::clone(&KEY), Arc::clone(&NEW_KEY)]);
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "2");
    let row = "SELECT first_seen = last_seen, last_seen = fetched_at, expires_at - last_seen, first_seen \
               FROM azure_ad_auth.signing_keys ORDER BY key_id";
    let rows = cluster.sql(row);
    let rows: Vec<_> = rows.lines().collect();
    assert_eq!(rows[0], format!("f|t|1 day|{first}"), "the old key");
    assert!(rows[1].starts_with("t|t|1 day|"), "the new key: {}", rows[1]);
    // The same id with another modulus is another key.
    let impostor = Arc::new(Signer::new("key-1"));
    provider.publish(vec![impostor]);
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
    assert_eq!(cluster.sql(row).lines().next().map(|row| &row[..2]), Some("t|"));
}

#[test]
fn the_log_says_a_change_once() {
    let (cluster, provider) = Scene::new().settings("azure_ad_auth.key_refresh_interval = 1s").start();
    link(&cluster, "ann", PERSON, "user");
    let mark = cluster.log_mark();
    let failures = || status(&cluster, "failures").parse::<u64>().expect("a number");
    let fail = |times| {
        let before = failures();
        assert!(eventually(|| failures() >= before + times));
        assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready);
    };
    for code in [500, 404, 500, 404] {
        provider.behave(Behavior::Status(code, ""));
        fail(2);
    }
    provider.behave(Behavior::Good);
    // The message about a certificate contains the time, which is different each time.
    provider.present(&Template::shared().authority.expired_identity());
    fail(4);
    provider.present(&Template::shared().authority.identity());
    let fetches = || status(&cluster, "fetches - failures").parse::<u64>().expect("a number");
    let before = fetches();
    assert!(eventually(|| fetches() >= before + 3));
    let log = cluster.log_since(mark);
    let said = |what: &str| {
        let lines = log.lines().filter(|line| line.contains("fetching the signing keys failed"));
        lines.filter(|line| line.contains(what)).count()
    };
    let said = ["answered with status 500", "answered with status 404", "certificate expired", ""].map(said);
    assert_eq!(said, [1, 1, 1, 3], "{}", without_debug(&log));
    assert_eq!(log.matches("1 signing keys are at hand").count(), 1);
}
