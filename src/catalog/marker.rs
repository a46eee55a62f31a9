//! The two marker roles, `azure_ad_user` and `azure_ad_admin`, and what a role is by them.

use std::collections::BTreeSet;
use std::ffi::CStr;

use entra::Label;
use pgrx::prelude::*;

use crate::catalog::label::{INTERNAL_PROVIDER, Link, PROVIDER, is_linked, labelled_by, link_of};
use crate::catalog::membership;
use crate::catalog::role::{Role, role_named};
use crate::pg::acl::is_member;
use crate::pg::shared_relation::MEMBERSHIPS;

/// The role that marks Azure AD roles.
pub(crate) const USER_ROLE: &CStr = c"azure_ad_user";
/// The role of administrators; a member of [`USER_ROLE`].
pub(crate) const ADMIN_ROLE: &CStr = c"azure_ad_admin";

/// What a role is to a login.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// No Azure AD role.
    Local,
    /// `azure_ad_user` or `azure_ad_admin` itself.
    Marker,
    /// A member of `azure_ad_user`, directly or not, without a link.
    Inherited,
    /// Linked to a directory object.
    Linked(Label),
}

/// Returns the two marker roles, once both exist.
pub(crate) fn markers() -> Option<(Role, Role)> {
    Some((role_named(USER_ROLE)?, role_named(ADMIN_ROLE)?))
}

/// Returns whether a role is `azure_ad_user` or `azure_ad_admin`.
pub(crate) fn is_marker(role: &Role) -> bool {
    [USER_ROLE, ADMIN_ROLE].contains(&role.name.as_c_str())
}

/// Returns whether a role is a direct member of `azure_ad_admin`.
pub(crate) fn holds_admin_role(role: &Role) -> bool {
    markers().is_some_and(|(_, admin)| !membership::between(role, &admin).is_empty())
}

/// Returns the direct members of `azure_ad_admin`, by oid. Reads every membership there is, without
/// an index, so that it works where no database is selected.
pub(crate) fn administrator_ids() -> BTreeSet<u32> {
    let Some(admin) = role_named(ADMIN_ROLE) else { return BTreeSet::new() };
    let column = i32::from(membership::FIRST_COLUMN);
    let members = MEMBERSHIPS.rows(&[], |row| {
        let is_of_admin = row.get::<pg_sys::Oid>(column)? == admin.id;
        row.get::<pg_sys::Oid>(column + 1).filter(|_| is_of_admin)
    });
    members.into_iter().map(pg_sys::Oid::to_u32).collect()
}

/// Returns the standing of a role. A label that cannot be read makes it an Azure AD role without a
/// link, which refuses every login.
pub(crate) fn standing_of(role: &Role) -> Standing {
    if is_marker(role) {
        return Standing::Marker;
    }
    match link_of(role.id) {
        Link::Bound(label) => Standing::Linked(label),
        Link::Unreadable(_) => Standing::Inherited,
        Link::None | Link::Unbound => match role_named(USER_ROLE) {
            Some(user) if is_member(role.id, user.id) => Standing::Inherited,
            _ => Standing::Local,
        },
    }
}

/// Returns whether a role is a superuser and no member of `azure_ad_user`. Reads no label.
pub(crate) fn is_superuser_apart(role: &Role) -> bool {
    let is_azure = |role: &Role| role_named(USER_ROLE).is_some_and(|user| is_member(role.id, user.id));
    role.superuser && !is_marker(role) && !is_azure(role)
}

/// Returns the roles that have a label by which they may be linked, without the marker roles.
pub(crate) fn labelled_roles() -> Vec<Role> {
    let roles = labelled_by(&[PROVIDER, INTERNAL_PROVIDER]);
    roles.into_iter().filter(|role| !is_marker(role)).collect()
}

/// Returns whether any role is linked. Only within `as_superuser`.
pub(crate) fn any_link() -> bool {
    labelled_roles().iter().any(|role| is_linked(role.id))
}
