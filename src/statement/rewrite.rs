//! Statements without the part that is done here: copies of their trees, for core and for the hooks before ours.
//!
//! A membership in `azure_ad_user` comes with a link and goes with it, and an object id is no password; so neither may reach
//! core. The rest of the statement does, and so does a statement of which nothing is left: core then does nothing, but a hook
//! that writes an audit trail sees it.

#![expect(clippy::cast_ptr_alignment, reason = "a node is allocated as what its tag says")]

use std::ffi::CStr;

use pgrx::prelude::*;

use crate::catalog::USER_ROLE;
use crate::statement::parse::{Named, granted_role, role_spec};
use crate::statement::named_roles::{nodes, retain};

/// CREATE ROLE without `azure_ad_user` among the roles it is IN, and without a password.
///
/// # Safety
/// `planned` is that statement.
#[expect(unsafe_code, reason = "changes a copy of a parse tree")]
pub(crate) unsafe fn plain_creation(planned: *mut pg_sys::PlannedStmt) -> *mut pg_sys::PlannedStmt {
    // SAFETY: see above; its options are DefElem nodes, and that of IN ROLE has a list of RoleSpec nodes.
    unsafe {
        let copy = copy_of(planned);
        let create = &mut *(*copy).utilityStmt.cast::<pg_sys::CreateRoleStmt>();
        create.options = retain(create.options, |item| {
            let option = &mut *item.cast::<pg_sys::DefElem>();
            let name = CStr::from_ptr(option.defname);
            if name == c"addroleto" {
                // The option stays, be it empty: given twice, core refuses it.
                option.arg = retain(option.arg.cast(), |item| !is_user_role(role_spec(item))).cast();
            }
            name != c"password"
        });
        copy
    }
}

/// GRANT or REVOKE of roles in up to two parts: what is not about `azure_ad_user`, and what is, without the members for whom it
/// is done here, whose oids are `ours`, in order.
///
/// # Safety
/// `planned` is that statement, or ALTER GROUP.
#[expect(unsafe_code, reason = "changes copies of a parse tree")]
pub(crate) unsafe fn plain_grants(
    planned: *mut pg_sys::PlannedStmt,
    ours: &[u32],
) -> Vec<*mut pg_sys::PlannedStmt> {
    let is_ours = |member: Option<Named>| {
        member
            .and_then(|member| member.role())
            .is_some_and(|role| ours.binary_search(&role.id.to_u32()).is_ok())
    };
    // SAFETY: see above; the tag says what a node is. What is changed are copies of the statement's own node and of its lists, whose
    // items stay those of the statement: there may be any number of them.
    unsafe {
        let node = (*planned).utilityStmt;
        if (*node).type_ == pg_sys::NodeTag::T_AlterRoleStmt {
            // ALTER GROUP names one role, and has one option, which is a list of members.
            let user = copy_of(planned);
            let alter = &*(*user).utilityStmt.cast::<pg_sys::AlterRoleStmt>();
            for option in nodes(alter.options) {
                let option = option.cast::<pg_sys::DefElem>();
                (*option).arg = retain((*option).arg.cast(), |item| !is_ours(role_spec(item))).cast();
            }
            return vec![user];
        }
        let grant = *node.cast::<pg_sys::GrantRoleStmt>();
        let (granted, members) = (grant.granted_roles, grant.grantee_roles);
        let user = grant_of(
            planned,
            pg_sys::GrantRoleStmt {
                granted_roles: retain(pg_sys::list_copy(granted), |item| is_user_role(granted_role(item))),
                grantee_roles: retain(pg_sys::list_copy(members), |item| !is_ours(role_spec(item))),
                ..grant
            },
        );
        let others = retain(pg_sys::list_copy(granted), |item| !is_user_role(granted_role(item)));
        if others.is_null() {
            return vec![user];
        }
        // bounded: two.
        vec![grant_of(planned, pg_sys::GrantRoleStmt { granted_roles: others, ..grant }), user]
    }
}

/// The planned statement with this one in place of its own.
#[expect(unsafe_code, reason = "copies nodes of a parse tree")]
unsafe fn grant_of(
    planned: *mut pg_sys::PlannedStmt,
    grant: pg_sys::GrantRoleStmt,
) -> *mut pg_sys::PlannedStmt {
    // SAFETY: plain structures, copied as they are into memory of the statement's.
    unsafe {
        let node = pg_sys::palloc(size_of::<pg_sys::GrantRoleStmt>()).cast::<pg_sys::GrantRoleStmt>();
        node.write(grant);
        let copy = pg_sys::palloc(size_of::<pg_sys::PlannedStmt>()).cast::<pg_sys::PlannedStmt>();
        copy.write(pg_sys::PlannedStmt { utilityStmt: node.cast(), ..*planned });
        copy
    }
}

fn is_user_role(named: Option<Named>) -> bool {
    named.is_some_and(|named| named.is(USER_ROLE))
}

#[expect(unsafe_code, reason = "copies a parse tree")]
unsafe fn copy_of(planned: *mut pg_sys::PlannedStmt) -> *mut pg_sys::PlannedStmt {
    // SAFETY: a whole statement; the copy shares nothing with it.
    unsafe { pg_sys::copyObjectImpl(planned.cast()).cast() }
}
