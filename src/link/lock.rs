//! Who takes turns with whom: locks on roles, held to the end of the transaction.
//!
//! | who | how firmly | waits for |
//! |---|---|---|
//! | a statement about a role, once core has let it through | [`HELD`] | who links the role |
//! | who unlinks a role, rebinds it, or makes it a member of an Azure AD role | [`ENDED`] | another such, who links it |
//! | who links a role | [`BEGUN`] | all of these |
//!
//! Grants and links are [`HELD`] by whom a role reaches, too, and wait there for whoever puts a role that could lift a guard
//! above others, who waits for them.
//!
//! So nobody can keep a role from being unlinked by a transaction that is left open. Administrators are locked in the same
//! way, by `azure_ad_admin`, and before any other role; roles by oid. Nobody who has no right to what they ask for gets a lock.

use std::ffi::CStr;

use pgrx::prelude::*;

use crate::catalog::{self, Role, is_marker};
use crate::link;
use crate::link::{escalation, rights};
use crate::pg::error::{Fault, Result};
use crate::pg::interrupts;
use crate::statement::parse::{Named, Statement};
use crate::statement::role_lists::Roles;

const HELD: u32 = pg_sys::RowExclusiveLock;
/// What SECURITY LABEL and, from 16 on, GRANT take by themselves.
const ENDED: u32 = pg_sys::ShareUpdateExclusiveLock;
const BEGUN: u32 = pg_sys::ShareRowExclusiveLock;

/// A part of `azure_ad_user` that no statement of core's locks.
const REACH: u16 = 1;

/// Locks a role that is to be linked or rebound, and so that it stays as it is who administers. The role as it then is.
pub(crate) fn claim_to_link(role: &Role, to_admin: bool) -> Result<Role> {
    let promotes = || to_admin && !link::holds_admin_role(role);
    hold_association(|| if to_admin { Some(BEGUN) } else { end_of_administrator(role) })?;
    let role = lock(role, ENDED)?;
    if !promotes() && catalog::is_linked(role.id) {
        return Ok(role);
    }
    let role = lock(&role, BEGUN)?;
    lock_reach(HELD);
    Ok(role)
}

/// Before a role is created that is to be linked: administrators are locked first, or whoever has them locked and creates a
/// role of the same name would wait for us, and we for them.
pub(crate) fn claim_to_create(to_admin: bool) -> Result<()> {
    hold_association(|| to_admin.then_some(BEGUN))
}

/// Locks a role that is to be unlinked. The role as it then is.
pub(crate) fn claim_to_unlink(role: &Role) -> Result<Role> {
    hold_association(|| end_of_administrator(role))?;
    lock(role, ENDED)
}

/// Locks a linked role whose link changes and stays one to the same object. Returns the role as it is
/// under the lock.
pub(crate) fn lock_for_change(role: &Role) -> Result<Role> {
    claim_to_link(role, false)
}

/// Before core has looked at a statement: what it links or unlinks, or the one role it changes.
pub(crate) fn before(statement: &Statement) -> Result<()> {
    if link::markers().is_none() || recovering() {
        return Ok(());
    }
    match statement {
        Statement::Membership { granted, members, is_grant, options_only: false }
            if granted.marker().is_some() =>
        {
            rights::may_administer()?;
            let members = roles(members)?;
            let promotes = *is_grant && granted.name(catalog::ADMIN_ROLE);
            hold_association(|| {
                promotes.then_some(BEGUN).or_else(|| members.iter().find_map(end_of_administrator))
            })?;
            lock_all(&members, ENDED)
        }
        Statement::Create(creation) if creation.parents.marker().is_some() => {
            rights::may_administer()?;
            hold_association(|| None)
        }
        Statement::Label { role, unlinks, admin, .. } => {
            rights::may_administer()?;
            let Some(role) = role.role().filter(|role| !is_marker(role)) else { return Ok(()) };
            if *unlinks { claim_to_unlink(&role) } else { claim_to_link(&role, *admin) }.map(drop)
        }
        // What a link writes to is not written to meanwhile.
        Statement::Alter { role, .. } | Statement::Configure { role } => {
            lock_all(&roles(&Roles::One(role.clone()))?, HELD)
        }
        // Nor is it given another name, by whoever may.
        Statement::Rename { role, .. } if rights::is_superuser() || rights::has_create_role() => {
            lock_all(&roles(&Roles::One(role.clone()))?, HELD)
        }
        // Whoever drops other roles waits for nobody; who may drop none is told so by core.
        Statement::Drop { roles: dropped } if rights::has_create_role() => {
            let ends = roles(dropped)?.iter().find_map(end_of_administrator);
            ends.map_or(Ok(()), claim_association)
        }
        _ => Ok(()),
    }
}

/// After core has let a statement through: the memberships by which it could break what a link depends on. Whoever has linked one of
/// them meanwhile has committed by now, and is seen.
pub(crate) fn after(statement: &Statement) -> Result<()> {
    if link::markers().is_none() || recovering() {
        return Ok(());
    }
    hold_reach(statement);
    let (granted, others) = match statement {
        Statement::Membership { granted, members, is_grant: true, .. } => (granted, members),
        Statement::Create(creation) => (&creation.parents, &creation.members),
        _ => return Ok(()),
    };
    let granted = roles(granted)?;
    lock_all(&granted, HELD)?;
    let is_azure = |role: &Role| catalog::is_linked(role.id);
    let how = if granted.iter().any(is_azure) { ENDED } else { HELD };
    lock_all(&roles(others)?, how)
}

/// What leads to a role is granted, or linked; or, taking turns with that, a role comes to lie above its members that could lift
/// their guard.
fn hold_reach(statement: &Statement) {
    let lifts = || lifts_a_guard(statement);
    match statement {
        Statement::Membership { is_grant: true, .. } | Statement::Create(_) if !lifts() => {
            lock_reach(HELD);
            // Somebody may just have made it so.
            if lifts() {
                release_reach(HELD);
                lock_reach(BEGUN);
            }
        }
        _ if lifts() => lock_reach(BEGUN),
        _ => {}
    }
}

fn lifts_a_guard(statement: &Statement) -> bool {
    let any = |roles: &Roles| roles.existing().any(|role| escalation::is_above_guard(&role));
    match statement {
        Statement::Membership { granted, is_grant, .. } => *is_grant && any(granted),
        Statement::Create(creation) => {
            !creation.members.is_empty() && any(&Roles::One(Named::Name(creation.role.clone())))
        }
        Statement::Alter { superuser, .. } => *superuser,
        Statement::Parameter => escalation::parameter_is_granted(),
        _ => false,
    }
}

/// The two roles stay as they are while others are linked: whoever changes one waits for links under way, and is waited for.
pub(crate) fn claim_anchor(marker: &Role) -> Result<()> {
    if may_change(marker) { claim_association(BEGUN) } else { Ok(()) }
}

/// Whether it is one of the two, and core may let the current user change it.
pub(crate) fn may_change(marker: &Role) -> bool {
    is_marker(marker) && (rights::is_superuser() || rights::has_create_role()) && !recovering()
}

/// Whoever revokes tokens, and whoever drops or renames the role that remembers it, take turns.
pub(crate) fn claim_revocations(user: &Role) -> Result<Role> {
    lock(user, ENDED)
}

/// Locks the administrators, of whom there will be others.
pub(crate) fn claim_administrators() -> Result<()> {
    claim_association(BEGUN)
}

/// Locks the administrators, of whom there will be fewer.
pub(crate) fn claim_end_of_administrators() -> Result<()> {
    claim_association(ENDED)
}

fn claim_association(how: u32) -> Result<()> {
    link::markers().map_or(Ok(()), |(_, admin)| lock(&admin, how).map(drop))
}

/// Keeps new administrators from coming, and where `change` says how administrators are about to change, locks them so.
fn hold_association(change: impl Fn() -> Option<u32>) -> Result<()> {
    let Some((_, admin)) = link::markers() else { return Ok(()) };
    if change().is_none() {
        lock(&admin, HELD)?;
        // Somebody may just have become one.
        if change().is_none() {
            return Ok(());
        }
        release(&admin, HELD);
    }
    lock(&admin, change().unwrap_or(ENDED)).map(drop)
}

fn end_of_administrator(role: &Role) -> Option<u32> {
    link::holds_admin_role(role).then_some(ENDED)
}

/// By oid, the two roles left out: they are everybody's.
fn roles(named: &Roles) -> Result<Vec<Role>> {
    let mut roles = named.distinct()?;
    roles.retain(|role| !is_marker(role));
    Ok(roles)
}

fn lock_all(roles: &[Role], how: u32) -> Result<()> {
    roles.iter().try_for_each(|role| {
        interrupts::check();
        lock(role, how).map(drop)
    })
}

#[expect(unsafe_code, reason = "no safe wrapper")]
fn recovering() -> bool {
    // SAFETY: has no preconditions. A standby takes no such statement, and says so itself.
    unsafe { pg_sys::RecoveryInProgress() }
}

/// Where nothing can be written the caller is told so by the name of what he called, before anything else can be wrong with
/// it: in a read-only transaction in core's words, on a standby with what to do.
pub(crate) fn require_writable(function: &CStr) -> Result<()> {
    require_writable_as(function, "during recovery")
}

/// `where_not`: core's words for a standby, which are others for statements than for most functions.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn require_writable_as(command: &CStr, where_not: &str) -> Result<()> {
    if recovering() {
        let text = format!("cannot execute {} {where_not}", command.to_string_lossy());
        return Err(Fault::new(PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION, text)
            .hint("This server is a standby. Run it on the primary; it takes effect here by replication."));
    }
    // SAFETY: a C string that outlives the call.
    unsafe { pg_sys::PreventCommandIfReadOnly(command.as_ptr()) }
    Ok(())
}

/// The same for a statement that is about Azure AD roles. Others are left to core. `tag` is the statement's own name.
pub(crate) fn require_writable_for(statement: &Statement, tag: &CStr) -> Result<()> {
    let is_ours = match statement {
        Statement::Membership { granted, .. } => names_the_two(granted),
        Statement::Create(creation) => names_the_two(&creation.parents),
        Statement::Label { .. } => true,
        _ => false,
    };
    if is_ours { require_writable_as(tag, "in a read-only transaction") } else { Ok(()) }
}

/// Whether one of the two roles is listed, by the name alone: nobody has been asked yet what he may.
fn names_the_two(roles: &Roles) -> bool {
    roles.iter().any(|role| role.is(catalog::USER_ROLE) || role.is(catalog::ADMIN_ROLE))
}

#[expect(unsafe_code, reason = "no safe wrapper")]
fn lock(role: &Role, how: u32) -> Result<Role> {
    // SAFETY: within a transaction, whose end releases the lock.
    unsafe {
        pg_sys::LockSharedObject(pg_sys::AuthIdRelationId, role.id, 0, how.cast_signed());
    }
    match catalog::role_of(role.id) {
        Some(now) if now.name == role.name => Ok(now),
        Some(_) => Err(renamed(role)),
        None => Err(Fault::undefined(format!("role \"{}\" was concurrently dropped", role.display_name()))),
    }
}

/// By its name another role would be meant, or none.
pub(crate) fn renamed(role: &Role) -> Fault {
    Fault::prerequisite(format!("role \"{}\" was concurrently renamed", role.display_name()))
}

/// Gives back what [`lock`] has just taken.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn release(role: &Role, how: u32) {
    // SAFETY: within the transaction that holds the lock.
    unsafe {
        pg_sys::UnlockSharedObject(pg_sys::AuthIdRelationId, role.id, 0, how.cast_signed());
    }
}

/// Who reaches whom, on the whole server: nothing of core's is locked by this.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn lock_reach(how: u32) {
    let Some((user, _)) = link::markers() else { return };
    // SAFETY: within a transaction, whose end releases the lock.
    unsafe {
        pg_sys::LockSharedObject(pg_sys::AuthIdRelationId, user.id, REACH, how.cast_signed());
    }
}

/// Gives back what [`lock_reach`] has just taken.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn release_reach(how: u32) {
    let Some((user, _)) = link::markers() else { return };
    // SAFETY: within the transaction that holds the lock.
    unsafe {
        pg_sys::UnlockSharedObject(pg_sys::AuthIdRelationId, user.id, REACH, how.cast_signed());
    }
}
