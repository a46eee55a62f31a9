//! Who is in, what their tokens said, and when they go.

use std::thread;

use serde_json::json;
use testbed::client::{Outcome, RawClient};
use testbed::cluster::{Cluster, eventually};
use testbed::issuer::*;

use crate::{KEY, at_every_door, link, scene};

/// Logs in with claims; the session.
pub(crate) fn enter(cluster: &Cluster, role: &str, claims: &serde_json::Value) -> RawClient {
    let mut client = cluster.client();
    let outcome = client.login(&[("user", role), ("database", "postgres")], &KEY.token(claims));
    assert_eq!(outcome, Outcome::Ready);
    client
}

/// The first value that a query gives in a session.
pub(crate) fn value(client: &mut RawClient, query: &str) -> String {
    let rows = client.query(query).unwrap_or_else(|error| panic!("{query}: {error:?}"));
    rows.into_iter().next().flatten().unwrap_or_default()
}

/// Waits until a session is over; what its client then reads.
pub(crate) fn end_of(client: &mut RawClient) -> String {
    let mut error = None;
    assert!(eventually(|| {
        error = client.query("SELECT 1").err();
        error.is_some()
    }));
    error
        .map_or_else(String::new, |error| format!("{} {}: {}", error.severity, error.sqlstate, error.message))
}

/// As pg_terminate_backend() ends one.
pub(crate) const ENDED: &str = "FATAL 57P01: terminating connection due to administrator command";

pub(crate) fn count(cluster: &Cluster) -> String {
    cluster.sql("SELECT count(*) FROM azure_ad_auth.sessions")
}

#[test]
fn the_view_says_who_is_in() {
    at_every_door("", |door, cluster, _provider| {
        for (role, object, kind) in
            [("ann", PERSON, "user"), ("readers", GROUP, "group"), ("billing", APPLICATION, "service")]
        {
            link(&cluster, role, object, kind);
        }
        cluster.sql("CREATE ROLE metrics LOGIN PASSWORD 'm'; GRANT pg_monitor TO metrics");
        let now = unix_now();
        let mut ann = enter(&cluster, "ann", &user_v1(now));
        let readers = enter(&cluster, "readers", &user_v1(now));
        let billing = enter(&cluster, "billing", &app_v2(now));
        let rows = "SELECT concat_ws(' ', role_name, object_id, tenant_id = (SELECT tenant_id FROM azure_ad_auth.principals LIMIT 1), kind, \
                      coalesce(via_group::text, '-'), client_app, coalesce(display_name, '-'), token_id, key_id, door, \
                      extract(epoch FROM token_issued_at)::bigint, extract(epoch FROM token_expires_at)::bigint, \
                      logged_in_at BETWEEN now() - interval '1 min' AND now() + interval '1 s', \
                      pid IN (SELECT pid FROM pg_stat_activity WHERE usename = role_name)) \
                    FROM azure_ad_auth.sessions ORDER BY role_name";
        let (from, user, app) = (now - 300, now + 3_600, now + 86_400);
        let door = door.name();
        let expected = [
            format!(
                "ann {PERSON} t user - {CLIENT} ann@contoso.example token-1 key-1 {door} {from} {user} t t"
            ),
            format!("billing {APPLICATION} t service - {CLIENT} - token-4 key-1 {door} {from} {app} t t"),
            format!(
                "readers {PERSON} t user {GROUP} {CLIENT} ann@contoso.example token-1 key-1 {door} {from} {user} t t"
            ),
        ];
        assert_eq!(cluster.sql(rows).lines().collect::<Vec<_>>(), expected);
        // Everybody sees their own, pg_monitor all.
        let own = "SELECT string_agg(role_name, ' ') FROM azure_ad_auth.sessions";
        assert_eq!(value(&mut ann, own), "ann");
        let mut metrics = cluster.client();
        let outcome = metrics.login(&[("user", "metrics"), ("database", "postgres")], "m");
        assert_eq!(outcome, Outcome::Ready);
        assert_eq!(value(&mut metrics, "SELECT count(*) FROM azure_ad_auth.sessions"), "3");
        drop((readers, billing));
        assert!(eventually(
            || cluster.sql("SELECT string_agg(role_name, ' ') FROM azure_ad_auth.sessions") == "ann"
        ));
        drop(ann);
        assert!(eventually(|| count(&cluster) == "0"));
        // Whom core refuses once we have let him in is not in.
        cluster.sql("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC");
        let outcome = cluster.login("ann", &KEY.token(&user_v1(now)));
        assert!(matches!(outcome, Outcome::Refused(error) if error.sqlstate == "42501"));
        assert!(eventually(|| count(&cluster) == "0"));
    });
}

#[test]
fn lines_of_the_log_join_with_all_others_of_the_session() {
    at_every_door("log_line_prefix = 'line=%c '", |door, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        let mark = cluster.log_mark();
        let mut ann = enter(&cluster, "ann", &user_v1(unix_now()));
        assert_eq!(value(&mut ann, "SELECT 1"), "1");
        assert!(matches!(cluster.login("ann", "no-token"), Outcome::Refused(_)));
        let place = testbed::expect::place(door);
        for (verdict, count) in [("accepted role=ann ", 1), ("refused code=invalid_format role=ann ", 1)] {
            let log = cluster.log_since(mark);
            let lines: Vec<_> = log
                .lines()
                .filter(|line| line.contains(&format!("azure_ad_auth: {verdict}{place} session=")))
                .collect();
            assert_eq!(lines.len(), count, "{log}");
            let id = lines[0].split("line=").nth(1).and_then(|rest| rest.split(' ').next()).expect("an id");
            assert!(lines[0].contains(&format!(" session={id} ")), "{}", lines[0]);
        }
    });
}

#[test]
fn a_session_knows_what_its_token_said() {
    at_every_door("", |_, cluster, _provider| {
        link(&cluster, "ann", PERSON, "user");
        cluster.sql("CREATE ROLE writers; GRANT writers TO ann");
        let mut ann = enter(&cluster, "ann", &user_v1(unix_now()));
        for act in ["SELECT 1", "SET ROLE writers", "RESET ROLE", "SET SESSION AUTHORIZATION ann"] {
            assert!(ann.query(act).is_ok(), "{act}");
            for (claim, expected) in [
                ("oid", PERSON),
                ("upn", "ann@contoso.example"),
                ("groups", &format!("[\"{GROUP}\"]")),
                ("aio", ""),
                ("rh", ""),
                ("nothing", ""),
            ] {
                let query = format!("SELECT coalesce(azure_ad_auth.session_claim('{claim}'), '')");
                assert_eq!(value(&mut ann, &query), expected, "{claim} after {act}");
            }
        }
        let whole = "SELECT azure_ad_auth.session_claims() @> jsonb_build_object('oid', azure_ad_auth.session_claim('oid'), 'ver', '1.0') \
                       AND NOT azure_ad_auth.session_claims() ?| ARRAY['aio', 'rh']";
        assert_eq!(value(&mut ann, whole), "t");
        // The claims are the leader's to ask for, also where others do the work.
        let force = if cluster.workshop.installation.major < 16 {
            "force_parallel_mode"
        } else {
            "debug_parallel_query"
        };
        assert!(ann.query(&format!("SET {force} = on")).is_ok());
        assert_eq!(
            value(&mut ann, "SELECT count(*) FROM pg_class WHERE azure_ad_auth.session_claim('oid') IS NULL"),
            "0"
        );
        for act in ["DISCARD ALL", "SET work_mem = '64kB'"] {
            assert!(ann.query(act).is_ok(), "{act}");
            assert_eq!(value(&mut ann, "SELECT azure_ad_auth.session_claim('oid')"), PERSON, "after {act}");
        }
        // Nobody makes his claims vanish by asking where they are not known.
        let peek = "CREATE FUNCTION pg_temp.peek() RETURNS SETOF text LANGUAGE plpgsql PARALLEL SAFE AS \
                    $$ BEGIN RETURN QUERY SELECT azure_ad_auth.session_claim('oid'); END $$";
        assert!(ann.query(peek).is_ok());
        assert_eq!(value(&mut ann, "SELECT pg_temp.peek()"), PERSON);
        let _ = ann.query(&format!("SET {force} = on"));
        let error = ann.query("SELECT pg_temp.peek()").expect_err("a worker answered");
        assert_eq!(error.message, "the claims of a session cannot be read in a parallel worker");
        // A session without a token has none.
        assert_eq!(
            cluster.sql(
                "SELECT azure_ad_auth.session_claims() IS NULL AND azure_ad_auth.session_claim('oid') IS NULL"
            ),
            "t"
        );
    });
}

#[test]
fn a_session_ends_with_what_let_it_in() {
    let (cluster, _provider) = scene("");
    for (act, reason) in [
        ("DROP ROLE ann", "role_dropped"),
        ("REVOKE azure_ad_user FROM ann", "unlinked"),
        ("SELECT azure_ad_auth.drop_principal('ann')", "unlinked"),
        ("SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL", "unlinked"),
    ] {
        link(&cluster, "ann", PERSON, "user");
        let mut ann = enter(&cluster, "ann", &user_v1(unix_now()));
        let mut undecided = cluster.superuser();
        for step in ["BEGIN", act, "ROLLBACK"] {
            assert!(undecided.query(step).is_ok(), "{step}");
        }
        cluster.sql("SELECT pg_sleep(1.5)");
        assert_eq!(value(&mut ann, "SELECT 1"), "1", "{act} was rolled back");
        let mark = cluster.log_mark();
        cluster.sql(act);
        assert_eq!(end_of(&mut ann), ENDED, "{act}");
        cluster.await_log(mark, &format!("azure_ad_auth: ended reason={reason}"));
        assert_eq!(cluster.log_since(mark).matches("azure_ad_auth: ended").count(), 1, "{act}");
        cluster.sql("DROP ROLE IF EXISTS ann");
    }
}

#[test]
fn a_session_ends_with_all_that_it_has_started() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    cluster.sql(
        "GRANT pg_execute_server_program TO ann; CREATE TABLE public.t (line text); GRANT INSERT ON t TO ann",
    );
    for (act, age) in [
        ("SELECT azure_ad_auth.revoke_tokens('ann')", 60),
        // As late as the leeway of clocks allows: tokens count again from there on.
        ("SELECT azure_ad_auth.drop_principal('ann')", -60),
    ] {
        cluster.sql("SELECT pg_sleep(1.1)");
        let claims = with(user_v1(unix_now()), "iat", json!(unix_now() - age));
        let mut ann = enter(&cluster, "ann", &claims);
        thread::scope(|scope| {
            let copy = scope.spawn(|| ann.query("COPY t FROM PROGRAM 'sleep 600'"));
            let running =
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state = 'active'";
            assert!(eventually(|| cluster.sql(running) == "1"));
            cluster.sql(act);
            // First the program, then the session.
            assert!(copy.join().expect("a thread").is_err(), "{act}");
        });
        end_of(&mut ann);
    }
}

#[test]
fn a_session_that_does_not_go_is_asked_again() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    cluster.sql(
        "GRANT pg_execute_server_program TO ann; CREATE TABLE public.t (line text); GRANT INSERT ON t TO ann",
    );
    let mut ann = enter(&cluster, "ann", &with(user_v1(unix_now()), "iat", json!(unix_now() - 60)));
    thread::scope(|scope| {
        // A program that takes the first request for somebody else's.
        let program = "COPY t FROM PROGRAM 'trap \"trap - TERM\" TERM; while :; do sleep 1; done'";
        let copy = scope.spawn(|| ann.query(program));
        let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state = 'active'";
        assert!(eventually(|| cluster.sql(running) == "1"));
        cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann')");
        assert!(copy.join().expect("a thread").is_err());
    });
    assert!(eventually(|| count(&cluster) == "0"));
}

/// PostgreSQL 15 and 16 leave the number of a process behind that has gone, and somebody else gets it.
#[test]
fn only_processes_of_this_server_are_ended() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    let mut gone: Vec<_> = (0..20).map(|_| enter(&cluster, "ann", &user_v1(unix_now()))).collect();
    let number = |session| value(session, "SELECT pg_backend_pid()").parse().expect("a process id");
    let numbers: Vec<u32> = gone.iter_mut().map(number).collect();
    drop(gone);
    assert!(eventually(|| count(&cluster) == "0"));
    let mut stranger = testbed::scratch::process_with_id(&numbers);
    cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
    cluster.sql("SELECT pg_sleep(0.5)");
    assert_eq!(stranger.try_wait().expect("a process"), None, "somebody else's process was ended");
    let _ = stranger.kill();
    let _ = stranger.wait();
}

#[test]
fn a_session_of_another_object_ends() {
    let (cluster, _provider) = scene("");
    let standby = cluster.standby();
    standby.start();
    standby.await_keys();
    let rebind = format!("SELECT azure_ad_auth.update_principal('ann', '{APPLICATION}', 'user')");
    let again = format!(
        "BEGIN; SELECT azure_ad_auth.drop_principal('ann'); SELECT azure_ad_auth.create_principal('ann', '{APPLICATION}', 'user'); COMMIT"
    );
    for act in [rebind, again] {
        link(&cluster, "ann", PERSON, "user");
        let linked = "SELECT count(*) FROM pg_shseclabel WHERE objoid = (SELECT oid FROM pg_roles WHERE rolname = 'ann')";
        assert!(eventually(|| standby.sql(linked) == "1"));
        let mut both = [&cluster, &standby].map(|cluster| enter(cluster, "ann", &user_v1(unix_now())));
        for session in &mut both {
            assert_eq!(value(session, "SELECT 1"), "1");
        }
        cluster.sql(&act);
        for session in &mut both {
            assert_eq!(end_of(session), ENDED, "{act}");
        }
        cluster.sql("DROP ROLE ann");
        assert!(eventually(|| standby.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'ann'") == "0"));
    }
    assert!(standby.log().contains("azure_ad_auth: ended reason=rebound role=ann"));
}

#[test]
fn without_an_administrator_sessions_stay_or_end_as_set() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    let mut ann = enter(&cluster, "ann", &user_v1(unix_now()));
    cluster.sql("SELECT azure_ad_auth.remove_admin()");
    cluster.sql("SELECT pg_sleep(2)");
    assert_eq!(value(&mut ann, "SELECT 1"), "1");
    cluster.set("azure_ad_auth.session_expiry", "terminate");
    assert_eq!(end_of(&mut ann), ENDED);
    assert!(cluster.log().contains("azure_ad_auth: ended reason=no_admin role=ann"));
}

#[test]
fn a_standby_ends_sessions_by_what_it_replays() {
    let (cluster, _provider) = scene("");
    link(&cluster, "ann", PERSON, "user");
    let standby = cluster.standby();
    standby.start();
    standby.await_keys();
    let mut ann = enter(&standby, "ann", &user_v1(unix_now()));
    assert_eq!(value(&mut ann, "SELECT pg_is_in_recovery()"), "t");
    cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
    assert_eq!(end_of(&mut ann), ENDED);
    assert!(standby.log().contains("azure_ad_auth: ended reason=unlinked role=ann"));
}
