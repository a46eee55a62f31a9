//! Finds defects of roles. Statements keep roles as they should be; a superuser can still change
//! them, and so can a server that runs without the library for a while.

use pgrx::prelude::*;

use crate::catalog::{self, Role};
use crate::link::{self, advice, demotion, guard, managed, marker_roles};
use crate::pg::spi::{as_superuser, query};

/// A defect of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Linked, without a guard: nothing refuses it where the library is not loaded.
    Unguarded,
    /// Linked, with a guard of an earlier version or an incomplete one.
    OldGuard,
    /// Linked, and has a password.
    Password,
    /// Linked, and a superuser, REPLICATION or BYPASSRLS role.
    Privileged,
    /// Linked, and without LOGIN.
    NoLogin,
    /// A member of one of the marker roles, and not linked.
    Unlinked,
    /// Created by an administrator before PostgreSQL 16, and not granted to all of them since.
    NotHandedOver,
}

/// Returns the roles with a defect, by name.
pub(crate) fn defects() -> Vec<(Defect, Role)> {
    let mut found = linked_defects();
    found.extend(as_superuser(unlinked_members));
    found.extend(managed::pending().into_iter().map(|role| (Defect::NotHandedOver, role)));
    found.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
    found
}

/// Returns the defects of linked roles, each of which is a part of what `repair()` would do, or
/// cannot do.
fn linked_defects() -> Vec<(Defect, Role)> {
    let mut settings = guard::rows_by_role();
    let linked = marker_roles::labelled_roles().into_iter().filter(|role| catalog::is_linked(role.id));
    let defects_of = |role: Role| {
        let rows = settings.remove(&role.id.to_u32()).unwrap_or_default();
        let defects = linkage::defects(&link::facts(&role), &rows).into_iter();
        defects.map(|defect| (Defect::from(defect), role.clone())).collect::<Vec<_>>()
    };
    linked.flat_map(defects_of).collect()
}

impl From<linkage::Defect> for Defect {
    fn from(defect: linkage::Defect) -> Self {
        match defect {
            linkage::Defect::Password => Self::Password,
            linkage::Defect::Privileged => Self::Privileged,
            linkage::Defect::NoLogin => Self::NoLogin,
            linkage::Defect::OldGuard => Self::OldGuard,
            linkage::Defect::Unguarded => Self::Unguarded,
        }
    }
}

/// Returns members of the marker roles that are not linked, members of members too:
/// `+azure_ad_user` in pg_hba.conf matches them all.
fn unlinked_members() -> Vec<(Defect, Role)> {
    let members = roles(
        "WITH RECURSIVE below(id) AS ( \
           SELECT oid FROM pg_authid WHERE rolname IN ('azure_ad_user', 'azure_ad_admin') \
           UNION SELECT m.member FROM pg_auth_members m JOIN below ON m.roleid = below.id) \
         SELECT id FROM below",
    );
    let is_stray = |role: &Role| !catalog::is_marker(role) && !catalog::is_linked(role.id);
    members.into_iter().filter(is_stray).map(|role| (Defect::Unlinked, role)).collect()
}

fn roles(text: &str) -> Vec<Role> {
    let ids = query(text, &[], |row| row.get::<pg_sys::Oid>(1).ok().flatten());
    ids.into_iter().flatten().filter_map(catalog::role_of).collect()
}

/// A role that may grant another role, which administrators manage, without being an
/// administrator.
pub(crate) struct Granter {
    /// The name of the role.
    pub(crate) role: String,
    /// The name of the other role.
    pub(crate) granted: String,
    /// The other role is linked.
    pub(crate) is_link: bool,
    /// The statement that revokes the right.
    pub(crate) revocation: String,
}

/// Returns the roles that may grant what administrators manage, without being administrators.
pub(crate) fn granters() -> Vec<Granter> {
    let pairs = as_superuser(demotion::granters).into_iter();
    let granters = pairs.map(|(role, granted)| Granter {
        role: role.display_name(),
        granted: granted.display_name(),
        is_link: catalog::is_linked(granted.id),
        revocation: advice::revocation_of_admin_option(&granted, &role),
    });
    granters.collect()
}
