//! Rows of pg_auth_members, and what REVOKE ... CASCADE takes of them.

use std::collections::BTreeSet;

use crate::state::Server;

/// One row of pg_auth_members. From PostgreSQL 16 on there may be several for one pair of roles, of
/// different grantors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// The role that was granted.
    pub role: u32,
    /// The role it was granted to.
    pub member: u32,
    /// The role that granted it.
    pub grantor: u32,
    /// ADMIN.
    pub admin_option: bool,
    /// INHERIT and SET, which only memberships from PostgreSQL 16 on have.
    pub inherit_and_set: Option<(bool, bool)>,
}

/// Returns what is left of the rows of one role when one of them is revoked with CASCADE.
///
/// From PostgreSQL 16 on a member that loses its last ADMIN option takes along what it has granted
/// (plan_recursive_revoke, user.c); before, no row depends on another.
#[must_use]
pub fn without(server: &Server, rows: &[Membership], revoked: &Membership) -> Vec<Membership> {
    let mut left = rows.to_vec();
    let mut pending = vec![*revoked];
    while let Some(row) = pending.pop() {
        let before = left.len();
        left.retain(|other| *other != row);
        let is_gone = left.len() < before;
        let has_admin_option = left.iter().any(|other| other.member == row.member && other.admin_option);
        if server.has_admin_option_rules && is_gone && row.admin_option && !has_admin_option {
            pending.extend(left.iter().filter(|other| other.grantor == row.member));
        }
    }
    left
}

/// Returns the members that the rows of a role give it, each once, by oid.
#[must_use]
pub fn members_without(rows: &[Membership], apart: u32) -> BTreeSet<u32> {
    rows.iter().map(|row| row.member).filter(|member| *member != apart).collect()
}
