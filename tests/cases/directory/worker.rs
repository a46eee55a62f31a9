//! The process that asks the directory.

use std::fs;
use std::os::unix::fs::MetadataExt;

use testbed::cluster::Cluster;
use testbed::expect::without_debug;
use testbed::idp::Provider;
use testbed::idp::directory::{Kind, Place, SERVER_SECRET, Trouble};
use testbed::issuer::{OTHER_TENANT, PERSON};
use testbed::process::signal;
use testbed::scene::Scene;
use testbed::waits::eventually;

use crate::common::directory::{DIRECTORY_WORKER, await_status, refresh, status, with_directory};
use crate::common::server::{WORKER, process};
use crate::common::statements::link;

/// Waits until a look hangs.
fn hang(cluster: &Cluster, provider: &Provider) {
    let directory = provider.directory();
    directory.fail(Place::Graph, Trouble::Hang);
    assert!(eventually(|| status(cluster, "state") == "in flight"));
}

#[test]
fn the_worker_goes_and_comes_in_the_middle_of_a_look() {
    let (cluster, provider) = with_directory(Scene::new());
    hang(&cluster, &provider);
    let old = process(&cluster, DIRECTORY_WORKER).expect("a worker");
    signal(old, libc::SIGTERM);
    assert!(eventually(|| process(&cluster, DIRECTORY_WORKER).is_some_and(|new| new != old)));
    provider.directory().recover(Place::Graph);
    assert_eq!(refresh(&cluster), "1");
}

#[test]
#[cfg(target_os = "linux")]
fn no_core_dump_has_the_memory_of_the_worker() {
    let (cluster, _provider) = with_directory(Scene::new());
    let owner = |pid: i32| fs::metadata(format!("/proc/{pid}/mem")).expect("a process").uid();
    let [of_directory, of_keys] =
        [DIRECTORY_WORKER, WORKER].map(|worker| owner(process(&cluster, worker).expect("a worker")));
    // The files of a process that is not dumped belong to root. PostgreSQL never runs as root.
    assert!(of_keys != 0);
    assert_eq!(of_directory, 0);
}

#[test]
fn the_server_stops_while_a_look_hangs() {
    let (cluster, provider) = with_directory(Scene::new());
    for mode in ["fast", "smart", "immediate"] {
        hang(&cluster, &provider);
        let mark = cluster.log_mark();
        cluster.stop(mode);
        let log = without_debug(&cluster.log_since(mark));
        assert!(log.contains("database system is shut down"), "{log}");
        // The server has not waited for the look, which would have ended with a line in the log.
        assert!(!log.contains("looking at the directory failed"), "{log}");
        assert!(!log.contains("terminated by signal"), "{log}");
        provider.directory().recover(Place::Graph);
        cluster.start();
        cluster.await_directory();
    }
}

#[test]
fn switched_off_nothing_is_asked_and_switched_on_what_was_known_counts_again() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    link(&cluster, "ann", PERSON, "user");
    directory.disable(PERSON);
    await_status(&cluster, "ended", "1");
    cluster.set("azure_ad_auth.directory", "off");
    await_status(&cluster, "state", "off");
    directory.forget_requests();
    directory.fail(Place::Graph, Trouble::Refuse(503, "serviceNotAvailable"));
    cluster.restart();
    assert_eq!(status(&cluster, "mode, state, requests"), "off|off|0");
    cluster.sql("ALTER SYSTEM RESET azure_ad_auth.directory");
    cluster.reload();
    await_status(&cluster, "ended", "1");
    directory.enable(PERSON);
    directory.recover(Place::Graph);
    refresh(&cluster);
    assert_eq!(status(&cluster, "ended"), "0");
}

#[test]
fn another_credential_drops_what_was_learnt_but_not_who_is_out() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    link(&cluster, "ann", PERSON, "user");
    directory.disable(PERSON);
    await_status(&cluster, "ended", "1");
    let tokens = directory.requests(Kind::Token);
    directory.fail(Place::Graph, Trouble::Refuse(503, "serviceNotAvailable"));
    let copy = cluster.folder().write("other", SERVER_SECRET);
    cluster.set("azure_ad_auth.directory_secret_file", &copy.display().to_string());
    await_status(&cluster, "last_success IS NULL", "t");
    await_status(&cluster, "state", "empty");
    assert_eq!(status(&cluster, "ended"), "1", "of the same tenant");
    assert!(eventually(|| directory.requests(Kind::Token) > tokens), "the token is dropped");
    // Ids of another tenant are other ids.
    cluster.set("azure_ad_auth.tenant_id", OTHER_TENANT);
    await_status(&cluster, "ended", "0");
}

#[test]
fn a_token_that_is_rejected_is_replaced_once_and_not_in_a_loop() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    cluster.set("azure_ad_auth.directory_refresh_interval", "0");
    refresh(&cluster);
    directory.forget_requests();
    directory.revoke_tokens();
    assert_eq!(refresh(&cluster), "1");
    assert_eq!((directory.requests(Kind::Token), directory.requests(Kind::GetByIds)), (1, 2));
    directory.fail(Place::Graph, Trouble::Refuse(401, "InvalidAuthenticationToken"));
    let refused = cluster.sql_verbosely("SELECT azure_ad_auth.refresh_directory()");
    assert!(refused.stderr.contains("401"), "{}", refused.stderr);
    assert_eq!(directory.requests(Kind::Token), 2);
}

#[test]
fn an_answer_that_is_none_changes_nothing_and_the_worker_lives() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    link(&cluster, "ann", PERSON, "user");
    refresh(&cluster);
    let worker = process(&cluster, DIRECTORY_WORKER);
    for trouble in [
        Trouble::Huge(10 * 1_048_576),
        Trouble::Cut,
        Trouble::Body(200, "text/html", b"<html>".to_vec()),
        Trouble::Body(200, "application/json", b"[".repeat(100_000)),
        Trouble::Body(200, "application/json", b"{\"value\":[],\"value\":[]}".to_vec()),
        Trouble::Body(200, "application/json", b"{\"value\":[{\"id\":\"\xff\"}]}".to_vec()),
        Trouble::Body(403, "text/html", b"<html>".to_vec()),
        Trouble::Raw(
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x8b".to_vec(),
        ),
        Trouble::Redirect("https://elsewhere.example/".to_owned()),
        Trouble::SomebodyElse,
    ] {
        directory.fail(Place::Only(Kind::GetByIds), trouble.clone());
        for _ in 0..2 {
            cluster.sql_verbosely("SELECT azure_ad_auth.refresh_directory()");
        }
        assert_eq!(status(&cluster, "ended"), "0", "{trouble:?}");
        assert_eq!(process(&cluster, DIRECTORY_WORKER), worker, "{trouble:?}");
    }
    directory.recover(Place::Only(Kind::GetByIds));
    assert_eq!(refresh(&cluster), "2");
}

#[test]
fn a_statement_that_waits_for_a_look_can_be_cancelled() {
    let (cluster, provider) = with_directory(Scene::new());
    hang(&cluster, &provider);
    let output =
        cluster.sql_verbosely("SET statement_timeout = '500ms'; SELECT azure_ad_auth.refresh_directory()");
    assert!(output.stderr.contains("57014"), "{}", output.stderr);
}

#[test]
fn requests_are_counted_by_kind_and_outcome() {
    let (cluster, provider) = with_directory(Scene::new());
    let count = |kind: &str, code: &str| {
        cluster
            .sql(&format!(
                "SELECT value FROM azure_ad_auth.stat WHERE metric = 'directory_requests' AND kind = '{kind}' AND \
                 code = '{code}'"
            ))
            .parse::<u64>()
            .expect("a number")
    };
    assert!(count("look", "answered") > 0 && count("token", "answered") == 1);
    assert_eq!(count("look", "unavailable"), 0);
    provider.directory().fail(Place::Only(Kind::GetByIds), Trouble::Refuse(503, "serviceNotAvailable"));
    assert!(eventually(|| count("look", "unavailable") > 0));
}
