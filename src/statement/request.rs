//! What a statement asks of links, in the syntax of Azure's Single Server: membership in
//! `azure_ad_user`, granted and revoked.
//!
//! - CREATE ROLE ... IN ROLE azure_ad_user links the new role to the object whose id is given as
//!   the password, or, if the directory can be asked, to the object of the role's name.
//! - GRANT azure_ad_user completes a link that a label names, as after restoring a dump. It names
//!   no object, so it links other roles only if the directory can be asked, to the objects of their
//!   names.
//! - REVOKE azure_ad_user unlinks.
//!
//! Rights are checked here, before anything is done, and with the roles locked.

use std::ffi::{CStr, CString};

use entra::Label;

use crate::catalog::{self, ADMIN_ROLE, Link, Role, USER_ROLE, is_marker, membership};
use crate::link::{advice, rights, tenant};
use crate::pg::error::{Fault, Result, notice};
use crate::pg::spi::{literal, quoted};
use crate::pg::text::decode;
use crate::pg::{allocate, interrupts};
use crate::statement::invariants::{must_be_linked, not_linked, to_link_it};
use crate::statement::objects::Objects;
use crate::statement::{Creation, Password, Statement};
use crate::{link, settings};

/// Something to be done after PostgreSQL has run the rest of the statement.
#[derive(Debug)]
pub(crate) enum Request {
    /// Link the role that has been created.
    Link { role: CString, label: Label },
    /// Link a role that exists.
    Bind { role: Role, label: Label },
    /// Make everything agree with the label that the role has.
    Complete(Role),
    /// Unlink the role.
    Unlink(Role),
}

impl Request {
    /// Returns the role that PostgreSQL itself is not to add to `azure_ad_user`, or remove from it.
    pub(crate) fn member(&self) -> Option<&Role> {
        match self {
            Self::Link { .. } => None,
            Self::Bind { role, .. } | Self::Complete(role) | Self::Unlink(role) => Some(role),
        }
    }

    /// Does what is asked for.
    pub(crate) fn fulfil(&self) -> Result<()> {
        match self {
            Self::Link { role: name, label } => {
                let Some(role) = catalog::role_named(name) else { return Ok(()) };
                link::link(&role, label)
            }
            Self::Bind { role, label } => link::link(role, label),
            Self::Complete(role) => link::settle(role),
            Self::Unlink(role) => unlink(role),
        }
        .map(drop)
    }
}

/// Returns what a statement asks for. `objects`: what the directory has said about its roles.
///
/// # Errors
/// The current user may not do it, or the statement does not say what object to link to.
pub(crate) fn of(statement: &Statement<'_>, objects: &Objects) -> Result<Vec<Request>> {
    let Some((user, admin)) = link::markers() else { return Ok(Vec::new()) };
    match statement {
        Statement::Create(creation) if creation.parents.name(USER_ROLE) => {
            Ok(vec![of_creation(creation, objects)?])
        }
        Statement::Membership { options_only: true, .. } => Ok(Vec::new()),
        Statement::Membership { granted, members, is_grant, .. } => {
            let mut requests = Vec::new();
            for marker in [user, admin].iter().filter(|marker| granted.name(&marker.name)) {
                for member in members.distinct()?.into_iter().filter(|role| !is_marker(role)) {
                    interrupts::check();
                    let request = if *is_grant {
                        Some(of_grant(marker, member, objects)?)
                    } else {
                        of_revoke(marker, member)?
                    };
                    request.map_or(Ok(()), |request| allocate::push(&mut requests, request))?;
                }
            }
            Ok(requests)
        }
        _ => Ok(Vec::new()),
    }
}

/// Unlinks a role, with a notice: tools that manage roles revoke memberships which they do not
/// know, and do not mean to end a link.
fn unlink(role: &Role) -> Result<Vec<linkage::Change>> {
    let link = catalog::link_of(role.id);
    let done = link::unlink(role)?;
    if let Link::Bound(label) = link {
        let name = role.display_name();
        notice(
            format!("role \"{name}\" is no longer linked to a directory object, and its sessions end"),
            Some(&format!("To link it again: {}", advice::call("create_principal", &name, &label))),
        );
    }
    Ok(done)
}

/// Checks that the current user may create such a role, and that nothing about it keeps it from
/// being linked.
pub(crate) fn may_create_linked(creation: &Creation<'_>) -> Result<()> {
    rights::may_create()?;
    let name = decode(creation.role.to_bytes());
    if creation.parents.name(ADMIN_ROLE) {
        return Err(not_by_grant(ADMIN_ROLE)
            .hint(format!("To make it an administrator: {}", advice::create_administrator(&name))));
    }
    let unlinked = |role: &Role| !is_marker(role) && !catalog::is_linked(role.id);
    if let Some(member) = creation.members.existing().find(unlinked) {
        return Err(link::has_unlinked_member(&name, &member).hint(to_link_it(&member.display_name())));
    }
    Ok(())
}

/// Returns the request of CREATE ROLE ... IN ROLE `azure_ad_user`.
fn of_creation(creation: &Creation<'_>, objects: &Objects) -> Result<Request> {
    may_create_linked(creation)?;
    if let Some(label) = objects.of_created()? {
        return Ok(Request::Link { role: creation.role.clone(), label });
    }
    let name = decode(creation.role.to_bytes());
    let object_id = match creation.password {
        Password::Uuid(id) if !settings::validates_object_ids() => id,
        Password::Uuid(_) => {
            return Err(Fault::prerequisite(format!(
                "the object id of role \"{name}\" cannot be validated because the directory cannot be asked"
            ))
            .detail("azure_ad_auth.directory is off.")
            .hint("To take it as it is: SET aad_validate_oids_in_tenant = off;"));
        }
        Password::Other => {
            return Err(Fault::invalid(format!("Azure AD role \"{name}\" cannot have a password"))
                .detail("It logs in with an access token or not at all.")
                .hint(
                    "PASSWORD takes the id of the directory object that the role is to be linked to, a uuid.",
                ));
        }
        Password::None => return Err(no_object(&name)),
    };
    let label = tenant::label_of(object_id)?;
    Ok(Request::Link { role: creation.role.clone(), label })
}

/// Returns the error for a statement that gives no object id.
fn no_object(name: &str) -> Fault {
    must_be_linked(name, "azure_ad_user")
    .detail("The directory cannot be asked for the object id of a name, because azure_ad_auth.directory is off.")
    .hint(format!(
        "Give the object id: SET aad_validate_oids_in_tenant = off; CREATE ROLE {quoted} LOGIN PASSWORD '<object id>' \
         IN ROLE azure_ad_user; or: SELECT azure_ad_auth.create_principal({literal}, '<object id>', 'user');",
        quoted = quoted(name),
        literal = literal(name),
    ))
}

/// Returns the request of a GRANT of a marker role to a member.
fn of_grant(marker: &Role, member: Role, objects: &Objects) -> Result<Request> {
    let wants_admin = marker.name.as_c_str() == ADMIN_ROLE;
    match catalog::link_of(member.id) {
        Link::Bound(label) if label.admin == wants_admin => {
            if wants_admin {
                rights::require_superuser("grant role \"azure_ad_admin\"")?;
            }
            rights::may_change(&member)?;
            Ok(Request::Complete(member))
        }
        Link::Bound(_) if wants_admin => Err(not_by_grant(&marker.name)
            .hint(format!("To make it an administrator: {}", advice::promote(&member)))),
        Link::Bound(_) => Err(not_by_grant(&marker.name).hint(format!(
            "To make it a plain Azure AD user: SELECT azure_ad_auth.remove_admin({});",
            literal(&member.display_name())
        ))),
        Link::None | Link::Unbound if !wants_admin && objects.include(&member) => {
            rights::may_change(&member)?;
            let label = objects.of(&member)?.ok_or_else(|| not_linked(&member, marker))?;
            Ok(Request::Bind { role: member, label })
        }
        _ => Err(not_linked(&member, marker)),
    }
}

/// Returns the request of a REVOKE of a marker role from a member; none if the role is not linked.
fn of_revoke(marker: &Role, member: Role) -> Result<Option<Request>> {
    let is_member = || !membership::between(&member, marker).is_empty();
    if !catalog::is_linked(member.id) || (marker.name.as_c_str() == ADMIN_ROLE && !is_member()) {
        return Ok(None);
    }
    if marker.name.as_c_str() == ADMIN_ROLE {
        let name = member.display_name();
        return Err(Fault::prerequisite(format!(
            "role \"{name}\" is linked to a directory object and stays a member of role \"azure_ad_admin\""
        ))
        .hint(format!(
            "To make it a plain Azure AD user: SELECT azure_ad_auth.remove_admin({}); or, to unlink it: {}",
            literal(&name),
            advice::unlink(&name)
        )));
    }
    rights::may_end(&member)?;
    Ok(Some(Request::Unlink(member)))
}

fn not_by_grant(marker: &CStr) -> Fault {
    Fault::denied(format!("role \"{}\" is not granted by GRANT", marker.to_string_lossy()))
}
