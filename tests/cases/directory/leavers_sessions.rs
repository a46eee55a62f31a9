//! Open sessions of those whom the directory says to be disabled, deleted or revoked, or to have
//! left a group.

use testbed::cluster::Cluster;
use testbed::expect::lacks_token;
use testbed::issuer::{GROUP, PERSON, unix_now};
use testbed::process::signal;
use testbed::scene::Scene;

use crate::common::directory::{
    at_every_door_with_directory, await_status, look, overage_token, token_of_time, with_ann_and_readers,
};
use crate::common::login::{TERMINATED, end_of, valid_token, value};
use crate::common::server::process;

/// The title of the process that ends sessions.
const REAPER: &str = "azure_ad_auth session reaper";

/// Waits for the line of a session that is ended.
fn await_line(cluster: &Cluster, mark: usize, reason: &str, role: &str) {
    let opening = format!("azure_ad_auth: ended reason={reason} role={role} door={} ", cluster.door.name());
    cluster.await_log(mark, &opening);
    let log = cluster.log_since(mark);
    let line = log.lines().find(|line| line.contains(&opening)).unwrap_or_default();
    for fact in [format!("oid={PERSON}"), "issued_at=".to_owned(), "expires_at=".to_owned()] {
        assert!(line.contains(&fact), "no {fact}: {line}");
    }
}

#[test]
fn all_sessions_of_a_disabled_person_end_whichever_role_they_are_of() {
    at_every_door_with_directory("", |_, cluster, provider| {
        let token = valid_token();
        let mut own = cluster.session("ann", &token);
        let mut by_group = cluster.session("readers", &token);
        let mut busy = cluster.session("ann", &token);
        busy.send_query("BEGIN; SELECT pg_sleep(600)").expect("a connection");
        let mut admin = cluster.session("admin", &crate::common::login::token_of(testbed::scene::ADMIN));
        look(cluster, 1);
        assert_eq!(value(&mut own, "SELECT 1") + &value(&mut by_group, "SELECT 1"), "11");
        let mark = cluster.log_mark();
        provider.directory().disable(PERSON);
        assert_eq!(end_of(&mut own), TERMINATED);
        assert_eq!(end_of(&mut by_group), TERMINATED);
        assert_eq!(busy.last_error().map(|error| error.sqlstate), Some("57P01".to_owned()));
        await_line(cluster, mark, "account_disabled", "ann");
        await_line(cluster, mark, "account_disabled", "readers");
        assert_eq!(value(&mut admin, "SELECT 1"), "1", "nobody else's session ends");
        lacks_token(cluster, &token);
    });
}

#[test]
fn a_person_who_is_logged_in_by_a_group_alone_is_looked_at_too() {
    let (cluster, provider) = with_ann_and_readers(Scene::new());
    cluster.sql("SELECT azure_ad_auth.drop_principal('ann')");
    provider.directory().add_member(GROUP, PERSON);
    let mut session = cluster.session("readers", &overage_token());
    look(&cluster, 1);
    assert_eq!(value(&mut session, "SELECT 1"), "1");
    let mark = cluster.log_mark();
    provider.directory().delete(PERSON);
    assert_eq!(end_of(&mut session), TERMINATED);
    await_line(&cluster, mark, "account_deleted", "readers");
}

#[test]
fn a_revocation_ends_the_sessions_of_older_tokens_only() {
    at_every_door_with_directory("", |_, cluster, provider| {
        let at = unix_now() - 60;
        let mut older = cluster.session("ann", &token_of_time(at - 300));
        let mut newer = cluster.session("ann", &token_of_time(at + 10));
        look(cluster, 1);
        assert_eq!(value(&mut older, "SELECT 1") + &value(&mut newer, "SELECT 1"), "11");
        let mark = cluster.log_mark();
        provider.directory().revoke_sessions(PERSON, at);
        assert_eq!(end_of(&mut older), TERMINATED);
        await_line(cluster, mark, "sessions_revoked", "ann");
        look(cluster, 2);
        assert_eq!(value(&mut newer, "SELECT 1"), "1");
    });
}

#[test]
fn a_membership_that_has_ended_ends_the_session_that_rests_on_it() {
    at_every_door_with_directory("", |_, cluster, provider| {
        let directory = provider.directory();
        directory.add_member(GROUP, PERSON);
        let token = token_of_time(unix_now() - 660);
        let mut reader = cluster.session("readers", &token);
        let mut own = cluster.session("ann", &token);
        look(cluster, 3);
        assert_eq!(value(&mut reader, "SELECT 1") + &value(&mut own, "SELECT 1"), "11");
        let mark = cluster.log_mark();
        directory.remove_member(GROUP, PERSON);
        assert_eq!(end_of(&mut reader), TERMINATED);
        await_line(cluster, mark, "not_a_member", "readers");
        assert_eq!(value(&mut own, "SELECT 1"), "1");
    });
}

#[test]
fn one_answer_that_lags_ends_no_session_and_neither_does_an_outage() {
    use testbed::idp::directory::{Kind, Place, Trouble};
    let (cluster, provider) = with_ann_and_readers(Scene::new());
    let directory = provider.directory();
    directory.add_member(GROUP, PERSON);
    let mut reader = cluster.session("readers", &token_of_time(unix_now() - 660));
    look(&cluster, 1);
    cluster.set("azure_ad_auth.directory_refresh_interval", "1h");
    look(&cluster, 1);
    directory.fail_times(1, Place::Only(Kind::Membership), Trouble::Empty);
    directory.remove_member(GROUP, PERSON);
    look(&cluster, 1);
    directory.add_member(GROUP, PERSON);
    look(&cluster, 2);
    directory.fail(Place::Graph, Trouble::Refuse(503, "ServiceUnavailable"));
    for _ in 0..3 {
        assert!(!cluster.sql_verbosely("SELECT azure_ad_auth.refresh_directory()").success);
    }
    assert_eq!(value(&mut reader, "SELECT 1"), "1");
    assert!(!cluster.log().contains("azure_ad_auth: ended "));
}

#[test]
fn a_standby_ends_them_by_what_it_has_seen_itself() {
    let (cluster, provider) = with_ann_and_readers(Scene::new());
    let standby = cluster.standby();
    standby.start();
    standby.await_keys();
    standby.await_directory();
    let mut ann = standby.session("ann", &valid_token());
    assert_eq!(value(&mut ann, "SELECT pg_is_in_recovery()"), "t");
    provider.directory().disable(PERSON);
    assert_eq!(end_of(&mut ann), TERMINATED);
    standby.await_log(0, "azure_ad_auth: ended reason=account_disabled role=ann");
}

/// Between the login and the first statement it is the seal that checks.
#[test]
fn a_session_without_a_statement_yet_is_judged_at_the_seal() {
    let (cluster, provider) = with_ann_and_readers(Scene::new());
    provider.directory().add_member(GROUP, PERSON);
    look(&cluster, 1);
    let worker = process(&cluster, REAPER).expect("a reaper");
    assert!(signal(worker, libc::SIGSTOP));
    let mut ann = cluster.session("ann", &valid_token());
    let mut reader = cluster.session("readers", &overage_token());
    let mut acting = cluster.session("readers", &overage_token());
    assert_eq!(value(&mut acting, "SELECT 1"), "1");
    provider.directory().disable(PERSON);
    await_status(&cluster, "ended", "1");
    let disabled = "FATAL 28P01: the account that the access token was issued to is disabled";
    assert_eq!((end_of(&mut ann).as_str(), end_of(&mut reader).as_str()), (disabled, disabled));
    cluster.await_log(0, "azure_ad_auth: refused code=account_disabled role=ann door=seal");
    assert_eq!(value(&mut acting, "SELECT 1"), "1", "the seal is checked once");
    assert!(signal(worker, libc::SIGCONT));
    assert_eq!(end_of(&mut acting), TERMINATED);
}

/// The seal asks nothing: that the login's answer has gone out of date ends no session.
#[test]
fn the_seal_asks_nothing() {
    use testbed::idp::directory::{Kind, Place, Trouble};
    let settings = "azure_ad_auth.directory_refresh_interval = 1h\nazure_ad_auth.group_lookup_cache = 1s";
    let (cluster, provider) = with_ann_and_readers(Scene::new().settings(settings));
    let directory = provider.directory();
    directory.add_member(GROUP, PERSON);
    let mut reader = cluster.session("readers", &overage_token());
    directory.fail(Place::Graph, Trouble::Hang);
    // An answer counts for five seconds at least.
    cluster.sql("SELECT pg_sleep(5.2)");
    let asked = directory.requests(Kind::Batch);
    assert_eq!(value(&mut reader, "SELECT 1"), "1");
    assert_eq!(directory.requests(Kind::Batch), asked);
}
