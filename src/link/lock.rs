//! Which sessions wait for each other: locks on roles, held to the end of the transaction.
//!
//! | what a session does | its lock on the role | waits for |
//! |---|---|---|
//! | a statement about the role, once PostgreSQL has let it through | RowExclusive | a link |
//! | unlink, rebind, make a member of an Azure AD role | ShareUpdateExclusive | its like, a link |
//! | link the role | ShareRowExclusive | all of these |
//!
//! An example: while a transaction that has run `ALTER ROLE ann CONNECTION LIMIT 1` is left open,
//! other sessions can unlink ann, which is what an administrator must always be able to do. To link
//! ann they wait.
//!
//! Administrators are locked in the same way, by a lock on `azure_ad_admin`, which comes before the
//! locks on all other roles. Several other roles are locked in the order of their oids. A lock is
//! taken only for a user who has the right to what was asked for.
//!
//! The graph of memberships has a lock of its own. A statement that grants a role, or links one,
//! takes it as RowExclusive. A statement that makes a role above others able to lift a guard takes
//! it as ShareRowExclusive. An example: ann is linked, and boss is a superuser. One session runs
//! `GRANT team TO ann`, another `GRANT boss TO team`. Neither sees the membership that the other
//! has not committed, and each alone is harmless; both together would let ann become boss. By the
//! lock one of them waits for the other, then sees its membership, and is refused.

use std::ffi::CStr;

use pgrx::prelude::*;

use crate::catalog::{self, Role, is_marker};
use crate::link;
use crate::link::rights;
use crate::pg::error::{Fault, Result};
use crate::pg::interrupts;
use crate::pg::lock::{LockedRole, Mode};
use crate::pg::utility::{in_recovery, prevent_if_read_only};

/// The part of `azure_ad_user` whose lock is that of the graph of memberships.
const MEMBERSHIP_GRAPH: u16 = 1;

/// The part of `azure_ad_user` whose lock is that of the synchronisation of groups.
const SYNCHRONISATION: u16 = 2;

/// Locks a role that is to be linked or rebound, and the administrators. Returns the role as it is
/// under the lock.
pub(crate) fn claim_to_link(role: &Role, to_admin: bool) -> Result<Role> {
    let promotes = || to_admin && !link::holds_admin_role(role);
    hold_administrators(|| {
        if to_admin { Some(Mode::ShareRowExclusive) } else { change_of_administrators(role) }
    })?;
    let role = lock(role, Mode::ShareUpdateExclusive)?;
    if !promotes() && catalog::is_linked(role.id) {
        return Ok(role);
    }
    let role = lock(&role, Mode::ShareRowExclusive)?;
    lock_membership_graph(Mode::RowExclusive);
    Ok(role)
}

/// Locks the administrators before a role is created that is to be linked.
///
/// Without that, a session that has locked them and creates a role of the same name would wait for
/// this one to end, and this one for the administrators.
pub(crate) fn claim_to_create(to_admin: bool) -> Result<()> {
    hold_administrators(|| to_admin.then_some(Mode::ShareRowExclusive))
}

/// Locks a role that is to be unlinked. Returns the role as it is under the lock.
pub(crate) fn claim_to_unlink(role: &Role) -> Result<Role> {
    lock_for_change(role)
}

/// Locks a linked role whose link changes and stays one to the same object, or ends. Returns the
/// role as it is under the lock.
pub(crate) fn lock_for_change(role: &Role) -> Result<Role> {
    hold_administrators(|| change_of_administrators(role))?;
    lock(role, Mode::ShareUpdateExclusive)
}

/// Locks the administrators before one of the two marker roles changes, which stay as they are
/// while roles are linked. Of any other role, and for a user who may not change it, does nothing.
pub(crate) fn claim_marker(marker: &Role) -> Result<()> {
    if may_change(marker) { claim_tenant(Mode::ShareRowExclusive) } else { Ok(()) }
}

/// Returns whether a role is a marker role that PostgreSQL may let the current user change.
pub(crate) fn may_change(marker: &Role) -> bool {
    is_marker(marker) && (rights::is_superuser() || rights::has_create_role()) && !in_recovery()
}

/// Locks `azure_ad_user`, whose label says which tokens are revoked, before tokens are revoked and
/// before the role is dropped or renamed. Returns the role as it is under the lock.
pub(crate) fn claim_revocations(user: &Role) -> Result<Role> {
    lock(user, Mode::ShareUpdateExclusive)
}

/// Locks the administrators before one is added.
pub(crate) fn claim_administrators() -> Result<()> {
    claim_tenant(Mode::ShareRowExclusive)
}

/// Locks the administrators before one is removed.
pub(crate) fn claim_end_of_administrators() -> Result<()> {
    claim_tenant(Mode::ShareUpdateExclusive)
}

/// Locks `azure_ad_admin`, whose members are the administrators, and whose label names the tenant.
pub(crate) fn claim_tenant(mode: Mode) -> Result<()> {
    link::markers().map_or(Ok(()), |(_, admin)| lock(&admin, mode).map(drop))
}

/// Locks the administrators so that none is added before the end of the transaction, or, where
/// `change` returns how administrators are about to change, in that mode.
pub(crate) fn hold_administrators(change: impl Fn() -> Option<Mode>) -> Result<()> {
    let Some((_, admin)) = link::markers() else { return Ok(()) };
    if change().is_none() {
        lock(&admin, Mode::RowExclusive)?;
        // The session that was waited for may have made one of the roles an administrator.
        if change().is_none() {
            return Ok(());
        }
        LockedRole::whole(admin.id).unlock(Mode::RowExclusive);
    }
    lock(&admin, change().unwrap_or(Mode::ShareUpdateExclusive)).map(drop)
}

/// Returns how administrators change when the link of a role ends or becomes another.
pub(crate) fn change_of_administrators(role: &Role) -> Option<Mode> {
    link::holds_admin_role(role).then_some(Mode::ShareUpdateExclusive)
}

/// Locks roles, which are in the order of their oids.
pub(crate) fn lock_all(roles: &[Role], mode: Mode) -> Result<()> {
    roles.iter().try_for_each(|role| {
        interrupts::check();
        lock(role, mode).map(drop)
    })
}

/// Locks a role. Returns it as it is under the lock, under which it still has its name.
fn lock(role: &Role, mode: Mode) -> Result<Role> {
    LockedRole::whole(role.id).lock(mode);
    match catalog::role_of(role.id) {
        Some(now) if now.name == role.name => Ok(now),
        Some(_) => Err(renamed(role)),
        None => Err(Fault::undefined(format!("role \"{}\" was concurrently dropped", role.display_name()))),
    }
}

/// Returns the error for a role that has been given another name meanwhile: by the name that the
/// statement has, another role would be meant, or none.
pub(crate) fn renamed(role: &Role) -> Fault {
    Fault::prerequisite(format!("role \"{}\" was concurrently renamed", role.display_name()))
}

/// Locks the graph of memberships. No statement of PostgreSQL's waits for this lock.
pub(crate) fn lock_membership_graph(mode: Mode) {
    if let Some((user, _)) = link::markers() {
        LockedRole::part(user.id, MEMBERSHIP_GRAPH).lock(mode);
    }
}

/// Gives back what [`lock_membership_graph`] has just taken.
pub(crate) fn unlock_membership_graph(mode: Mode) {
    if let Some((user, _)) = link::markers() {
        LockedRole::part(user.id, MEMBERSHIP_GRAPH).unlock(mode);
    }
}

/// Has this process synchronise groups, up to the end of its transaction or to its own end. Returns
/// false if another process does.
pub(crate) fn claim_synchronisation(is_held_to_the_end: bool) -> bool {
    let (mode, markers) = (Mode::ShareUpdateExclusive, link::markers());
    markers.is_some_and(|(user, _)| {
        LockedRole::part(user.id, SYNCHRONISATION).try_lock(mode, is_held_to_the_end)
    })
}

/// Checks that a function can write, before anything else is checked: in a read-only transaction
/// the error is PostgreSQL's, and on a standby it says what to do. Both name the function.
pub(crate) fn require_writable(function: &CStr) -> Result<()> {
    require_writable_as(function, "during recovery")
}

/// Checks the same for a statement or a function. `where_not` is what PostgreSQL says of a standby,
/// which is not the same for statements as for most functions.
pub(crate) fn require_writable_as(command: &CStr, where_not: &str) -> Result<()> {
    if in_recovery() {
        let text = format!("cannot execute {} {where_not}", command.to_string_lossy());
        return Err(Fault::new(PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION, text)
            .hint("This server is a standby. Run it on the primary; it takes effect here by replication."));
    }
    prevent_if_read_only(command);
    Ok(())
}
