//! Roles that administrators have created, and this extension's own label, which says so.
//!
//! Before PostgreSQL 16 CREATEROLE changes every role, and no catalog says who created which. So
//! these carry a label of a third provider, and administrators change no other roles but those that
//! are linked. From 16 on the ADMIN option says it, and `repair()` hands over the roles that an
//! upgrade brings along. A role that is an administrator itself keeps the label as long as it is
//! one.
//!
//! The same label says what the synchronisation of groups has done for a role (`entra::Mark` has
//! the grammar). Each part changes without the other. `azure_ad_user` has another label of this
//! provider: whose tokens no longer count (see `revocation`).

use std::ffi::CStr;

use linkage::{Change, RoleName};
use pgrx::prelude::*;

use entra::{Label, Mark, Revocations, Synced, Uuid};

use crate::catalog::{
    self, ADMIN_ROLE, INTERNAL_PROVIDER, OWN_PROVIDER as PROVIDER, Role, USER_ROLE, is_marker, labelled_by,
    membership,
};
use crate::link::label::set_label;
use crate::link::state::name_of;
use crate::link::{apply, escalation, rights};
use crate::pg::error::{Fault, Result, notice, or_raise};
use crate::pg::label_provider::{self, label_provider};
use crate::pg::spi::{as_superuser, quoted_name, run};

/// Registers the provider. In the postmaster only, while it loads its libraries.
pub(crate) fn register() {
    label_provider::register(PROVIDER, on_label);
}

label_provider!(on_label => check_label);

fn check_label(object: pg_sys::ObjectAddress, text: Option<&CStr>) {
    or_raise(check(object, text));
}

fn check(object: pg_sys::ObjectAddress, text: Option<&CStr>) -> Result<()> {
    let role =
        if object.classId == pg_sys::AuthIdRelationId { catalog::role_of(object.objectId) } else { None };
    let is_user = role.as_ref().is_some_and(|role| role.name.as_c_str() == USER_ROLE);
    let fits = |text: &CStr| {
        let text = text.to_str().unwrap_or_default();
        if is_user { Revocations::parse(text).is_some() } else { Mark::parse(text).is_some() }
    };
    if role.is_none() || !text.is_none_or(fits) {
        return Err(Fault::invalid("invalid label for provider azure_ad_auth").detail(
            "It marks roles that Azure AD administrators have made, as \"managed\", says what the synchronisation of groups \
             has done, and on role \"azure_ad_user\" whose tokens are revoked.",
        ));
    }
    let what = if is_user {
        "say whose access tokens are revoked"
    } else {
        "say which roles Azure AD administrators or the synchronisation of groups have made"
    };
    rights::require_superuser(what)?;
    catalog::announce_change(object.objectId);
    Ok(())
}

/// Labels a role as one that an administrator has created.
pub(crate) fn mark(role: pg_sys::Oid) {
    change(role, |mark| mark.is_managed = true);
}

/// Returns whether a label says that an administrator has created the role.
pub(crate) fn is_marked(role: &Role) -> bool {
    catalog::mark_of(role.id).is_some_and(|mark| mark.is_managed)
}

/// Writes what is remembered of the synchronisation of groups.
pub(crate) fn remember(role: pg_sys::Oid, synced: Option<&Synced>) {
    change(role, |mark| mark.synced = synced.cloned());
}

/// Says that the synchronisation of groups grants a role to the members of a group, or has granted
/// it to none of them any more.
pub(crate) fn serve(role: pg_sys::Oid, group: Uuid, serves: bool) {
    change(role, |mark| {
        if serves {
            mark.serves.insert(group)
        } else {
            mark.serves.remove(&group)
        };
    });
}

/// Changes a part of a role's label. One that cannot be read is replaced.
fn change(role: pg_sys::Oid, change: impl FnOnce(&mut Mark)) {
    let old = catalog::mark_of(role);
    let mut mark = old.clone().unwrap_or_default();
    change(&mut mark);
    if old.as_ref() != Some(&mark) {
        set_label(role, PROVIDER, mark.text().as_deref());
    }
}

/// Returns whether administrators manage a role: because one of them has created it, or because it
/// was given to them. From PostgreSQL 16 on they have the ADMIN option on it, unless it is an
/// administrator itself; before, it is marked.
pub(crate) fn is_theirs(role: &Role) -> bool {
    let is_given = |admin: Role| membership::between(&admin, role).iter().any(|row| row.admin_option);
    is_marked(role)
        || (rights::HAS_ADMIN_OPTION_RULES && catalog::role_named(ADMIN_ROLE).is_some_and(is_given))
}

/// Returns the roles that an administrator has created elsewhere, on Azure or before PostgreSQL 16,
/// and that are not given to all administrators yet.
pub(crate) fn pending() -> Vec<Role> {
    let mut roles = restored_from_azure();
    if rights::HAS_ADMIN_OPTION_RULES {
        roles.extend(labelled_by(&[PROVIDER]).into_iter().filter(is_marked));
    }
    // Only superusers change an administrator's role while it is one.
    roles.retain(|role| !is_marker(role) && !rights::is_administrator(role));
    roles.sort_by_key(|role| role.id.to_u32());
    roles.dedup_by_key(|role| role.id);
    roles
}

/// Gives to all administrators what is pending. Returns what was changed. Only within
/// `as_superuser`.
pub(crate) fn hand_over() -> Vec<Change> {
    let mut changed = Vec::new();
    let mut pending = pending();
    // One may be a member of another, which must be handed over first.
    loop {
        let (theirs, others): (Vec<_>, Vec<_>) =
            pending.into_iter().partition(has_no_more_than_administrators);
        for role in &theirs {
            changed.push(hand(role));
        }
        pending = others;
        if theirs.is_empty() {
            break;
        }
    }
    pending.iter().for_each(notice_withheld);
    changed
}

/// Returns the linked roles that a role dump of Azure has brought, and that are not given to
/// administrators. On Azure it is administrators who create these. Azure's second label names the
/// object, which none that is written here does.
fn restored_from_azure() -> Vec<Role> {
    let names_object = |role: &Role| {
        let text = catalog::label_text(role.id, INTERNAL_PROVIDER);
        text.and_then(|text| Label::parse_internal(&text).ok()).is_some_and(|label| label.object_id.is_some())
    };
    let mut roles = labelled_by(&[INTERNAL_PROVIDER]);
    roles.retain(|role| names_object(role) && catalog::is_linked(role.id) && !is_theirs(role));
    roles
}

/// Returns whether a role has nothing that its administrators lack. If it has more, a superuser has
/// given it that, and only superusers may administer it.
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
        format!(
            "role \"{name}\" was created by an Azure AD administrator but is not granted to azure_ad_admin"
        ),
        Some(
            "It has an attribute or a membership that they could not have given it. Without, repair() gives it to them.",
        ),
    );
}

/// Gives a marked role to all administrators again, from PostgreSQL 16 on, unless it has privileges
/// that its administrators lack. Only within `as_superuser`.
pub(crate) fn give_back(role: pg_sys::Oid) {
    let Some(role) = catalog::role_of(role) else { return };
    if has_no_more_than_administrators(&role) { drop(hand(&role)) } else { notice_withheld(&role) }
}

/// Makes a role one that administrators manage, as if one of them had created it here. Returns what
/// was changed.
fn hand(role: &Role) -> Change {
    let role = name_of(role);
    let change = if rights::HAS_ADMIN_OPTION_RULES { Change::Give { role } } else { Change::Mark { role } };
    apply::make(&change);
    change
}

/// Grants a role to all administrators, who manage it and cannot act as it. From PostgreSQL 16 on
/// this membership, and no label, says that they manage it. Only within `as_superuser`.
pub(crate) fn give(role: &RoleName) {
    let name = quoted_name(&role.raw);
    run(&[b"GRANT ", &name, b" TO azure_ad_admin WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"]);
    change(role.id.into(), |mark| mark.is_managed = false);
}

/// Gives a role that was created for no administrator in particular to all of them.
pub(crate) fn give_new(role: &Role) {
    as_superuser(|| drop(hand(role)));
}

/// Takes out of the labels that administrators have created the roles. Called when there are no
/// administrators any more, because `azure_ad_admin` has been dropped.
pub(crate) fn forget() {
    for role in labelled_by(&[PROVIDER]).iter().filter(|role| !is_marker(role)) {
        change(role.id, |mark| mark.is_managed = false);
    }
}
