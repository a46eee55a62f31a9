//! What happens to the roles of members who come, stay, leave and come back.

use entra::PrincipalKind;

use crate::world::*;

const ANN: u128 = 5;

/// A server with `ann` as a member of `readers`, after the first round.
fn with_ann(server: linkage::Server) -> World {
    let mut world = World::new(server);
    world.list(READERS_GROUP, &[user(ANN, "ann@x"), user(6, "ben@x"), user(7, "cat@x")]);
    world.round();
    world
}

/// The list of `readers` without her.
fn leaves(world: &mut World) {
    world.list(READERS_GROUP, &[user(6, "ben@x"), user(7, "cat@x")]);
}

#[test]
fn a_member_gets_a_role_of_its_own() {
    for server in SERVERS {
        let mut world = World::new(server);
        world.list(READERS_GROUP, &[user(ANN, "ann@x")]);
        world.list(WRITERS_GROUP, &[application(9, "loader"), user(ANN, "ann@x")]);
        let expected = [
            format!("ann@x created user {}", id(ANN)),
            "ann@x granted readers".to_owned(),
            "ann@x granted writers".to_owned(),
            format!("loader created application {}", id(9)),
            "loader granted writers".to_owned(),
        ];
        assert_eq!(world.round(), expected);
        let ann = world.named("ann@x").expect("a role");
        assert_eq!(ann.link, Some(link(id(ANN), PrincipalKind::User)));
        assert_eq!(ann.mark, Some(synced(ANN, true, &[READERS_GROUP, WRITERS_GROUP])));
        assert_eq!(world.named("loader").expect("a role").link, Some(link(id(9), PrincipalKind::Service)));
        assert!(world.plan().is_empty(), "nothing is new");
        assert_eq!(world.round(), [""; 0]);
    }
}

#[test]
fn a_linked_role_is_only_granted() {
    let mut world = World::new(SERVERS[1]);
    world.add(local(200, "ann")).link = Some(link(id(ANN), PrincipalKind::User));
    world.add(local(201, "annie")).link = Some(link(id(ANN), PrincipalKind::User));
    world.list(READERS_GROUP, &[user(ANN, "ann@x")]);
    assert_eq!(world.round(), ["ann granted readers", "annie granted readers"]);
    assert_eq!(world.role(200).mark, Some(synced(ANN, false, &[READERS_GROUP])));
    world.list(READERS_GROUP, &[]);
    assert_eq!(
        world.round(),
        ["held readers 2 of 2 members are missing at once; the next round must say so too"]
    );
    assert_eq!(world.round(), ["ann revoked readers", "annie revoked readers"]);
    assert_eq!(world.role(200).link, Some(link(id(ANN), PrincipalKind::User)), "that link was made by hand");
    assert_eq!(world.role(200).mark, Some(entra::Mark::default()));
}

#[test]
fn a_membership_that_was_granted_by_hand_is_let_be() {
    for grantor in [BOSS, BOOTSTRAP] {
        let mut world = World::new(SERVERS[1]);
        world.add(local(200, "ann")).link = Some(link(id(ANN), PrincipalKind::User));
        world.grant(READERS, 200, grantor);
        world.list(READERS_GROUP, &[user(ANN, "ann@x")]);
        world.list(WRITERS_GROUP, &[user(ANN, "ann@x")]);
        assert_eq!(world.round(), ["ann granted writers"]);
        world.list(READERS_GROUP, &[]);
        world.list(WRITERS_GROUP, &[]);
        world.round();
        assert_eq!(world.round(), ["ann revoked writers"]);
        assert!(world.has(READERS, 200));
    }
}

#[test]
fn who_leaves_is_unlinked_and_who_comes_back_gets_the_old_role() {
    for server in SERVERS {
        let mut world = with_ann(server);
        let ann = world.oid("ann@x");
        leaves(&mut world);
        assert_eq!(
            world.round(),
            ["ann@x revoked readers".to_owned(), format!("ann@x unlinked {} has left", id(ANN))]
        );
        assert_eq!(world.role(ann).link, None);
        assert_eq!(world.role(ann).mark, Some(synced(ANN, false, &[])));
        assert!(world.plan().is_empty());
        // By another name now: the id counts.
        world.list(WRITERS_GROUP, &[user(ANN, "anna@x")]);
        assert_eq!(
            world.round(),
            [format!("ann@x linked user {}", id(ANN)), "ann@x granted writers".to_owned()]
        );
        assert_eq!(world.role(ann).mark, Some(synced(ANN, true, &[WRITERS_GROUP])));
    }
}

#[test]
fn a_second_group_keeps_the_link() {
    let mut world = with_ann(SERVERS[0]);
    world.list(WRITERS_GROUP, &[user(ANN, "ann@x")]);
    assert_eq!(world.round(), ["ann@x granted writers"]);
    leaves(&mut world);
    assert_eq!(world.round(), ["ann@x revoked readers"]);
    let ann = world.oid("ann@x");
    assert_eq!(world.role(ann).mark, Some(synced(ANN, true, &[WRITERS_GROUP])));
    assert!(world.role(ann).link.is_some());
}

#[test]
fn what_others_have_granted_stays_and_is_reported() {
    let mut world = with_ann(SERVERS[1]);
    let ann = world.oid("ann@x");
    world.grant(READERS, ann, BOSS);
    assert_eq!(world.round(), [""; 0]);
    leaves(&mut world);
    let expected = [
        "ann@x revoked readers".to_owned(),
        "ann@x kept readers was granted it by hand, by role \"boss\"".to_owned(),
        "ann@x kept stays linked while it is a member of role \"readers\"".to_owned(),
    ];
    assert_eq!(world.round(), expected);
    assert!(world.has(READERS, ann));
    // A role that is a member of an Azure AD role cannot be unlinked. It is once it can be.
    assert_eq!(world.round(), ["ann@x skipped stays linked while it is a member of role \"readers\""]);
    world.memberships.retain(|row| row.member != ann);
    assert_eq!(world.round(), [format!("ann@x unlinked {} has left", id(ANN))]);
    assert_eq!(world.role(ann).mark, Some(synced(ANN, false, &[])));
    // With the ADMIN option it is not what synchronisation grants.
    let mut world = with_ann(SERVERS[0]);
    let ann = world.oid("ann@x");
    world.memberships.iter_mut().filter(|row| row.member == ann).for_each(|row| row.admin_option = true);
    leaves(&mut world);
    let rows = world.round();
    assert_eq!(rows[0], "ann@x kept readers was granted it by hand");
    assert!(world.has(READERS, ann));
}

#[test]
fn what_was_revoked_by_hand_is_granted_again() {
    let mut world = with_ann(SERVERS[0]);
    let ann = world.oid("ann@x");
    world.memberships.retain(|row| row.member != ann);
    assert_eq!(world.round(), ["ann@x granted readers"]);
}

#[test]
fn an_unlink_by_hand_is_the_administrators_decision() {
    let mut world = with_ann(SERVERS[1]);
    let ann = world.oid("ann@x");
    world.role(ann).link = None;
    for _ in 0..3 {
        assert_eq!(world.round(), ["ann@x skipped was unlinked by hand"]);
        assert!(world.has(READERS, ann));
    }
    world.list(WRITERS_GROUP, &[user(ANN, "ann@x")]);
    assert_eq!(world.round(), ["ann@x skipped was unlinked by hand"]);
    leaves(&mut world);
    let taken =
        |what: &str| format!("ann@x skipped user {}: the name is taken by role \"ann@x\"{what}", id(ANN));
    let former = taken(&format!(" of a former member, {}", id(ANN)));
    assert_eq!(world.round(), ["ann@x revoked readers", &former]);
    assert_eq!(world.role(ann).mark, Some(entra::Mark::default()));
    assert_eq!(world.round(), [taken(", a local one")]);
}

#[test]
fn a_role_that_was_linked_to_another_object_has_left() {
    let mut world = with_ann(SERVERS[1]);
    let ann = world.oid("ann@x");
    world.role(ann).link = Some(link(id(8), PrincipalKind::User));
    let taken = format!(
        "ann@x skipped user {}: the name is taken by role \"ann@x\", which is linked to another object, {}",
        id(ANN),
        id(8)
    );
    assert_eq!(world.round(), ["ann@x revoked readers", &taken]);
    assert_eq!(world.role(ann).mark, Some(entra::Mark::default()));
    assert_eq!(world.role(ann).link, Some(link(id(8), PrincipalKind::User)), "the link stays");
    // The list of an old member's group need not be known for that.
    let mut world = with_ann(SERVERS[1]);
    world.role(ann).link = Some(link(id(8), PrincipalKind::Group));
    world.lists.insert(READERS_GROUP, Err("no answer".to_owned()));
    assert_eq!(world.round()[0], "ann@x revoked readers");
}

#[test]
fn a_role_that_was_linked_to_another_member_keeps_what_that_one_has_too() {
    let mut world = with_ann(SERVERS[1]);
    let ann = world.oid("ann@x");
    world.role(world.oid("ben@x")).link = None;
    world.role(ann).link = Some(link(id(6), PrincipalKind::User));
    world.round();
    assert!(world.has(READERS, ann));
    assert_eq!(world.role(ann).mark, Some(synced(6, false, &[READERS_GROUP])));
}

#[test]
fn an_administrators_link_stays() {
    let mut world = with_ann(SERVERS[0]);
    let ann = world.oid("ann@x");
    world.role(ann).link.as_mut().expect("a link").admin = true;
    leaves(&mut world);
    assert_eq!(world.round(), ["ann@x revoked readers", "ann@x kept is an administrator, so its link stays"]);
    assert!(world.role(ann).link.is_some());
}

#[test]
fn a_superuser_is_not_linked_again() {
    let mut world = with_ann(SERVERS[0]);
    let ann = world.oid("ann@x");
    leaves(&mut world);
    world.round();
    world.role(ann).is_privileged = true;
    world.list(WRITERS_GROUP, &[user(ANN, "ann@x")]);
    let expected = "ann@x skipped is a superuser, or has a superuser's rights, and cannot be linked again";
    assert_eq!(world.round(), [expected]);
}

#[test]
fn a_mark_that_cannot_be_read_is_let_be() {
    let mut world = with_ann(SERVERS[0]);
    let ann = world.oid("ann@x");
    world.role(ann).mark = None;
    let unreadable = "its label of the provider azure_ad_auth cannot be read";
    assert_eq!(world.round(), [format!("ann@x skipped {unreadable}")]);
    world.role(READERS).mark = None;
    assert_eq!(world.round()[0], format!("skipped readers {unreadable}"));
    assert!(world.plan().is_empty());
}

#[test]
fn the_rest_of_a_mark_stays() {
    let mut world = with_ann(SERVERS[0]);
    let ann = world.oid("ann@x");
    world.mark(ann).is_managed = true;
    leaves(&mut world);
    world.round();
    assert!(world.mark(ann).is_managed);
    assert!(world.mark(READERS).serves.contains(&READERS_GROUP));
}
