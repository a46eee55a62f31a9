//! Direct memberships with their grantors: rows of pg_auth_members, read through the catalog cache.
//!
//! The cache is never older than the last lock or statement, while a query sees what its
//! transaction's snapshot sees: under REPEATABLE READ a membership that others have committed may
//! be missing from that. Not for logins: see `catalog`.

use std::collections::BTreeSet;

use pgrx::prelude::*;

use crate::catalog::role::{Role, role_of};
use crate::pg::interrupts;
use crate::pg::syscache::{self, Cache, CachedRow};

/// Where the columns begin: from 16 on there is an oid before them (pg_auth_members.h).
pub(super) const FIRST_COLUMN: i16 = if cfg!(feature = "pg15") { 1 } else { 2 };

/// A row of pg_auth_members. From PostgreSQL 16 on there may be several for one pair of roles, of
/// different grantors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Membership {
    /// The role that was granted.
    pub(crate) role: pg_sys::Oid,
    /// The role it was granted to.
    pub(crate) member: pg_sys::Oid,
    /// The role that granted it.
    pub(crate) grantor: pg_sys::Oid,
    /// WITH ADMIN OPTION.
    pub(crate) admin_option: bool,
    /// INHERIT and SET, which only memberships from PostgreSQL 16 on have.
    pub(crate) inherit_and_set: Option<(bool, bool)>,
}

impl Membership {
    fn of(row: &CachedRow) -> Self {
        let oid = |offset| row.get(FIRST_COLUMN + offset).unwrap_or(pg_sys::InvalidOid);
        let option = |offset| row.get(FIRST_COLUMN + offset).unwrap_or_default();
        Self {
            role: oid(0),
            member: oid(1),
            grantor: oid(2),
            admin_option: option(3),
            inherit_and_set: (FIRST_COLUMN > 1).then(|| (option(4), option(5))),
        }
    }
}

/// Returns the rows that make one role a member of another. Only these are read: `azure_ad_user`
/// has thousands of members, and `azure_ad_admin` may hold as many roles.
pub(crate) fn between(member: &Role, role: &Role) -> Vec<Membership> {
    between_ids(member.id, role.id)
}

/// Returns the rows that make others members of a role.
pub(crate) fn rows_of(role: &Role) -> Vec<Membership> {
    syscache::list(Cache::MembershipsByRole, &[role.id], Membership::of)
}

fn held_by(member: &Role) -> Vec<Membership> {
    syscache::list(Cache::MembershipsByMember, &[member.id], Membership::of)
}

/// Before PostgreSQL 16 there is at most one row, which is found by the whole key of the cache.
#[cfg(feature = "pg15")]
fn between_ids(member: pg_sys::Oid, role: pg_sys::Oid) -> Vec<Membership> {
    syscache::find(Cache::MembershipsByMember, [member, role], Membership::of).into_iter().collect()
}

#[cfg(not(feature = "pg15"))]
fn between_ids(member: pg_sys::Oid, role: pg_sys::Oid) -> Vec<Membership> {
    syscache::list(Cache::MembershipsByMember, &[member, role], Membership::of)
}

/// Returns whether a membership has been granted by a role.
pub(crate) fn is_granted_by(member: pg_sys::Oid, role: pg_sys::Oid, grantor: pg_sys::Oid) -> bool {
    between_ids(member, role).iter().any(|row| row.grantor == grantor)
}

/// Returns the direct members of a role, by oid.
pub(crate) fn members_of(role: &Role) -> Vec<Role> {
    members_in(&rows_of(role))
}

/// Returns the roles that rows make members of another, each once, by oid.
pub(crate) fn members_in(rows: &[Membership]) -> Vec<Role> {
    roles(rows.iter().map(|row| row.member))
}

/// Returns the roles that a role is a direct member of, by oid.
pub(crate) fn parents_of(role: &Role) -> Vec<Role> {
    roles(held_by(role).iter().map(|row| row.role))
}

/// Returns the roles that a role is a member of, directly or through others, on whatever terms.
pub(crate) fn ancestors_of(role: &Role) -> Vec<Role> {
    closure(role, parents_of)
}

/// Returns the same roles, but none that `apart` accepts, and none that is reached only through
/// these.
pub(crate) fn ancestors_apart_from(role: &Role, apart: impl Fn(&Role) -> bool) -> Vec<Role> {
    closure(role, |role| {
        let mut parents = parents_of(role);
        parents.retain(|parent| !apart(parent));
        parents
    })
}

/// Returns the roles that are members of a role, directly or through others, on whatever terms.
pub(crate) fn descendants_of(role: &Role) -> Vec<Role> {
    closure(role, members_of)
}

fn closure(role: &Role, next: impl Fn(&Role) -> Vec<Role>) -> Vec<Role> {
    let mut seen = BTreeSet::from([role.id.to_u32()]);
    let mut found: Vec<Role> = Vec::new();
    let mut pending = next(role);
    while let Some(role) = pending.pop() {
        interrupts::check();
        if seen.insert(role.id.to_u32()) {
            pending.extend(next(&role));
            found.push(role);
        }
    }
    found
}

fn roles(ids: impl Iterator<Item = pg_sys::Oid>) -> Vec<Role> {
    let ids: BTreeSet<_> = ids.map(pg_sys::Oid::to_u32).collect();
    ids.into_iter().map(pg_sys::Oid::from).filter_map(role_of).collect()
}
