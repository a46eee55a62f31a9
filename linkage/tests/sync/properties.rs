//! What holds whatever happens to roles and to the directory between rounds.

use std::collections::BTreeSet;

use entra::{Label, PrincipalKind, Uuid};
use linkage::Membership;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::world::*;

/// Something that happens between two rounds.
#[derive(Debug, Clone)]
enum Event {
    /// The directory lists these users as members of a group.
    Lists(u8, Vec<u8>),
    /// The list of a group breaks off.
    Breaks(u8),
    /// A role is granted by hand, by the bootstrap superuser or by another one.
    Grants { role: u8, member: u8, by_bootstrap: bool },
    /// A membership is revoked by hand.
    Revokes(u8),
    /// A role is unlinked by hand, or linked to a user, to a group, or as an administrator.
    Links(u8, Option<u8>),
    /// A role is created by hand, with the name of a user.
    Creates(u8),
    /// A round is made.
    Round,
}

/// The users. Two of them have names that differ only in case.
const NAMES: [&str; 6] = ["ann@x", "ben@x", "Ben@x", "cat@x", "dan@x", "pg_eve"];

fn events() -> impl Strategy<Value = Event> {
    let number = 0_u8..8;
    prop_oneof![
        4 => (0_u8..3, vec(0_u8..6, 0..6)).prop_map(|(group, users)| Event::Lists(group, users)),
        1 => (0_u8..3).prop_map(Event::Breaks),
        2 => (number.clone(), number.clone(), any::<bool>())
            .prop_map(|(role, member, by_bootstrap)| Event::Grants { role, member, by_bootstrap }),
        1 => number.clone().prop_map(Event::Revokes),
        2 => (number.clone(), proptest::option::of(0_u8..12)).prop_map(|(role, to)| Event::Links(role, to)),
        1 => (0_u8..6).prop_map(Event::Creates),
        6 => Just(Event::Round),
    ]
}

const GROUPS: [Uuid; 3] = [READERS_GROUP, WRITERS_GROUP, Uuid::from_u128(1_002)];

fn listed(users: &[u8]) -> Vec<entra::directory::answer::Object> {
    let users: BTreeSet<_> = users.iter().collect();
    users.into_iter().map(|n| user(u128::from(*n) + 1, NAMES[usize::from(*n)])).collect()
}

/// The role that a number stands for: there are always three at least.
fn pick(world: &World, number: u8) -> u32 {
    world.roles[usize::from(number) % world.roles.len()].name.id
}

/// Makes something happen.
fn happen(world: &mut World, by_hand: &mut Vec<Membership>, event: &Event) {
    match event {
        Event::Lists(group, users) => world.list(GROUPS[usize::from(*group)], &listed(users)),
        Event::Breaks(group) => {
            world.lists.insert(GROUPS[usize::from(*group)], Err("no answer".to_owned()));
        }
        Event::Grants { role, member, by_bootstrap } => grant(world, by_hand, *role, *member, *by_bootstrap),
        Event::Revokes(number) if !world.memberships.is_empty() => {
            let row = world.memberships.remove(usize::from(*number) % world.memberships.len());
            by_hand.retain(|other| *other != row);
        }
        Event::Links(role, to) => {
            let role = pick(world, *role);
            let label = to.map(|to| match to {
                0..6 => link(id(u128::from(to) + 1), PrincipalKind::User),
                6..9 => link(GROUPS[usize::from(to - 6)], PrincipalKind::Group),
                _ => Label { admin: true, ..link(id(u128::from(to) - 8), PrincipalKind::User) },
            });
            world.role(role).link = label;
        }
        Event::Creates(user) if world.named(NAMES[usize::from(*user)]).is_none() => {
            let oid = world.roles.iter().map(|role| role.name.id).max().unwrap_or_default() + 1;
            world.add(local(oid, NAMES[usize::from(*user)]));
        }
        Event::Revokes(_) | Event::Creates(_) => {}
        Event::Round => round(world, by_hand),
    }
}

/// Grants by hand what is not there, and what synchronisation would not take for its own: a
/// superuser who grants what synchronisation has granted before does the same that it does.
fn grant(world: &mut World, by_hand: &mut Vec<Membership>, role: u8, member: u8, by_bootstrap: bool) {
    let (role, member) = (pick(world, role), pick(world, member));
    let groups = world.mark(member).synced.as_ref().map(|synced| synced.groups.clone()).unwrap_or_default();
    let is_alike = by_bootstrap && !world.mark(role).serves.is_disjoint(&groups);
    if role == member || is_alike || world.has(role, member) {
        return;
    }
    world.grant(role, member, if by_bootstrap { BOOTSTRAP } else { BOSS });
    by_hand.extend(world.memberships.last());
}

fn round(world: &mut World, by_hand: &[Membership]) {
    let before = world.clone();
    let held = world.plan().held;
    // Carrying it out checks that nothing is granted twice and that no name is taken over.
    world.round();
    for row in by_hand {
        assert!(world.memberships.contains(row), "what was granted by hand is gone: {row:?}");
    }
    for role in &before.roles {
        let now = world.role(role.name.id).clone();
        assert_eq!(now.name, role.name);
        let is_unlinked = role.link.is_some() && now.link.is_none();
        let made_link = role.mark.iter().flat_map(|mark| &mark.synced).any(|synced| synced.has_linked);
        assert!(!is_unlinked || made_link, "a link that was made by hand is gone: {role:?}");
        assert!(now.link.is_none() || role.link.is_none() || now.link == role.link);
    }
    for group in GROUPS {
        if before.lists.get(&group).is_none_or(Result::is_err) || held.contains(&group) {
            assert_nothing_changed_of(&before, world, group);
        }
    }
    // Without news there is soon nothing to do. What one round has held back, or left alone for
    // the sake of a role that has changed, comes with the next.
    let mut later = world.clone();
    later.round();
    later.round();
    let again = later.plan();
    assert!(again.is_empty(), "{again:?}");
}

/// The members of the roles of a group whose list is not acted on are the same, apart from roles
/// that were unlinked from the group or from the member.
fn assert_nothing_changed_of(before: &World, now: &mut World, group: Uuid) {
    let of_group = |label: Label| label.object_id == Some(group) && label.kind == Some(PrincipalKind::Group);
    let roles =
        before.roles.iter().filter(|role| role.link.is_some_and(|label| of_group(label) && !label.admin));
    for role in roles {
        for member in &before.roles {
            let synced = member.mark.as_ref().and_then(|mark| mark.synced.clone());
            let Some(synced) = synced.filter(|synced| synced.groups.contains(&group)) else { continue };
            let is_same = member.link.is_none_or(|label| label.object_id == Some(synced.member));
            if is_same && before.has(role.name.id, member.name.id) {
                assert!(now.has(role.name.id, member.name.id), "{role:?} {member:?}");
            }
        }
    }
}

/// What the mark says and what is granted agree: synchronisation has lost track of nothing.
fn assert_known(world: &mut World, by_hand: &[Membership]) {
    for row in world.memberships.clone() {
        let groups = world.mark(row.member).synced.as_ref().map(|synced| synced.groups.clone());
        let is_made = !world.mark(row.role).serves.is_disjoint(&groups.unwrap_or_default());
        assert!(by_hand.contains(&row) || is_made, "nobody knows who has granted {row:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_made_by_hand_stays_and_what_was_synchronised_is_known(
        script in vec(events(), 1..40), is_new in any::<bool>()
    ) {
        let mut world = World::new(SERVERS[usize::from(is_new)]);
        let mut by_hand = Vec::new();
        for event in script {
            happen(&mut world, &mut by_hand, &event);
            assert_known(&mut world, &by_hand);
        }
    }
}
