//! Checks of what must hold after any statement. An error takes the statement back.

use pgrx::prelude::*;

use crate::catalog::{self, Role, is_marker, membership};
use crate::link;
use crate::link::escalation::{self, New};
use crate::link::{advice, marker_roles};
use crate::pg::error::{Fault, Result};
use crate::pg::interrupts;
use crate::pg::spi::{as_superuser, quoted};
use crate::statement::named_roles::{Named, Roles};

/// Checks that linked roles have nothing that a link forbids, and that other roles are members of
/// no Azure AD role. `through` names the roles of which they may have become members. `new` says
/// what the statement has granted.
pub(crate) fn roles_are_sound(roles: &[Role], through: Option<&Roles<'_>>, new: &New<'_>) -> Result<()> {
    let Some(user) = catalog::role_named(catalog::USER_ROLE) else { return Ok(()) };
    for role in roles.iter().filter(|role| !is_marker(role)) {
        interrupts::check();
        if catalog::is_linked(role.id) {
            check_linked(role, new)?;
        } else if catalog::is_member(role.id, user.id) {
            let is_azure = |through: &Role| catalog::is_member(through.id, user.id);
            let through = through.and_then(|through| through.existing().find(is_azure));
            let through = through.or_else(|| parent_in(role, &user));
            return Err(not_linked(role, through.as_ref().unwrap_or(&user)));
        }
    }
    Ok(())
}

/// Returns the first role through which a role is a member of `azure_ad_user`.
fn parent_in(role: &Role, user: &Role) -> Option<Role> {
    membership::parents_of(role).into_iter().find(|parent| catalog::is_member(parent.id, user.id))
}

/// Checks the same of a role that the statement has created.
pub(crate) fn created_role_is_sound(created: &Role, new: &New<'_>) -> Result<()> {
    let Some(user) = catalog::role_named(catalog::USER_ROLE) else { return Ok(()) };
    let may_be_member = is_marker(created) || catalog::is_linked(created.id);
    if !may_be_member && catalog::is_member(created.id, user.id) {
        return Err(not_created_linked(created, &parent_in(created, &user).unwrap_or(user)));
    }
    roles_are_sound(std::slice::from_ref(created), None, new)
}

/// Returns the error for a role that is to be a member of an Azure AD role and is not linked. The
/// caller adds what to do about it.
pub(crate) fn must_be_linked(role: &str, through: &str) -> Fault {
    Fault::prerequisite(format!(
        "role \"{role}\" cannot be a member of role \"{through}\" because it is not linked to a directory object"
    ))
}

/// Returns the error of [`must_be_linked`] for a role that exists, with what to do about it.
pub(crate) fn not_linked(role: &Role, through: &Role) -> Fault {
    let (role, through) = (role.display_name(), through.display_name());
    let hint = if through.as_bytes() == catalog::ADMIN_ROLE.to_bytes() {
        to_make_it_administrator(&role)
    } else {
        to_link_it(&role)
    };
    must_be_member_of_one(&role, &through).hint(hint)
}

/// Returns the error of [`must_be_linked`] for a role that the statement would have created.
fn not_created_linked(role: &Role, through: &Role) -> Fault {
    let name = role.display_name();
    let hint = if is_marker(through) {
        to_make_it_administrator(&name)
    } else {
        let (through, quoted) = (advice::name(through), quoted(&name));
        format!("Create it linked: {} GRANT {through} TO {quoted};", advice::create(&name))
    };
    must_be_member_of_one(&name, &through.display_name()).hint(hint)
}

fn to_make_it_administrator(role: &str) -> String {
    format!(
        "To make it an administrator: {} or, the only one: {}",
        advice::create_administrator(role),
        advice::set_administrator(role)
    )
}

/// Returns the hint for a role that must be linked before it becomes a member of one that is.
pub(crate) fn to_link_it(role: &str) -> String {
    format!(
        "Link it first: {} or: SECURITY LABEL FOR pgaadauth ON ROLE {} IS 'aadauth,oid=<object id>,type=user';",
        advice::create(role),
        quoted(role)
    )
}

fn must_be_member_of_one(role: &str, through: &str) -> Fault {
    must_be_linked(role, through).detail(format!(
        "Role \"{through}\" is an Azure AD role, and only Azure AD roles may be members of one."
    ))
}

/// Checks that a linked role has nothing by which it could avoid its guard, or log in without a
/// token.
fn check_linked(role: &Role, new: &New<'_>) -> Result<()> {
    let name = role.display_name();
    match linkage::forbidden(&link::facts(role)) {
        Some(linkage::Defect::Privileged) => Err(Fault::denied(format!(
            "role \"{name}\" is linked to a directory object and cannot be a superuser, or have REPLICATION or BYPASSRLS"
        ))
        .hint(format!("Unlink it first: {}", advice::unlink(&name)))),
        Some(_) => Err(Fault::prerequisite(format!(
            "role \"{name}\" is linked to a directory object and cannot have a password"
        ))
        .detail("It logs in with an access token or not at all.")),
        None => as_superuser(|| escalation::check_reach(role, new)),
    }
}

/// Checks that a marker role still is what the extension has made it, or that no role is linked.
pub(crate) fn marker_is_intact(role: &Role) -> Result<()> {
    check_marker(role, || marker_roles::is_intact(role))
}

/// Checks that `azure_ad_admin` still is a member of `azure_ad_user`, or that no role is linked.
pub(crate) fn markers_are_joined(members: &[Role]) -> Result<()> {
    let admin = members.iter().find(|role| is_marker(role));
    admin.map_or(Ok(()), |admin| check_marker(admin, marker_roles::are_joined))
}

fn check_marker(role: &Role, is_as_made: impl FnOnce() -> bool) -> Result<()> {
    as_superuser(|| {
        if is_as_made() || !marker_roles::any_link() { Ok(()) } else { Err(marker_in_use(role, "changed")) }
    })
}

/// Checks that none of the granted roles is an administrator's, which must have no members.
/// `created`: the statement has created the member.
pub(crate) fn administrators_have_no_members(granted: &Roles<'_>, created: bool) -> Result<()> {
    for role in granted.existing().filter(link::holds_admin_role) {
        if let Some(member) = membership::members_of(&role).into_iter().next() {
            let instead = if created {
                advice::create_administrator(&member.display_name())
            } else {
                advice::promote(&member)
            };
            return Err(link::cannot_have_members(&role, &member)
                .hint(format!("To make it an administrator: {instead}")));
        }
    }
    Ok(())
}

/// Checks, after a role was renamed to the name of a marker role, that all of its members are
/// linked.
pub(crate) fn members_are_linked(renamed_from: &Named) -> Result<()> {
    let Named::Name(name) = renamed_from else { return Ok(()) };
    as_superuser(|| marker_roles::check_members_are_linked(Some(name)))
}

/// Checks that no linked role at or below one of these roles could lift its guard.
pub(crate) fn no_member_lifts_its_guard(roles: &[Role], new: &New<'_>) -> Result<()> {
    as_superuser(|| roles.iter().try_for_each(|role| escalation::check_reach(role, new)))
}

/// Returns the error for a change of a marker role while roles are linked.
pub(crate) fn marker_in_use(marker: &Role, what: &str) -> Fault {
    Fault::new(
        PgSqlErrorCode::ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
        format!(
            "role \"{}\" cannot be {what} while roles are linked to directory objects",
            marker.display_name()
        ),
    )
    .hint("Unlink them first: SELECT azure_ad_auth.drop_principal(role_name) FROM azure_ad_auth.principals;")
}
