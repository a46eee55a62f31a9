//! Sessions that end when their token expires, whatever they are doing.

use testbed::client::{Outcome, RawClient};
use testbed::cluster::Cluster;
use testbed::expect::admitted;
use testbed::issuer::{APPLICATION, PERSON, unix_now};
use testbed::scene::{KEY, Scene};
use testbed::waits::eventually;

use crate::common::doors::at_every_door;
use crate::common::expiry::{OUTLIVES_TOKEN, end_together, ended_in_time, short_lived};
use crate::common::login::{TERMINATED, end_of, session_count, valid_token, value};
use crate::common::statements::{link, run_all};

#[test]
fn what_ends_no_session() {
    at_every_door("", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let token = valid_token();
        let mut session = cluster.session("ann", &valid_token());
        cluster.sql("ALTER ROLE ann VALID UNTIL '2000-01-01'");
        admitted(&cluster, "ann", &token);
        cluster.sql("ALTER ROLE ann NOLOGIN");
        let refused = |reason: &str| {
            let mark = cluster.log_mark();
            assert!(matches!(cluster.login("ann", &token), Outcome::Refused(_)), "{reason}");
            cluster.await_log(mark, reason);
        };
        refused("role \"ann\" is not permitted to log in");
        cluster.sql("ALTER ROLE ann LOGIN");
        cluster.set("azure_ad_auth.allowed_clients", APPLICATION);
        refused("azure_ad_auth: refused code=client_not_allowed role=ann ");
        cluster.sql("SELECT pg_sleep(1.5)");
        assert_eq!(value(&mut session, "SELECT 1"), "1");
    });
}

/// What a session is doing.
struct Activity {
    /// Begins it.
    begin: fn(&mut RawClient),
    /// What pg_stat_activity then shows.
    shown: &'static str,
    /// Whether the client can be told why the session ends.
    is_told: bool,
}

const ACTIVITIES: [Activity; 8] = [
    Activity { begin: |_| {}, shown: "idle ClientRead 0", is_told: true },
    Activity {
        begin: |client| {
            let lock = "LOCK TABLE public.held IN ACCESS EXCLUSIVE MODE";
            run_all(client, &["BEGIN", lock, "DECLARE rows CURSOR FOR TABLE public.held", "FETCH rows"]);
        },
        shown: "idle in transaction ClientRead 0",
        is_told: true,
    },
    Activity {
        begin: |client| {
            run_all(client, &["BEGIN"]);
            assert!(client.query("SELECT 1 / 0").is_err());
        },
        shown: "idle in transaction (aborted) ClientRead 0",
        is_told: true,
    },
    Activity {
        begin: |client| client.send_query("SELECT pg_sleep(600)").expect("a connection"),
        shown: "active PgSleep 0",
        is_told: true,
    },
    Activity {
        begin: |client| {
            client.send_query("COPY public.taken FROM STDIN").expect("a connection");
            assert!(client.await_message(b'G'));
            client.send(b'd', b"1\n").expect("a connection");
        },
        shown: "active ClientRead 0",
        is_told: true,
    },
    // The client reads nothing, so the server cannot send its last message.
    Activity {
        begin: |client| {
            let rows = "SELECT repeat('x', 1000) FROM generate_series(1, 100000)";
            client.send_query(&format!("COPY ({rows}) TO STDOUT")).expect("a connection");
        },
        shown: "active ClientWrite 0",
        is_told: false,
    },
    Activity {
        begin: |client| {
            let rows = "SELECT repeat('x', 1000) FROM generate_series(1, 100000)";
            client.send_query(rows).expect("a connection");
        },
        shown: "active ClientWrite 0",
        is_told: false,
    },
    Activity {
        begin: |client| {
            run_all(client, &["SET parallel_setup_cost = 0", "SET parallel_tuple_cost = 0"]);
            let query = "SELECT count(*) FROM public.big WHERE pg_sleep(600) IS NULL";
            client.send_query(query).expect("a connection");
        },
        shown: "active PgSleep 2",
        is_told: true,
    },
];

/// Returns the state of a process, what it waits for, and the number of its parallel workers.
fn shown(cluster: &Cluster, pid: i32) -> String {
    cluster.sql(&format!(
        "SELECT concat_ws(' ', state, wait_event, (SELECT count(*) FROM pg_stat_activity WHERE leader_pid = {pid} AND pid <> {pid})) \
         FROM pg_stat_activity WHERE pid = {pid}"
    ))
}

#[test]
fn a_session_ends_when_its_token_has_expired_whatever_it_is_at() {
    at_every_door(OUTLIVES_TOKEN, |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        // Several blocks, so that no worker takes all of them.
        cluster.sql(
            "CREATE TABLE public.held AS SELECT 1; CREATE TABLE public.taken (n int); \
             CREATE TABLE public.big WITH (parallel_workers = 2) AS SELECT n FROM generate_series(1, 2000) n; \
             GRANT ALL ON public.held, public.taken, public.big TO ann",
        );
        let mark = cluster.log_mark();
        let mut staying = cluster.session("ann", &valid_token());
        let claims = short_lived(1);
        let mut sessions: Vec<_> = ACTIVITIES
            .iter()
            .map(|activity| {
                let mut client = cluster.session("ann", &KEY.token(&claims));
                let pid: i32 = value(&mut client, "SELECT pg_backend_pid()").parse().expect("a process id");
                (activity.begin)(&mut client);
                assert!(eventually(|| shown(&cluster, pid) == activity.shown), "{}", shown(&cluster, pid));
                (activity, client, pid)
            })
            .collect();
        assert_eq!(session_count(&cluster), (ACTIVITIES.len() + 1).to_string());
        let due = end_together(&cluster, claims["exp"].as_i64().expect("a time"));
        for (activity, client, pid) in &mut sessions {
            // Without help from its client.
            assert!(eventually(|| shown(&cluster, *pid).is_empty()), "{}", activity.shown);
            let said = client.last_error().map(|error| format!("{} {}", error.severity, error.sqlstate));
            let expected = activity.is_told.then(|| "FATAL 57P01".to_owned());
            assert_eq!(said, expected, "{}", activity.shown);
        }
        let pids = sessions.iter().map(|(_, _, pid)| *pid).collect();
        ended_in_time(&cluster.log_since(mark), pids, due);
        assert_eq!(session_count(&cluster), "1");
        assert_eq!(value(&mut staying, "SELECT 1"), "1");
        // Nothing of the sessions is left: no parallel worker, no lock, no row.
        let helpers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'";
        assert_eq!(cluster.sql(helpers), "0");
        cluster.sql("BEGIN; LOCK TABLE public.held IN ACCESS EXCLUSIVE MODE NOWAIT; COMMIT");
        assert_eq!(cluster.sql("SELECT count(*) FROM public.taken"), "0");
    });
}

#[test]
fn expiry_is_off_until_somebody_turns_it_on() {
    let (cluster, _provider) =
        Scene::new().settings("azure_ad_auth.clock_skew = 0\nazure_ad_auth.session_expiry_grace = 0").start();
    link(&cluster, "ann", PERSON, "user");
    let mut ann = cluster.session("ann", &KEY.token(&short_lived(2)));
    cluster.sql("SELECT pg_sleep(4)");
    assert_eq!(value(&mut ann, "SELECT 1"), "1");
    cluster.set("azure_ad_auth.session_expiry", "terminate");
    assert_eq!(end_of(&mut ann), TERMINATED);
}

#[test]
fn a_reaper_that_is_ended_comes_back() {
    let (cluster, _provider) = Scene::new().settings("azure_ad_auth.session_expiry = 'terminate'\nazure_ad_auth.session_expiry_grace = 0\nazure_ad_auth.clock_skew = 0").start();
    link(&cluster, "ann", PERSON, "user");
    let reaper = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'azure_ad_auth session reaper'";
    let first = cluster.sql(reaper);
    let claims = short_lived(5);
    let mut ann = cluster.session("ann", &KEY.token(&claims));
    assert_eq!(cluster.sql(&format!("SELECT pg_terminate_backend({first})")), "t");
    assert!(eventually(|| {
        let next = cluster.sql(reaper);
        !next.is_empty() && next != first
    }));
    assert_eq!(end_of(&mut ann), TERMINATED);
    assert!(unix_now() >= claims["exp"].as_i64().expect("a time"), "it ended before its time");
}
