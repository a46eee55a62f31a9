//! Who may link, unlink and rebind which role.
//!
//! Linking a role is setting its password: whoever may do it can become that role. Superusers may. An administrator may if
//! this session itself logged in with a token, and only for roles whose password core would let him change.

use pgrx::prelude::*;

use crate::catalog::{self, Link, Role, membership};
use crate::link;
use crate::link::{demotion, managed};
use crate::pg::error::{Fault, Result};
use crate::pg::spi::as_superuser;
use crate::sessions::own::{self, Authentication};

/// The current user may link or rebind an existing role, and so become it.
pub(crate) fn may_change(role: &Role) -> Result<()> {
    may_end(role)?;
    if is_superuser() {
        return Ok(());
    }
    foreign_membership(user(), role).map_or(Ok(()), |reason| Err(may_not_change(role).detail(reason)))
}

/// The current user may unlink a role, or refuse its tokens. What the role is a member of does not matter: nobody gains by it.
pub(crate) fn may_end(role: &Role) -> Result<()> {
    if is_superuser() {
        return Ok(());
    }
    let user = require_administrator()?;
    let denied = |detail: &str| Err(may_not_change(role).detail(detail));
    if role.id == user || role.id == own::role() {
        return denied("A role cannot change its own link.");
    }
    if let Some(reason) = why_not_theirs(role) {
        return denied(reason);
    }
    if core_lets_change_password(user, role.id) {
        return Ok(());
    }
    denied(if HAS_ADMIN_OPTION_RULES {
        "Only roles with the CREATEROLE attribute and the ADMIN option on it may change it."
    } else {
        "Only roles with the CREATEROLE attribute may change it."
    })
}

fn may_not_change(role: &Role) -> Fault {
    Fault::denied(format!("permission denied to change the link of role \"{}\"", role.display_name()))
}

/// Why a role is not for administrators to change. From 16 on the ADMIN option says the rest.
pub(crate) fn why_not_theirs(role: &Role) -> Option<&'static str> {
    if is_administrator(role) {
        Some("It is another administrator; only a superuser may change that one.")
    } else if HAS_ADMIN_OPTION_RULES {
        None
    } else if role.create_role {
        Some("It has CREATEROLE, which administers every role before PostgreSQL 16.")
    } else if !managed::is_marked(role) && !catalog::is_linked(role.id) {
        Some("It is no Azure AD role, and no Azure AD administrator has made it.")
    } else {
        None
    }
}

/// That `role` is a member of another one that `user` neither can act as nor could give himself, in words.
///
/// What is granted to the two roles is everybody's, and says nothing of this one.
pub(crate) fn foreign_membership(user: pg_sys::Oid, role: &Role) -> Option<String> {
    let foreign = |parent: &Role| !holds(user, parent.id) && !could_grant_himself(user, parent);
    let parent = membership::ancestors_apart_from(role, catalog::is_marker).into_iter().find(foreign)?;
    Some(format!("It is a member of role \"{}\", of which you are none.", parent.display_name()))
}

/// The current user may link roles at all; which ones is another question.
pub(crate) fn may_administer() -> Result<()> {
    if is_superuser() { Ok(()) } else { require_administrator().map(drop) }
}

/// The current user may create a role and link it.
pub(crate) fn may_create() -> Result<()> {
    if is_superuser() {
        return Ok(());
    }
    let user = require_administrator()?;
    if user_has_create_role(user) {
        return Ok(());
    }
    Err(Fault::denied("permission denied to create role")
        .detail("Only roles with the CREATEROLE attribute may."))
}

/// The current user is a superuser.
pub(crate) fn require_superuser(what: &str) -> Result<()> {
    if is_superuser() { Ok(()) } else { Err(Fault::denied(format!("must be superuser to {what}"))) }
}

/// Whether core's rules for CREATEROLE ask for the ADMIN option (user.c, from 16 on).
pub(crate) const HAS_ADMIN_OPTION_RULES: bool = !cfg!(feature = "pg15");

/// The current user, found to be an administrator in a session that itself logged in with a token.
fn require_administrator() -> Result<pg_sys::Oid> {
    let denied =
        |detail: &str| Fault::denied("permission denied to administer Azure AD roles").detail(detail);
    let (user, restricted) = current_user();
    if !catalog::role_of(user).is_some_and(|user| is_administrator(&user)) {
        return Err(denied("Only superusers and members of role \"azure_ad_admin\" may."));
    }
    if restricted {
        return Err(denied("It cannot be done within a security-restricted operation."));
    }
    let Some(Authentication::Token { role, object_id }) = own::authentication() else {
        return Err(denied("This session did not log in with an access token.")
            .hint("Log in as an Azure AD administrator with an access token."));
    };
    // Somebody else may be meant by the role since.
    let is_same = matches!(catalog::link_of(role), Link::Bound(label) if label.object_id == Some(object_id));
    if !is_same {
        return Err(denied(
            "The role of this session has been linked to another directory object since it logged in.",
        ));
    }
    // Or the right may be lent, by a function of an administrator's.
    if !catalog::role_of(role).is_some_and(|role| is_administrator(&role)) {
        return Err(denied("The role that this session logged in as is no Azure AD administrator."));
    }
    Ok(user)
}

/// The current user, if it is an administrator and no superuser.
pub(crate) fn plain_administrator() -> Option<Role> {
    catalog::role_of(current_user().0).filter(|user| !user.superuser && is_administrator(user))
}

/// The current user, if it is no superuser and an administrator has logged in to this session, whatever role is set.
pub(crate) fn user_of_administrator() -> Option<Role> {
    let came_as = catalog::role_of(own::role()).is_some_and(|role| is_administrator(&role));
    catalog::role_of(current_user().0).filter(|user| !user.superuser && (came_as || is_administrator(user)))
}

/// Whether a role administers Azure AD roles. Directly: an administrator's role has no members.
pub(crate) fn is_administrator(role: &Role) -> bool {
    link::holds_admin_role(role)
}

/// The role created by an administrator belongs to all administrators, not to the one who made it. Core makes whoever
/// creates a role its administrator, from 16 on; before, CREATEROLE administers every role.
///
/// One that is to be an administrator is marked, and is theirs once it is none any more.
pub(crate) fn give_to_administrators(role: &Role, is_to_be_one: bool) {
    let Some(user) = plain_administrator() else { return };
    if is_to_be_one || !HAS_ADMIN_OPTION_RULES {
        return managed::mark(role);
    }
    as_superuser(|| {
        managed::give(role);
        // The members it was created with were granted by the creator, whose right to grant ends here.
        demotion::revoke_from(&user, role, |_| true);
    });
}

/// Whether a user can act as a role: by inheriting from it or by SET ROLE. From 16 on one may be a member and can do neither,
/// as administrators are of the roles they have made.
#[cfg(feature = "pg15")]
fn holds(user: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    catalog::is_member(user, role)
}

#[cfg(not(feature = "pg15"))]
#[expect(unsafe_code, reason = "no safe wrapper")]
fn holds(user: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: reads the catalog cache.
    unsafe { pg_sys::has_privs_of_role(user, role) || pg_sys::member_can_set_role(user, role) }
}

/// Whether a user can SET ROLE to a role, and so is nobody else by being granted it.
#[cfg(feature = "pg15")]
pub(crate) fn can_act_as(user: pg_sys::Oid, role: &Role) -> bool {
    catalog::is_member(user, role.id)
}

#[cfg(not(feature = "pg15"))]
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn can_act_as(user: pg_sys::Oid, role: &Role) -> bool {
    // SAFETY: reads the catalog cache.
    unsafe { pg_sys::member_can_set_role(user, role.id) }
}

/// Whether a user could make himself a member of a role.
#[cfg(feature = "pg15")]
pub(crate) fn could_grant_himself(_user: pg_sys::Oid, role: &Role) -> bool {
    managed::is_marked(role) && why_not_theirs(role).is_none()
}

#[cfg(not(feature = "pg15"))]
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn could_grant_himself(user: pg_sys::Oid, role: &Role) -> bool {
    // SAFETY: reads the catalog cache. It is whom core would name as grantor; none: nobody whose rights the user has.
    unsafe { pg_sys::select_best_admin(user, role.id) != pg_sys::InvalidOid }
}

#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn is_superuser() -> bool {
    // SAFETY: reads the catalog cache for the current user.
    unsafe { pg_sys::superuser() }
}

/// The current user.
pub(crate) fn user() -> pg_sys::Oid {
    current_user().0
}

/// The current user, and whether within a security-restricted operation.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn current_user() -> (pg_sys::Oid, bool) {
    // SAFETY: plain values of the main thread.
    unsafe { (pg_sys::GetUserId(), pg_sys::InSecurityRestrictedOperation()) }
}

/// Whether the current user may change roles.
pub(crate) fn has_create_role() -> bool {
    user_has_create_role(current_user().0)
}

#[expect(unsafe_code, reason = "no safe wrapper")]
fn user_has_create_role(user: pg_sys::Oid) -> bool {
    // SAFETY: reads the catalog cache.
    unsafe { pg_sys::has_createrole_privilege(user) }
}

/// The rule of AlterRole() for PASSWORD (user.c), for a user who is no superuser and a role that is none either.
fn core_lets_change_password(user: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    user_has_create_role(user) && core_lets_administer(user, role)
}

/// Whether core's rules let a user administer a role, if he has CREATEROLE: before 16 every one.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn core_lets_administer(user: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: reads the catalog cache.
    !HAS_ADMIN_OPTION_RULES || unsafe { pg_sys::is_admin_of_role(user, role) }
}
