//! Who takes turns with whom: locks on roles, held to the end of the transaction.
//!
//! Always in this order, so that nobody waits in a circle: `azure_ad_admin`, where the association may change; then roles, by oid.

use std::ffi::CStr;

use pgrx::prelude::*;

use super::catalog::{self, Role, is_anchor};
use super::statement::{Named, Statement};
use super::{link, rights};
use crate::fault::{Fault, Outcome};

/// Locks a role that is to be linked, rebound or unlinked; before it the association, if the role is an administrator or is to
/// become one. The role as it then is.
pub(crate) fn claim(role: &Role, to_admin: bool) -> Outcome<Role> {
    require_writable();
    hold_association(|| to_admin || link::holds_admin_role(role))?;
    lock(role)
}

/// Locks the roles by which a statement could break what a link depends on, and more firmly those it links or unlinks.
///
/// Granted roles as core itself locks them from 16 on; the two roles not at all: they are everybody's.
pub(crate) fn involved(statement: &Statement) -> Outcome<()> {
    if link::anchors().is_none() || recovering() {
        return Ok(());
    }
    let none: &[Named] = &[];
    let (firm, granted, others) = match statement {
        Statement::Membership { granted, members, .. } if granted.iter().any(is_one_of_the_two) => {
            (members.as_slice(), granted.as_slice(), none)
        }
        Statement::Membership { granted, members, is_grant: true, .. } => {
            (none, granted.as_slice(), members.as_slice())
        }
        Statement::Create(creation) => (none, creation.parents.as_slice(), creation.members.as_slice()),
        Statement::Alter { role, .. } | Statement::Configure { role } => {
            (none, none, std::slice::from_ref(role))
        }
        // Whoever drops other roles waits for nobody.
        Statement::Drop { roles } if any_administrator(roles) => return claim_association(),
        // Core locks the role.
        Statement::Label { role, admin } => {
            return hold_association(|| *admin || any_administrator(std::slice::from_ref(role)));
        }
        _ => return Ok(()),
    };
    let links =
        matches!(statement, Statement::Create(creation) if creation.parents.iter().any(is_one_of_the_two));
    if links || !firm.is_empty() {
        hold_association(|| any_administrator(firm))?;
    }
    let roles = |named: &[Named], is_firm| {
        let roles = named.iter().filter_map(Named::role).filter(|role| !is_anchor(role));
        roles.map(|role| (role, is_firm)).collect::<Vec<_>>()
    };
    let mut involved =
        [roles(firm, true), roles(granted, rights::HAS_ADMIN_OPTION_RULES), roles(others, false)].concat();
    involved.sort_by_key(|(role, is_firm)| (role.id.to_u32(), !is_firm));
    involved.iter().try_for_each(|(role, is_firm)| if *is_firm { lock(role) } else { hold(role) }.map(drop))
}

fn is_one_of_the_two(named: &Named) -> bool {
    named.role().is_some_and(|role| is_anchor(&role))
}

fn any_administrator(roles: &[Named]) -> bool {
    roles.iter().filter_map(Named::role).any(|role| link::holds_admin_role(&role))
}

#[expect(unsafe_code, reason = "no safe wrapper")]
fn recovering() -> bool {
    // SAFETY: has no preconditions. A standby takes no such statement, and says so itself.
    unsafe { pg_sys::RecoveryInProgress() }
}

/// Raises core's own error where nothing can be written: in a read-only transaction, on a standby.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn require_writable() {
    const COMMAND: &CStr = c"SECURITY LABEL";
    // SAFETY: a constant C string.
    unsafe {
        pg_sys::PreventCommandDuringRecovery(COMMAND.as_ptr());
        pg_sys::PreventCommandIfReadOnly(COMMAND.as_ptr());
    }
}

/// Keeps administrators as they are while others are linked; or, where that is about to change, locks the association.
fn hold_association(changes: impl Fn() -> bool) -> Outcome<()> {
    let Some((_, admin)) = link::anchors() else { return Ok(()) };
    if !changes() {
        hold(&admin)?;
        // Now nobody makes the role an administrator any more; somebody just may have.
        if !changes() {
            return Ok(());
        }
        release(&admin);
    }
    lock(&admin).map(drop)
}

/// Locks the association with a tenant. Whoever changes administrators takes this lock before any other.
pub(crate) fn claim_association() -> Outcome<()> {
    link::anchors().map_or(Ok(()), |(_, admin)| lock(&admin).map(drop))
}

/// Locks a role as SECURITY LABEL does, so that two sessions link it one after the other.
pub(crate) fn lock(role: &Role) -> Outcome<Role> {
    lock_in(role, pg_sys::ShareUpdateExclusiveLock)
}

/// Keeps a role from being linked or unlinked meanwhile, and nobody from anything else.
pub(crate) fn hold(role: &Role) -> Outcome<Role> {
    lock_in(role, pg_sys::ShareLock)
}

#[expect(unsafe_code, reason = "no safe wrapper")]
fn lock_in(role: &Role, mode: u32) -> Outcome<Role> {
    // SAFETY: within a transaction, whose end releases the lock.
    unsafe {
        pg_sys::LockSharedObject(pg_sys::AuthIdRelationId, role.id, 0, mode.cast_signed());
    }
    catalog::role_of(role.id)
        .ok_or_else(|| Fault::undefined(format!("role \"{}\" was concurrently dropped", role.display_name())))
}

/// Gives back what [`hold`] has just taken.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn release(role: &Role) {
    // SAFETY: within the transaction that holds the lock.
    unsafe {
        pg_sys::UnlockSharedObject(pg_sys::AuthIdRelationId, role.id, 0, pg_sys::ShareLock.cast_signed());
    }
}
