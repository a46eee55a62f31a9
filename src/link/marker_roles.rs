//! The two roles: `azure_ad_user`, which marks Azure AD roles, and `azure_ad_admin`, its member with ADMIN OPTION.

use std::ffi::{CStr, CString};

use pgrx::prelude::*;

use crate::catalog::{self, ADMIN_ROLE, Role, USER_ROLE, membership, shared_scan};
use crate::link::{self, Done, advice, guard, managed, tenant};
use crate::pg::error::{Fault, Result};
use crate::pg::spi::{as_superuser, quoted, run};

/// Creates the two roles, or adopts roles of these names that are nothing else, and settles every role with a label.
pub(crate) fn establish() -> Result<Done> {
    let mut done = Done::new();
    as_superuser(|| {
        for name in [USER_ROLE, ADMIN_ROLE] {
            match catalog::role_named(name) {
                Some(role) => check_adoptable(&role)?,
                None => create(name, &mut done),
            }
        }
        join(&mut done);
        check_members_are_linked(None)?;
        for role in &labelled_roles() {
            done.extend(link::settle(role)?);
        }
        managed::hand_over(&mut done);
        tenant::settle(&mut done)
    })?;
    Ok(done)
}

fn create(name: &CStr, done: &mut Done) {
    run(&[b"CREATE ROLE ", name.to_bytes(), b" NOLOGIN"]);
    done.push(format!("created role \"{}\"", name.to_string_lossy()));
}

/// Administrators are Azure AD roles, and may grant what marks them.
pub(crate) fn join(done: &mut Done) {
    if !are_joined() {
        run(&[b"GRANT azure_ad_user TO azure_ad_admin WITH ADMIN OPTION"]);
        done.push("granted \"azure_ad_user\" to role \"azure_ad_admin\" with admin option".to_owned());
    }
}

/// Of the rows that make `azure_ad_admin` a member of `azure_ad_user` only that of the bootstrap superuser stays. From 16 on an
/// administrator could add one of `azure_ad_admin`'s own. Only within `as_superuser`.
pub(crate) fn keep_one_row() {
    let bootstrap = pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID);
    if let Some((user, admin)) = link::markers().filter(|_| are_joined()) {
        link::revoke(&admin, &user, |row| row.grantor != bootstrap, &mut Done::new());
    }
}

/// Whether `azure_ad_admin` is a member of `azure_ad_user` as it should be. Only within `as_superuser`.
pub(crate) fn are_joined() -> bool {
    let bootstrap = pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID);
    link::markers().is_some_and(|(user, admin)| {
        membership::between(&admin, &user).iter().any(|row| row.grantor == bootstrap && row.admin_option)
    })
}

/// Whether one of the two roles is nothing else than what [`establish`] makes it. Only within `as_superuser`.
///
/// Whether they are joined is another matter: a dump that is being restored joins them last.
pub(crate) fn is_intact(role: &Role) -> bool {
    check_adoptable(role).is_ok()
}

/// A role of one of the names that someone uses for something else must not become one of ours unnoticed.
pub(crate) fn check_adoptable(role: &Role) -> Result<()> {
    let name = role.display_name();
    let refused = |detail: &str, hint: String| {
        Err(Fault::new(
            PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
            format!("role \"{name}\" exists and is used for something else"),
        )
        .detail(detail)
        .hint(hint))
    };
    let attributes = role.can_login || role.create_role || role.create_db || role.is_privileged();
    if attributes || catalog::has_password(role.id) || !catalog::is_unlimited(role.id) {
        return refused(
            "It can log in, has attributes, or has a password.",
            format!(
                "Rename it, or take these away: ALTER ROLE {name} NOLOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION \
                 NOBYPASSRLS CONNECTION LIMIT -1 VALID UNTIL 'infinity' PASSWORD NULL;"
            ),
        );
    }
    if guard::has_settings(role) {
        return refused("It has settings of its own.", format!("Rename it, or: {}", advice::resets(role)));
    }
    Ok(())
}

/// Members of the two roles that are not linked would be let in by `+azure_ad_user` without anyone to be.
///
/// `renamed_from`: the name that one of them still has if the statement is refused.
pub(crate) fn check_members_are_linked(renamed_from: Option<&CString>) -> Result<()> {
    for marker in [USER_ROLE, ADMIN_ROLE].into_iter().filter_map(catalog::role_named) {
        for member in membership::members_of(&marker) {
            if member.name.as_c_str() != ADMIN_ROLE && !catalog::is_linked(member.id) {
                let name = renamed_from.unwrap_or(&marker.name).clone();
                let revocation = advice::revocation(&Role { name, ..marker.clone() }, &member);
                let (marker, member) = (marker.display_name(), member.display_name());
                return Err(Fault::prerequisite(format!(
                    "role \"{member}\" is a member of role \"{marker}\" but is not linked to a directory object"
                ))
                .hint(format!(
                    "{} or, to link it: SECURITY LABEL FOR pgaadauth ON ROLE {} IS 'aadauth,oid=<object id>,type=user';",
                    revocation,
                    quoted(&member)
                )));
            }
        }
    }
    Ok(())
}

/// Roles with a label of ours, the two excepted.
pub(crate) fn labelled_roles() -> Vec<Role> {
    let roles = shared_scan::labelled_by(&[catalog::PROVIDER, catalog::INTERNAL_PROVIDER]);
    roles.into_iter().filter(|role| !catalog::is_marker(role)).collect()
}

/// Whether any role is linked. Only within `as_superuser`.
pub(crate) fn any_link() -> bool {
    labelled_roles().iter().any(|role| catalog::is_linked(role.id))
}
