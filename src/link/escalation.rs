//! Whom a linked role may reach: nobody who could lift its guard.

use std::ffi::{CStr, CString};

use pgrx::prelude::*;

use crate::catalog::{self, Role, membership};
use crate::link::advice::{revocation, unlink};
use crate::link::marker_roles;
use crate::pg::error::{Fault, Result};

/// A linked role that could become a superuser, or whoever may SET a parameter of its guard, could keep this library out
/// of its own sessions: by options of its client, which are applied one after the other, SET ROLE included.
///
/// `role` is where something changed: looked at are the roles above it, on whatever terms it is their member, and the linked
/// ones below it. `new` is what the statement that is judged has just done: no hint can tell anyone to take that back.
/// Only within `as_superuser`.
pub(crate) fn check_reach(role: &Role, new: &New<'_>) -> Result<()> {
    // The two roles last: what holds for everybody is said of the role itself.
    let (markers, mut above): (Vec<_>, Vec<_>) =
        membership::ancestors_of(role).into_iter().partition(catalog::is_marker);
    above.push(role.clone());
    above.extend(markers);
    let Some(top) = above.into_iter().find(could_lift_guard) else { return Ok(()) };
    let mut below = membership::descendants_of(role);
    below.push(role.clone());
    let linked = |role: &Role| catalog::is_linked(role.id);
    match below.into_iter().find(linked) {
        Some(linked) => Err(reaches(&linked, &top, new)),
        None => Ok(()),
    }
}

/// Whether a role, or one that it is a member of, could lift the guard of its members.
pub(crate) fn is_above_guard(role: &Role) -> bool {
    could_lift_guard(role) || membership::ancestors_of(role).iter().any(could_lift_guard)
}

fn could_lift_guard(role: &Role) -> bool {
    role.superuser || parameter_it_may_set(role).is_some()
}

/// What a statement that is judged has just done.
pub(crate) struct New<'a> {
    /// It has made the first role a member of the second.
    pub(crate) membership: &'a dyn Fn(&Role, &Role) -> bool,
    /// It has granted a parameter.
    pub(crate) parameter: bool,
}

impl New<'_> {
    /// It has granted nothing.
    pub(crate) fn nothing() -> Self {
        Self { membership: &|_, _| false, parameter: false }
    }
}

fn reaches(linked: &Role, top: &Role, new: &New<'_>) -> Fault {
    let name = linked.display_name();
    let found = parameter_it_may_set(top);
    let parameter = found.unwrap_or("session_preload_libraries");
    let fault = if linked.id == top.id {
        Fault::denied(format!(
            "role \"{name}\" is linked to a directory object and cannot have SET on parameter \"{parameter}\""
        ))
    } else {
        Fault::denied(format!(
            "role \"{name}\" is linked to a directory object and cannot be a member of role \"{}\", which is a superuser \
             or has SET on parameter \"{parameter}\"",
            top.display_name()
        ))
    };
    let fault = fault.detail("It could keep azure_ad_auth out of its own sessions.");
    let public = found.is_some_and(|parameter| may_set(parameter, pg_sys::InvalidOid));
    let hint = if public {
        (!new.parameter).then(|| format!("REVOKE SET ON PARAMETER {parameter} FROM PUBLIC;"))
    } else if linked.id != top.id {
        way_out(linked, top, new)
    } else if new.parameter {
        Some(format!("Unlink it first: {}", unlink(&name)))
    } else {
        Some(format!("REVOKE SET ON PARAMETER {parameter} FROM {};", crate::link::advice::name(top)))
    };
    match hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

/// What would end the way from a linked role up to another: the last step that was there before the statement, or else the link.
/// None if it leads by the two roles, which is everybody's way.
fn way_out(linked: &Role, top: &Role, new: &New<'_>) -> Option<String> {
    let above = membership::ancestors_of(linked);
    let leads_there = |role: &Role| role.id == linked.id || above.iter().any(|above| above.id == role.id);
    let mut target = top.clone();
    // Nobody is a member of himself: each step leads further down.
    while !catalog::is_marker(&target) {
        let step = membership::members_of(&target).into_iter().find(leads_there)?;
        if !(new.membership)(&step, &target) {
            return Some(revocation(&target, &step));
        }
        if step.id == linked.id {
            return Some(format!("Unlink it first: {}", unlink(&linked.display_name())));
        }
        target = step;
    }
    None
}

/// The two parameters of the guard, and the one that says where the library it names is looked for.
const PARAMETERS: [&CStr; 3] =
    [c"session_preload_libraries", c"azure_ad_auth.guard", c"dynamic_library_path"];

/// Returns which of them a role may set.
fn parameter_it_may_set(role: &Role) -> Option<&'static str> {
    PARAMETERS.into_iter().filter_map(|parameter| parameter.to_str().ok()).find(|name| may_set(name, role.id))
}

/// Whether a role may set a parameter; no role: everybody.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn may_set(parameter: &str, role: pg_sys::Oid) -> bool {
    let wanted = pg_sys::AclMode::from(pg_sys::ACL_SET);
    let Ok(parameter) = CString::new(parameter) else { return false };
    // SAFETY: a C string that outlives the call.
    let answer = unsafe { pg_sys::pg_parameter_aclcheck(parameter.as_ptr(), role, wanted) };
    answer == pg_sys::AclResult::ACLCHECK_OK
}

/// No linked role may set a parameter of its guard. Only within `as_superuser`.
///
/// Almost no server has granted one to anyone, and then there is nothing to look at.
pub(crate) fn check_parameters() -> Result<()> {
    if !parameter_is_granted() {
        return Ok(());
    }
    let new = New { parameter: true, ..New::nothing() };
    marker_roles::labelled_roles().iter().try_for_each(|role| check_reach(role, &new))
}

/// Returns whether one of them is granted to anyone.
#[expect(unsafe_code, reason = "reads the catalog cache")]
pub(crate) fn parameter_is_granted() -> bool {
    let cache = pg_sys::SysCacheIdentifier::PARAMETERACLNAME.cast_signed();
    let none = pg_sys::Datum::from(0);
    let is_granted = |parameter: &&CStr| {
        let Some(key) = parameter.to_str().ok().and_then(IntoDatum::into_datum) else { return true };
        // SAFETY: the key is of the cache's type, text.
        unsafe { pg_sys::SearchSysCacheExists(cache, key, none, none, none) }
    };
    PARAMETERS.iter().any(is_granted)
}
