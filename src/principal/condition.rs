//! What is wrong with roles, for whoever looks after the server. Statements see to it that nothing is; a superuser who insists, and
//! servers that were without the library for a while, are another matter.

use pgrx::prelude::*;

use super::catalog::{self, Role};
use super::superuser::{as_superuser, query};
use super::{advice, stepping_down};

/// What is wrong with a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Linked, and nothing keeps it out where the library is not loaded.
    Unguarded,
    /// Linked, and there is a password.
    Password,
    /// Linked, and a superuser, REPLICATION or BYPASSRLS role.
    Privileged,
    /// Linked, and without LOGIN.
    NoLogin,
    /// A member of one of the two roles, and not linked.
    Unlinked,
}

/// The roles with a defect, by name.
pub(crate) fn defects() -> Vec<(Defect, Role)> {
    let mut found: Vec<_> = as_superuser(|| {
        LINKED_DEFECTS.iter().flat_map(|(defect, condition)| with(*defect, condition)).collect()
    });
    // What a label says is for us to read.
    found.retain(|(_, role): &(Defect, Role)| catalog::is_linked(role.id));
    found.extend(as_superuser(unlinked_members));
    found.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
    found
}

/// Each with its condition on a row of pg_authid.
const LINKED_DEFECTS: [(Defect, &str); 4] = [
    (
        Defect::Unguarded,
        // As `preload` reads them, by file name.
        "WITH named(everywhere, guarded) AS ( \
           SELECT s.setdatabase = 0, c ~ '=(.*[/, \"])?azure_ad_auth([.]so)?\"? *(,|$)' \
           FROM pg_db_role_setting s, unnest(s.setconfig) c WHERE s.setrole = r.oid AND c LIKE 'session\\_preload\\_libraries=%') \
         SELECT NOT coalesce(bool_or(everywhere), false) OR NOT bool_and(guarded) FROM named",
    ),
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

/// Members of members, too: `+azure_ad_user` in pg_hba.conf matches them all.
fn unlinked_members() -> Vec<(Defect, Role)> {
    let members = roles(
        "WITH RECURSIVE below(id) AS ( \
           SELECT oid FROM pg_authid WHERE rolname IN ('azure_ad_user', 'azure_ad_admin') \
           UNION SELECT m.member FROM pg_auth_members m JOIN below ON m.roleid = below.id) \
         SELECT id FROM below",
    );
    let is_stray = |role: &Role| !catalog::is_anchor(role) && !catalog::is_linked(role.id);
    members.into_iter().filter(is_stray).map(|role| (Defect::Unlinked, role)).collect()
}

fn roles(text: &str) -> Vec<Role> {
    let ids = query(text, &[], |row| row.get::<pg_sys::Oid>(1).ok().flatten());
    ids.into_iter().flatten().filter_map(catalog::role_of).collect()
}

/// A role that may grant another, which administrators manage, and is no administrator.
pub(crate) struct Granter {
    /// Its name.
    pub(crate) role: String,
    /// The name of the other one.
    pub(crate) granted: String,
    /// Whether the other one is linked.
    pub(crate) is_link: bool,
    /// The statement that ends this.
    pub(crate) revocation: String,
}

/// Roles that may grant what administrators manage, and are none.
pub(crate) fn granters() -> Vec<Granter> {
    let pairs = as_superuser(stepping_down::granters).into_iter();
    let granters = pairs.map(|(role, granted)| Granter {
        role: role.display_name(),
        granted: granted.display_name(),
        is_link: catalog::is_linked(granted.id),
        revocation: advice::revocation_of_admin_option(&granted, &role),
    });
    granters.collect()
}

/// The version that CREATE or ALTER EXTENSION has left in this database; none: the extension is not there.
pub(crate) fn extension_version() -> Option<String> {
    let text = "SELECT extversion FROM pg_extension WHERE extname = 'azure_ad_auth'";
    as_superuser(|| query(text, &[], |row| row.get::<String>(1).ok().flatten())).into_iter().flatten().next()
}
