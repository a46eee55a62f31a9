//! Who is found to be disabled, deleted or revoked, and what that rests on.

use entra::directory::snapshot::EndedSnapshot;
use serde_json::{Value, json};
use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::expect::without_debug;
use testbed::idp::directory::{Directory, Kind, Object, Place, SERVER_PRINCIPAL, Trouble};
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON, unix_now, user_v1, with};
use testbed::scene::{ADMIN, KEY, Scene};
use testbed::waits::eventually;

use crate::common::directory::{await_status, refresh, status, with_directory};
use crate::common::login::token_of;
use crate::common::statements::link;

/// Returns the id of one of many.
fn id(number: usize) -> String {
    format!("aaaa0000-aaaa-bbbb-cccc-{number:012}")
}

/// Returns how many lines of the log after a mark are about an id.
fn lines(cluster: &Cluster, mark: usize, id: &str) -> usize {
    without_debug(&cluster.log_since(mark))
        .lines()
        .filter(|line| line.contains(&format!("directory: {id} ")))
        .count()
}

/// Returns a token of so many seconds ago that lists the group.
fn token_of_member(age: i64) -> String {
    KEY.token(&with(user_v1(unix_now() - age), "groups", json!([GROUP])))
}

/// Makes looks until this many have been made.
fn look(cluster: &Cluster, times: usize) {
    for _ in 0..times {
        refresh(cluster);
    }
}

/// Waits until there were this many looks more, by themselves.
fn await_looks(directory: &Directory, count: usize) {
    let before = directory.requests(Kind::GetByIds);
    assert!(eventually(|| directory.requests(Kind::GetByIds) >= before + count));
}

#[test]
fn a_disabled_or_deleted_principal_is_out_at_once_and_comes_back_by_itself() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    directory.add_service_principal(APPLICATION, CLIENT, "etl");
    link(&cluster, "ann", PERSON, "user");
    link(&cluster, "etl", APPLICATION, "service");
    assert_eq!(refresh(&cluster), "3");
    for object in [PERSON, APPLICATION] {
        let mark = cluster.log_mark();
        directory.disable(object);
        cluster.await_log(mark, &format!("directory: {object} is disabled: its logins are refused"));
        await_status(&cluster, "ended", "1");
        directory.enable(object);
        cluster.await_log(mark, &format!("directory: {object} may log in again"));
        await_status(&cluster, "ended", "0");
        directory.delete(object);
        cluster.await_log(mark, &format!("directory: {object} no longer exists: its logins are refused"));
        directory.restore(object);
        await_status(&cluster, "ended", "0");
        look(&cluster, 2);
        assert_eq!(lines(&cluster, mark, object), 4, "{}", without_debug(&cluster.log_since(mark)));
    }
}

#[test]
fn an_application_that_is_linked_by_its_client_id_is_found_by_that() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    directory.add_service_principal(APPLICATION, CLIENT, "etl");
    link(&cluster, "etl", CLIENT, "service");
    refresh(&cluster);
    let mark = cluster.log_mark();
    directory.disable(APPLICATION);
    cluster.await_log(mark, &format!("directory: {CLIENT} is disabled"));
    directory.enable(APPLICATION);
    cluster.await_log(mark, &format!("directory: {CLIENT} may log in again"));
}

#[test]
fn a_revocation_is_noticed_and_no_replica_that_lags_takes_it_back() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    directory.show_session_times_in_get_by_ids(true);
    directory.add_user(PERSON, "ann@contoso.example");
    link(&cluster, "ann", PERSON, "user");
    refresh(&cluster);
    let mark = cluster.log_mark();
    directory.revoke_sessions(PERSON, unix_now());
    cluster.await_log(mark, &format!("directory: the sign-in sessions of {PERSON} from before "));
    // As a replica answers that has not seen it yet.
    directory.revoke_sessions(PERSON, unix_now() - 3_600);
    look(&cluster, 3);
    let snapshot = std::fs::read(cluster.directory_snapshot()).expect("a snapshot");
    let snapshot = EndedSnapshot::parse(&snapshot).expect("a snapshot");
    let revoked = snapshot.principals.iter().filter_map(|(_, known)| known.revoked_at);
    assert!(revoked.max().is_some_and(|time| time > unix_now() - 600));
    assert_eq!(cluster.log_since(mark).matches("are revoked: its older tokens").count(), 1);
}

#[test]
fn an_id_that_is_missing_is_out_after_three_looks_with_a_canary() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    link(&cluster, "ann", PERSON, "user");
    refresh(&cluster);
    let mark = cluster.log_mark();
    // Missing once, and there again: a replica that lags.
    directory.fail_times(1, Place::Only(Kind::GetByIds), Trouble::Hide(vec![PERSON.to_owned()]));
    await_looks(directory, 3);
    assert_eq!((status(&cluster, "ended").as_str(), lines(&cluster, mark, PERSON)), ("0", 0));
    // Looks that follow each other quickly are not enough.
    directory.purge(PERSON);
    look(&cluster, 3);
    cluster.await_log(mark, &format!("directory: {PERSON} no longer exists"));
    assert_eq!(status(&cluster, "ended"), "1");
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'ann'"), "1", "the role stays");
}

#[test]
fn without_a_canary_nobody_is_out_and_the_log_says_so_once() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    for number in 0..3 {
        directory.add_user(&id(number), &format!("user{number}@contoso.example"));
        link(&cluster, &format!("user{number}"), &id(number), "user");
    }
    refresh(&cluster);
    let mark = cluster.log_mark();
    // As after a change of the tenant, or when consent was withdrawn.
    directory.fail(Place::Only(Kind::GetByIds), Trouble::Empty);
    await_looks(directory, 6);
    assert_eq!(status(&cluster, "ended"), "0");
    let log = without_debug(&cluster.log_since(mark));
    assert_eq!(log.matches("nobody is put out for it").count(), 1, "{log}");
}

#[test]
fn many_who_are_missing_at_once_are_held_until_an_administrator_insists() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    for number in 0..10 {
        directory.add_user(&id(number), &format!("user{number}@contoso.example"));
        link(&cluster, &format!("user{number}"), &id(number), "user");
    }
    assert_eq!(refresh(&cluster), "11");
    let mark = cluster.log_mark();
    for number in 0..6 {
        directory.purge(&id(number));
    }
    cluster.await_log(mark, "of the linked principals are missing in the directory at once");
    await_looks(directory, 6);
    assert_eq!(status(&cluster, "ended"), "0");
    refresh(&cluster);
    refresh(&cluster);
    await_status(&cluster, "ended", "6");
    let log = without_debug(&cluster.log_since(mark));
    assert_eq!(log.matches("missing in the directory at once").count(), 1, "{log}");
}

#[test]
fn the_last_administrator_is_not_out_for_being_missing() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    link(&cluster, "ann", PERSON, "user");
    refresh(&cluster);
    let mark = cluster.log_mark();
    directory.purge(ADMIN);
    cluster.await_log(mark, "the last administrator (66666666-");
    await_looks(directory, 3);
    assert_eq!(status(&cluster, "ended"), "0");
}

#[test]
fn what_is_null_is_unknown_and_nobody_is_out_for_it() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    link(&cluster, "ann", PERSON, "user");
    directory.disable(PERSON);
    await_status(&cluster, "ended", "1");
    directory.set(PERSON, "accountEnabled", Value::Null);
    await_looks(directory, 3);
    assert_eq!(status(&cluster, "ended"), "1", "who was out stays out");
}

#[test]
fn by_typed_requests_states_are_read_where_get_by_ids_is_refused() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    directory.get_by_ids_needs_directory(true);
    directory.add_user(PERSON, "ann@contoso.example");
    directory.add_group(GROUP, "Readers");
    link(&cluster, "ann", PERSON, "user");
    link(&cluster, "readers", GROUP, "group");
    assert_eq!(refresh(&cluster), "3");
    directory.disable(PERSON);
    await_status(&cluster, "ended", "1");
    assert_eq!(status(&cluster, "state IN ('fresh', 'due', 'in flight')"), "t");
}

#[test]
fn a_membership_that_an_open_session_rests_on_ends_in_two_looks() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    directory.add_group(GROUP, "Readers");
    directory.add_member(GROUP, PERSON);
    link(&cluster, "readers", GROUP, "group");
    // A token of eleven minutes ago, whose `iat` is dated back: a younger one may be of a member
    // who is not listed yet.
    let session = cluster.session("readers", &token_of_member(960));
    let mark = cluster.log_mark();
    await_looks(directory, 2);
    assert_eq!(status(&cluster, "ended"), "0");
    directory.remove_member(GROUP, PERSON);
    cluster.await_log(mark, &format!("directory: {PERSON} is no longer in group {GROUP}"));
    await_status(&cluster, "ended", "1");
    directory.add_member(GROUP, PERSON);
    cluster.await_log(mark, &format!("directory: {PERSON} is in group {GROUP} again"));
    await_status(&cluster, "ended", "0");
    drop(session);
}

#[test]
fn a_hidden_membership_does_not_end_without_the_permission_to_see_it() {
    let (cluster, provider) = with_directory(Scene::new());
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    directory.add(Object::group(GROUP, "Hidden").with_hidden_membership());
    directory.add_member(GROUP, PERSON);
    link(&cluster, "hidden", GROUP, "group");
    let session = cluster.session("hidden", &token_of_member(960));
    await_looks(directory, 4);
    assert_eq!(status(&cluster, "ended"), "0");
    drop(session);
}

#[test]
fn the_servers_own_application_is_asked_along_as_the_canary() {
    let (cluster, provider) = with_directory(Scene::new());
    refresh(&cluster);
    let last = provider.directory().last(Kind::GetByIds).expect("a look");
    assert!(last.body.contains(SERVER_PRINCIPAL), "{}", last.body);
}

#[test]
fn of_too_many_who_are_out_those_are_refused_who_were_active() {
    const MANY: usize = 4_100;
    let (cluster, provider) =
        with_directory(Scene::new().settings("azure_ad_auth.directory_refresh_interval = 1h"));
    let directory = provider.directory();
    directory.add_user(PERSON, "ann@contoso.example");
    link(&cluster, "ann", PERSON, "user");
    for number in 0..MANY {
        directory.add_user(&id(number), &format!("user{number}@contoso.example"));
        directory.set(&id(number), "signInSessionsValidFromDateTime", "2020-01-01T00:00:00Z");
        directory.disable(&id(number));
    }
    refresh(&cluster);
    cluster.sql(&format!(
        "SET aad_validate_oids_in_tenant = off; \
         SELECT count(azure_ad_auth.create_principal('user' || n, ('aaaa0000-aaaa-bbbb-cccc-' || lpad(n::text, 12, '0'))::uuid, 'user')) \
         FROM generate_series(0, {}) AS n",
        MANY - 1
    ));
    let mark = cluster.log_mark();
    refresh(&cluster);
    assert_eq!(status(&cluster, "ended"), "4096");
    cluster.await_log(
        mark,
        "4096 principals that are disabled, deleted or revoked are kept: 6 others are not refused",
    );
    directory.disable(PERSON);
    refresh(&cluster);
    assert!(!matches!(cluster.login("ann", &token_of(PERSON)), Outcome::Ready));
    cluster.await_log(mark, "refused code=account_disabled role=ann");
    let found = cluster.sql(
        "SELECT level || ' ' || message FROM azure_ad_auth.check_configuration() WHERE message LIKE '%are kept'",
    );
    assert_eq!(
        found,
        "danger 6 principals that are disabled, deleted or revoked can log in: no more than 4096 are kept"
    );
    assert_eq!(without_debug(&cluster.log_since(mark)).matches("others are not refused").count(), 1);
    (0..10).for_each(|number| directory.enable(&id(number)));
    refresh(&cluster);
    cluster.await_log(mark, "all principals that are disabled, deleted or revoked are refused again");
}
