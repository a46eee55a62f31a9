//! What must hold after a statement, whatever its words were. An error takes the statement back.

use pgrx::prelude::*;

use crate::catalog::{self, Role, is_marker, membership};
use crate::link;
use crate::link::escalation::{self, New};
use crate::link::{advice, marker_roles};
use crate::pg::error::{Fault, Result};
use crate::pg::interrupts;
use crate::pg::spi::{as_superuser, quoted};
use crate::statement::parse::Named;
use crate::statement::role_lists::Roles;

/// Roles are as a link, or the lack of one, asks for. `through` is what they may have become members of; `new`, what the
/// statement has granted.
pub(crate) fn roles_are_sound(roles: &[Role], through: Option<&Roles>, new: &New<'_>) -> Result<()> {
    let Some(user) = catalog::role_named(catalog::USER_ROLE) else { return Ok(()) };
    for role in roles.iter().filter(|role| !is_marker(role)) {
        interrupts::check();
        if catalog::is_linked(role.id) {
            verify_linked(role, new)?;
        } else if catalog::is_member(role.id, user.id) {
            let is_azure = |through: &Role| catalog::is_member(through.id, user.id);
            let through = through.and_then(|through| through.existing().find(is_azure));
            let through = through.or_else(|| parent_in(role, &user));
            return Err(not_linked(role, through.as_ref().unwrap_or(&user)));
        }
    }
    Ok(())
}

fn parent_in(role: &Role, user: &Role) -> Option<Role> {
    membership::parents_of(role).into_iter().find(|parent| catalog::is_member(parent.id, user.id))
}

/// A role that the statement has created.
pub(crate) fn created_role_is_sound(made: &Role, new: &New<'_>) -> Result<()> {
    let Some(user) = catalog::role_named(catalog::USER_ROLE) else { return Ok(()) };
    let is_ours = is_marker(made) || catalog::is_linked(made.id);
    if !is_ours && catalog::is_member(made.id, user.id) {
        return Err(not_created_linked(made, &parent_in(made, &user).unwrap_or(user)));
    }
    roles_are_sound(std::slice::from_ref(made), None, new)
}

/// One role cannot be a member of another; what to do about it is for the caller to say.
pub(crate) fn must_be_linked(role: &str, through: &str) -> Fault {
    Fault::prerequisite(format!(
        "role \"{role}\" cannot be a member of role \"{through}\" because it is not linked to a directory object"
    ))
}

pub(crate) fn not_linked(role: &Role, through: &Role) -> Fault {
    let (role, through) = (role.display_name(), through.display_name());
    let hint = if through.as_bytes() == catalog::ADMIN_ROLE.to_bytes() {
        to_make_it_administrator(&role)
    } else {
        to_link_it(&role)
    };
    must_be_member_of_one(&role, &through).hint(hint)
}

/// The same of a role that the statement would have created.
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

/// For a role that is not linked, and is to be a member of one that is.
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

/// A linked role has nothing by which it could step around its guard or its token.
fn verify_linked(role: &Role, new: &New<'_>) -> Result<()> {
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

/// The two roles stay what they were made to be while others depend on them.
pub(crate) fn marker_is_intact(role: &Role) -> Result<()> {
    unless(role, || marker_roles::is_intact(role))
}

/// And one stays a member of the other.
pub(crate) fn markers_are_joined(members: &[Role]) -> Result<()> {
    let admin = members.iter().find(|role| is_marker(role));
    admin.map_or(Ok(()), |admin| unless(admin, marker_roles::are_joined))
}

fn unless(role: &Role, whole: impl FnOnce() -> bool) -> Result<()> {
    as_superuser(|| {
        if whole() || !marker_roles::any_link() { Ok(()) } else { Err(anchor_in_use(role, "changed")) }
    })
}

/// Roles that have been granted: those of administrators are nobody's. `created` says that the members are new.
pub(crate) fn administrators_have_no_members(granted: &Roles, created: bool) -> Result<()> {
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

/// A role that has become one of the two by its name has no members that are not linked.
pub(crate) fn members_are_linked(renamed_from: &Named) -> Result<()> {
    let Named::Name(name) = renamed_from else { return Ok(()) };
    as_superuser(|| marker_roles::check_members_are_linked(Some(name)))
}

pub(crate) fn nobody_lifts_a_guard(roles: &[Role], new: &New<'_>) -> Result<()> {
    as_superuser(|| roles.iter().try_for_each(|role| escalation::check_reach(role, new)))
}

pub(crate) fn anchor_in_use(marker: &Role, what: &str) -> Fault {
    Fault::new(
        PgSqlErrorCode::ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
        format!(
            "role \"{}\" cannot be {what} while roles are linked to directory objects",
            marker.display_name()
        ),
    )
    .hint("Unlink them first: SELECT azure_ad_auth.drop_principal(role_name) FROM azure_ad_auth.principals;")
}
