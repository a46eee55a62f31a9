//! Many sessions: a thousand at once, and thousands that begin and end.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};
use testbed::client::RawClient;
use testbed::cluster::Cluster;
use testbed::issuer::{PERSON, app_v2, unix_now, user_v1, with};
use testbed::process::signal;
use testbed::scene::{KEY, Scene};
use testbed::waits::eventually;

use crate::common::expiry::{OUTLIVES_TOKEN, end_together, ended_in_time, short_lived};
use crate::common::login::{session_count, value};
use crate::common::statements::link;

/// Settings by which the log does not grow with every statement.
const SHORT_LOG: &str = "log_min_messages = log\nlog_statement = none";

#[test]
fn a_thousand_expire_in_the_same_second() {
    const THREADS: usize = 8;
    const EACH: usize = 125;
    let (cluster, _provider) =
        Scene::new().settings(format!("{OUTLIVES_TOKEN}\n{SHORT_LOG}\nmax_connections = 1050")).start();
    link(&cluster, "ann", PERSON, "user");
    let claims = short_lived(1);
    let token = KEY.token(&claims);
    let sessions: Vec<RawClient> = thread::scope(|scope| {
        let some = || (0..EACH).map(|_| cluster.session("ann", &token)).collect::<Vec<_>>();
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(some)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread")).collect()
    });
    let pids = cluster.sql("SELECT pid FROM azure_ad_auth.sessions WHERE role_name = 'ann'");
    let pids: Vec<i32> = pids.lines().map(|pid| pid.parse().expect("a process id")).collect();
    assert_eq!(pids.len(), THREADS * EACH);
    let due = end_together(&cluster, claims["exp"].as_i64().expect("a time"));
    assert!(eventually(|| session_count(&cluster) == "0"));
    ended_in_time(&cluster.log(), pids, due);
    for mut session in sessions {
        assert_eq!(session.last_error().expect("a reason").sqlstate, "57P01");
    }
}

/// Returns claims of an object of its own: of a person or an application.
fn own_claims(number: usize) -> Value {
    let claims = if number.is_multiple_of(2) { user_v1(unix_now()) } else { app_v2(unix_now()) };
    let object = json!(object_of(number));
    let claims = with(with(claims, "oid", object.clone()), "uti", json!(format!("token-of-{number}")));
    if number.is_multiple_of(2) { claims } else { with(claims, "sub", object) }
}

fn object_of(number: usize) -> String {
    format!("22222222-aaaa-bbbb-cccc-00000000010{number}")
}

const fn kind_of(number: usize) -> &'static str {
    if number.is_multiple_of(2) { "user" } else { "service" }
}

/// Logs in and out in so many rounds by so many clients, each with a role of its own. Returns the
/// rows that the view showed meanwhile.
fn log_in_and_out(cluster: &Cluster, clients: usize, rounds: usize) -> BTreeSet<String> {
    let rows = "SELECT concat_ws(' ', role_name, object_id, kind, token_id) FROM azure_ad_auth.sessions";
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut reader, mut seen) = (cluster.superuser(), BTreeSet::new());
            while !over.load(Ordering::SeqCst) {
                let rows = reader.query(rows).expect("rows");
                assert!(rows.len() <= clients, "{rows:?}");
                seen.extend(rows.into_iter().flatten());
            }
            seen
        });
        let client = |number: usize| {
            let (role, token) = (format!("r{number}"), KEY.token(&own_claims(number)));
            // A process that has ended has freed its place.
            (0..rounds).for_each(|_| cluster.session(&role, &token).disconnect());
        };
        let clients: Vec<_> = (0..clients).map(|number| scope.spawn(move || client(number))).collect();
        let all_well = clients.into_iter().map(thread::ScopedJoinHandle::join).all(|end| end.is_ok());
        over.store(true, Ordering::SeqCst);
        assert!(all_well, "a client failed");
        reader.join().expect("the reader")
    })
}

#[test]
fn the_list_is_right_while_thousands_come_and_go_and_after_a_crash() {
    const CLIENTS: usize = 8;
    // Few places, each taken many times.
    let (cluster, _provider) = Scene::new().settings(format!("{SHORT_LOG}\nmax_connections = 15")).start();
    for number in 0..CLIENTS {
        link(&cluster, &format!("r{number}"), &object_of(number), kind_of(number));
    }
    let seen = log_in_and_out(&cluster, CLIENTS, 250);
    let whole: BTreeSet<_> = (0..CLIENTS)
        .map(|number| format!("r{number} {} {} token-of-{number}", object_of(number), kind_of(number)))
        .collect();
    assert_eq!(seen, whole);
    assert_eq!(session_count(&cluster), "0");
    // When a process is killed, the shared memory is made anew.
    let mut somebody = cluster.session("r0", &KEY.token(&own_claims(0)));
    let pid = value(&mut somebody, "SELECT pg_backend_pid()").parse().expect("a process id");
    signal(pid, libc::SIGKILL);
    assert!(eventually(
        || cluster.sql_as("postgres", "SELECT count(*) FROM azure_ad_auth.sessions").stdout == "0"
    ));
    let mut somebody = cluster.session("r0", &KEY.token(&own_claims(0)));
    assert_eq!(value(&mut somebody, "SELECT count(*) FROM azure_ad_auth.sessions"), "1");
}
