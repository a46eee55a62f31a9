//! Answers that are too long, or not what they should be: bounded, no answer, and the worker lives.

use std::fs;
use std::process::Command;
use std::sync::LazyLock;

use testbed::cluster::Cluster;
use testbed::expect::{Refusal, admitted, refused};
use testbed::idp::directory::{Kind, Place, Trouble};
use testbed::issuer::{GROUP, PERSON};
use testbed::scene::Scene;

use crate::common::directory::{DIRECTORY_WORKER, overage_token, refresh, status, with_ann_and_readers};
use crate::common::server::process;
use crate::common::statements::fails;

const LOOK: &str = "SELECT azure_ad_auth.refresh_directory()";
const SETTINGS: &str = "azure_ad_auth.directory_refresh_interval = 1h\nazure_ad_auth.group_lookup_wait = 30s\n\
                        azure_ad_auth.directory_wait = 60s";

/// A hundred megabytes of blanks, compressed to half a megabyte and announced as such.
static BOMB: LazyLock<Trouble> = LazyLock::new(|| {
    let script = "head -c 100000000 /dev/zero | tr '\\0' ' ' | gzip -1";
    let output = Command::new("sh").args(["-c", script]).output().expect("gzip");
    assert!(output.status.success() && output.stdout.len() > 100_000);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        output.stdout.len()
    );
    Trouble::Raw([head.as_bytes(), &output.stdout].concat())
});

/// Returns answers that are none.
fn troubles() -> Vec<(&'static str, Trouble)> {
    let json = |body: &[u8]| Trouble::Body(200, "application/json", body.to_vec());
    let members = |opening: &str| {
        (0..200_000).fold(opening.to_owned(), |text, number| text + &format!("\"{number}\":0,"))
    };
    vec![
        ("10 MB", Trouble::Huge(10 * 1_048_576)),
        ("a gzip bomb", BOMB.clone()),
        ("deep arrays", json(&b"[".repeat(1_000_000))),
        ("deep objects", json(&b"{\"value\":".repeat(100_000))),
        ("many members", json((members("{") + "\"value\":[]}").as_bytes())),
        ("duplicate members", json(b"{\"value\":[],\"value\":[],\"responses\":[],\"responses\":[],\"access_token\":\"x\",\"access_token\":\"x\"}")),
        ("invalid UTF-8", json(b"{\"value\":[{\"id\":\"\xff\"}],\"responses\":[{\"id\":\"\xff\"}],\"access_token\":\"\xff\"}")),
        ("a lone surrogate", json(b"{\"value\":[{\"id\":\"\\ud800\"}],\"responses\":[{\"id\":\"\\ud800\"}]}")),
        ("HTML", Trouble::Body(200, "text/html", b"<html><body>Sign in to the network</body></html>".to_vec())),
        ("HTML that denies", Trouble::Body(403, "text/html", b"<html>".to_vec())),
        ("nothing", json(b"")),
        ("null", json(b"null")),
        ("a text", json(b"\"value\"")),
        ("cut", Trouble::Cut),
        ("a redirection", Trouble::Redirect("https://elsewhere.example/".to_owned())),
        ("an endless head", Trouble::Raw([b"HTTP/1.1 200 OK\r\nx: ".to_vec(), b"x".repeat(1_000_000)].concat())),
        ("no HTTP", Trouble::Raw(b"SSH-2.0-OpenSSH_9.2p1\r\n".to_vec())),
    ]
}

/// Returns the most memory that a process has used, in KiB.
fn most_memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Runs a case with each answer that is none at a place. The worker must live, and use little
/// memory.
fn with_each(place: Place, cluster: &Cluster, spoil: impl Fn(Trouble), case: impl Fn(&str)) {
    let worker = process(cluster, DIRECTORY_WORKER).expect("a worker");
    let before = most_memory(worker);
    for (what, trouble) in troubles() {
        spoil(trouble);
        case(what);
        assert_eq!(process(cluster, DIRECTORY_WORKER), Some(worker), "{place:?}, {what}");
    }
    let more = most_memory(worker) - before;
    assert!(more < 64 * 1_024, "{place:?}: {more} KiB more");
}

#[test]
fn a_look_changes_nothing() {
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(SETTINGS));
    let directory = provider.directory();
    assert_eq!(refresh(&cluster), "3");
    directory.disable(PERSON);
    let place = Place::Only(Kind::GetByIds);
    with_each(
        place,
        &cluster,
        |trouble| directory.fail(place, trouble),
        |what| {
            fails(&cluster, LOOK, "58030", "the directory could not be looked at", "DETAIL:  ");
            assert_eq!(status(&cluster, "ended"), "0", "{what}");
        },
    );
    directory.recover(place);
    assert_eq!(refresh(&cluster), "3");
    assert_eq!(status(&cluster, "ended, last_error"), "1|");
}

#[test]
fn a_statement_fails_and_a_login_is_refused() {
    let unavailable = Refusal {
        code: "directory_unavailable",
        sqlstate: "57P03",
        message: "group membership cannot be verified at the moment; try again later",
        hint: None,
        facts: &[],
    };
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(SETTINGS));
    let directory = provider.directory();
    directory.add_member(GROUP, PERSON);
    let create = "CREATE ROLE \"ann@contoso.example\" LOGIN IN ROLE azure_ad_user";
    let place = Place::Only(Kind::Batch);
    with_each(
        place,
        &cluster,
        |trouble| directory.fail(place, trouble),
        |_| {
            fails(&cluster, create, "58000", "the directory did not answer", "DETAIL:  ");
            refused(&cluster, "readers", &overage_token(), &unavailable);
        },
    );
    directory.recover(place);
    cluster.sql(create);
    admitted(&cluster, "readers", &overage_token());
}

#[test]
fn no_token_comes_of_it() {
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(SETTINGS));
    let directory = provider.directory();
    let spoil = |trouble| {
        directory.fail(Place::Token, trouble);
        directory.revoke_tokens();
    };
    with_each(Place::Token, &cluster, spoil, |_| {
        fails(&cluster, LOOK, "58030", "the directory could not be looked at", "DETAIL:  ");
    });
    directory.recover(Place::Token);
    assert_eq!(refresh(&cluster), "3");
    assert_eq!(directory.misplaced_secrets(), [""; 0]);
}
