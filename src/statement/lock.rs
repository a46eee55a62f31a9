//! The locks that a statement takes, before PostgreSQL runs it and after. `link/lock.rs` says which
//! sessions wait for each other by these locks.

use std::ffi::CStr;
use std::slice;

use crate::catalog::{self, Role, is_marker};
use crate::link::lock::{
    change_of_administrators, claim_tenant, claim_to_link, claim_to_unlink, hold_administrators, lock_all,
    lock_membership_graph, require_writable_as, unlock_membership_graph,
};
use crate::link::{self, escalation, rights};
use crate::pg::error::Result;
use crate::pg::lock::Mode;
use crate::pg::utility::in_recovery;
use crate::statement::Statement;
use crate::statement::named_roles::{Named, Roles};
use crate::statement::objects::Objects;

/// Checks that a statement about Azure AD roles can write, and leaves other statements to
/// PostgreSQL. `tag` is what PostgreSQL calls the kind of statement.
pub(crate) fn require_writable(statement: &Statement<'_>, tag: &CStr) -> Result<()> {
    let is_about_links = match statement {
        Statement::Membership { granted, .. } => names_a_marker(granted),
        Statement::Create(creation) => names_a_marker(&creation.parents),
        Statement::Label { .. } => true,
        _ => false,
    };
    if is_about_links { require_writable_as(tag, "in a read-only transaction") } else { Ok(()) }
}

/// Returns whether a marker role is listed, by the name alone: no right has been checked yet.
fn names_a_marker(roles: &Roles<'_>) -> bool {
    roles.iter().any(|role| role.is(catalog::USER_ROLE) || role.is(catalog::ADMIN_ROLE))
}

/// Locks, before PostgreSQL runs a statement, the roles that it links or unlinks, or the one role
/// that it changes. `objects`: what the directory has said about them.
pub(crate) fn before(statement: &Statement<'_>, objects: &Objects) -> Result<()> {
    if link::markers().is_none() || in_recovery() {
        return Ok(());
    }
    match statement {
        Statement::Membership { granted, members, is_grant, options_only: false }
            if granted.marker().is_some() =>
        {
            rights::may_administer()?;
            let members = by_oid(members)?;
            let promotes = *is_grant && granted.name(catalog::ADMIN_ROLE);
            hold_administrators(|| {
                promotes
                    .then_some(Mode::ShareRowExclusive)
                    .or_else(|| members.iter().find_map(change_of_administrators))
            })?;
            let mode = |role: &Role| {
                if objects.include(role) { Mode::ShareRowExclusive } else { Mode::ShareUpdateExclusive }
            };
            members.iter().try_for_each(|role| lock_all(slice::from_ref(role), mode(role)))
        }
        Statement::Create(creation) if creation.parents.marker().is_some() => {
            rights::may_administer()?;
            hold_administrators(|| None)
        }
        Statement::Label { role, unlinks, admin, .. } => {
            rights::may_administer()?;
            let role = role.and_then(catalog::role_of).filter(|role| !is_marker(role));
            let Some(role) = role else { return Ok(()) };
            if *unlinks { claim_to_unlink(&role) } else { claim_to_link(&role, *admin) }.map(drop)
        }
        // The rows that a link writes to are not written to at the same time.
        Statement::Alter { role, .. } | Statement::Configure { role } => {
            lock_all(&by_oid(&Roles::One(role.clone()))?, Mode::RowExclusive)
        }
        // A rename waits while the role is being linked.
        Statement::Rename { role, .. } if rights::is_superuser() || rights::has_create_role() => {
            lock_all(&by_oid(&Roles::One(role.clone()))?, Mode::RowExclusive)
        }
        // Dropping a role that is no administrator waits for no session. A user who may drop no
        // role is told so by PostgreSQL.
        Statement::Drop { roles } if rights::has_create_role() => {
            let change = by_oid(roles)?.iter().find_map(change_of_administrators);
            change.map_or(Ok(()), claim_tenant)
        }
        _ => Ok(()),
    }
}

/// Locks, after PostgreSQL has run a statement, the roles of memberships by which it could break
/// what a link depends on. A session that has linked one of these roles meanwhile has committed by
/// then, and its link is seen.
pub(crate) fn after(statement: &Statement<'_>) -> Result<()> {
    if link::markers().is_none() || in_recovery() {
        return Ok(());
    }
    hold_membership_graph(statement);
    let (granted, others) = match statement {
        Statement::Membership { granted, members, is_grant: true, .. } => (granted, members),
        Statement::Create(creation) => (&creation.parents, &creation.members),
        _ => return Ok(()),
    };
    let granted = by_oid(granted)?;
    lock_all(&granted, Mode::RowExclusive)?;
    let is_linked = |role: &Role| catalog::is_linked(role.id);
    let is_azure = granted.iter().any(is_linked);
    let mode = if is_azure { Mode::ShareUpdateExclusive } else { Mode::RowExclusive };
    lock_all(&by_oid(others)?, mode)
}

/// Locks the graph of memberships: as RowExclusive for a statement that adds to it, and as
/// ShareRowExclusive for one after which a role above others could lift a guard.
fn hold_membership_graph(statement: &Statement<'_>) {
    let lifts = || lifts_a_guard(statement);
    match statement {
        Statement::Membership { is_grant: true, .. } | Statement::Create(_) if !lifts() => {
            lock_membership_graph(Mode::RowExclusive);
            // A session that was waited for may have given a granted role the means to lift a
            // guard.
            if lifts() {
                unlock_membership_graph(Mode::RowExclusive);
                lock_membership_graph(Mode::ShareRowExclusive);
            }
        }
        _ if lifts() => lock_membership_graph(Mode::ShareRowExclusive),
        _ => {}
    }
}

/// Returns whether a statement has brought members below a role that could lift a guard, or has
/// given a role with members the means to lift one.
fn lifts_a_guard(statement: &Statement<'_>) -> bool {
    let any = |roles: &Roles<'_>| roles.existing().any(|role| escalation::is_above_guard(&role));
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

/// Returns roles in the order of their oids, without the marker roles, which every grant names.
fn by_oid(named: &Roles<'_>) -> Result<Vec<Role>> {
    let mut roles = named.distinct()?;
    roles.retain(|role| !is_marker(role));
    Ok(roles)
}
