//! Roles that administrators have made.
//!
//! Before PostgreSQL 16 CREATEROLE changes every role, and nothing says who made which. So these carry a label of a third
//! provider, and administrators change no other roles but those that are linked. From 16 on the ADMIN option says it: what an
//! upgrade brings along is handed over by `repair()`; only a role that is an administrator itself has the label meanwhile.

use std::ffi::{CStr, c_char};

use pgrx::prelude::*;

use super::catalog::{self, Role};
use super::link::{self, Done};
use super::superuser::{quoted, run};
use super::{reach, rights, scan};
use crate::fault::{Fault, Outcome, or_raise};

/// The label provider.
const PROVIDER: &CStr = c"azure_ad_auth";

/// Its one label.
const LABEL: &str = "managed";

/// Registers the provider. In the postmaster only, while it loads its libraries.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(super) fn register() {
    // SAFETY: a constant C string and a guarded function.
    unsafe { pg_sys::register_label_provider(PROVIDER.as_ptr(), Some(check_label)) }
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of a label provider")]
unsafe extern "C-unwind" fn check_label(object: *const pg_sys::ObjectAddress, label: *const c_char) {
    // SAFETY: seclabel.c hands over an object it has found and a label that is null or a C string.
    let (class, text) = unsafe { ((*object).classId, (!label.is_null()).then(|| CStr::from_ptr(label))) };
    or_raise(judge(class, text));
}

fn judge(class: pg_sys::Oid, text: Option<&CStr>) -> Outcome<()> {
    if class != pg_sys::AuthIdRelationId || text.is_some_and(|text| text.to_bytes() != LABEL.as_bytes()) {
        return Err(Fault::invalid("invalid label for provider azure_ad_auth")
            .detail("It marks roles that Azure AD administrators have made, as \"managed\"."));
    }
    rights::require_superuser("say which roles Azure AD administrators have made")
}

/// Marks a role that an administrator has made.
pub(super) fn mark(role: &Role) {
    link::set_label(role, PROVIDER, Some(LABEL));
}

/// Whether an administrator has made it.
pub(super) fn is_marked(role: &Role) -> bool {
    catalog::label_text(role.id, PROVIDER).is_some()
}

/// Gives roles marked before 16 to all administrators, as those made since are. Only within `as_superuser`.
pub(super) fn hand_over(done: &mut Done) {
    if !rights::HAS_ADMIN_OPTION_RULES {
        return;
    }
    // An administrator's role is nobody else's while it is one; and what has become a superuser's is that.
    let theirs = |role: &Role| {
        !rights::is_administrator(role) && !role.is_privileged() && !reach::is_above_guard(role)
    };
    for role in scan::labelled_by(&[PROVIDER]).iter().filter(|role| theirs(role)) {
        give_back(role);
        done.push(format!(
            "granted \"{}\" to role \"azure_ad_admin\" with admin option",
            role.display_name()
        ));
    }
}

/// A marked role is given to all administrators, from 16 on; before, the mark is what says so. Only within `as_superuser`.
pub(super) fn give_back(role: &Role) {
    if rights::HAS_ADMIN_OPTION_RULES && is_marked(role) {
        give(role);
        link::set_label(role, PROVIDER, None);
    }
}

/// There are no administrators any more: `azure_ad_admin` has been dropped.
pub(super) fn forget() {
    for role in scan::labelled_by(&[PROVIDER]) {
        link::set_label(&role, PROVIDER, None);
    }
}

/// Administrators manage the role and cannot act as it. Only within `as_superuser`.
pub(super) fn give(role: &Role) {
    let name = quoted(&role.display_name());
    run(&format!("GRANT {name} TO azure_ad_admin WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"));
}
