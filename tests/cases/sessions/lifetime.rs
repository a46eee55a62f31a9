//! When a session is ended.

use std::thread;

use testbed::issuer::{APPLICATION, PERSON, unix_now, user_v1, with};
use testbed::scene::{KEY, Scene};
use testbed::waits::eventually;

use crate::common::login::{TERMINATED, end_of, session_count, valid_token, value};
use crate::common::statements::link;
use serde_json::json;

#[test]
fn a_session_ends_with_what_let_it_in() {
    let (cluster, _provider) = Scene::new().start();
    for (act, reason) in [
        ("DROP ROLE ann", "role_dropped"),
        ("REVOKE azure_ad_user FROM ann", "unlinked"),
        ("SELECT azure_ad_auth.drop_principal('ann')", "unlinked"),
        ("SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL", "unlinked"),
    ] {
        link(&cluster, "ann", PERSON, "user");
        let mut ann = cluster.session("ann", &valid_token());
        let mut undecided = cluster.superuser();
        for step in ["BEGIN", act, "ROLLBACK"] {
            assert!(undecided.query(step).is_ok(), "{step}");
        }
        cluster.sql("SELECT pg_sleep(1.5)");
        assert_eq!(value(&mut ann, "SELECT 1"), "1", "{act} was rolled back");
        let mark = cluster.log_mark();
        cluster.sql(act);
        assert_eq!(end_of(&mut ann), TERMINATED, "{act}");
        cluster.await_log(mark, &format!("azure_ad_auth: ended reason={reason}"));
        assert_eq!(cluster.log_since(mark).matches("azure_ad_auth: ended").count(), 1, "{act}");
        cluster.sql("DROP ROLE IF EXISTS ann");
    }
}

#[test]
fn a_session_ends_with_all_that_it_has_started() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    cluster.sql(
        "GRANT pg_execute_server_program TO ann; CREATE TABLE public.t (line text); GRANT INSERT ON t TO ann",
    );
    for (act, age) in [
        ("SELECT azure_ad_auth.revoke_tokens('ann')", 60),
        // After the clock skew has passed, from when on tokens are accepted again.
        ("SELECT azure_ad_auth.drop_principal('ann')", -60),
    ] {
        cluster.sql("SELECT pg_sleep(1.1)");
        let claims = with(user_v1(unix_now()), "iat", json!(unix_now() - age));
        let mut ann = cluster.session("ann", &KEY.token(&claims));
        thread::scope(|scope| {
            let copy = scope.spawn(|| ann.query("COPY t FROM PROGRAM 'sleep 600'"));
            let running =
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state = 'active'";
            assert!(eventually(|| cluster.sql(running) == "1"));
            cluster.sql(act);
            // First the program is ended, then the session.
            assert!(copy.join().expect("a thread").is_err(), "{act}");
        });
        end_of(&mut ann);
    }
}

#[test]
fn a_session_that_does_not_go_is_asked_again() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    cluster.sql(
        "GRANT pg_execute_server_program TO ann; CREATE TABLE public.t (line text); GRANT INSERT ON t TO ann",
    );
    let mut ann =
        cluster.session("ann", &KEY.token(&with(user_v1(unix_now()), "iat", json!(unix_now() - 60))));
    thread::scope(|scope| {
        // A program that ignores the first request to end.
        let program = "COPY t FROM PROGRAM 'trap \"trap - TERM\" TERM; while :; do sleep 1; done'";
        let copy = scope.spawn(|| ann.query(program));
        let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state = 'active'";
        assert!(eventually(|| cluster.sql(running) == "1"));
        cluster.sql("SELECT azure_ad_auth.revoke_tokens('ann')");
        assert!(copy.join().expect("a thread").is_err());
    });
    assert!(eventually(|| session_count(&cluster) == "0"));
}

/// PostgreSQL 15 and 16 may leave the id of a process that has ended, and another process may get
/// it.
#[test]
fn only_processes_of_this_server_are_ended() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let mut gone: Vec<_> = (0..20).map(|_| cluster.session("ann", &valid_token())).collect();
    let number = |session| value(session, "SELECT pg_backend_pid()").parse().expect("a process id");
    let numbers: Vec<u32> = gone.iter_mut().map(number).collect();
    drop(gone);
    assert!(eventually(|| session_count(&cluster) == "0"));
    let mut stranger = testbed::scratch::process_with_id(&numbers);
    cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
    cluster.sql("SELECT pg_sleep(0.5)");
    assert_eq!(stranger.try_wait().expect("a process"), None, "somebody else's process was ended");
    let _ = stranger.kill();
    let _ = stranger.wait();
}

#[test]
fn a_session_of_another_object_ends() {
    let (cluster, _provider) = Scene::new().start();
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
        let mut both = [&cluster, &standby].map(|cluster| cluster.session("ann", &valid_token()));
        for session in &mut both {
            assert_eq!(value(session, "SELECT 1"), "1");
        }
        cluster.sql(&act);
        for session in &mut both {
            assert_eq!(end_of(session), TERMINATED, "{act}");
        }
        cluster.sql("DROP ROLE ann");
        assert!(eventually(|| standby.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'ann'") == "0"));
    }
    assert!(standby.log().contains("azure_ad_auth: ended reason=rebound role=ann"));
}

#[test]
fn without_an_administrator_sessions_stay_or_end_as_set() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let mut ann = cluster.session("ann", &valid_token());
    cluster.sql("SELECT azure_ad_auth.remove_admin()");
    cluster.sql("SELECT pg_sleep(2)");
    assert_eq!(value(&mut ann, "SELECT 1"), "1");
    cluster.set("azure_ad_auth.session_expiry", "terminate");
    assert_eq!(end_of(&mut ann), TERMINATED);
    assert!(cluster.log().contains("azure_ad_auth: ended reason=no_admin role=ann"));
}

#[test]
fn a_standby_ends_sessions_by_what_it_replays() {
    let (cluster, _provider) = Scene::new().start();
    link(&cluster, "ann", PERSON, "user");
    let standby = cluster.standby();
    standby.start();
    standby.await_keys();
    let mut ann = standby.session("ann", &valid_token());
    assert_eq!(value(&mut ann, "SELECT pg_is_in_recovery()"), "t");
    cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
    assert_eq!(end_of(&mut ann), TERMINATED);
    assert!(standby.log().contains("azure_ad_auth: ended reason=unlinked role=ann"));
}
