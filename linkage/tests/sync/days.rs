//! Whole weeks of rounds at a directory that lags and breaks, and the cost of a round.

use std::collections::BTreeSet;

use entra::directory::answer::Object;

use crate::world::*;

/// So many rounds are a week of half hours.
const WEEK: usize = 336;

fn users(numbers: impl IntoIterator<Item = u128>) -> Vec<Object> {
    numbers.into_iter().map(|n| user(n, &format!("u{n}@x"))).collect()
}

#[test]
fn a_week_of_outages_changes_nothing() {
    let mut world = World::new(SERVERS[1]);
    world.list(READERS_GROUP, &users(1..=40));
    world.round();
    let (roles, memberships) = (world.roles.clone(), world.memberships.clone());
    for round in 0..WEEK {
        let list = match round % 4 {
            0 => Err("status 503".to_owned()),
            1 => Ok(users(1..=40)),
            // Empty, never twice running.
            2 => Ok(Vec::new()),
            _ => Err("the pages of the list go in a circle".to_owned()),
        };
        world.lists.insert(READERS_GROUP, list);
        world.round();
        assert_eq!((&world.roles, &world.memberships), (&roles, &memberships), "round {round}");
    }
}

#[test]
fn a_week_of_comings_and_goings_follows_the_directory() {
    let mut world = World::new(SERVERS[1]);
    for round in 0..WEEK as u128 {
        // Each round one leaves and one comes; a fourth of them comes back in the end.
        let members: BTreeSet<u128> = (round..round + 30).map(|n| n % 250).collect();
        world.list(READERS_GROUP, &users(members.iter().copied()));
        world.round();
        assert!(world.plan().is_empty());
        let linked = world.roles.iter().filter(|role| role.link.is_some()).count();
        assert_eq!((linked, world.memberships.len()), (32, 30), "round {round}");
    }
    assert_eq!(world.roles.len(), 3 + 250, "a role is made once for each");
}

/// Without scans of everything for each member this takes some milliseconds; with them it would
/// take longer than anyone waits for a test.
#[test]
fn a_hundred_thousand_members_are_planned_for() {
    let mut world = World::new(SERVERS[1]);
    world.list(READERS_GROUP, &users(1..=100_000));
    let first = world.plan();
    assert_eq!(first.parts.len(), 100_000);
    let template = world.clone();
    world.roles.reserve(100_000);
    for (n, part) in (1_u32..).zip(&first.parts) {
        let oid = 1_000 + n;
        let mut role = local(oid, part.role_name());
        role.link = Some(link(id(n.into()), entra::PrincipalKind::User));
        role.mark = Some(synced(n.into(), true, &[READERS_GROUP]));
        world.roles.push(role);
        world.grant(READERS, oid, BOOTSTRAP);
    }
    world.mark(READERS).serves.insert(READERS_GROUP);
    let second = world.plan();
    assert!(second.is_empty() && second.rows.is_empty());
    assert_eq!(template.roles.len(), 3);
}
