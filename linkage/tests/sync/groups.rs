//! Groups that come and go, and lists that are not whole, empty, or too long.

use entra::directory::request::Kind;
use entra::{Label, PrincipalKind};

use crate::world::*;

#[test]
fn an_incomplete_list_changes_nothing() {
    let mut world = World::new(SERVERS[1]);
    world.list(READERS_GROUP, &[user(5, "ann@x")]);
    world.round();
    world.lists.insert(READERS_GROUP, Err("status 403".to_owned()));
    for _ in 0..3 {
        assert_eq!(world.round(), ["skipped readers status 403"]);
        assert!(world.plan().is_empty());
    }
    world.lists.remove(&READERS_GROUP);
    assert_eq!(world.round(), ["skipped readers its members were not asked for yet"]);
    world.role(READERS).link.as_mut().expect("a link").tenant_id = Some(id(2));
    assert_eq!(world.round(), ["skipped readers the group is of another tenant"]);
    assert!(world.plan().is_empty());
}

#[test]
fn a_list_that_loses_more_than_half_is_held_once() {
    let all: Vec<_> = (1..=6).map(|n| user(n, &format!("u{n}@x"))).collect();
    for (left, is_held) in [(6, false), (5, false), (4, false), (3, false), (2, true), (1, true), (0, true)] {
        let mut world = World::new(SERVERS[1]);
        world.list(READERS_GROUP, &all);
        world.round();
        world.list(READERS_GROUP, &all[..left]);
        assert_eq!(world.plan().held.contains(&READERS_GROUP), is_held, "{left} of 6 are left");
        let changes = world.round();
        assert!(!is_held || changes.len() == 1, "{changes:?}");
        if is_held {
            assert_eq!(world.clone().round().len(), 2 * (6 - left), "the next round says so too");
            // The list is back, and then gone again.
            world.list(READERS_GROUP, &all);
            assert_eq!(world.round(), [""; 0]);
            world.list(READERS_GROUP, &[]);
            assert_eq!(world.round().len(), 1);
        }
    }
}

#[test]
fn in_a_held_list_nobody_joins_either() {
    let mut world = World::new(SERVERS[1]);
    world.list(READERS_GROUP, &[user(1, "a@x"), user(2, "b@x"), user(3, "c@x")]);
    world.round();
    world.list(READERS_GROUP, &[user(9, "new@x")]);
    assert_eq!(world.round().len(), 1);
    assert!(world.named("new@x").is_none());
    world.round();
    assert!(world.named("new@x").is_some());
}

#[test]
fn a_group_that_is_no_longer_linked_is_left_by_all() {
    let admin = Label { admin: true, ..link(READERS_GROUP, PrincipalKind::Group) };
    let other = link(id(3_000), PrincipalKind::Group);
    for now in [None, Some(admin), Some(other)] {
        let mut world = World::new(SERVERS[1]);
        world.list(READERS_GROUP, &[user(5, "ann@x")]);
        world.round();
        world.role(READERS).link = now;
        let rows = world.round();
        assert!(rows.contains(&"ann@x revoked readers".to_owned()), "{now:?}: {rows:?}");
        assert!(!world.has(READERS, world.oid("ann@x")));
        assert!(world.plan().is_empty());
        let serves = world.mark(READERS).serves.clone();
        assert_eq!(serves.is_empty(), now != Some(admin), "{now:?}: {serves:?}");
    }
}

#[test]
fn a_role_that_serves_another_group_now_keeps_who_is_in_both() {
    let mut world = World::new(SERVERS[1]);
    let new = id(3_000);
    world.list(READERS_GROUP, &[user(5, "ann@x"), user(6, "ben@x")]);
    world.round();
    world.list(new, &[user(5, "ann@x")]);
    world.role(READERS).link = Some(link(new, PrincipalKind::Group));
    assert_eq!(
        world.round(),
        ["ben@x revoked readers".to_owned(), format!("ben@x unlinked {} has left", id(6))]
    );
    let ann = world.oid("ann@x");
    assert!(world.has(READERS, ann));
    assert_eq!(world.role(ann).mark, Some(synced(5, true, &[new])));
    assert_eq!(world.mark(READERS).serves, [new].into());
}

#[test]
fn of_two_roles_for_one_group_each_is_granted() {
    let mut world = World::new(SERVERS[1]);
    world.role(WRITERS).link = Some(link(READERS_GROUP, PrincipalKind::Group));
    world.list(READERS_GROUP, &[user(5, "ann@x"), user(6, "ben@x"), user(7, "cat@x")]);
    world.round();
    let ann = world.oid("ann@x");
    assert!(world.has(READERS, ann) && world.has(WRITERS, ann));
    world.role(WRITERS).link = None;
    assert_eq!(world.round(), ["ann@x revoked writers", "ben@x revoked writers", "cat@x revoked writers"]);
    assert!(world.has(READERS, ann));
}

#[test]
fn of_two_roles_for_one_group_one_may_have_been_granted_by_hand() {
    // Before the member came.
    let mut world = World::new(SERVERS[1]);
    world.role(WRITERS).link = Some(link(READERS_GROUP, PrincipalKind::Group));
    world.add(local(200, "ann")).link = Some(link(id(5), PrincipalKind::User));
    world.grant(WRITERS, 200, BOOTSTRAP);
    world.list(READERS_GROUP, &[user(5, "ann@x")]);
    assert_eq!(
        world.round(),
        ["ann skipped readers is a member of role \"writers\" of the same group by hand"]
    );
    // Before the second role was linked to the group.
    let mut world = World::new(SERVERS[1]);
    world.list(READERS_GROUP, &[user(5, "ann@x")]);
    world.round();
    let ann = world.oid("ann@x");
    world.grant(WRITERS, ann, BOOTSTRAP);
    world.role(WRITERS).link = Some(link(READERS_GROUP, PrincipalKind::Group));
    let expected = "skipped writers another role is linked to the same group, and role \"ann@x\" was granted this one by hand";
    assert_eq!(world.round(), [expected]);
    world.list(READERS_GROUP, &[]);
    world.round();
    world.round();
    assert!(!world.has(READERS, ann) && world.has(WRITERS, ann));
}

#[test]
fn objects_of_other_kinds_are_let_be() {
    let mut world = World::new(SERVERS[0]);
    world.list(READERS_GROUP, &[object(5, None), object(6, Some(Kind::Group)), user(7, "cat@x")]);
    assert_eq!(world.round().len(), 2);
    // Graph has come to call a member something else.
    world.list(READERS_GROUP, &[object(7, None)]);
    assert_eq!(world.round(), [""; 0]);
    assert!(world.has(READERS, world.oid("cat@x")));
}

#[test]
fn an_application_is_asked_from_its_own_side() {
    let mut world = World::new(SERVERS[0]);
    world.add(local(200, "loader")).link = Some(link(id(9), PrincipalKind::Service));
    world.applications.insert(id(9), Some([READERS_GROUP].into()));
    assert_eq!(world.round(), ["loader granted readers"]);
    world.applications.insert(id(9), None);
    assert_eq!(world.round(), [""; 0]);
    assert!(world.has(READERS, 200), "without an answer nothing changes");
    world.applications.insert(id(9), Some([].into()));
    assert_eq!(world.round().len(), 1, "held");
    assert_eq!(world.round(), ["loader revoked readers"]);
    // An application without a role that is known only from that side has no name.
    world.applications.insert(id(10), Some([READERS_GROUP].into()));
    let expected = format!(
        "skipped application {}: its name cannot be read: the application needs Application.Read.All",
        id(10)
    );
    assert_eq!(world.round(), [expected]);
}

#[test]
fn a_role_may_be_linked_to_a_client_id() {
    let mut world = World::new(SERVERS[0]);
    world.add(local(200, "loader")).link = Some(link(id(90), PrincipalKind::Service));
    let mut loader = application(9, "Loader");
    loader.client_id = Some(id(90));
    world.list(READERS_GROUP, &[loader.clone()]);
    assert_eq!(world.round(), ["loader granted readers"]);
    assert_eq!(world.role(200).mark, Some(synced(90, false, &[READERS_GROUP])));
    assert!(world.plan().is_empty());
    world.list(READERS_GROUP, &[]);
    world.round();
    assert_eq!(world.round(), ["loader revoked readers"]);
}

#[test]
fn more_groups_than_a_mark_has_room_for_are_reported() {
    let mut world = World::new(SERVERS[0]);
    for n in 0..30 {
        let (oid, group) = (500 + n, id(5_000 + u128::from(n)));
        world.add(local(oid, &format!("g{n}"))).link = Some(link(group, PrincipalKind::Group));
        world.list(group, &[user(5, "ann@x")]);
    }
    let rows = world.round();
    assert_eq!(rows.iter().filter(|row| row.contains("granted")).count(), 25);
    let skipped =
        rows.iter().filter(|row| row.contains("is a member of more groups than can be kept in mind"));
    assert_eq!(skipped.count(), 5);
    assert!(world.plan().is_empty());
}
