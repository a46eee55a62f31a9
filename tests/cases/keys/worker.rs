//! The process that fetches keys.

use std::sync::Arc;
use std::{fs, thread};

use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::expect::{admitted, without_debug};
use testbed::idp::{Behavior, Provider};
use testbed::issuer::PERSON;
use testbed::process::signal;
use testbed::scene::{KEY, NEW_KEY, Scene};
use testbed::template::Template;
use testbed::waits::eventually;

use crate::common::login::{login_with_key, valid_token};
use crate::common::server::{WORKER, process, signal_worker};
use crate::common::statements::link;

/// Starts a fetch that hangs.
fn hang(cluster: &Cluster, provider: &Provider, behavior: Behavior) {
    let before = provider.requests();
    provider.behave(behavior);
    cluster.sql("SELECT pg_reload_conf()");
    assert!(eventually(|| provider.requests() > before), "a fetch hangs");
}

#[test]
fn nobody_notices_that_the_worker_is_told_to_go() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    for _ in 0..3 {
        let old = process(&cluster, WORKER).expect("a worker");
        signal(old, libc::SIGTERM);
        assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready);
        assert!(eventually(|| process(&cluster, WORKER).is_some_and(|new| new != old)));
    }
    provider.publish(vec![Arc::clone(&NEW_KEY)]);
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
    assert_eq!(login_with_key(&cluster, &NEW_KEY), Outcome::Ready);
}

#[test]
fn the_worker_goes_and_comes_in_the_middle_of_a_fetch() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    hang(&cluster, &provider, Behavior::Hang);
    let old = process(&cluster, WORKER).expect("a worker");
    assert!(threads(old).len() > 1, "the fetch runs beside the main loop");
    for (thread, blocked) in threads(old) {
        for number in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGALRM, libc::SIGUSR1] {
            let blocked = blocked & (1 << (number - 1)) != 0;
            assert_eq!(blocked, thread != old, "signal {number} reaches the main thread only");
        }
    }
    signal(old, libc::SIGTERM);
    assert!(eventually(|| process(&cluster, WORKER).is_some_and(|new| new != old)));
    assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready);
    provider.behave(Behavior::Good);
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
    let alone = || process(&cluster, WORKER).is_some_and(|worker| threads(worker).len() == 1);
    assert!(eventually(alone), "no thread stays");
}

/// Returns the threads of a process, and the signals that each of them blocks.
fn threads(process: i32) -> Vec<(i32, u64)> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let threads = tasks.filter_map(|task| {
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"))?;
        let blocked = u64::from_str_radix(blocked.trim(), 16).ok()?;
        Some((task.file_name().to_str()?.parse().ok()?, blocked))
    });
    threads.collect()
}

#[test]
fn an_administrator_gets_keys_although_the_fetch_that_hung_was_given_up() {
    let (cluster, provider) = Scene::new().start();
    let refreshing = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%refresh_keys%' AND pid <> \
                      pg_backend_pid() AND wait_event_type = 'Extension'";
    let refresh_while = |given_up: &dyn Fn()| {
        hang(&cluster, &provider, Behavior::Hang);
        thread::scope(|scope| {
            let refresh = scope.spawn(|| cluster.sql("SELECT azure_ad_auth.refresh_keys()"));
            assert!(eventually(|| cluster.sql(refreshing) == "1"));
            given_up();
            refresh.join().expect("a thread")
        })
    };
    // By a worker that ends.
    let count = refresh_while(&|| {
        signal_worker(&cluster, libc::SIGTERM);
        assert!(eventually(|| process(&cluster, WORKER).is_none()));
        provider.behave(Behavior::Good);
    });
    assert_eq!(count, "1");
    // By a change of settings.
    let other =
        Provider::start(&Template::shared().authority, vec![Arc::clone(&KEY), Arc::clone(&NEW_KEY)], 0);
    let count = refresh_while(&|| cluster.set("azure_ad_auth.authority_url", &other.url()));
    assert_eq!(count, "2");
}

#[test]
fn the_server_stops_while_a_fetch_hangs() {
    let (cluster, provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    for (mode, behavior) in [
        ("fast", Behavior::Hang),
        ("smart", Behavior::Silent),
        ("fast", Behavior::Silent),
        ("immediate", Behavior::Hang),
    ] {
        hang(&cluster, &provider, behavior.clone());
        let mark = cluster.log_mark();
        cluster.stop(mode);
        let log = cluster.log_since(mark);
        let request = format!("received {mode} shutdown request");
        let (Some(told), Some(gone)) =
            (time_of(&log, &request), time_of(&log, "database system is shut down"))
        else {
            panic!("{mode}, {behavior:?}: {}", without_debug(&log));
        };
        // The server did not wait for the fetch, which would have ended at its time limit with a
        // line in the log.
        assert!(gone - told < 5_000, "{mode}, {behavior:?}: {} ms", gone - told);
        assert!(!log.contains("fetching the signing keys failed"), "{}", without_debug(&log));
        assert!(!log.contains("terminated by signal"), "{}", without_debug(&log));
        cluster.start();
    }
}

/// Returns when a line of the log was written, in milliseconds of the day.
fn time_of(log: &str, what: &str) -> Option<i64> {
    let line = log.lines().find(|line| line.contains(what))?;
    let time = line.split_whitespace().nth(1)?;
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<i64>().ok();
    Some(((number(0..2)? * 60 + number(3..5)?) * 60 + number(6..8)?) * 1_000 + number(9..12)?)
}

#[test]
fn a_standby_has_a_worker_of_its_own_and_takes_tokens() {
    let (cluster, provider) = Scene::new().settings("wal_level = replica\nhot_standby = on").start();
    link(&cluster, "ann", PERSON, "user");
    let standby = cluster.standby();
    standby.start();
    assert_eq!(standby.sql("SELECT pg_is_in_recovery()"), "t");
    standby.await_keys();
    let token = valid_token();
    admitted(&standby, "ann", &token);
    assert!(standby.sql("SELECT role_name FROM azure_ad_auth.principals").contains("ann"));
    let output = standby.sql_as("postgres", "SELECT azure_ad_auth.drop_principal('ann')");
    assert!(output.stderr.contains("recovery"), "{}", output.stderr);
    cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
    assert!(
        eventually(|| matches!(standby.login("ann", &token), Outcome::Refused(_))),
        "as soon as it is replayed"
    );
    drop(provider);
}
