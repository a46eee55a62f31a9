//! Who is a direct member of whom, and by whose grant: rows of pg_auth_members, read through the catalog cache.
//!
//! The cache is never older than the last lock or statement, while a query sees what its transaction's snapshot sees: under
//! REPEATABLE READ that may be a world in which the member we look for is none yet. Not for logins: see `catalog`.

use std::collections::BTreeSet;

use pgrx::prelude::*;

use crate::catalog::{self, Role};
use crate::pg::interrupts;

/// Where the columns begin: from 16 on there is an oid before them (pg_auth_members.h).
const FIRST_COLUMN: i16 = if cfg!(feature = "pg15") { 1 } else { 2 };

/// One row of pg_auth_members. From 16 on there may be several for one pair, of different grantors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Membership {
    /// The role that was granted.
    pub(crate) role: pg_sys::Oid,
    /// Whom it was granted to.
    pub(crate) member: pg_sys::Oid,
    /// By whom.
    pub(crate) grantor: pg_sys::Oid,
    /// WITH ADMIN OPTION.
    pub(crate) admin_option: bool,
    /// INHERIT and SET, which only memberships from 16 on have.
    pub(crate) inherit_and_set: Option<(bool, bool)>,
}

/// The rows that make one role a member of another. Only these are read: `azure_ad_user` has thousands of members, and
/// `azure_ad_admin` may hold as many roles.
pub(crate) fn between(member: &Role, role: &Role) -> Vec<Membership> {
    between_ids(member.id, role.id)
}

/// The rows that make others members of a role.
pub(crate) fn rows_of(role: &Role) -> Vec<Membership> {
    rows(pg_sys::SysCacheIdentifier::AUTHMEMROLEMEM, &[role.id])
}

fn held_by(member: &Role) -> Vec<Membership> {
    rows(pg_sys::SysCacheIdentifier::AUTHMEMMEMROLE, &[member.id])
}

/// Before 16 there is at most one, by the whole key of the cache.
#[cfg(feature = "pg15")]
#[expect(unsafe_code, reason = "reads the catalog cache")]
fn between_ids(member: pg_sys::Oid, role: pg_sys::Oid) -> Vec<Membership> {
    let cache = pg_sys::SysCacheIdentifier::AUTHMEMMEMROLE.cast_signed();
    // SAFETY: the keys are of the cache's types; the tuple is pinned until it is released.
    unsafe {
        let tuple = pg_sys::SearchSysCache2(cache, pg_sys::Datum::from(member), pg_sys::Datum::from(role));
        if tuple.is_null() {
            return Vec::new();
        }
        let row = row(cache, tuple);
        pg_sys::ReleaseSysCache(tuple);
        vec![row]
    }
}

#[cfg(not(feature = "pg15"))]
fn between_ids(member: pg_sys::Oid, role: pg_sys::Oid) -> Vec<Membership> {
    rows(pg_sys::SysCacheIdentifier::AUTHMEMMEMROLE, &[member, role])
}

/// Direct members of a role.
pub(crate) fn members_of(role: &Role) -> Vec<Role> {
    roles(rows_of(role).iter().map(|row| row.member))
}

/// Roles a role is a direct member of.
pub(crate) fn parents_of(role: &Role) -> Vec<Role> {
    roles(held_by(role).iter().map(|row| row.role))
}

/// Roles a role is a member of, directly or through others, on whatever terms.
pub(crate) fn ancestors_of(role: &Role) -> Vec<Role> {
    closure(role, parents_of)
}

/// The same, apart from some, and from what is reached only through these.
pub(crate) fn ancestors_apart_from(role: &Role, apart: impl Fn(&Role) -> bool) -> Vec<Role> {
    closure(role, |role| {
        let mut parents = parents_of(role);
        parents.retain(|parent| !apart(parent));
        parents
    })
}

/// Roles that are members of a role, directly or through others, on whatever terms.
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
    ids.into_iter().map(pg_sys::Oid::from).filter_map(catalog::role_of).collect()
}

/// `key`: fewer columns than the cache has keys.
#[expect(unsafe_code, reason = "reads the catalog cache")]
fn rows(cache: pg_sys::SysCacheIdentifier::Type, key: &[pg_sys::Oid]) -> Vec<Membership> {
    let cache = cache.cast_signed();
    let none = pg_sys::Datum::from(0);
    let column = |n: usize| key.get(n).copied().map_or(none, pg_sys::Datum::from);
    let count = i32::try_from(key.len()).unwrap_or_default();
    // SAFETY: the caches have oids as their first keys. The list and its tuples are pinned until it is released; on an error
    // the transaction's resource owner releases it.
    unsafe {
        let list = pg_sys::SearchSysCacheList(cache, count, column(0), column(1), column(2));
        let length = usize::try_from((*list).n_members).unwrap_or_default();
        let members = (*list).members.as_slice(length).iter();
        let rows = members.map(|member| row(cache, &raw mut (**member).tuple)).collect();
        pg_sys::ReleaseCatCacheList(list);
        rows
    }
}

/// # Safety
/// The tuple is one of this cache's, and pinned.
#[expect(unsafe_code, reason = "reads the catalog cache")]
unsafe fn row(cache: i32, tuple: pg_sys::HeapTuple) -> Membership {
    let column = |offset: i16| {
        let mut is_null = false;
        // SAFETY: see above; no column is null.
        unsafe { pg_sys::SysCacheGetAttr(cache, tuple, FIRST_COLUMN + offset, &raw mut is_null) }
    };
    // SAFETY: the first three columns are oids, and plain values are copied.
    let oid =
        |offset| unsafe { pg_sys::Oid::from_datum(column(offset), false).unwrap_or(pg_sys::InvalidOid) };
    let option = |offset| column(offset) != pg_sys::Datum::from(0);
    Membership {
        role: oid(0),
        member: oid(1),
        grantor: oid(2),
        admin_option: option(3),
        inherit_and_set: (FIRST_COLUMN > 1).then(|| (option(4), option(5))),
    }
}
