//! Why a role cannot be linked or unlinked, as it is.

use entra::Uuid;

use crate::state::{Role, RoleName};

/// A reason for which no plan can be made. The extension says it in a message, with what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The role is one of the two marker roles.
    IsMarker,
    /// The role's name begins with `pg_`.
    IsReserved,
    /// The role is a superuser, or has REPLICATION or BYPASSRLS.
    IsPrivileged,
    /// A marker role is used for something else.
    MarkerInUse(RoleName, Use),
    /// The role has a member that is not linked. `+azure_ad_user` in pg_hba.conf would match that
    /// member, which has no guard.
    UnlinkedMember(RoleName),
    /// The role is to be an administrator and has a member, which could act as it.
    Member(RoleName),
    /// The role is to be unlinked, and is a member of a role that is linked.
    InheritsFrom(RoleName),
    /// The administrators are of two tenants at least.
    Tenants(Uuid, Uuid),
}

/// A sign that a marker role is used for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It can log in, has attributes, or has a password.
    Attributes,
    /// It has settings of its own.
    Settings,
}

/// Returns what shows that a marker role is used for something else; none: it is not.
#[must_use]
pub fn use_of(role: &Role, is_unlimited: bool, has_settings: bool) -> Option<Use> {
    let attributes = role.can_login || role.create_role || role.create_db || role.is_privileged;
    if attributes || role.has_password || !is_unlimited {
        Some(Use::Attributes)
    } else {
        has_settings.then_some(Use::Settings)
    }
}

/// Checks that a role can be linked at all. A role that could step around its guard, or that
/// belongs to PostgreSQL, cannot.
///
/// # Errors
/// The role cannot be linked.
pub fn check_linkable(role: &Role) -> Result<(), Obstacle> {
    if role.is_marker {
        Err(Obstacle::IsMarker)
    } else if role.name.shown.starts_with("pg_") {
        Err(Obstacle::IsReserved)
    } else if role.is_privileged {
        Err(Obstacle::IsPrivileged)
    } else {
        Ok(())
    }
}
