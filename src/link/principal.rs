//! Links and changes roles for the SQL functions: with the rights of the current user, and locked.

use std::ffi::CStr;

use entra::Label;
use pgrx::prelude::*;

use crate::catalog::{self, Link, Role, markers, membership};
use crate::link::{self, advice, lock, rights};
use crate::pg::error::{Fault, Result, notice};
use crate::pg::spi::{as_superuser, quoted_name, run};
use crate::pg::text::decode;

/// Returns a linked role, locked, to which the current user may do what `may` asks for.
pub(crate) fn linked(
    name: &CStr,
    may: impl Fn(&Role) -> Result<()>,
    lock: impl Fn(&Role) -> Result<Role>,
) -> Result<(Role, Label)> {
    let role = claim(&existing(name)?, may, lock)?;
    match catalog::link_of(role.id) {
        Link::Bound(label) => Ok((role, label)),
        _ => Err(Fault::undefined(format!(
            "role \"{}\" is not linked to a directory object",
            role.display_name()
        ))),
    }
}

/// Checks that the current user may link a role that exists or is to be created. It is checked
/// again under the locks.
pub(crate) fn may_link(name: &CStr) -> Result<()> {
    match catalog::role_named(name) {
        None => rights::may_create(),
        Some(role) => {
            rights::may_change(&role)?;
            link::check_linkable(&role)
        }
    }
}

/// Checks that a role is linked and that the current user may link it to another object. It is
/// checked again under the locks.
pub(crate) fn may_rebind(name: &CStr) -> Result<()> {
    linked(name, rights::may_change, |role| Ok(role.clone())).map(drop)
}

/// Locks a role. Checks the right of the current user before, so that no other session waits for a
/// statement that is refused, and again under the lock, when nothing about the role changes any
/// more.
fn claim(
    role: &Role,
    may: impl Fn(&Role) -> Result<()>,
    lock: impl Fn(&Role) -> Result<Role>,
) -> Result<Role> {
    may(role)?;
    let role = lock(role)?;
    may(&role)?;
    Ok(role)
}

fn existing(name: &CStr) -> Result<Role> {
    catalog::role_named(name)
        .ok_or_else(|| Fault::undefined(format!("role \"{}\" does not exist", decode(name.to_bytes()))))
}

/// Creates a role that is to be linked.
pub(crate) fn create(name: &CStr, admin: bool) -> Result<Role> {
    let attributes: &[u8] = if admin { b" CREATEROLE CREATEDB" } else { b"" };
    as_superuser(|| run(&[b"CREATE ROLE ", &quoted_name(name), b" LOGIN", attributes]));
    existing(name)
}

/// Returns whether a role is linked as a label says; none if it is not linked at all.
pub(crate) fn is_linked_so(role: &Role, label: &Label) -> Option<bool> {
    match catalog::link_of(role.id) {
        Link::Bound(old) => Some((Label { not_before: None, ..old }) == *label),
        _ => None,
    }
}

/// Links a role that exists. The same link again is no error, and needs no right; for another one
/// there is update_principal().
pub(crate) fn adopt(role: &Role, label: &Label) -> Result<()> {
    let name = role.display_name();
    if is_linked_so(role, label) == Some(true) {
        notice(format!("role \"{name}\" is already linked to this object, skipping"), None);
        return Ok(());
    }
    link::check_linkable(role)?;
    let role = &claim(role, rights::may_change, |role| lock::claim_to_link(role, label.admin))?;
    // If it is linked now, a session that was waited for has linked it.
    match is_linked_so(role, label) {
        Some(true) => Ok(()),
        Some(false) => Err(Fault::new(
            PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
            format!("role \"{name}\" is already linked to a directory object"),
        )
        .hint(format!(
            "To link it to another one, or on other terms: {}",
            advice::call("update_principal", &name, label)
        ))),
        None => link::link(role, label).map(drop),
    }
}

/// Returns the administrators.
pub(crate) fn administrators() -> Vec<Role> {
    markers().map_or_else(Vec::new, |(_, admin)| membership::members_of(&admin))
}
