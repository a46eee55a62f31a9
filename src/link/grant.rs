//! GRANT and REVOKE of roles, as a plan says. Only within `as_superuser`.

use linkage::{Membership, RoleName};
use pgrx::prelude::*;

use crate::catalog::{self, membership};
use crate::link::rights::HAS_ADMIN_OPTION_RULES;
use crate::pg::spi::{quoted_name, run};

/// Grants a role without options. The grantor is the bootstrap superuser, not the current user.
pub(crate) fn grant(role: &RoleName, member: &RoleName) {
    run(&[b"GRANT ", &quoted_name(&role.raw), b" TO ", &quoted_name(&member.raw)]);
}

/// Grants a role on the terms of a row that was revoked. Does nothing if its member is gone.
pub(crate) fn grant_as(role: &RoleName, row: &Membership) {
    let Some(member) = catalog::role_of(pg_sys::Oid::from(row.member)) else { return };
    let options = match row.inherit_and_set {
        Some((inherit, set)) => {
            format!(" WITH ADMIN {}, INHERIT {inherit}, SET {set}", row.admin_option)
        }
        None if row.admin_option => " WITH ADMIN OPTION".to_owned(),
        None => String::new(),
    };
    run(&[b"GRANT ", &quoted_name(&role.raw), b" TO ", &member.quoted(), options.as_bytes()]);
}

/// Revokes one membership. Returns false if it is gone: one row may take another with it.
pub(crate) fn revoke(role: &RoleName, member: &RoleName, row: &Membership) -> bool {
    let grantor = pg_sys::Oid::from(row.grantor);
    if !membership::is_granted_by(row.member.into(), row.role.into(), grantor) {
        return false;
    }
    // Before PostgreSQL 16 there is one row only, and the grantor may have been dropped.
    let grantor = catalog::role_of(grantor).filter(|_| HAS_ADMIN_OPTION_RULES);
    let by = grantor.map_or_else(Vec::new, |grantor| [b" GRANTED BY ", &*grantor.quoted()].concat());
    let (role, member) = (quoted_name(&role.raw), quoted_name(&member.raw));
    run(&[b"REVOKE ", &role, b" FROM ", &member, &by, b" CASCADE"]);
    true
}
