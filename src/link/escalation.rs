//! Privilege escalation by chains of memberships: a linked role must not reach a role that could
//! lift its guard.

use pgrx::pg_sys;

use crate::catalog::{self, Role, membership};
use crate::link::advice::{revocation, unlink};
use crate::link::marker_roles;
use crate::pg::acl::may_set_parameter;
use crate::pg::error::{Fault, Result};
use crate::pg::syscache;

/// Checks that no linked role at or below `role` reaches a role that could lift its guard. Only
/// within `as_superuser`.
///
/// A linked role that could become a superuser, or could become a role that may SET a parameter of
/// the guard, could keep this library out of its own sessions: by the options of its client, which
/// are applied one after the other, SET ROLE included.
///
/// `role` is where something changed. All roles above it are looked at, whatever options its
/// memberships have, and the linked roles below it. `new` is what the statement that is checked has
/// just done; no hint may advise to undo that.
pub(crate) fn check_reach(role: &Role, new: &New<'_>) -> Result<()> {
    // The marker roles come last, so that an error names the role itself before a marker role above
    // it.
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

/// Returns whether a role, or one that it is a member of, could lift the guard of its members.
pub(crate) fn is_above_guard(role: &Role) -> bool {
    could_lift_guard(role) || membership::ancestors_of(role).iter().any(could_lift_guard)
}

/// Returns whether a role is a superuser, or may set a parameter of the guard.
fn could_lift_guard(role: &Role) -> bool {
    role.superuser || parameter_it_may_set(role).is_some()
}

/// The changes that the statement that is checked has just made.
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

/// Returns the error for a linked role that reaches another one, with the statement that would end
/// that.
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
    let public = found.is_some_and(|parameter| may_set_parameter(pg_sys::InvalidOid, parameter));
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

/// Returns the statement that would end the chain of memberships from a linked role up to another:
/// a REVOKE of the highest membership that was there before the statement, or else the end of the
/// link. Returns none if the chain leads through the marker roles, of which every linked role is a
/// member.
fn way_out(linked: &Role, top: &Role, new: &New<'_>) -> Option<String> {
    let above = membership::ancestors_of(linked);
    let leads_there = |role: &Role| role.id == linked.id || above.iter().any(|above| above.id == role.id);
    let mut target = top.clone();
    // No role is a member of itself, so each step leads further down and the loop ends.
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

/// The two parameters of the guard, and the one that says where its library is looked for.
const PARAMETERS: [&str; 3] = ["session_preload_libraries", "azure_ad_auth.guard", "dynamic_library_path"];

/// Returns the first of these parameters that a role may set.
fn parameter_it_may_set(role: &Role) -> Option<&'static str> {
    PARAMETERS.into_iter().find(|parameter| may_set_parameter(role.id, parameter))
}

/// Checks that no linked role may set a parameter of its guard. Only within `as_superuser`.
///
/// Looks at no role unless one of the parameters is granted to some role, which is rare.
pub(crate) fn check_parameters() -> Result<()> {
    if !parameter_is_granted() {
        return Ok(());
    }
    let new = New { parameter: true, ..New::nothing() };
    marker_roles::labelled_roles().iter().try_for_each(|role| check_reach(role, &new))
}

/// Returns whether one of the parameters is granted to any role.
pub(crate) fn parameter_is_granted() -> bool {
    PARAMETERS.into_iter().any(syscache::parameter_has_acl)
}
