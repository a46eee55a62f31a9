//! Sessions that end with their tokens, whatever they are at.

use serde_json::{Value, json};
use testbed::client::RawClient;
use testbed::cluster::{Cluster, eventually};
use testbed::issuer::*;

use crate::sessions::lifetime::{ENDED, count, end_of, enter, value};
use crate::{at_every_door, link, scene};

/// Claims of a token that expires in so many seconds.
pub(crate) fn short_lived(seconds: i64) -> Value {
    with(user_v1(unix_now()), "exp", json!(unix_now() + seconds))
}

/// Sessions outlive their token until [`end_together`] says when they end; it may have expired when they begin.
pub(crate) const UNTIL_TOLD: &str = "azure_ad_auth.session_expiry = 'terminate'\nazure_ad_auth.session_expiry_grace = '1h'\n\
     azure_ad_auth.clock_skew = '5min'\nlog_line_prefix = '%n '";

/// Has the time of sessions whose token has just expired come in a few seconds; that time.
pub(crate) fn end_together(cluster: &Cluster, expires_at: i64) -> i64 {
    let due = unix_now().max(expires_at) + 3;
    cluster.set("azure_ad_auth.session_expiry_grace", &format!("{}s", due - expires_at));
    due
}

/// Expects the log to say of these processes, and of no others, that they have been asked to end: once each, when it was due.
pub(crate) fn ended_in_time(log: &str, mut pids: Vec<i32>, due: i64) {
    let lines = log.lines().filter(|line| line.contains("azure_ad_auth: ended reason=expired "));
    let mut ended: Vec<_> = lines
        .map(|line| {
            let millis = line.split(' ').next().map(|time| time.replace('.', ""));
            let millis = millis.and_then(|time| time.parse::<i64>().ok()).expect("a time");
            // Two seconds are promised; a machine that is busy may be late to begin with.
            assert!((0..10_000).contains(&(millis - due * 1_000)), "{millis}, not {due}: {line}");
            let pid = line.split(" pid=").nth(1).and_then(|rest| rest.split(' ').next());
            pid.and_then(|pid| pid.parse::<i32>().ok()).expect("a process id")
        })
        .collect();
    pids.sort_unstable();
    ended.sort_unstable();
    assert_eq!(ended, pids);
}

/// What a session is at.
struct Pursuit {
    /// Makes it so.
    begin: fn(&mut RawClient),
    /// What pg_stat_activity says of it then.
    shown: &'static str,
    /// Whether the client can be told why it ends.
    is_told: bool,
}

fn run(client: &mut RawClient, statements: &[&str]) {
    for statement in statements {
        assert!(client.query(statement).is_ok(), "{statement}");
    }
}

const PURSUITS: [Pursuit; 8] = [
    Pursuit { begin: |_| {}, shown: "idle ClientRead 0", is_told: true },
    Pursuit {
        begin: |client| {
            let lock = "LOCK TABLE public.held IN ACCESS EXCLUSIVE MODE";
            run(client, &["BEGIN", lock, "DECLARE rows CURSOR FOR TABLE public.held", "FETCH rows"]);
        },
        shown: "idle in transaction ClientRead 0",
        is_told: true,
    },
    Pursuit {
        begin: |client| {
            run(client, &["BEGIN"]);
            assert!(client.query("SELECT 1 / 0").is_err());
        },
        shown: "idle in transaction (aborted) ClientRead 0",
        is_told: true,
    },
    Pursuit {
        begin: |client| client.ask("SELECT pg_sleep(600)").expect("a connection"),
        shown: "active PgSleep 0",
        is_told: true,
    },
    Pursuit {
        begin: |client| {
            client.ask("COPY public.taken FROM STDIN").expect("a connection");
            assert!(client.await_message(b'G'));
            client.send(b'd', b"1\n").expect("a connection");
        },
        shown: "active ClientRead 0",
        is_told: true,
    },
    // The client reads nothing: what the server has to say stays in its hands.
    Pursuit {
        begin: |client| {
            let rows = "SELECT repeat('x', 1000) FROM generate_series(1, 100000)";
            client.ask(&format!("COPY ({rows}) TO STDOUT")).expect("a connection");
        },
        shown: "active ClientWrite 0",
        is_told: false,
    },
    Pursuit {
        begin: |client| {
            let rows = "SELECT repeat('x', 1000) FROM generate_series(1, 100000)";
            client.ask(rows).expect("a connection");
        },
        shown: "active ClientWrite 0",
        is_told: false,
    },
    Pursuit {
        begin: |client| {
            run(client, &["SET parallel_setup_cost = 0", "SET parallel_tuple_cost = 0"]);
            let query = "SELECT count(*) FROM public.big WHERE pg_sleep(600) IS NULL";
            client.ask(query).expect("a connection");
        },
        shown: "active PgSleep 2",
        is_told: true,
    },
];

/// State, what it waits for, parallel workers.
fn shown(cluster: &Cluster, pid: i32) -> String {
    cluster.sql(&format!(
        "SELECT concat_ws(' ', state, wait_event, (SELECT count(*) FROM pg_stat_activity WHERE leader_pid = {pid} AND pid <> {pid})) \
         FROM pg_stat_activity WHERE pid = {pid}"
    ))
}

#[test]
fn a_session_ends_when_its_token_has_expired_whatever_it_is_at() {
    at_every_door(UNTIL_TOLD, |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        // Several blocks, so that nobody takes them all.
        cluster.sql(
            "CREATE TABLE public.held AS SELECT 1; CREATE TABLE public.taken (n int); \
             CREATE TABLE public.big WITH (parallel_workers = 2) AS SELECT n FROM generate_series(1, 2000) n; \
             GRANT ALL ON public.held, public.taken, public.big TO ann",
        );
        let mark = cluster.log_mark();
        let mut staying = enter(&cluster, "ann", &user_v1(unix_now()));
        let claims = short_lived(1);
        let mut sessions: Vec<_> = PURSUITS
            .iter()
            .map(|pursuit| {
                let mut client = enter(&cluster, "ann", &claims);
                let pid: i32 = value(&mut client, "SELECT pg_backend_pid()").parse().expect("a process id");
                (pursuit.begin)(&mut client);
                assert!(eventually(|| shown(&cluster, pid) == pursuit.shown), "{}", shown(&cluster, pid));
                (pursuit, client, pid)
            })
            .collect();
        assert_eq!(count(&cluster), (PURSUITS.len() + 1).to_string());
        let due = end_together(&cluster, claims["exp"].as_i64().expect("a time"));
        for (pursuit, client, pid) in &mut sessions {
            // Without its client's help.
            assert!(eventually(|| shown(&cluster, *pid).is_empty()), "{}", pursuit.shown);
            let said = client.last_words().map(|error| format!("{} {}", error.severity, error.sqlstate));
            let expected = pursuit.is_told.then(|| "FATAL 57P01".to_owned());
            assert_eq!(said, expected, "{}", pursuit.shown);
        }
        let pids = sessions.iter().map(|(_, _, pid)| *pid).collect();
        ended_in_time(&cluster.log_since(mark), pids, due);
        assert_eq!(count(&cluster), "1");
        assert_eq!(value(&mut staying, "SELECT 1"), "1");
        // Nothing of them is left: no helper, no lock, no row.
        let helpers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'";
        assert_eq!(cluster.sql(helpers), "0");
        cluster.sql("BEGIN; LOCK TABLE public.held IN ACCESS EXCLUSIVE MODE NOWAIT; COMMIT");
        assert_eq!(cluster.sql("SELECT count(*) FROM public.taken"), "0");
    });
}

#[test]
fn expiry_is_off_until_somebody_turns_it_on() {
    let (cluster, _provider) = scene("azure_ad_auth.clock_skew = 0\nazure_ad_auth.session_expiry_grace = 0");
    link(&cluster, "ann", PERSON, "user");
    let mut ann = enter(&cluster, "ann", &short_lived(2));
    cluster.sql("SELECT pg_sleep(4)");
    assert_eq!(value(&mut ann, "SELECT 1"), "1");
    cluster.set("azure_ad_auth.session_expiry", "terminate");
    assert_eq!(end_of(&mut ann), ENDED);
}

#[test]
fn a_reaper_that_is_ended_comes_back() {
    let (cluster, _provider) = scene(
        "azure_ad_auth.session_expiry = 'terminate'\nazure_ad_auth.session_expiry_grace = 0\nazure_ad_auth.clock_skew = 0",
    );
    link(&cluster, "ann", PERSON, "user");
    let reaper = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'azure_ad_auth session reaper'";
    let first = cluster.sql(reaper);
    let claims = short_lived(5);
    let mut ann = enter(&cluster, "ann", &claims);
    assert_eq!(cluster.sql(&format!("SELECT pg_terminate_backend({first})")), "t");
    assert!(eventually(|| {
        let next = cluster.sql(reaper);
        !next.is_empty() && next != first
    }));
    assert_eq!(end_of(&mut ann), ENDED);
    assert!(unix_now() >= claims["exp"].as_i64().expect("a time"), "it ended before its time");
}
