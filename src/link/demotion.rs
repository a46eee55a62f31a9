//! What a role loses when it stops being an administrator: its memberships in roles that
//! administrators manage, as far as administrators have granted them (see `linkage`).

use linkage::{RoleName, Taken};
use pgrx::prelude::*;

use crate::catalog::membership;
use crate::catalog::{self, Role, is_marker};
use crate::link::{grant, managed, rights, state};
use crate::pg::spi::query;

/// Revokes the memberships of `member` in `role`. Other roles to which `member` has granted the
/// role would lose it too, from PostgreSQL 16 on, and are granted it anew on the same terms. Only
/// within `as_superuser`.
pub(crate) fn revoke_from(member: &Role, role: &Role) {
    let rows = state::rows(&membership::rows_of(role));
    let taken = linkage::take(&state::server(), &rows, member.id.to_u32(), |_| true);
    carry_out(&state::name_of(role), &state::name_of(member), &taken);
}

/// Revokes the rows that are to be taken, and grants anew those that are lost with them. Only
/// within `as_superuser`.
pub(crate) fn carry_out(role: &RoleName, member: &RoleName, taken: &Taken) {
    for row in &taken.revoked {
        grant::revoke(role, member, row);
    }
    for row in &taken.granted_again {
        grant::grant_as(role, row);
    }
}

/// Returns the roles that have the ADMIN option on a linked role, or on one that administrators
/// manage, and are neither administrators nor superusers: each with the role. Only within
/// `as_superuser`.
pub(crate) fn granters() -> Vec<(Role, Role)> {
    let pairs = query(
        "SELECT DISTINCT member, roleid FROM pg_auth_members WHERE admin_option ORDER BY 1, 2",
        &[],
        |row| Some((row.get::<pg_sys::Oid>(1).ok()??, row.get::<pg_sys::Oid>(2).ok()??)),
    );
    let pairs = pairs.into_iter().flatten();
    let pairs = pairs.filter_map(|(member, role)| Some((catalog::role_of(member)?, catalog::role_of(role)?)));
    let counts = |(member, role): &(Role, Role)| {
        let is_ours = !is_marker(role) && (catalog::is_linked(role.id) || managed::is_theirs(role));
        is_ours && !is_marker(member) && !member.superuser && !rights::is_administrator(member)
    };
    pairs.filter(counts).collect()
}
