//! Many logins at once: none is lost while keys are replaced, and those with tokens of unknown keys
//! are cheap.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::expect::{lacks_token, without_debug};
use testbed::idp::{Behavior, Provider};
use testbed::issuer::{PERSON, unix_now, user_v1, with};
use testbed::process::signal;
use testbed::scene::{KEY, NEW_KEY, Scene, provider};
use testbed::waits::eventually;

use crate::common::login::{UNVERIFIED, refusal_message, valid_token};
use crate::common::server::{WORKER, key_waits, process};
use crate::common::statements::{link, tamper};
use serde_json::json;

/// Clients that log in at the same time.
const CLIENTS: usize = 8;

/// Starts a server with the log level of production, because many logins at the finest level fill
/// disks.
fn scene_with_short_log(settings: &str) -> (Cluster, Provider) {
    let provider = provider();
    let settings = format!(
        "azure_ad_auth.authority_url = '{}'\nazure_ad_auth.unknown_key_wait = 20s\nlog_min_messages = log\n\
         log_statement = none\n{settings}",
        provider.url()
    );
    let cluster = Scene::new().settings(settings).create();
    cluster.start();
    cluster.create_extension();
    cluster.await_keys();
    link(&cluster, "ann", PERSON, "user");
    (cluster, provider)
}

/// Logs in `count` times by `clients` clients at a time. Returns the outcomes. Each login is given
/// its number.
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

fn refused(outcomes: Vec<Outcome>) -> Vec<Outcome> {
    outcomes.into_iter().filter(|outcome| *outcome != Outcome::Ready).collect()
}

/// Returns a number of the status of the keys.
fn counted(cluster: &Cluster, column: &str) -> u64 {
    let count = cluster.sql(&format!("SELECT {column} FROM azure_ad_auth.key_status"));
    count.parse().expect("a number")
}

#[test]
fn of_thousands_of_logins_none_is_lost_to_a_refresh_or_a_rotation() {
    const LOGINS: usize = 8_000;
    let (cluster, provider) = scene_with_short_log("azure_ad_auth.key_refresh_interval = 2s");
    let old = valid_token();
    let new = NEW_KEY.token(&user_v1(unix_now()));
    let fetches = counted(&cluster, "fetches");
    let rotated = AtomicBool::new(false);
    let outcomes = log_in(CLIENTS, LOGINS, |number| {
        if number == LOGINS / 2 {
            provider.publish(vec![Arc::clone(&KEY), Arc::clone(&NEW_KEY)]);
            rotated.store(true, Ordering::SeqCst);
        }
        let token = if rotated.load(Ordering::SeqCst) { &new } else { &old };
        if number == LOGINS * 3 / 4 {
            provider.publish(vec![Arc::clone(&NEW_KEY)]);
        }
        cluster.login("ann", token)
    });
    assert_eq!(outcomes.len(), LOGINS);
    assert_eq!(refused(outcomes), [], "{}", without_debug(&cluster.log()));
    assert!(counted(&cluster, "fetches") >= fetches + 3, "there were refreshes meanwhile");
    assert!(counted(&cluster, "on_demand_fetches") <= 1, "those who waited shared one");
    assert_eq!(
        cluster.sql("SELECT state IN ('fresh', 'due', 'in flight') FROM azure_ad_auth.key_status"),
        "t"
    );
}

#[test]
fn nobody_notices_that_workers_are_told_to_go_by_hundreds_of_signals() {
    // Each worker is signalled repeatedly; a new one starts a second later.
    const SIGNALS: usize = 200;
    const WORKERS: usize = 6;
    let (cluster, provider) = scene_with_short_log("azure_ad_auth.key_refresh_interval = 1s");
    let old = valid_token();
    let new = NEW_KEY.token(&user_v1(unix_now()));
    let mark = cluster.log_mark();
    let outcomes = thread::scope(|scope| {
        let told = scope.spawn(|| tell_workers_to_go(&cluster, SIGNALS, WORKERS));
        let mut outcomes = Vec::new();
        let mut token = &old;
        while !told.is_finished() {
            outcomes.extend(log_in(2, 40, |_| cluster.login("ann", token)));
            // A rotation meanwhile: a login with a token of the new key waits for a worker if
            // necessary.
            provider.publish(vec![Arc::clone(&KEY), Arc::clone(&NEW_KEY)]);
            token = &new;
        }
        told.join().expect("a thread");
        outcomes
    });
    assert_eq!(refused(outcomes), [], "{}", without_debug(&cluster.log()));
    let log = cluster.log_since(mark);
    assert!(!log.contains("terminated by signal") && !log.contains("PANIC"), "{}", without_debug(&log));
    // Everything is as before.
    provider.publish(vec![Arc::clone(&NEW_KEY)]);
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
    assert_eq!(cluster.login("ann", &new), Outcome::Ready);
}

/// Signals workers at every stage: before they have handlers, while they read, fetch, publish,
/// write, sleep, and repeatedly while they end.
fn tell_workers_to_go(cluster: &Cluster, signals: usize, workers: usize) {
    let mut told = 0;
    let mut gone = HashSet::new();
    for (round, moment) in (0..60).step_by(11).cycle().enumerate() {
        if told >= signals && gone.len() >= workers {
            return;
        }
        let mut worker = None;
        assert!(eventually(|| {
            worker = process(cluster, WORKER).filter(|worker| !gone.contains(worker));
            worker.is_some()
        }));
        // Every third worker lives until it has fetched, or no login that waits for a key would be
        // admitted.
        if round % 3 == 2 {
            let fetches = counted(cluster, "fetches");
            assert!(eventually(|| counted(cluster, "fetches") > fetches));
        }
        thread::sleep(Duration::from_millis(moment));
        while worker.is_some_and(|worker| signal(worker, libc::SIGTERM)) {
            told += 1;
            thread::sleep(Duration::from_micros(300));
        }
        gone.extend(worker);
    }
}

#[test]
fn a_login_that_waits_for_a_new_key_gets_in_although_the_worker_goes() {
    let (cluster, provider) = scene_with_short_log("");
    provider.behave(Behavior::Hang);
    let before = provider.requests();
    let outcome = thread::scope(|scope| {
        let login = scope.spawn(|| cluster.login("ann", &NEW_KEY.token(&user_v1(unix_now()))));
        assert!(eventually(|| provider.requests() > before), "a fetch for it hangs");
        signal(process(&cluster, WORKER).expect("a worker"), libc::SIGTERM);
        assert!(eventually(|| process(&cluster, WORKER).is_none()));
        provider.publish(vec![Arc::clone(&KEY), Arc::clone(&NEW_KEY)]);
        provider.behave(Behavior::Good);
        login.join().expect("a thread")
    });
    assert_eq!(outcome, Outcome::Ready, "{}", without_debug(&cluster.log()));
    // When the worker is killed while a fetch hangs or while it fetches all the time, the server
    // restarts with the keys of the snapshot.
    for (interval, manners) in [("1h", Behavior::Hang), ("1s", Behavior::Good)] {
        provider.behave(manners);
        let before = provider.requests();
        cluster.set("azure_ad_auth.key_refresh_interval", interval);
        assert!(eventually(|| provider.requests() > before));
        let mark = cluster.log_mark();
        signal(process(&cluster, WORKER).expect("a worker"), libc::SIGKILL);
        cluster.await_log(mark, "all server processes terminated; reinitializing");
        cluster.await_log(mark, "database system is ready to accept connections");
        for key in [&*KEY, &*NEW_KEY] {
            assert_eq!(cluster.login("ann", &key.token(&user_v1(unix_now()))), Outcome::Ready);
        }
    }
}

/// Returns tokens that are signed with keys the tenant does not have.
fn strange_tokens() -> Vec<String> {
    let token = |number| {
        let header = with(NEW_KEY.header(), "kid", json!(format!("storm-{number}")));
        NEW_KEY.token_of(header.to_string().as_bytes(), user_v1(unix_now()).to_string().as_bytes())
    };
    (0..10).map(token).collect()
}

#[test]
fn a_thousand_tokens_of_unknown_keys_hold_up_nobody_while_the_provider_hangs() {
    const STORM: usize = 1_000;
    let (cluster, provider) = scene_with_short_log("azure_ad_auth.unknown_key_wait = 2s");
    let good = valid_token();
    let tokens = strange_tokens();
    provider.behave(Behavior::Hang);
    let outcomes = log_in(CLIENTS, STORM * 5 / 4, |number| match number % 5 {
        4 => cluster.login("ann", &good),
        _ => cluster.login("ann", &tokens[number % tokens.len()]),
    });
    assert_eq!(refused(outcomes).len(), STORM, "{}", without_debug(&cluster.log()));
    // Some waited for a fetch that had just begun; the others were refused at once.
    let waits = key_waits(&cluster);
    assert!((1..STORM as u64 / 10).contains(&waits), "{waits}");
    assert_eq!(counted(&cluster, "on_demand_fetches"), 1);
}

#[test]
fn a_thousand_tokens_with_bad_key_ids_cost_no_fetch_and_a_few_lines() {
    const STORM: usize = 1_000;
    let (cluster, provider) = scene_with_short_log("");
    let claims = user_v1(unix_now()).to_string();
    let tokens = [json!(null), json!(7), json!("x".repeat(129)), json!(""), json!(["key-1"])].map(|id| {
        NEW_KEY.token_of(with(NEW_KEY.header(), "kid", id).to_string().as_bytes(), claims.as_bytes())
    });
    let (before, mark) = (provider.requests(), cluster.log_mark());
    let outcomes = log_in(CLIENTS, STORM, |number| cluster.login("ann", &tokens[number % tokens.len()]));
    assert_eq!(refused(outcomes).len(), STORM);
    assert_eq!((provider.requests(), key_waits(&cluster)), (before, 0));
    assert!(eventually(|| logged(&cluster, mark, "invalid_format").1 == STORM));
    let (lines, _) = logged(&cluster, mark, "invalid_format");
    assert!((60..STORM / 2).contains(&lines), "{lines}");
}

/// Returns how many refusals the log contains after a mark, and how many with those that it says
/// were left out. The worker logs the number of those left out at its next round.
fn logged(cluster: &Cluster, mark: usize, code: &str) -> (usize, usize) {
    cluster.sql("SELECT pg_reload_conf()");
    let log = cluster.log_since(mark);
    let lines = log.matches(&format!("refused code={code} ")).count();
    let counted = format!("left out code={code} lines=");
    let left_out = log.split(&counted).skip(1);
    let left_out = left_out.filter_map(|rest| rest.split_whitespace().next()?.parse::<usize>().ok());
    (lines, lines + left_out.sum::<usize>())
}

#[test]
fn a_thousand_tokens_of_unknown_keys_cost_one_fetch_and_a_few_lines() {
    const STORM: usize = 1_000;
    let (cluster, provider) = scene_with_short_log("");
    let good = valid_token();
    let tokens = strange_tokens();
    let before = provider.requests();
    let mark = cluster.log_mark();
    // Every fifth login has a valid token.
    let outcomes = log_in(CLIENTS, STORM * 5 / 4, |number| match number % 5 {
        4 => cluster.login("ann", &good),
        _ => cluster.login("ann", &tokens[number % tokens.len()]),
    });
    let (admitted, others): (Vec<_>, Vec<_>) =
        outcomes.into_iter().partition(|outcome| *outcome == Outcome::Ready);
    assert_eq!((admitted.len(), others.len()), (STORM / 4, STORM));
    assert!(others.into_iter().all(|outcome| refusal_message(outcome) == UNVERIFIED), "each is told why");
    assert!(provider.requests() <= before + 2, "one fetch: the documents of both versions");
    assert_eq!(cluster.sql("SELECT on_demand_fetches FROM azure_ad_auth.key_status"), "1");
    let count = || logged(&cluster, mark, "unknown_key");
    assert!(eventually(|| count().1 == STORM), "{:?}", count());
    assert!((60..STORM / 2).contains(&count().0), "{:?}", count());
    for token in &tokens {
        lacks_token(&cluster, token);
    }
}

#[test]
fn what_a_verified_token_is_refused_for_is_always_logged() {
    const STORM: usize = 150;
    let (cluster, _provider) = scene_with_short_log("");
    let token = KEY.token(&with(user_v1(unix_now()), "aud", json!("api://other")));
    let mark = cluster.log_mark();
    assert_eq!(refused(log_in(CLIENTS, STORM, |_| cluster.login("ann", &token))).len(), STORM);
    let lines = || cluster.log_since(mark).matches("refused code=wrong_audience ").count();
    assert!(eventually(|| lines() == STORM), "{}", lines());
}

/// Refusals before the prompt can be caused by every client that reaches the port.
#[test]
fn refusals_before_the_prompt_cost_a_few_lines() {
    const STORM: usize = 150;
    let (cluster, _provider) = scene_with_short_log("");
    let wrong = "local all postgres trust\nhost all all 127.0.0.1/32 trust\nlocal all ann peer map=anyone\n";
    cluster.change_hba(wrong);
    std::fs::write(cluster.data().join("pg_ident.conf"), "anyone /^.*$ ann\n").expect("pg_ident.conf");
    cluster.reload();
    let parameters = [("user", "ann"), ("database", "postgres")];
    let tls = || cluster.login("ann", "");
    let mark = cluster.log_mark();
    let storm = |code: &str, login: &(dyn Fn() -> Outcome + Sync)| {
        assert_eq!(refused(log_in(CLIENTS, STORM, |_| login())).len(), STORM, "{code}");
    };
    storm("tls_required", &|| cluster.plain_client().login(&parameters, ""));
    storm("wrong_method", &|| cluster.socket_client().login(&parameters, ""));
    tamper(&cluster, "UPDATE pg_authid SET rolsuper = true WHERE rolname = 'ann'");
    storm("privileged_role", &tls);
    cluster.sql("SELECT azure_ad_auth.remove_admin()");
    storm("no_admin", &tls);
    cluster.set("azure_ad_auth.audience", "");
    storm("not_configured", &tls);
    for code in ["tls_required", "wrong_method", "privileged_role", "no_admin", "not_configured"] {
        let count = || logged(&cluster, mark, code);
        assert!(eventually(|| count().1 == STORM), "{code}: {:?}", count());
        assert!((60..STORM).contains(&count().0), "{code}: {:?}", count());
    }
}
