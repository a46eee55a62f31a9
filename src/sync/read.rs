//! Reads the roles, their links, marks and memberships, as a plan takes them.

use std::collections::BTreeSet;

use entra::directory::roster::Roster;
use entra::{Mark, PrincipalKind, Uuid};
use linkage::sync::{Input, Known, SyncPlan};
use linkage::{Membership, RoleName};

use crate::catalog::{self, Link, Role, USER_ROLE, is_marker, membership};
use crate::link::{name_of, rows, server};
use crate::pg::interrupts;
use crate::pg::text::encode_exactly;

/// Works out a round. Only within `as_superuser`.
pub(super) fn plan(roster: &Roster, held: &[Uuid]) -> SyncPlan {
    catalog::accept_changes();
    let roles = roles();
    let held: BTreeSet<_> = held.iter().copied().collect();
    linkage::sync::plan(&Input {
        server: &server(),
        roster,
        roles: &roles,
        memberships: &memberships(&roles),
        held: &held,
        encode: &encode_exactly,
    })
}

/// Returns a role as a plan takes it, as it is now.
pub(super) fn known(role: &Role) -> Known {
    known_by(role, &catalog::link_of(role.id), catalog::mark_of(role.id))
}

fn roles() -> Vec<Known> {
    let labels = catalog::links_and_marks();
    let known = |role: Role| {
        interrupts::check();
        match labels.get(&role.id.to_u32()) {
            Some((link, mark)) if !is_marker(&role) => known_by(&role, link, mark.clone()),
            _ => known_by(&role, &Link::None, Some(Mark::default())),
        }
    };
    catalog::all_roles().into_iter().map(known).collect()
}

fn known_by(role: &Role, link: &Link, mark: Option<Mark>) -> Known {
    let has_linked = mark.iter().filter_map(|mark| mark.synced.as_ref()).any(|synced| synced.has_linked);
    Known {
        name: name_of(role),
        is_privileged: role.is_privileged(),
        link: match link {
            Link::Bound(label) => Some(*label),
            Link::None | Link::Unbound | Link::Unreadable(_) => None,
        },
        // Nothing is done about a role whose link is not understood.
        mark: mark.filter(|_| !matches!(link, Link::Unreadable(_))),
        azure_parents: if has_linked { azure_parents(role) } else { Vec::new() },
    }
}

/// Returns the Azure AD roles that a role is a direct member of, without the marker roles.
fn azure_parents(role: &Role) -> Vec<RoleName> {
    let Some(user) = catalog::role_named(USER_ROLE) else { return Vec::new() };
    let parents = membership::parents_of(role).into_iter();
    let is_azure = |parent: &Role| !is_marker(parent) && catalog::is_member(parent.id, user.id);
    parents.filter(is_azure).map(|parent| name_of(&parent)).collect()
}

/// Returns the memberships in roles that are linked to a group or serve one.
fn memberships(roles: &[Known]) -> Vec<Membership> {
    let is_linked = |role: &Known| role.link.is_some_and(|link| link.kind == Some(PrincipalKind::Group));
    let serves = |role: &Known| role.mark.as_ref().is_some_and(|mark| !mark.serves.is_empty());
    let mut memberships = Vec::new();
    for role in roles.iter().filter(|role| is_linked(role) || serves(role)) {
        interrupts::check();
        if let Some(role) = catalog::role_of(role.name.id.into()) {
            memberships.extend(rows(&membership::rows_of(&role)));
        }
    }
    memberships
}
