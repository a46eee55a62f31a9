//! Whom a linked role may reach: nobody who could lift its guard.

use std::ffi::CStr;

use pgrx::prelude::*;

use super::catalog::{self, Role};
use super::superuser::quoted;
use super::{anchors, membership};
use crate::fault::{Fault, Outcome};

/// A linked role that could become a superuser, or whoever may SET a parameter of its guard, could keep this library out
/// of its own sessions: by options of its client, which are applied one after the other, SET ROLE included.
///
/// `role` is where something changed: looked at are the roles above it, on whatever terms it is their member, and the linked
/// ones below it. Only within `as_superuser`.
pub(crate) fn check_reach(role: &Role) -> Outcome<()> {
    // The two roles last: what holds for everybody is said of the role itself.
    let (anchors, mut above): (Vec<_>, Vec<_>) =
        membership::ancestors_of(role).into_iter().partition(catalog::is_anchor);
    above.push(role.clone());
    above.extend(anchors);
    let Some(top) = above.into_iter().find(could_lift_guard) else { return Ok(()) };
    let mut below = membership::descendants_of(role);
    below.push(role.clone());
    let linked = |role: &Role| catalog::is_linked(role.id);
    match below.into_iter().find(linked) {
        Some(linked) => Err(reaches(&linked, &top)),
        None => Ok(()),
    }
}

/// Whether a role, or one that it is a member of, could lift the guard of its members.
pub(super) fn is_above_guard(role: &Role) -> bool {
    could_lift_guard(role) || membership::ancestors_of(role).iter().any(could_lift_guard)
}

fn could_lift_guard(role: &Role) -> bool {
    role.superuser || parameter_it_may_set(role).is_some()
}

fn reaches(linked: &Role, top: &Role) -> Fault {
    let name = linked.display_name();
    let parameter = parameter_it_may_set(top).unwrap_or("session_preload_libraries");
    let detail = "It could keep azure_ad_auth out of its own sessions.";
    if linked.id == top.id {
        return Fault::denied(format!(
            "role \"{name}\" is linked to a directory object and cannot have SET on parameter \"{parameter}\""
        ))
        .detail(detail)
        .hint(format!("Revoke SET ON PARAMETER {parameter} where the role has it from."));
    }
    // What can be revoked is the last step there, which need not be a membership of the linked role itself.
    let leads_there = |member: &Role| {
        member.id == linked.id || membership::ancestors_of(linked).iter().any(|above| above.id == member.id)
    };
    let step = membership::members_of(top).into_iter().find(leads_there).unwrap_or_else(|| linked.clone());
    let (top, step) = (top.display_name(), step.display_name());
    Fault::denied(format!(
        "role \"{name}\" is linked to a directory object and cannot be a member of role \"{top}\", which is a superuser \
         or has SET on parameter \"{parameter}\""
    ))
    .detail(detail)
    .hint(format!("REVOKE {} FROM {};", quoted(&top), quoted(&step)))
}

/// The two parameters of the guard, and the one that says where the library it names is looked for.
const PARAMETERS: [&CStr; 3] =
    [c"session_preload_libraries", c"azure_ad_auth.guard", c"dynamic_library_path"];

/// Returns which of them a role may set.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn parameter_it_may_set(role: &Role) -> Option<&'static str> {
    let wanted = pg_sys::AclMode::from(pg_sys::ACL_SET);
    let may_set = |parameter: &&CStr| {
        // SAFETY: a C string that outlives the call.
        let answer = unsafe { pg_sys::pg_parameter_aclcheck(parameter.as_ptr(), role.id, wanted) };
        answer == pg_sys::AclResult::ACLCHECK_OK
    };
    PARAMETERS.into_iter().find(may_set).and_then(|parameter| parameter.to_str().ok())
}

/// No linked role may set a parameter of its guard. Only within `as_superuser`.
///
/// Almost no server has granted one to anyone, and then there is nothing to look at.
pub(crate) fn check_parameters() -> Outcome<()> {
    if !parameter_is_granted() {
        return Ok(());
    }
    anchors::labelled_roles().iter().try_for_each(check_reach)
}

/// Returns whether one of them is granted to anyone.
#[expect(unsafe_code, reason = "reads the catalog cache")]
pub(super) fn parameter_is_granted() -> bool {
    let cache = pg_sys::SysCacheIdentifier::PARAMETERACLNAME.cast_signed();
    let none = pg_sys::Datum::from(0);
    let is_granted = |parameter: &&CStr| {
        let Some(key) = parameter.to_str().ok().and_then(IntoDatum::into_datum) else { return true };
        // SAFETY: the key is of the cache's type, text.
        unsafe { pg_sys::SearchSysCacheExists(cache, key, none, none, none) }
    };
    PARAMETERS.iter().any(is_granted)
}
