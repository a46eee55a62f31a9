//! Who is a direct member of whom, and by whose grant: rows of pg_auth_members, read through the catalog cache.
//!
//! The cache is never older than the last lock or statement, while a query sees what its transaction's snapshot sees: under
//! REPEATABLE READ that may be a world in which the member we look for is none yet. Not for logins: see `catalog`.

use std::collections::BTreeSet;

use pgrx::prelude::*;

use super::catalog::{self, Role};

/// Where the columns begin: from 16 on there is an oid before them (pg_auth_members.h).
const FIRST_COLUMN: i16 = if cfg!(any(feature = "pg14", feature = "pg15")) { 1 } else { 2 };

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

/// The rows that make one role a member of another. Read by the member, which has few, not by the role, which may have
/// thousands.
pub(crate) fn between(member: &Role, role: &Role) -> Vec<Membership> {
    held_by(member).into_iter().filter(|row| row.role == role.id).collect()
}

/// The rows that make others members of a role.
pub(crate) fn rows_of(role: &Role) -> Vec<Membership> {
    rows(pg_sys::SysCacheIdentifier::AUTHMEMROLEMEM, role.id)
}

fn held_by(member: &Role) -> Vec<Membership> {
    rows(pg_sys::SysCacheIdentifier::AUTHMEMMEMROLE, member.id)
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

/// Roles that are members of a role, directly or through others, on whatever terms.
pub(crate) fn descendants_of(role: &Role) -> Vec<Role> {
    closure(role, members_of)
}

fn closure(role: &Role, next: impl Fn(&Role) -> Vec<Role>) -> Vec<Role> {
    let mut seen = BTreeSet::from([role.id.to_u32()]);
    let mut found: Vec<Role> = Vec::new();
    let mut pending = next(role);
    while let Some(role) = pending.pop() {
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

#[expect(unsafe_code, reason = "reads the catalog cache")]
fn rows(cache: pg_sys::SysCacheIdentifier::Type, key: pg_sys::Oid) -> Vec<Membership> {
    let cache = cache.cast_signed();
    let none = pg_sys::Datum::from(0);
    // SAFETY: both caches have an oid as their first key. The list and its tuples are pinned until it is released, and plain
    // values are copied from them; on an error the transaction's resource owner releases it.
    unsafe {
        let list = pg_sys::SearchSysCacheList(cache, 1, pg_sys::Datum::from(key), none, none);
        let length = usize::try_from((*list).n_members).unwrap_or_default();
        let rows = (*list).members.as_slice(length).iter().map(|member| {
            let tuple = &raw mut (**member).tuple;
            let column = |offset: i16| {
                let mut is_null = false;
                pg_sys::SysCacheGetAttr(cache, tuple, FIRST_COLUMN + offset, &raw mut is_null)
            };
            let oid = |offset| pg_sys::Oid::from_datum(column(offset), false).unwrap_or(pg_sys::InvalidOid);
            let option = |offset| column(offset) != none;
            let inherit_and_set = (FIRST_COLUMN > 1).then(|| (option(4), option(5)));
            let admin_option = option(3);
            Membership { role: oid(0), member: oid(1), grantor: oid(2), admin_option, inherit_and_set }
        });
        let rows = rows.collect();
        pg_sys::ReleaseCatCacheList(list);
        rows
    }
}
