//! Carries out what a plan says about one member: whole or not at all.
//!
//! Between the plan and this, others may have changed the role. So it is locked as everybody locks
//! it, what the plan relies on is looked at again, and if that is no longer so nothing is done: the
//! next round sees what is there then.

use std::collections::BTreeMap;
use std::slice;

use entra::{Label, PrincipalKind, Uuid};
use linkage::sync::{Deed, Part, Who};
use linkage::{Membership, RoleName};
use pgrx::pg_sys;

use crate::catalog::{self, Link, Role, membership};
use crate::link::escalation::{New, check_reach};
use crate::link::{self, grant, lock, managed, name_of, principal, tenant};
use crate::pg::error::{Fault, Result, or_raise};
use crate::pg::lock::Mode;
use crate::pg::spi::as_superuser;
use crate::pg::subtransaction;
use crate::sync::read;

/// Carries out a part, in a subtransaction of its own.
///
/// # Errors
/// Why nothing of it was done, in words.
pub(super) fn carry_out(part: &Part) -> Result<(), String> {
    subtransaction::attempt(|| as_superuser(|| or_raise(act(part))))
}

/// Says that a role serves a group no more.
///
/// # Errors
/// Why that could not be written, in words.
pub(super) fn retire(role: &RoleName, group: Uuid) -> Result<(), String> {
    subtransaction::attempt(|| {
        as_superuser(|| {
            let role = or_raise(existing(role));
            or_raise(lock::lock_all(slice::from_ref(&role), Mode::ShareUpdateExclusive));
            managed::serve(role.id, group, false);
        });
    })
}

fn act(part: &Part) -> Result<()> {
    // Before all other roles; and it stays as it is that the member is no administrator.
    lock::claim_to_create(false)?;
    lock_roles(part)?;
    let mut role = match &part.who {
        Who::Existing(known) => {
            let role = existing(&known.name)?;
            if known.is_as(&read::known(&role)) { Some(role) } else { return Err(changed(&known.name)) }
        }
        Who::New { .. } => None,
    };
    for deed in &part.deeds {
        match (deed, &part.who, &role) {
            (Deed::Create, Who::New { raw, .. }, _) => {
                let created = principal::create(raw, false)?;
                managed::give_new(&created);
                role = Some(created);
            }
            (_, _, Some(role)) => carry_out_deed(role, deed)?,
            _ => return Err(Fault::prerequisite("the role is not there")),
        }
    }
    match role.and_then(|role| catalog::role_of(role.id)) {
        Some(role) => check_reach(&role, &New::nothing()),
        None => Ok(()),
    }
}

/// Locks the role and the groups' roles, in the order of their oids.
fn lock_roles(part: &Part) -> Result<()> {
    let mut modes: BTreeMap<u32, (&RoleName, Mode)> = BTreeMap::new();
    for deed in &part.deeds {
        match deed {
            Deed::Serve { role, .. } => {
                modes.insert(role.id, (role, Mode::ShareUpdateExclusive));
            }
            Deed::Grant { role, .. } | Deed::Revoke { role, .. } => {
                modes.entry(role.id).or_insert((role, Mode::RowExclusive));
            }
            Deed::Create | Deed::Link { .. } | Deed::Unlink | Deed::Remember(_) => {}
        }
    }
    if let Who::Existing(known) = &part.who {
        let links = part.deeds.iter().any(|deed| matches!(deed, Deed::Link { .. }));
        let mode = if links { Mode::ShareRowExclusive } else { Mode::ShareUpdateExclusive };
        modes.insert(known.name.id, (&known.name, mode));
    }
    for (name, mode) in modes.into_values() {
        lock::lock_all(slice::from_ref(&existing(name)?), mode)?;
    }
    if part.deeds.iter().any(|deed| matches!(deed, Deed::Grant { .. })) {
        lock::lock_membership_graph(Mode::RowExclusive);
    }
    Ok(())
}

fn carry_out_deed(role: &Role, deed: &Deed) -> Result<()> {
    match deed {
        Deed::Create => Ok(()),
        Deed::Link { object, kind } => {
            let Label { object_id, tenant_id, .. } = tenant::label_of(*object)?;
            let label = Label { object_id, tenant_id, kind: Some(*kind), ..Label::default() };
            link::check_linkable(role)?;
            link::link(role, &label).map(drop)
        }
        Deed::Serve { role: group_role, group } => {
            managed::serve(existing(group_role)?.id, *group, true);
            Ok(())
        }
        Deed::Grant { role: group_role, group } => grant_role(role, group_role, *group),
        Deed::Revoke { role: group_role, row } => revoke_role(role, group_role, row),
        Deed::Unlink => link::unlink(role).map(drop),
        Deed::Remember(synced) => {
            managed::remember(role.id, synced.as_ref());
            Ok(())
        }
    }
}

fn grant_role(role: &Role, group_role: &RoleName, group: Uuid) -> Result<()> {
    let now = existing(group_role)?;
    let is_of_group = matches!(
        catalog::link_of(now.id),
        Link::Bound(label) if label.object_id == Some(group) && label.kind == Some(PrincipalKind::Group) && !label.admin
    );
    let serves = catalog::mark_of(now.id).is_some_and(|mark| mark.serves.contains(&group));
    if !is_of_group || !serves || !membership::between(role, &now).is_empty() {
        return Err(changed(group_role));
    }
    grant::grant(&name_of(&now), &name_of(role));
    // It was granted by name.
    if is_granted(role, &now) { Ok(()) } else { Err(lock::renamed(role)) }
}

fn revoke_role(role: &Role, group_role: &RoleName, row: &Membership) -> Result<()> {
    let now = existing(group_role)?;
    grant::revoke(&name_of(&now), &name_of(role), row);
    if is_granted(role, &now) { Err(lock::renamed(role)) } else { Ok(()) }
}

/// Returns whether the bootstrap superuser has granted a role.
fn is_granted(role: &Role, group_role: &Role) -> bool {
    membership::is_granted_by(role.id, group_role.id, pg_sys::BOOTSTRAP_SUPERUSERID.into())
}

/// Returns a role that still has its name.
fn existing(name: &RoleName) -> Result<Role> {
    catalog::role_of(name.id.into()).filter(|role| role.name == name.raw).ok_or_else(|| changed(name))
}

fn changed(name: &RoleName) -> Fault {
    Fault::prerequisite(format!("role \"{}\" has changed meanwhile", name.shown))
}
