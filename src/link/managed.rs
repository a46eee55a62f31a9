//! Roles that administrators have made.
//!
//! Before PostgreSQL 16 CREATEROLE changes every role, and nothing says who made which. So these carry a label of a third
//! provider, and administrators change no other roles but those that are linked. From 16 on the ADMIN option says it: what an
//! upgrade brings along is handed over by `repair()`; only a role that is an administrator itself has the label meanwhile.
//!
//! `azure_ad_user` has another label of this provider: whose tokens no longer count (see `revoke`).

use std::ffi::{CStr, c_char};

use pgrx::prelude::*;

use entra::{Label, Revocations};

use crate::catalog::{
    self, ADMIN_ROLE, INTERNAL_PROVIDER, OWN_PROVIDER as PROVIDER, Role, USER_ROLE, is_marker, membership,
    shared_scan,
};
use crate::link::{self, Done, escalation, rights};
use crate::pg::error::{Fault, Result, notice, or_raise};
use crate::pg::spi::run;

/// Its one label.
const LABEL: &str = "managed";

/// Registers the provider. In the postmaster only, while it loads its libraries.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn register() {
    // SAFETY: a constant C string and a guarded function.
    unsafe { pg_sys::register_label_provider(PROVIDER.as_ptr(), Some(check_label)) }
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of a label provider")]
unsafe extern "C-unwind" fn check_label(object: *const pg_sys::ObjectAddress, label: *const c_char) {
    // SAFETY: seclabel.c hands over an object it has found and a label that is null or a C string.
    let (object, text) = unsafe { (*object, (!label.is_null()).then(|| CStr::from_ptr(label))) };
    or_raise(judge(object, text));
}

fn judge(object: pg_sys::ObjectAddress, text: Option<&CStr>) -> Result<()> {
    let role =
        if object.classId == pg_sys::AuthIdRelationId { catalog::role_of(object.objectId) } else { None };
    let is_user = role.as_ref().is_some_and(|role| role.name.as_c_str() == USER_ROLE);
    let fits = |text: &CStr| {
        let text = text.to_str().unwrap_or_default();
        if is_user { Revocations::parse(text).is_some() } else { text == LABEL }
    };
    if role.is_none() || !text.is_none_or(fits) {
        return Err(Fault::invalid("invalid label for provider azure_ad_auth").detail(
            "It marks roles that Azure AD administrators have made, as \"managed\", and on role \"azure_ad_user\" whose tokens \
             are revoked.",
        ));
    }
    let what = if is_user {
        "say whose access tokens are revoked"
    } else {
        "say which roles Azure AD administrators have made"
    };
    rights::require_superuser(what)?;
    catalog::announce_change(object.objectId);
    Ok(())
}

/// Marks a role that an administrator has made.
pub(crate) fn mark(role: &Role) {
    link::set_label(role, PROVIDER, Some(LABEL));
}

/// Whether an administrator has made it.
pub(crate) fn is_marked(role: &Role) -> bool {
    catalog::label_text(role.id, PROVIDER).is_some_and(|text| text == LABEL)
}

/// Whether administrators manage a role: because one of them has made it, or because it was given to them. From 16 on they
/// have the ADMIN option on it, unless it is an administrator itself; before, it is marked.
pub(crate) fn is_theirs(role: &Role) -> bool {
    let is_given = |admin: Role| membership::between(&admin, role).iter().any(|row| row.admin_option);
    is_marked(role)
        || (rights::HAS_ADMIN_OPTION_RULES && catalog::role_named(ADMIN_ROLE).is_some_and(is_given))
}

/// Returns the roles that an administrator has made elsewhere, on Azure or before PostgreSQL 16,
/// and that are not given to all administrators yet.
pub(crate) fn pending() -> Vec<Role> {
    let mut roles = restored_from_azure();
    if rights::HAS_ADMIN_OPTION_RULES {
        roles.extend(shared_scan::labelled_by(&[PROVIDER]).into_iter().filter(is_marked));
    }
    // An administrator's role is nobody else's while it is one.
    roles.retain(|role| !is_marker(role) && !rights::is_administrator(role));
    roles.sort_by_key(|role| role.id.to_u32());
    roles.dedup_by_key(|role| role.id);
    roles
}

/// Gives to all administrators what is pending. Only within `as_superuser`.
pub(crate) fn hand_over(done: &mut Done) {
    let mut pending = pending();
    // One may be a member of another, which must be theirs first.
    loop {
        let (theirs, others): (Vec<_>, Vec<_>) =
            pending.into_iter().partition(has_no_more_than_administrators);
        for role in &theirs {
            done.push(hand(role));
        }
        pending = others;
        if theirs.is_empty() {
            break;
        }
    }
    pending.iter().for_each(notice_withheld);
}

/// Linked roles that a role dump of Azure has brought, and that nobody has given to administrators. On Azure it is
/// administrators who make these. Azure's second label names the object, which none that is written here does.
fn restored_from_azure() -> Vec<Role> {
    let names_object = |role: &Role| {
        let text = catalog::label_text(role.id, INTERNAL_PROVIDER);
        text.and_then(|text| Label::parse_internal(&text).ok()).is_some_and(|label| label.object_id.is_some())
    };
    let mut roles = shared_scan::labelled_by(&[INTERNAL_PROVIDER]);
    roles.retain(|role| names_object(role) && catalog::is_linked(role.id) && !is_theirs(role));
    roles
}

/// What superusers have given more than administrators could have is theirs to administer.
fn has_no_more_than_administrators(role: &Role) -> bool {
    let Some(admin) = catalog::role_named(ADMIN_ROLE) else { return false };
    let Some(role) = catalog::role_of(role.id) else { return false };
    !role.is_privileged()
        && !role.create_role
        && !escalation::is_above_guard(&role)
        && rights::foreign_membership(admin.id, &role).is_none()
}

fn notice_withheld(role: &Role) {
    let name = role.display_name();
    notice(
        format!("role \"{name}\" is not given to Azure AD administrators, one of whom has made it"),
        Some(
            "It has an attribute or a membership that they could not have given it. Without, repair() gives it to them.",
        ),
    );
}

/// A marked role is given to all administrators, from 16 on, unless it has become more than theirs; before, the mark is what says
/// so. Only within `as_superuser`.
pub(crate) fn give_back(role: &Role) {
    if !rights::HAS_ADMIN_OPTION_RULES || !is_marked(role) {
        return;
    }
    if has_no_more_than_administrators(role) { drop(hand(role)) } else { notice_withheld(role) }
}

/// Makes a role one that administrators manage, as if one of them had made it here. Says what it did. From 16 on the ADMIN
/// option says so, and no mark.
fn hand(role: &Role) -> String {
    let name = role.display_name();
    if !rights::HAS_ADMIN_OPTION_RULES {
        mark(role);
        return format!("marked role \"{name}\" as one that Azure AD administrators manage");
    }
    give(role);
    if is_marked(role) {
        link::set_label(role, PROVIDER, None);
    }
    format!("granted \"{name}\" to role \"azure_ad_admin\" with admin option")
}

/// There are no administrators any more: `azure_ad_admin` has been dropped.
pub(crate) fn forget() {
    for role in shared_scan::labelled_by(&[PROVIDER]).iter().filter(|role| !is_marker(role)) {
        link::set_label(role, PROVIDER, None);
    }
}

/// Administrators manage the role and cannot act as it. Only within `as_superuser`.
pub(crate) fn give(role: &Role) {
    run(&[b"GRANT ", &role.quoted(), b" TO azure_ad_admin WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"]);
}
