//! What Microsoft Graph says about members, whole or not, and what follows from it.

use std::thread;

use testbed::cluster::Cluster;
use testbed::idp::directory::{Kind, Place, Trouble};
use testbed::issuer::{GROUP, PERSON};
use testbed::scene::Scene;
use testbed::waits::eventually;

use crate::common::login::{token_of, value};
use crate::common::statements::fails;
use crate::common::sync::{BEN, CAT, EVERY_SECOND, await_linked, linked, synchronise, with_members};

const WRITERS: &str = "55555555-aaaa-bbbb-cccc-000000000066";

const CALL: &str = "SELECT * FROM azure_ad_auth.sync_group_members()";

/// What the call says when there are no members.
const UNANSWERED: &str = "the members of groups could not be asked for";

/// Returns whether a member's role is a member of another.
fn is_member(cluster: &Cluster, role: &str, group: &str) -> bool {
    cluster.sql(&format!("SELECT pg_has_role('{role}@contoso.example', '{group}', 'MEMBER')")) == "t"
}

#[test]
fn long_lists_are_read_to_the_end() {
    let (cluster, provider) = with_members(Scene::new());
    provider.directory().page_length(Some(1));
    synchronise(&cluster);
    assert_eq!(linked(&cluster), "3");
    assert!(provider.directory().requests(Kind::Members) >= 3);
}

#[test]
fn a_list_that_breaks_off_changes_nothing() {
    let (cluster, provider) = with_members(Scene::new());
    synchronise(&cluster);
    let directory = provider.directory();
    directory.page_length(Some(1));
    directory.remove_member(GROUP, PERSON);
    for trouble in [
        Trouble::PageFails(1),
        Trouble::CircularPages,
        Trouble::NextLink("https://elsewhere.example/v1.0/groups".to_owned()),
        Trouble::Body(200, "application/json", b"{\"value\":null}".to_vec()),
        Trouble::Cut,
    ] {
        directory.fail(Place::Only(Kind::Members), trouble.clone());
        fails(&cluster, CALL, "58030", UNANSWERED, "Nothing has changed.");
        assert!(is_member(&cluster, "ann", "readers"), "{trouble:?}");
    }
    directory.recover(Place::Only(Kind::Members));
    assert!(synchronise(&cluster).contains("ann@contoso.example revoked readers"));
}

#[test]
fn a_group_without_a_whole_list_waits_and_the_others_go_on() {
    let (cluster, provider) = with_members(Scene::new());
    let directory = provider.directory();
    directory.add_group(WRITERS, "Writers");
    directory.add_member(WRITERS, BEN);
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('writers', '{WRITERS}', 'group')"));
    // The second page of the longer list is missing.
    directory.page_length(Some(2));
    directory.fail(Place::Only(Kind::Members), Trouble::PageFails(1));
    let rows = synchronise(&cluster);
    assert!(rows.contains("ben@contoso.example granted writers"), "{rows}");
    assert!(rows.contains("skipped readers") && rows.contains("503"), "{rows}");
    assert_eq!(linked(&cluster), "1");
    directory.recover(Place::Only(Kind::Members));
    synchronise(&cluster);
    assert_eq!(linked(&cluster), "3");
}

#[test]
fn a_list_that_is_empty_twice_is_acted_on() {
    let (cluster, provider) = with_members(Scene::new());
    synchronise(&cluster);
    for id in [PERSON, BEN, CAT] {
        provider.directory().remove_member(GROUP, id);
    }
    let held = "held readers 3 of 3 members are missing at once; the next round must say so too";
    assert_eq!(synchronise(&cluster), held);
    assert_eq!(linked(&cluster), "3");
    let rows = synchronise(&cluster);
    assert_eq!((rows.matches("revoked readers").count(), rows.matches("has left").count()), (3, 3), "{rows}");
    assert_eq!(linked(&cluster), "0");
}

#[test]
fn a_list_that_lacks_more_than_half_is_held_back_by_the_schedule_too() {
    let settings = format!("{EVERY_SECOND}\nazure_ad_auth.group_sync = on");
    let (cluster, provider) = with_members(Scene::new().settings(settings));
    await_linked(&cluster, 3);
    cluster.set("azure_ad_auth.group_sync", "off");
    for id in [PERSON, BEN] {
        provider.directory().remove_member(GROUP, id);
    }
    cluster.set("azure_ad_auth.group_sync", "on");
    cluster.await_log(0, "group synchronisation: held \"readers\" (2 of 3 members are missing at once");
    await_linked(&cluster, 1);
    assert!(is_member(&cluster, "cat", "readers"));
}

#[test]
fn who_is_in_two_groups_stays_until_both_are_left() {
    let (cluster, provider) = with_members(Scene::new());
    let directory = provider.directory();
    directory.add_group(WRITERS, "Writers");
    directory.add_member(WRITERS, PERSON);
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('writers', '{WRITERS}', 'group')"));
    synchronise(&cluster);
    assert!(is_member(&cluster, "ann", "readers") && is_member(&cluster, "ann", "writers"));
    let mut session = cluster.session("ann@contoso.example", &token_of(PERSON));
    directory.remove_member(GROUP, PERSON);
    assert_eq!(synchronise(&cluster), "ann@contoso.example revoked readers");
    assert_eq!(value(&mut session, "SELECT pg_has_role('writers', 'USAGE')"), "t", "the session goes on");
    directory.remove_member(WRITERS, PERSON);
    assert!(synchronise(&cluster).contains("held writers"), "it was the only member");
    assert!(synchronise(&cluster).contains("ann@contoso.example unlinked"));
}

#[test]
fn a_group_that_is_no_longer_linked_has_been_left_by_all() {
    let (cluster, _provider) = with_members(Scene::new());
    synchronise(&cluster);
    cluster.sql("SELECT azure_ad_auth.drop_principal('readers')");
    let rows = synchronise(&cluster);
    assert_eq!((rows.matches("revoked readers").count(), rows.matches("has left").count()), (3, 3), "{rows}");
    assert_eq!(synchronise(&cluster), "");
}

#[test]
fn what_may_not_be_read_is_reported_as_a_missing_permission() {
    let (cluster, provider) = with_members(Scene::new());
    let feature =
        "SELECT available, problem FROM azure_ad_auth.directory_features WHERE feature = 'group sync'";
    provider.directory().withdraw("User.Read.All");
    let rows = synchronise(&cluster);
    assert!(rows.contains("its name cannot be read: the application needs User.Read.All"), "{rows}");
    assert_eq!(linked(&cluster), "0");
    assert_eq!(cluster.sql(feature), "f|not readable: the properties are null");
    provider.directory().grant("User.Read.All");
    synchronise(&cluster);
    assert_eq!(cluster.sql(feature), "t|");
    provider.directory().withdraw("GroupMember.Read.All");
    fails(&cluster, CALL, "58030", UNANSWERED, "403");
    assert_eq!(cluster.sql(feature), "f|Microsoft Graph refuses the request (403)");
    assert_eq!(linked(&cluster), "3", "nobody has left");
}

#[test]
fn a_pause_that_the_service_demands_holds_for_members_too() {
    let (cluster, provider) = with_members(Scene::new());
    let place = Place::Only(Kind::Members);
    provider.directory().fail(place, Trouble::Throttle(Some("3600".to_owned())));
    fails(&cluster, CALL, "58030", UNANSWERED, "429");
    let paused = "SELECT throttled_until > now() FROM azure_ad_auth.directory_status";
    assert_eq!(cluster.sql(paused), "t");
    provider.directory().forget_requests();
    fails(&cluster, CALL, "58030", UNANSWERED, "demands a pause");
    assert_eq!(provider.directory().requests(Kind::Members), 0);
}

#[test]
fn who_waits_for_members_is_told_when_the_settings_change() {
    let (cluster, provider) = with_members(Scene::new());
    provider.directory().fail(Place::Only(Kind::Members), Trouble::Hang);
    let mut session = cluster.superuser();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| session.query(CALL));
        assert!(eventually(|| provider.directory().requests(Kind::Members) > 0));
        cluster.set("azure_ad_auth.directory", "off");
        let error = waiting.join().expect("a thread").expect_err(CALL);
        assert_eq!((error.sqlstate.as_str(), error.message.as_str()), ("58030", UNANSWERED));
        assert!(error.detail.as_deref().unwrap_or_default().contains("given up"), "{error:?}");
    });
}
