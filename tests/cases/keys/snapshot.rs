//! The keys outlive the server: a file in the data directory, for a start during an outage.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Arc;
use std::{fs, thread};

use entra::Snapshot;
use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::expect::without_debug;
use testbed::idp::{Behavior, Provider};
use testbed::issuer::{PERSON, Signer, unix_now, with};
use testbed::process::signal;
use testbed::scene::{KEY, NEW_KEY, Scene};
use testbed::scratch::give_to_server;
use testbed::waits::eventually;

use crate::common::login::{UNAVAILABLE, UNVERIFIED, login_with_key, refusal_message, valid_token};
use crate::common::server::{process, signal_worker};
use crate::common::statements::link;
use serde_json::json;

/// A wait long enough for a busy machine.
const LONG_WAIT: &str = "azure_ad_auth.unknown_key_wait = 20s";

fn with_ann(settings: &str) -> (Cluster, Provider) {
    let (cluster, provider) = Scene::new().settings(settings).start();
    link(&cluster, "ann", PERSON, "user");
    assert!(eventually(|| cluster.key_snapshot().exists()));
    (cluster, provider)
}

fn outage(provider: &Provider) {
    provider.behave(Behavior::Status(503, ""));
}

/// Logs in many times at once, as clients do after a restart. All must be admitted.
fn log_in_many_times(cluster: &Cluster, key: &Signer) {
    let outcomes: Vec<_> = thread::scope(|scope| {
        let logins: Vec<_> = (0..16).map(|_| scope.spawn(|| login_with_key(cluster, key))).collect();
        logins.into_iter().map(|login| login.join().expect("a thread")).collect()
    });
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Ready), "{}", without_debug(&cluster.log()));
}

/// Reads the snapshot.
fn kept(cluster: &Cluster) -> Snapshot {
    Snapshot::parse(&fs::read(cluster.key_snapshot()).expect("a file")).expect("a snapshot")
}

/// Returns the ids of the keys in the snapshot.
fn kept_ids(cluster: &Cluster) -> Vec<String> {
    kept(cluster).keys.iter().map(|kept| kept.key.id().to_owned()).collect()
}

fn seen(cluster: &Cluster) -> String {
    cluster
        .sql("SELECT key_id, first_seen, last_seen, fetched_at, expires_at FROM azure_ad_auth.signing_keys")
}

#[test]
fn a_restart_during_an_outage_loses_no_login() {
    let (cluster, provider) = with_ann(LONG_WAIT);
    let before = seen(&cluster);
    outage(&provider);
    for mode in ["fast", "immediate"] {
        let mark = cluster.log_mark();
        cluster.stop(mode);
        cluster.start();
        log_in_many_times(&cluster, &KEY);
        let said = without_debug(&cluster.log_since(mark));
        assert!(said.contains("1 signing keys, fetched "), "{said}");
        cluster.await_log(mark, "fetching the signing keys failed");
        assert_eq!(seen(&cluster), before, "they are as old as they were");
        assert_eq!(cluster.sql("SELECT state FROM azure_ad_auth.key_status"), "failing");
    }
    let mode = fs::metadata(cluster.key_snapshot()).expect("a snapshot").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_crash_during_an_outage_loses_the_sessions_and_no_login_after_it() {
    let (cluster, provider) = with_ann(LONG_WAIT);
    outage(&provider);
    for round in 0..4 {
        let mut session = cluster.client();
        let parameters = [("user", "ann"), ("database", "postgres")];
        assert_eq!(session.login(&parameters, &valid_token()), Outcome::Ready);
        let mark = cluster.log_mark();
        if round % 2 == 0 {
            signal_worker(&cluster, libc::SIGKILL);
        } else {
            signal(process(&cluster, "ann postgres").expect("a session"), libc::SIGKILL);
        }
        cluster.await_log(mark, "all server processes terminated; reinitializing");
        cluster.await_log(mark, "database system is ready to accept connections");
        log_in_many_times(&cluster, &KEY);
    }
}

#[test]
fn a_key_that_was_withdrawn_does_not_come_back() {
    let (cluster, provider) = with_ann("");
    provider.publish(vec![Arc::clone(&NEW_KEY)]);
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
    assert_eq!(kept_ids(&cluster), ["key-2"], "from the moment on that whoever asked is told so");
    outage(&provider);
    // If initdb lets the group read the data directory, for backups, the group may read this file
    // too.
    fs::set_permissions(cluster.data(), fs::Permissions::from_mode(0o750)).expect("a folder");
    cluster.restart();
    assert!(eventually(|| login_with_key(&cluster, &NEW_KEY) == Outcome::Ready));
    assert_eq!(refusal_message(login_with_key(&cluster, &KEY)), UNVERIFIED);
    provider.behave(Behavior::Good);
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
    let mode = fs::metadata(cluster.key_snapshot()).expect("a snapshot").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn restored_keys_are_not_used_beyond_their_age() {
    let (cluster, provider) = with_ann(LONG_WAIT);
    outage(&provider);
    cluster.stop("fast");
    let mut snapshot = kept(&cluster);
    snapshot.fetched_at -= 20 * 3_600;
    fs::write(cluster.key_snapshot(), snapshot.to_bytes()).expect("a snapshot");
    cluster.start();
    assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready);
    cluster.set("azure_ad_auth.unknown_key_wait", "0");
    cluster.set("azure_ad_auth.key_max_age", "19h");
    assert_eq!(refusal_message(login_with_key(&cluster, &KEY)), UNAVAILABLE);
    assert_eq!(cluster.sql("SELECT state FROM azure_ad_auth.key_status"), "too old");
}

#[test]
fn what_is_not_a_good_snapshot_is_ignored_and_replaced() {
    let (cluster, provider) = with_ann("azure_ad_auth.unknown_key_wait = 0");
    let good = fs::read(cluster.key_snapshot()).expect("a snapshot");
    let snapshot = Snapshot::parse(&good).expect("a snapshot");
    let at = |fetched_at| Snapshot { fetched_at, ..snapshot.clone() }.to_bytes();
    let foreign = Snapshot { origin: "elsewhere".to_owned(), ..snapshot.clone() }.to_bytes();
    let text = String::from_utf8_lossy(&good).into_owned();
    let weak = json!({"origin": snapshot.origin, "fetched_at": snapshot.fetched_at,
                      "keys": [with(KEY.jwk(), "n", json!("AQAB"))]});
    for (content, said) in [
        (b"".to_vec(), "it is not a snapshot of keys"),
        (good[..good.len() - 1].to_vec(), "it is damaged: the checksum does not fit"),
        (text.replace("key-1", "key-7").into_bytes(), "it is damaged: the checksum does not fit"),
        (text.replace("version 1", "version 9").into_bytes(), "another version of azure_ad_auth wrote it"),
        (foreign, "its keys were fetched under other settings"),
        (at(unix_now() + 3_600), "a clock is, or was, wrong"),
        (at(unix_now() - 90_000), "its keys are 90"),
        (Snapshot::seal(weak.to_string().as_bytes()), "the key document has no usable key (1 were dropped)"),
    ] {
        outage(&provider);
        cluster.stop("fast");
        fs::write(cluster.key_snapshot(), content).expect("a file");
        let mark = cluster.log_mark();
        cluster.start();
        cluster.await_log(mark, "fetching the signing keys failed");
        let line = format!("azure_ad_auth.keys is not used: {said}");
        let log = without_debug(&cluster.log_since(mark));
        assert_eq!(log.matches("azure_ad_auth.keys is not used: ").count(), 1, "{log}");
        assert!(log.contains(&line) || log.contains(said), "{said}: {log}");
        assert_eq!(refusal_message(login_with_key(&cluster, &KEY)), UNAVAILABLE, "{said}");
        provider.behave(Behavior::Good);
        assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
        assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready);
        let replaced = || fs::read(cluster.key_snapshot()).is_ok_and(|bytes| Snapshot::parse(&bytes).is_ok());
        assert!(eventually(replaced), "{said}");
    }
}

#[test]
fn what_is_no_file_is_not_read_and_costs_no_login() {
    let (cluster, provider) = with_ann("azure_ad_auth.unknown_key_wait = 0");
    let elsewhere =
        cluster.folder().write("elsewhere", fs::read(cluster.key_snapshot()).expect("a snapshot"));
    let link: fn(&PathBuf, &PathBuf) = |file, elsewhere| symlink(elsewhere, file).expect("a link");
    let folder: fn(&PathBuf, &PathBuf) = |file, _| fs::create_dir(file).expect("a folder");
    for (make, said) in [(link, "symbolic link"), (folder, "not a regular file")] {
        outage(&provider);
        cluster.stop("fast");
        let _ = fs::remove_file(cluster.key_snapshot());
        make(&cluster.key_snapshot(), &elsewhere);
        let mark = cluster.log_mark();
        cluster.start();
        cluster.await_log(mark, "azure_ad_auth.keys is not used: ");
        assert!(cluster.log_since(mark).contains(said), "{}", without_debug(&cluster.log_since(mark)));
        assert_eq!(refusal_message(login_with_key(&cluster, &KEY)), UNAVAILABLE);
        provider.behave(Behavior::Good);
        assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
        assert_eq!(login_with_key(&cluster, &KEY), Outcome::Ready);
    }
    assert!(elsewhere.exists(), "a link is replaced, not followed");
}

#[test]
fn a_snapshot_that_cannot_be_written_is_told_once_and_keeps_no_key_that_was_withdrawn() {
    let (cluster, provider) = with_ann("");
    let unfinished = cluster.data().join("azure_ad_auth.keys.tmp");
    fs::create_dir(&unfinished).expect("a folder in the way");
    give_to_server(&unfinished);
    let mark = cluster.log_mark();
    for _ in 0..3 {
        assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
    }
    cluster.await_log(mark, "azure_ad_auth.keys cannot be written: ");
    assert_eq!(kept_ids(&cluster), ["key-1"], "as good as it was, and older");
    provider.publish(vec![Arc::clone(&KEY), Arc::clone(&NEW_KEY)]);
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "2");
    assert_eq!(kept_ids(&cluster), ["key-1"]);
    provider.publish(vec![Arc::clone(&NEW_KEY)]);
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
    assert!(!cluster.key_snapshot().exists(), "its key has been withdrawn");
    assert_eq!(login_with_key(&cluster, &NEW_KEY), Outcome::Ready);
    assert_eq!(cluster.log_since(mark).matches("cannot be written").count(), 1);
    fs::remove_dir(&unfinished).expect("the folder");
    assert_eq!(cluster.sql("SELECT azure_ad_auth.refresh_keys()"), "1");
    assert_eq!(kept_ids(&cluster), ["key-2"]);
}

#[test]
fn a_standby_made_during_an_outage_takes_tokens() {
    let (cluster, provider) = with_ann("wal_level = replica\nhot_standby = on");
    outage(&provider);
    let standby = cluster.standby();
    assert!(standby.key_snapshot().exists(), "a base backup has it");
    // The keys were fetched under the settings of the primary, whose ca_file is elsewhere. A
    // standby usually has the same settings.
    let shared = format!("azure_ad_auth.ca_file = '{}'\n", cluster.path("ca.pem").display());
    let configuration = standby.data().join("postgresql.conf");
    let settings = fs::read_to_string(&configuration).expect("postgresql.conf");
    fs::write(&configuration, settings + &shared).expect("postgresql.conf");
    standby.start();
    assert_eq!(standby.sql("SELECT pg_is_in_recovery()"), "t");
    assert!(eventually(|| login_with_key(&standby, &KEY) == Outcome::Ready));
    // The standby keeps a snapshot of its own.
    fs::remove_file(standby.key_snapshot()).expect("a snapshot");
    provider.behave(Behavior::Good);
    assert!(eventually(|| standby.key_snapshot().exists()), "as soon as a fetch succeeds");
}

#[test]
fn a_mistaken_change_of_settings_during_an_outage_can_be_taken_back() {
    let (cluster, provider) = with_ann("azure_ad_auth.unknown_key_wait = 0");
    outage(&provider);
    let mark = cluster.log_mark();
    cluster.set("azure_ad_auth.key_source", "https://127.0.0.1:1/keys");
    cluster.await_log(mark, "azure_ad_auth.keys is not used: its keys were fetched under other settings");
    assert_eq!(refusal_message(login_with_key(&cluster, &KEY)), UNAVAILABLE);
    cluster.sql("ALTER SYSTEM RESET azure_ad_auth.key_source");
    cluster.reload();
    assert!(eventually(|| login_with_key(&cluster, &KEY) == Outcome::Ready));
}
