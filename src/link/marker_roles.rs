//! The two marker roles: `azure_ad_user`, which marks Azure AD roles, and `azure_ad_admin`, its
//! member with ADMIN OPTION.

use std::ffi::CString;

use pgrx::prelude::*;

use crate::catalog::{self, ADMIN_ROLE, Role, USER_ROLE, markers, membership};
use crate::link::{advice, grant, obstacle, state};
use crate::pg::error::{Fault, Result};
use crate::pg::spi::quoted;

pub(crate) use crate::catalog::{any_link, labelled_roles};

/// Revokes the rows that make `azure_ad_admin` a member of `azure_ad_user`, except that of the
/// bootstrap superuser. From PostgreSQL 16 on an administrator could add one whose grantor is
/// `azure_ad_admin` itself. Only within `as_superuser`.
pub(crate) fn keep_one_row() {
    let Some((user, admin)) = markers().filter(|_| are_joined()) else { return };
    for row in state::rows(&membership::between(&admin, &user)) {
        if row.grantor != pg_sys::BOOTSTRAP_SUPERUSERID {
            grant::revoke(&state::name_of(&user), &state::name_of(&admin), &row);
        }
    }
}

/// Returns whether `azure_ad_admin` is a member of `azure_ad_user` as it should be. Only within
/// `as_superuser`.
pub(crate) fn are_joined() -> bool {
    markers().is_some_and(|(user, admin)| {
        linkage::are_joined(&state::server(), &state::rows(&membership::between(&admin, &user)))
    })
}

/// Returns whether a marker role is used for nothing else. Only within `as_superuser`.
///
/// Does not check whether the two are joined: a dump that is being restored joins them last.
pub(crate) fn is_intact(role: &Role) -> bool {
    state::used(role).is_none()
}

/// Checks that a role that has the name of a marker role is not used for something else: it must
/// not become a marker role unnoticed. Only within `as_superuser`.
pub(crate) fn check_adoptable(role: &Role) -> Result<()> {
    state::used(role).map_or(Ok(()), |used| Err(obstacle::marker_in_use(role, used)))
}

/// Checks that the members of the two roles are linked. `+azure_ad_user` in pg_hba.conf would match
/// others, which are linked to no directory object.
///
/// `renamed_from`: the name that one of the two still has if the statement is refused.
pub(crate) fn check_members_are_linked(renamed_from: Option<&CString>) -> Result<()> {
    for marker in [USER_ROLE, ADMIN_ROLE].into_iter().filter_map(catalog::role_named) {
        for member in membership::members_of(&marker) {
            if member.name.as_c_str() != ADMIN_ROLE && !catalog::is_linked(member.id) {
                let name = renamed_from.unwrap_or(&marker.name).clone();
                return Err(not_linked(&marker, &Role { name, ..marker.clone() }, &member));
            }
        }
    }
    Ok(())
}

/// `named`: the marker role by the name that a hint has to use.
fn not_linked(marker: &Role, named: &Role, member: &Role) -> Fault {
    let revocation = advice::revocation(named, member);
    let (marker, member) = (marker.display_name(), member.display_name());
    Fault::prerequisite(format!(
        "role \"{member}\" is a member of role \"{marker}\" but is not linked to a directory object"
    ))
    .hint(format!(
        "{revocation} or, to link it: SECURITY LABEL FOR pgaadauth ON ROLE {} IS 'aadauth,oid=<object id>,type=user';",
        quoted(&member)
    ))
}
