//! The two labels of a role.
//!
//! `pgaadauth` says what a statement has written, and is left as it is: tools that manage roles
//! read it back and compare. What this library adds stands in `pgaadauth-int`, as on Azure: the
//! tenant of a link that does not name one, and since when a role's tokens count. The SQL functions
//! write a complete label and no second one.

use std::ffi::CStr;

use entra::{Label, Uuid};
use pgrx::prelude::*;

use crate::catalog::{self, INTERNAL_PROVIDER, Link, PROVIDER, Role};
use crate::link::rights;
use crate::pg::{clock, security_label};

/// The content of a role's labels before one of them was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before {
    /// From when on its tokens counted.
    revoked: Option<i64>,
    /// The object it was linked to.
    object: Option<Uuid>,
    /// It had a label of its own.
    is_labelled: bool,
}

impl Before {
    /// Reads the labels as they are now.
    pub(crate) fn of(role: &Role) -> Self {
        let object = match catalog::link_of(role.id) {
            Link::Bound(label) => label.object_id,
            _ => None,
        };
        let is_labelled = catalog::label_text(role.id, PROVIDER).is_some();
        Self { revoked: catalog::not_before_of(role.id), object, is_labelled }
    }
}

/// Called after SECURITY LABEL has written or removed one of the two.
///
/// The second label is removed if the role's own label is gone or names another object. Tokens that
/// were revoked stay revoked, unless a superuser says otherwise.
pub(crate) fn after_statement(role: &Role, before: Before, is_internal: bool) {
    let own = catalog::own_label(role.id);
    if !is_internal && own.is_none_or(|own| is_of_another(role, &own, before)) {
        set_label(role.id, INTERNAL_PROVIDER, None);
    }
    if !(rights::is_superuser() && accepts_again(role, before, own, is_internal)) {
        keep_revoked(role, before.revoked);
    }
}

/// Returns whether a statement says anew from when on a role's tokens count. It does if it changes
/// the label of a role and writes a time in it, or if it removes the second label of a role that
/// has no own. A dump that is restored does neither: each label is the first of its provider, in
/// either order.
fn accepts_again(role: &Role, before: Before, own: Option<Label>, is_internal: bool) -> bool {
    let says_time = own.is_some_and(|own| own.not_before.is_some());
    if !is_internal && before.is_labelled && says_time {
        set_item(role.id, "not_before", None);
        return true;
    }
    is_internal && own.is_none() && catalog::label_text(role.id, INTERNAL_PROVIDER).is_none()
}

/// Returns whether a role's own label has come to name another object than the one it was linked
/// to, and than its second label names.
fn is_of_another(role: &Role, own: &Label, before: Before) -> bool {
    let (Some(now), Some(_)) = (own.object_id, before.object.filter(|old| own.object_id != Some(*old)))
    else {
        return false;
    };
    let internal = catalog::label_text(role.id, INTERNAL_PROVIDER);
    internal.and_then(|text| Label::parse_internal(&text).ok()?.object_id) != Some(now)
}

/// Keeps tokens revoked that were, when a role is linked anew or unlinked, while there can be any.
pub(crate) fn keep_revoked(role: &Role, revoked: Option<i64>) {
    let revoked = revoked.filter(|time| entra::may_still_be_shown(*time, clock::unix_now()));
    if catalog::not_before_of(role.id) < revoked
        && let Some(time) = revoked
    {
        refuse_older(role.id, time);
    }
}

/// Refuses a role's tokens that were issued before a time.
pub(crate) fn refuse_older(role: pg_sys::Oid, time: i64) {
    set_item(role, "not_before", Some(&time.to_string()));
}

/// Says in a role's second label which tenant its link is of, so that it stays a link to the same
/// object even if the setting changes.
pub(crate) fn name_tenant(role: pg_sys::Oid, tenant: Uuid) {
    set_item(role, "tenant_id", Some(&tenant.to_string()));
}

/// Writes or removes a label, makes that visible to the rest of the statement, and tells every
/// process of it.
pub(crate) fn set_label(role: pg_sys::Oid, provider: &CStr, text: Option<&str>) {
    security_label::set(role, provider, text);
    catalog::announce_change(role);
}

fn set_item(role: pg_sys::Oid, name: &str, value: Option<&str>) {
    let old = catalog::label_text(role, INTERNAL_PROVIDER);
    let new = Label::with_internal_item(old.as_deref(), name, value);
    if old != new {
        set_label(role, INTERNAL_PROVIDER, new.as_deref());
    }
}
