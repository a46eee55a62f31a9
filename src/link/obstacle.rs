//! Why a role cannot be linked or unlinked, in messages that say what to do.

use linkage::{Obstacle, RoleName, Use};
use pgrx::prelude::*;

use crate::catalog::{self, Role};
use crate::link::lock::renamed;
use crate::link::{advice, state, tenant};
use crate::pg::error::{Fault, Result};
use crate::pg::spi::quoted;

/// Checks that a role can be linked at all. A role that could step around its guard, or that
/// belongs to PostgreSQL, cannot.
pub(crate) fn check_linkable(role: &Role) -> Result<()> {
    linkage::check_linkable(&state::facts(role)).map_err(|obstacle| fault(role, &obstacle))
}

/// Returns what keeps a role from being linked or unlinked. Only within `as_superuser`, unless it
/// is about the role alone.
pub(crate) fn fault(role: &Role, obstacle: &Obstacle) -> Fault {
    let name = role.display_name();
    let not_linkable = |detail: &str| {
        Fault::denied(format!("role \"{name}\" cannot be linked to a directory object")).detail(detail)
    };
    match obstacle {
        Obstacle::IsMarker => not_linkable("It stands for all Azure AD roles."),
        Obstacle::IsReserved => not_linkable("Roles whose name begins with \"pg_\" belong to PostgreSQL."),
        Obstacle::IsPrivileged => {
            let fault = not_linkable("It is a superuser, or has REPLICATION or BYPASSRLS.");
            // The superuser that initdb has created stays one.
            if role.id == pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID) {
                fault
            } else {
                let quoted = quoted(&name);
                fault.hint(format!("ALTER ROLE {quoted} NOSUPERUSER NOREPLICATION NOBYPASSRLS;"))
            }
        }
        Obstacle::MarkerInUse(marker, used) => with(role, marker, |marker| marker_in_use(marker, *used)),
        Obstacle::UnlinkedMember(member) => with(role, member, |member| {
            has_unlinked_member(&name, member).hint(advice::revocation(role, member))
        }),
        Obstacle::Member(member) => with(role, member, |member| {
            cannot_have_members(role, member).hint(advice::revocation(role, member))
        }),
        Obstacle::InheritsFrom(parent) => with(role, parent, |parent| inherits(role, parent)),
        Obstacle::Tenants(one, other) => tenant::of_different_tenants(*one, *other),
    }
}

/// The error about another role, which may have been dropped since it was read.
fn with(role: &Role, other: &RoleName, fault: impl Fn(&Role) -> Fault) -> Fault {
    let other = catalog::role_of(pg_sys::Oid::from(other.id));
    other.map_or_else(|| renamed(role), |other| fault(&other))
}

/// The error for a role of a marker role's name that is used for something else: it must not become
/// a marker role unnoticed.
pub(crate) fn marker_in_use(marker: &Role, used: Use) -> Fault {
    let name = marker.display_name();
    let (detail, hint) = match used {
        Use::Attributes => (
            "It can log in, has attributes, or has a password.",
            format!(
                "Rename it, or take these away: ALTER ROLE {name} NOLOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION \
                 NOBYPASSRLS CONNECTION LIMIT -1 VALID UNTIL 'infinity' PASSWORD NULL;"
            ),
        ),
        Use::Settings => {
            ("It has settings of its own.", format!("Rename it, or: {}", advice::resets(marker)))
        }
    };
    Fault::new(
        PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
        format!("role \"{name}\" exists and is used for something else"),
    )
    .detail(detail)
    .hint(hint)
}

/// The error for an administrator's role that has a member, which could act as it.
pub(crate) fn cannot_have_members(role: &Role, member: &Role) -> Fault {
    let (role, member) = (role.display_name(), member.display_name());
    Fault::denied(format!("role \"{role}\" administers Azure AD roles and cannot have members"))
        .detail(format!("Role \"{member}\" would be an administrator too, and nobody would see it."))
}

/// The error for a role that is to be linked and has a member that is not.
pub(crate) fn has_unlinked_member(role: &str, member: &Role) -> Fault {
    let member = member.display_name();
    Fault::prerequisite(format!(
        "role \"{role}\" cannot be linked because role \"{member}\" is a member of it"
    ))
    .detail("A member of an Azure AD role must be one itself.")
}

/// The error for a role that is to be unlinked and is a member of a linked role.
fn inherits(role: &Role, parent: &Role) -> Fault {
    Fault::prerequisite(format!(
        "role \"{}\" cannot be unlinked while it is a member of role \"{}\"",
        role.display_name(),
        parent.display_name()
    ))
    .detail("A member of an Azure AD role must be one itself.")
    .hint(advice::revocation(parent, role))
}
