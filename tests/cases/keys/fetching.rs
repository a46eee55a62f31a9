//! Keys: fetched over HTTPS, rotated, missing, and the worker that looks after them.

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::json;
use testbed::client::Outcome;
use testbed::cluster::{Cluster, eventually};
use testbed::expect::{admitted, ours};
use testbed::idp::{Manners, Provider};
use testbed::issuer::*;

use crate::{KEY, NEW_KEY, WORKSHOP, at_every_door, link, scene};

/// The process id of a process of the server, by what its title has.
pub(crate) fn process(cluster: &Cluster, title: &str) -> Option<i32> {
    let postmaster = cluster.pid();
    fs::read_dir("/proc").expect("/proc").flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent: i32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        (parent == postmaster && String::from_utf8_lossy(&command).contains(title)).then_some(pid)
    })
}

/// False: there is no such process any more.
pub(crate) fn signal(pid: i32, signal: i32) -> bool {
    #[expect(unsafe_code, reason = "sends a signal")]
    // SAFETY: a process this test has started.
    unsafe {
        libc::kill(pid, signal) == 0
    }
}

/// The title of the worker.
pub(crate) const WORKER: &str = "azure_ad_auth key refresh";

fn worker(cluster: &Cluster) -> Option<i32> {
    process(cluster, WORKER)
}

pub(crate) fn signal_worker(cluster: &Cluster, number: i32) {
    signal(worker(cluster).expect("a worker"), number);
}

pub(crate) fn try_login(cluster: &Cluster, key: &Signer) -> Outcome {
    cluster.login("ann", &key.token(&user_v1(unix_now())))
}

pub(crate) fn message(outcome: Outcome) -> String {
    match outcome {
        Outcome::Refused(error) => error.message,
        other => panic!("{other:?}"),
    }
}

pub(crate) const UNVERIFIED: &str = "the access token's signature could not be verified";
pub(crate) const UNAVAILABLE: &str =
    "the signing keys of the Azure AD tenant are not available; try again later";

/// How often logins have waited for keys.
pub(crate) fn waits(cluster: &Cluster) -> u64 {
    let waits = cluster.sql("SELECT value FROM azure_ad_auth.stat WHERE metric = 'key_waits'");
    waits.parse().expect("a number")
}

/// Has a fetch hang.
fn hang(cluster: &Cluster, provider: &Provider, manners: Manners) {
    let before = provider.requests();
    provider.behave(manners);
    cluster.sql("SELECT pg_reload_conf()");
    assert!(eventually(|| provider.requests() > before), "a fetch hangs");
}

#[test]
fn a_token_of_a_new_key_gets_in_at_first_try() {
    let (cluster, provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    provider.publish(vec![Arc::clone(&KEY), Arc::clone(&NEW_KEY)]);
    let before = provider.requests();
    assert_eq!(try_login(&cluster, &NEW_KEY), Outcome::Ready);
    assert_eq!(provider.requests(), before + 2, "one fetch: the documents of both versions");
    // The old key goes; its tokens with it, as soon as a fetch has succeeded without it.
    provider.publish(vec![Arc::clone(&NEW_KEY)]);
    assert_eq!(try_login(&cluster, &KEY), Outcome::Ready);
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
    assert_eq!(message(try_login(&cluster, &KEY)), UNVERIFIED);
    assert_eq!(try_login(&cluster, &NEW_KEY), Outcome::Ready);
}

#[test]
fn unknown_keys_cause_one_fetch_per_cooldown_and_tokens_that_could_not_pass_none() {
    let settings = format!("azure_ad_auth.allowed_clients = '{CLIENT}'");
    at_every_door(&settings, |_, cluster, provider| {
        link(&cluster, "ann", PERSON, "user");
        let (before, now) = (provider.requests(), unix_now());
        for (claim, value) in [
            ("ver", json!("3.0")),
            ("tid", json!(OTHER_TENANT)),
            ("iss", json!("https://sts.windows.net/other/")),
            ("aud", json!("other")),
            ("nbf", json!(now + 3_600)),
            ("exp", json!(1)),
            ("appid", json!(APPLICATION)),
            ("scp", json!("")),
        ] {
            let token = NEW_KEY.token(&with(user_v1(now), claim, value));
            assert_eq!(message(cluster.login("ann", &token)), UNVERIFIED, "{claim}");
        }
        cluster.set("azure_ad_auth.required_permission", "other");
        let settled = || cluster.sql("SELECT fetching FROM azure_ad_auth.key_status") == "f";
        assert!(provider.requests() > before && eventually(settled), "a reload fetches");
        let before = provider.requests();
        assert_eq!(message(try_login(&cluster, &NEW_KEY)), UNVERIFIED);
        assert_eq!((provider.requests(), waits(&cluster)), (before, 0));
        cluster.sql("ALTER SYSTEM RESET azure_ad_auth.required_permission");
        cluster.reload();
        assert!(provider.requests() > before && eventually(settled), "a reload fetches");
        let before = provider.requests();
        for _ in 0..20 {
            assert_eq!(message(try_login(&cluster, &NEW_KEY)), UNVERIFIED);
        }
        assert_eq!((provider.requests(), waits(&cluster)), (before + 2, 1), "the others did not wait");
    });
}

#[test]
fn a_short_cooldown_passes() {
    let (cluster, provider) = scene("azure_ad_auth.key_refresh_cooldown = 1s");
    link(&cluster, "ann", PERSON, "user");
    assert_eq!(message(try_login(&cluster, &NEW_KEY)), UNVERIFIED);
    provider.publish(vec![Arc::clone(&NEW_KEY)]);
    assert!(eventually(|| try_login(&cluster, &NEW_KEY) == Outcome::Ready));
}

#[test]
fn keys_are_fetched_on_schedule() {
    let (cluster, provider) = scene("azure_ad_auth.key_refresh_interval = 1s");
    link(&cluster, "ann", PERSON, "user");
    let before = provider.requests();
    assert!(eventually(|| provider.requests() >= before + 6));
    provider.publish(vec![Arc::clone(&NEW_KEY)]);
    assert!(eventually(|| message_or_ready(&cluster) == UNVERIFIED), "the schedule drops an old key");
}

pub(crate) fn message_or_ready(cluster: &Cluster) -> String {
    match try_login(cluster, &KEY) {
        Outcome::Refused(error) => error.message,
        _ => String::new(),
    }
}

#[test]
fn logins_wait_for_the_first_fetch() {
    let (cluster, provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    // A few within the default wait; and many where nobody is in a hurry, at a slower provider.
    for (wait, slow, count) in [("2s", 1, 4), ("20s", 2, 40)] {
        cluster.set("azure_ad_auth.unknown_key_wait", wait);
        provider.behave(Manners::Slow(Duration::from_secs(slow)));
        cluster.stop("fast");
        fs::remove_file(cluster.key_snapshot()).expect("a snapshot");
        cluster.start();
        let logins: Vec<_> = thread::scope(|scope| {
            let login = || try_login(&cluster, &KEY);
            let logins: Vec<_> = (0..count).map(|_| scope.spawn(login)).collect();
            logins.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        for login in logins {
            assert_eq!(login.expect("a thread"), Outcome::Ready, "{wait}: {}", ours(&cluster.log()));
        }
        cluster.await_keys();
    }
    assert!(waits(&cluster) > 0, "somebody came before the keys");
}

#[test]
fn keys_from_a_file() {
    let (cluster, provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    let file = cluster.folder().write("keys.json", json!({"keys": [NEW_KEY.jwk()]}).to_string());
    let before = provider.requests();
    cluster.set("azure_ad_auth.key_source", &file.display().to_string());
    assert!(eventually(|| try_login(&cluster, &NEW_KEY) == Outcome::Ready));
    assert_eq!(message(try_login(&cluster, &KEY)), UNVERIFIED, "keys of the old origin are gone");
    assert_eq!(provider.requests(), before);
    assert_eq!(
        cluster.sql("SELECT key_id, issuer, source FROM azure_ad_auth.signing_keys"),
        format!("key-2|{KEY_ISSUER}|{}", file.display())
    );
    for (path, said) in [
        ("/nowhere/keys.json", "No such file"),
        ("/dev/zero", "not a regular file"),
        ("/etc", "not a regular file"),
        ("/etc/passwd", "the key document cannot be read: not JSON"),
    ] {
        let mark = cluster.log_mark();
        cluster.set("azure_ad_auth.key_source", path);
        cluster.await_log(mark, said);
        assert_eq!(message(try_login(&cluster, &NEW_KEY)), UNAVAILABLE, "{path}");
    }
}

#[test]
fn one_url_in_place_of_both_documents_and_a_key_without_issuer() {
    let (cluster, provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    provider.publish(vec![Arc::clone(&NEW_KEY)]);
    cluster.set("azure_ad_auth.key_source", &format!("{}/keys", provider.url()));
    assert!(eventually(|| try_login(&cluster, &NEW_KEY) == Outcome::Ready));
    assert_eq!(
        cluster.sql("SELECT key_id, coalesce(issuer, 'none') FROM azure_ad_auth.signing_keys"),
        "key-2|none"
    );
}

#[test]
fn another_tenants_keys_are_unusable_at_once() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    let mark = cluster.log_mark();
    cluster.set("azure_ad_auth.authority_url", "https://127.0.0.1:1");
    cluster.await_log(mark, "fetching the signing keys failed");
    assert_eq!(message(try_login(&cluster, &KEY)), UNAVAILABLE);
    assert_eq!(cluster.sql("SELECT count(*) FROM azure_ad_auth.signing_keys"), "0");
    // Another tenant of the same authority, which has the same keys.
    cluster.sql("ALTER SYSTEM RESET azure_ad_auth.authority_url");
    cluster.set("azure_ad_auth.tenant_id", OTHER_TENANT);
    cluster.sql(&format!("SELECT azure_ad_auth.set_admin('chief', '{APPLICATION}')"));
    link(&cluster, "bob", PERSON, "user");
    let theirs = with(user_v1(unix_now()), "tid", json!(OTHER_TENANT));
    let theirs = with(theirs, "iss", json!(format!("https://sts.windows.net/{OTHER_TENANT}/")));
    let mut keys = || cluster.login("bob", &KEY.token(&theirs)) == Outcome::Ready;
    assert!(eventually(&mut keys), "{}", ours(&cluster.log()));
    let source = cluster.sql("SELECT source FROM azure_ad_auth.signing_keys");
    assert!(source.contains(OTHER_TENANT), "{source}");
    for role in ["ann", "bob"] {
        let outcome = cluster.login(role, &KEY.token(&user_v1(unix_now())));
        assert_eq!(message(outcome), "the access token was issued by another tenant", "{role}");
    }
}

#[test]
fn a_login_in_flight_never_mixes_two_authorities() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    let mut at_the_prompt = [(); 2].map(|()| crate::login::password_prompt::at_the_prompt(&cluster, "ann"));
    // Another authority, which has the old key and a new one.
    let other = Provider::start(&WORKSHOP.authority, vec![Arc::clone(&KEY), Arc::clone(&NEW_KEY)], 0);
    cluster.set("azure_ad_auth.authority_url", &other.url());
    assert!(eventually(|| cluster.sql("SELECT keys FROM azure_ad_auth.key_status") == "2"));
    // Judged by the rules of one, they are not let in by the keys of the other, whichever signed.
    for (client, key) in at_the_prompt.iter_mut().zip([&*KEY, &*NEW_KEY]) {
        assert_eq!(message(client.answer(&key.token(&user_v1(unix_now())))), UNAVAILABLE);
        assert_eq!(try_login(&cluster, key), Outcome::Ready);
    }
}

#[test]
fn nobody_notices_that_the_worker_is_told_to_go() {
    let (cluster, provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    for _ in 0..3 {
        let old = worker(&cluster).expect("a worker");
        signal(old, libc::SIGTERM);
        assert_eq!(try_login(&cluster, &KEY), Outcome::Ready);
        assert!(eventually(|| worker(&cluster).is_some_and(|new| new != old)));
    }
    provider.publish(vec![Arc::clone(&NEW_KEY)]);
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
    assert_eq!(try_login(&cluster, &NEW_KEY), Outcome::Ready);
}

#[test]
fn the_worker_goes_and_comes_in_the_middle_of_a_fetch() {
    let (cluster, provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    hang(&cluster, &provider, Manners::Hang);
    let old = worker(&cluster).expect("a worker");
    assert!(threads(old).len() > 1, "the fetch runs beside the main loop");
    for (thread, blocked) in threads(old) {
        for number in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGALRM, libc::SIGUSR1] {
            let blocked = blocked & (1 << (number - 1)) != 0;
            assert_eq!(blocked, thread != old, "signal {number} reaches the main thread only");
        }
    }
    signal(old, libc::SIGTERM);
    assert!(eventually(|| worker(&cluster).is_some_and(|new| new != old)));
    assert_eq!(try_login(&cluster, &KEY), Outcome::Ready);
    provider.behave(Manners::Good);
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
    let alone = || worker(&cluster).is_some_and(|worker| threads(worker).len() == 1);
    assert!(eventually(alone), "no thread stays");
}

/// The threads of a process, and the signals each of them blocks.
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
    let (cluster, provider) = scene("");
    let refreshing = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%refresh_keys%' AND pid <> \
                      pg_backend_pid() AND wait_event_type = 'Extension'";
    let refresh_while = |given_up: &dyn Fn()| {
        hang(&cluster, &provider, Manners::Hang);
        thread::scope(|scope| {
            let refresh = scope.spawn(|| cluster.sql("SELECT azure_ad_auth.refresh_keys()"));
            assert!(eventually(|| cluster.sql(refreshing) == "1"));
            given_up();
            refresh.join().expect("a thread")
        })
    };
    // By a worker that goes.
    let count = refresh_while(&|| {
        signal_worker(&cluster, libc::SIGTERM);
        assert!(eventually(|| worker(&cluster).is_none()));
        provider.behave(Manners::Good);
    });
    assert_eq!(count, "1");
    // By other settings.
    let other = Provider::start(&WORKSHOP.authority, vec![Arc::clone(&KEY), Arc::clone(&NEW_KEY)], 0);
    let count = refresh_while(&|| cluster.set("azure_ad_auth.authority_url", &other.url()));
    assert_eq!(count, "2");
}

#[test]
fn the_server_stops_while_a_fetch_hangs() {
    let (cluster, provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    for (mode, manners) in [
        ("fast", Manners::Hang),
        ("smart", Manners::Silent),
        ("fast", Manners::Silent),
        ("immediate", Manners::Hang),
    ] {
        hang(&cluster, &provider, manners.clone());
        let mark = cluster.log_mark();
        cluster.stop(mode);
        let log = cluster.log_since(mark);
        let request = format!("received {mode} shutdown request");
        let (Some(told), Some(gone)) =
            (time_of(&log, &request), time_of(&log, "database system is shut down"))
        else {
            panic!("{mode}, {manners:?}: {}", ours(&log));
        };
        // It did not wait for the fetch, which would have ended by its time limit, with a line in the log.
        assert!(gone - told < 5_000, "{mode}, {manners:?}: {} ms", gone - told);
        assert!(!log.contains("fetching the signing keys failed"), "{}", ours(&log));
        assert!(!log.contains("terminated by signal"), "{}", ours(&log));
        cluster.start();
    }
}

/// When a line of the log was written, in milliseconds of the day.
fn time_of(log: &str, what: &str) -> Option<i64> {
    let line = log.lines().find(|line| line.contains(what))?;
    let time = line.split_whitespace().nth(1)?;
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<i64>().ok();
    Some(((number(0..2)? * 60 + number(3..5)?) * 60 + number(6..8)?) * 1_000 + number(9..12)?)
}

#[test]
fn a_standby_has_a_worker_of_its_own_and_takes_tokens() {
    let (cluster, provider) = scene("wal_level = replica\nhot_standby = on");
    link(&cluster, "ann", PERSON, "user");
    let standby = cluster.standby();
    standby.start();
    assert_eq!(standby.sql("SELECT pg_is_in_recovery()"), "t");
    standby.await_keys();
    let token = KEY.token(&user_v1(unix_now()));
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

#[test]
fn the_views_are_for_monitoring() {
    let (cluster, _provider) = scene("");
    cluster.sql("CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher; CREATE ROLE nobody LOGIN");
    for view in ["signing_keys", "key_status", "principals"] {
        let select = format!("SELECT count(*) FROM azure_ad_auth.{view}");
        assert_eq!(cluster.sql(&format!("SET ROLE watcher; {select}")).lines().last(), Some("1"));
        assert!(!cluster.sql_as("postgres", &format!("SET ROLE nobody; {select}")).success);
    }
    for function in ["refresh_keys()", "repair()", "remove_admin()"] {
        let call = format!("SET ROLE watcher; SELECT azure_ad_auth.{function}");
        assert!(cluster.sql_as("postgres", &call).stderr.contains("permission denied"), "{function}");
    }
    let expiry = cluster.sql("SELECT expires_at - fetched_at, fetched_at > now() - interval '1 hour' FROM azure_ad_auth.signing_keys");
    assert_eq!(expiry, "1 day|t");
}
