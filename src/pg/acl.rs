//! PostgreSQL's own rules about roles: membership, and what one role may do with another (acl.c).
//! All of it is read from the catalog cache, and every oid may name no role.

use std::ffi::CString;

use pgrx::prelude::*;

/// Returns whether a role is a member of another as pg_hba.conf sees it for `+role`: directly or
/// not, and superusers are members of nothing by being superusers.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn is_member(member: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: reads the catalog cache; both may name no role.
    unsafe { pg_sys::is_member_of_role_nosuper(member, role) }
}

/// Makes PostgreSQL forget the memberships that it keeps, so that it looks again when it is next
/// asked.
///
/// acl.c keeps the roles that one role is a member of, namely the role it was last asked about: one
/// list for membership, one for inherited privileges, and from 16 on one for SET ROLE. It drops
/// them when a membership changes, but not before initialize_acl(), which comes after
/// authentication. A list from before that would be believed for the whole session, whatever was
/// revoked while the client was at the prompt. Asked about no role at all, it replaces each list
/// and keeps nothing.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn forget_memberships() {
    // Two different oids: of two equal ones core says that they are members of each other without
    // looking.
    let (nobody, another) = (pg_sys::InvalidOid, pg_sys::AuthIdRelationId);
    // SAFETY: these read the catalog cache; both may name no role.
    unsafe {
        pg_sys::is_member_of_role_nosuper(nobody, another);
        pg_sys::has_privs_of_role(nobody, another);
        #[cfg(not(feature = "pg15"))]
        pg_sys::member_can_set_role(nobody, another);
    }
}

/// Returns whether a user can act as a role: by inheriting from it or by SET ROLE. From PostgreSQL
/// 16 on one may be a member and can do neither, as administrators are of the roles they have
/// created.
#[cfg(feature = "pg15")]
pub(crate) fn has_or_can_set(user: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    is_member(user, role)
}

#[cfg(not(feature = "pg15"))]
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn has_or_can_set(user: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: reads the catalog cache.
    unsafe { pg_sys::has_privs_of_role(user, role) || pg_sys::member_can_set_role(user, role) }
}

/// Returns whether a user can SET ROLE to a role.
#[cfg(feature = "pg15")]
pub(crate) fn can_set_role(user: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    is_member(user, role)
}

#[cfg(not(feature = "pg15"))]
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn can_set_role(user: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: reads the catalog cache.
    unsafe { pg_sys::member_can_set_role(user, role) }
}

/// Returns whether a user may grant a role, from PostgreSQL 16 on: whether there is a role that
/// core would name as the grantor, whose rights the user has.
#[cfg(not(feature = "pg15"))]
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn has_grantor(user: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: reads the catalog cache.
    unsafe { pg_sys::select_best_admin(user, role) != pg_sys::InvalidOid }
}

/// Returns whether a user has the ADMIN option on a role, as core asks it from PostgreSQL 16 on.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn is_admin_of(user: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: reads the catalog cache.
    unsafe { pg_sys::is_admin_of_role(user, role) }
}

/// Returns whether a user is a superuser or has CREATEROLE.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn has_create_role(user: pg_sys::Oid) -> bool {
    // SAFETY: reads the catalog cache.
    unsafe { pg_sys::has_createrole_privilege(user) }
}

/// Returns whether a role may SET a parameter; for `InvalidOid`, whether every role may.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn may_set_parameter(role: pg_sys::Oid, parameter: &str) -> bool {
    let wanted = pg_sys::AclMode::from(pg_sys::ACL_SET);
    let Ok(parameter) = CString::new(parameter) else { return false };
    // SAFETY: a C string that outlives the call.
    let answer = unsafe { pg_sys::pg_parameter_aclcheck(parameter.as_ptr(), role, wanted) };
    answer == pg_sys::AclResult::ACLCHECK_OK
}

/// Returns whether the current user has the privileges of pg_monitor.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn may_monitor() -> bool {
    // SAFETY: reads the catalog cache.
    unsafe { pg_sys::has_privs_of_role(pg_sys::GetUserId(), pg_sys::Oid::from(pg_sys::ROLE_PG_MONITOR)) }
}
