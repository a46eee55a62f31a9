//! Checks what must hold after a statement, and repairs what can be repaired.

use crate::catalog::{self, Role, is_marker, membership};
use crate::link::escalation::{self, New};
use crate::link::{self, guard, managed, marker_roles, tenant};
use crate::pg::error::Result;
use crate::pg::interrupts;
use crate::pg::spi::as_superuser;
use crate::statement::named_roles::{Named, Roles};
use crate::statement::{Creation, Statement, createrole, invariants};

/// Checks what must hold after a statement. An error takes the statement back.
pub(crate) fn check(statement: &Statement<'_>) -> Result<()> {
    match statement {
        Statement::Label { role, .. } => match role.and_then(catalog::role_of) {
            Some(role) if !is_marker(&role) => link::settle(&role).map(drop),
            _ => Ok(()),
        },
        Statement::Drop { roles } => after_drop(roles),
        Statement::Configure { role } => after_configure(role),
        Statement::Alter { role, .. } => after_alter(statement, role),
        Statement::Create(creation) => after_create(creation),
        Statement::Membership { granted, members, is_grant, options_only } => {
            let members = members.distinct()?;
            if *options_only {
                settle_options(granted, &members)?;
            }
            after_membership(granted, &members, *is_grant)
        }
        Statement::Parameter => as_superuser(escalation::check_parameters),
        Statement::Rename { role, to } if to.role().is_some_and(|role| is_marker(&role)) => {
            invariants::members_are_linked(role)
        }
        Statement::Rename { .. } | Statement::Own { .. } => Ok(()),
    }
}

/// Removes the association with the tenant if the last administrator was dropped, and the marks of
/// roles that administrators have created if `azure_ad_admin` was.
fn after_drop(roles: &Roles<'_>) -> Result<()> {
    if roles.name(catalog::ADMIN_ROLE) {
        managed::forget();
    }
    as_superuser(|| if tenant::is_void() { tenant::settle().map(drop) } else { Ok(()) })
}

/// Sets the guard of a linked role again, whatever was set or reset.
fn after_configure(role: &Named) -> Result<()> {
    let Some(role) = role.role() else { return Ok(()) };
    if is_marker(&role) {
        return invariants::marker_is_intact(&role);
    }
    if catalog::is_linked(role.id) {
        as_superuser(|| guard::set(&role));
    }
    Ok(())
}

fn after_alter(statement: &Statement<'_>, role: &Named) -> Result<()> {
    role.role().filter(is_marker).map_or(Ok(()), |marker| invariants::marker_is_intact(&marker))?;
    let role = Roles::One(role.clone()).distinct()?;
    invariants::roles_are_sound(&role, None, &New::nothing())?;
    // An administrator may change more of a linked role than of another one, and the role may have
    // been unlinked since that was checked. So it is checked again, after the check that a linked
    // role has no password.
    createrole::check(statement)?;
    invariants::no_member_lifts_its_guard(&role, &New::nothing())
}

fn after_create(creation: &Creation<'_>) -> Result<()> {
    let is_new = |one: &Role, other: &Role| [one, other].iter().any(|at| at.name == creation.role);
    let new = New { membership: &is_new, parameter: false };
    let created = Roles::One(Named::Name(creation.role.clone()));
    invariants::roles_are_sound(&creation.members.distinct()?, Some(&created), &new)?;
    let role = created.distinct()?;
    role.iter().try_for_each(|role| invariants::created_role_is_sound(role, &new))?;
    invariants::administrators_have_no_members(&creation.parents, true)?;
    invariants::no_member_lifts_its_guard(&role, &new)
}

fn after_membership(granted: &Roles<'_>, members: &[Role], is_grant: bool) -> Result<()> {
    let is_new = |member: &Role, role: &Role| {
        is_grant && members.iter().any(|one| one.id == member.id) && granted.name(&role.name)
    };
    let new = New { membership: &is_new, parameter: false };
    // A REVOKE breaks nothing here, and may be what the user runs to put something right.
    if is_grant {
        invariants::roles_are_sound(members, Some(granted), &new)?;
    }
    if granted.name(catalog::USER_ROLE) {
        invariants::markers_are_joined(members)?;
        if members.iter().any(|member| member.name.as_c_str() == catalog::ADMIN_ROLE) {
            as_superuser(marker_roles::keep_one_row);
        }
    }
    if !is_grant {
        return Ok(());
    }
    invariants::administrators_have_no_members(granted, false)?;
    invariants::no_member_lifts_its_guard(members, &new)
}

/// Settles members after a REVOKE of options: a membership in a marker role gets the options back
/// that it should have.
fn settle_options(granted: &Roles<'_>, members: &[Role]) -> Result<()> {
    let Some((user, admin)) = link::markers() else { return Ok(()) };
    for marker in [user, admin].iter().filter(|marker| granted.name(&marker.name)) {
        members.iter().try_for_each(|member| settle_member(member, marker))?;
    }
    Ok(())
}

/// Settles a linked role that is a member of a marker role. A role that is no member is not made
/// one here, because the right to that has not been checked.
fn settle_member(member: &Role, marker: &Role) -> Result<()> {
    interrupts::check();
    let is_linked = catalog::is_linked(member.id) && !membership::between(member, marker).is_empty();
    if is_linked && !is_marker(member) { link::settle(member).map(drop) } else { Ok(()) }
}
