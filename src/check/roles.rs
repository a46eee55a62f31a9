//! What is wrong with roles. Statements keep roles as they should be; a superuser can still change
//! them, and so can a server that runs without the library for a while.

use pgrx::prelude::*;

use crate::catalog::{self, Role};
use crate::link::guard::{self, Guard};
use crate::link::{advice, demotion, managed, marker_roles};
use crate::pg::spi::{as_superuser, query};

/// What is wrong with a role.
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
    let mut found: Vec<_> = as_superuser(|| {
        LINKED_DEFECTS.iter().flat_map(|(defect, condition)| with(*defect, condition)).collect()
    });
    // Only this library can tell whether a label links a role.
    found.retain(|(_, role): &(Defect, Role)| catalog::is_linked(role.id));
    found.extend(guard_defects());
    found.extend(as_superuser(unlinked_members));
    found.extend(managed::pending().into_iter().map(|role| (Defect::NotHandedOver, role)));
    found.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
    found
}

/// Defects that a row of pg_authid shows, each with its condition.
const LINKED_DEFECTS: [(Defect, &str); 3] = [
    (Defect::Password, "r.rolpassword IS NOT NULL"),
    (Defect::Privileged, "r.rolsuper OR r.rolreplication OR r.rolbypassrls"),
    (Defect::NoLogin, "NOT r.rolcanlogin"),
];

fn with(defect: Defect, condition: &str) -> Vec<(Defect, Role)> {
    let text = format!(
        "SELECT r.oid FROM pg_authid r WHERE ({condition}) \
           AND r.oid IN (SELECT objoid FROM pg_shseclabel WHERE classoid = 'pg_authid'::regclass AND provider = 'pgaadauth') \
           AND r.rolname NOT IN ('azure_ad_user', 'azure_ad_admin')"
    );
    roles(&text).into_iter().map(|role| (defect, role)).collect()
}

/// Returns the roles whose guard `repair()` would set, by the same rule.
fn guard_defects() -> Vec<(Defect, Role)> {
    let guards = guard::guards();
    let defect = |role: Role| match guards.get(&role.id.to_u32()) {
        Some(Guard::Whole) => None,
        Some(Guard::Narrow) => Some((Defect::OldGuard, role)),
        Some(Guard::Open) | None => Some((Defect::Unguarded, role)),
    };
    let linked = marker_roles::labelled_roles().into_iter().filter(|role| catalog::is_linked(role.id));
    linked.filter_map(defect).collect()
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
    /// Whether the other role is linked.
    pub(crate) is_link: bool,
    /// The statement that ends this.
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
