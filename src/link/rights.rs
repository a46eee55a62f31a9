//! Which roles the current user may link, unlink and rebind.
//!
//! Linking a role is like setting its password: a user who may do it can become that role.
//! Superusers may. An administrator may if this session itself logged in with a token, and only for
//! roles whose password core would let it change.

use pgrx::prelude::*;

use crate::catalog::{self, Link, Role, membership};
use crate::link::{demotion, managed, state};
use crate::pg::acl;
use crate::pg::error::{Fault, Result};
use crate::pg::spi::as_superuser;
use crate::pg::user::is_restricted;
pub(crate) use crate::pg::user::{current as user, is_superuser};
use crate::sessions::own::{self, Authentication};

/// Checks that the current user may link or rebind an existing role, and so become it.
pub(crate) fn may_change(role: &Role) -> Result<()> {
    may_end(role)?;
    if is_superuser() {
        return Ok(());
    }
    foreign_membership(user(), role).map_or(Ok(()), |reason| Err(may_not_change(role).detail(reason)))
}

/// Checks that the current user may unlink a role, or refuse its tokens. The memberships of the
/// role do not matter: ending a link gives no user more rights.
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

/// Returns why administrators may not change a role. From PostgreSQL 16 on the ADMIN option says
/// the rest.
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

/// Returns, in words, that `role` is a member of another one that `user` can neither act as nor
/// grant to itself.
///
/// What is granted to the marker roles comes to every Azure AD role, and does not count.
pub(crate) fn foreign_membership(user: pg_sys::Oid, role: &Role) -> Option<String> {
    let foreign = |parent: &Role| !acl::has_or_can_set(user, parent.id) && !could_grant_himself(user, parent);
    let parent = membership::ancestors_apart_from(role, catalog::is_marker).into_iter().find(foreign)?;
    Some(format!("It is a member of role \"{}\", of which you are none.", parent.display_name()))
}

/// Checks that the current user may link roles at all. Does not check which ones.
pub(crate) fn may_administer() -> Result<()> {
    if is_superuser() { Ok(()) } else { require_administrator().map(drop) }
}

/// Checks that the current user may create a role and link it.
pub(crate) fn may_create() -> Result<()> {
    if is_superuser() {
        return Ok(());
    }
    let user = require_administrator()?;
    if acl::has_create_role(user) {
        return Ok(());
    }
    Err(Fault::denied("permission denied to create role")
        .detail("Only roles with the CREATEROLE attribute may."))
}

/// Checks that the current user is a superuser.
pub(crate) fn require_superuser(what: &str) -> Result<()> {
    if is_superuser() { Ok(()) } else { Err(Fault::denied(format!("must be superuser to {what}"))) }
}

/// True where core's rules for CREATEROLE ask for the ADMIN option (user.c, from PostgreSQL 16 on).
pub(crate) const HAS_ADMIN_OPTION_RULES: bool = !cfg!(feature = "pg15");

/// Returns the current user, if it is an administrator in a session that itself logged in with a
/// token.
fn require_administrator() -> Result<pg_sys::Oid> {
    let denied =
        |detail: &str| Fault::denied("permission denied to administer Azure AD roles").detail(detail);
    let user = user();
    if !catalog::role_of(user).is_some_and(|user| is_administrator(&user)) {
        return Err(denied("Only superusers and members of role \"azure_ad_admin\" may."));
    }
    if is_restricted() {
        return Err(denied("It cannot be done within a security-restricted operation."));
    }
    let Some(Authentication::Token { role, object_id }) = own::authentication() else {
        return Err(denied("This session did not log in with an access token.")
            .hint("Log in as an Azure AD administrator with an access token."));
    };
    // The role may have been linked to another object since.
    let is_same = matches!(catalog::link_of(role), Link::Bound(label) if label.object_id == Some(object_id));
    if !is_same {
        return Err(denied(
            "The role of this session has been linked to another directory object since it logged in.",
        ));
    }
    // A function that belongs to an administrator may lend its rights to any caller.
    if !catalog::role_of(role).is_some_and(|role| is_administrator(&role)) {
        return Err(denied("The role that this session logged in as is no Azure AD administrator."));
    }
    Ok(user)
}

/// Returns the current user, if it is an administrator and no superuser.
pub(crate) fn plain_administrator() -> Option<Role> {
    catalog::role_of(user()).filter(|user| !user.superuser && is_administrator(user))
}

/// Returns the current user, if it is no superuser, and if it or the role that logged in to this
/// session is an administrator.
pub(crate) fn user_of_administrator() -> Option<Role> {
    let came_as = catalog::role_of(own::role()).is_some_and(|role| is_administrator(&role));
    catalog::role_of(user()).filter(|user| !user.superuser && (came_as || is_administrator(user)))
}

/// Returns whether a role administers Azure AD roles. Only direct members do: an administrator's
/// role has no members.
pub(crate) fn is_administrator(role: &Role) -> bool {
    catalog::holds_admin_role(role)
}

/// Gives a role that an administrator has created to all administrators, instead of the creator.
/// From PostgreSQL 16 on core makes the creator of a role its administrator; before, CREATEROLE
/// administers every role.
///
/// A role that is to be an administrator is marked, and given to them once it has stopped being
/// one.
pub(crate) fn give_to_administrators(role: &Role, is_to_be_one: bool) {
    let Some(user) = plain_administrator() else { return };
    if is_to_be_one || !HAS_ADMIN_OPTION_RULES {
        return managed::mark(role.id);
    }
    as_superuser(|| {
        managed::give(&state::name_of(role));
        // The members it was created with were granted by the creator, whose right to grant ends
        // here.
        demotion::revoke_from(&user, role);
    });
}

/// Returns whether a user can SET ROLE to a role, and so gains nothing by being granted it.
pub(crate) fn can_act_as(user: pg_sys::Oid, role: &Role) -> bool {
    acl::can_set_role(user, role.id)
}

/// Returns whether a user could make itself a member of a role.
#[cfg(feature = "pg15")]
pub(crate) fn could_grant_himself(_user: pg_sys::Oid, role: &Role) -> bool {
    managed::is_marked(role) && why_not_theirs(role).is_none()
}

#[cfg(not(feature = "pg15"))]
pub(crate) fn could_grant_himself(user: pg_sys::Oid, role: &Role) -> bool {
    acl::has_grantor(user, role.id)
}

/// Returns whether the current user may change roles.
pub(crate) fn has_create_role() -> bool {
    acl::has_create_role(user())
}

/// Returns whether a user may change the password of a role, by the rule of AlterRole() (user.c).
/// The user is no superuser, and neither is the role.
fn core_lets_change_password(user: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    acl::has_create_role(user) && core_lets_administer(user, role)
}

/// Returns whether core's rules let a user who has CREATEROLE administer a role: before PostgreSQL
/// 16 every one.
pub(crate) fn core_lets_administer(user: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    !HAS_ADMIN_OPTION_RULES || acl::is_admin_of(user, role)
}
