//! Checks that an administrator does nothing with CREATEROLE that it may not.
//!
//! A user who may link or rebind a role can become that role, so an administrator may link no role
//! that is a member of roles which the administrator can neither act as nor grant (see `rights`). A
//! GRANT, a password, or settings that take effect in the role's next session would lead to the
//! same, so these are checked by the same rule, on every version.
//!
//! On 15 CREATEROLE administers every role. There an administrator can change only the roles of
//! which it is a member, those that administrators have created, and linked ones. From 16 on the
//! ADMIN option says who administers a role, and PostgreSQL enforces it. What PostgreSQL would
//! refuse anyway is left to PostgreSQL and its messages.

use pgrx::prelude::*;

use crate::catalog::{self, Role};
use crate::link::rights::{self, HAS_ADMIN_OPTION_RULES};
use crate::pg::error::{Fault, Result};
use crate::statement::Statement;
use crate::statement::named_roles::Roles;

/// Checks a statement of an administrator who is no superuser.
pub(crate) fn check(statement: &Statement<'_>) -> Result<()> {
    let Some(user) = rights::user_of_administrator() else {
        return administrators_are_superusers(&targets(statement));
    };
    match statement {
        // Before 16 PostgreSQL lets CREATEROLE revoke any membership.
        Statement::Membership { granted, is_grant, .. } if *is_grant || !HAS_ADMIN_OPTION_RULES => {
            may_grant(&user, granted)
        }
        Statement::Create(creation) => {
            may_grant(&user, &creation.parents)?;
            if creation.create_role { may_give_createrole() } else { Ok(()) }
        }
        // A linked role has no password, and no other attribute lets anyone log in as it.
        Statement::Alter { role, create_role, .. } => {
            may_touch(&user, &targets(statement), catalog::is_linked)?;
            let other = role.role().is_some_and(|role| !rights::is_administrator(&role));
            if *create_role && other { may_give_createrole() } else { Ok(()) }
        }
        // No user gains rights by dropping a role.
        Statement::Drop { .. } => may_touch(&user, &targets(statement), |_| true),
        // The role's next session does what its settings say, with all the rights of the role, and
        // has the schema of its name first in its search path.
        Statement::Configure { .. } | Statement::Rename { .. } => {
            may_touch(&user, &targets(statement), |_| false)
        }
        _ => Ok(()),
    }
}

/// Returns the roles that a statement alters or drops; none of DROP ROLE by a user who may drop no
/// role, whom PostgreSQL refuses before it looks at the list.
fn targets<'tree>(statement: &Statement<'tree>) -> Roles<'tree> {
    match statement {
        Statement::Alter { role, .. } | Statement::Configure { role } | Statement::Rename { role, .. } => {
            Roles::One(role.clone())
        }
        Statement::Drop { roles } if rights::has_create_role() => roles.clone(),
        _ => Roles::none(),
    }
}

/// Checks that an Azure AD administrator is changed by superusers only. From 16 on no other role
/// has the ADMIN option on one.
fn administrators_are_superusers(roles: &Roles<'_>) -> Result<()> {
    if HAS_ADMIN_OPTION_RULES || rights::is_superuser() {
        return Ok(());
    }
    let Some(role) = roles.existing().find(rights::is_administrator) else { return Ok(()) };
    Err(may_not_change(&role).detail("It is an Azure AD administrator; only a superuser may change that."))
}

/// Checks GRANT and IN ROLE. A user may grant roles as which it can act anyway, and roles that it
/// administers, if these are members of no role that it can neither act as nor grant.
fn may_grant(user: &Role, roles: &Roles<'_>) -> Result<()> {
    for role in roles.existing().filter(|role| !rights::can_act_as(user.id, role)) {
        if let Some(reason) = why_not_to_grant(user, &role) {
            return Err(Fault::denied(format!(
                "permission denied to grant role \"{}\"",
                role.display_name()
            ))
            .detail(reason));
        }
    }
    Ok(())
}

/// Returns why a user may not grant a role as which it cannot act, or none if it may or if
/// PostgreSQL refuses it.
fn why_not_to_grant(user: &Role, role: &Role) -> Option<String> {
    if rights::could_grant_himself(user.id, role) {
        rights::foreign_membership(user.id, role)
    } else if HAS_ADMIN_OPTION_RULES {
        None
    } else {
        Some("Azure AD administrators may grant roles they are members of.".to_owned())
    }
}

/// Checks that a user may change roles. Each must be an Azure AD role, or created by
/// administrators. A change that is not `harmless` is refused if a superuser has made the role a
/// member of roles that the user can neither act as nor grant.
fn may_touch(user: &Role, roles: &Roles<'_>, harmless: impl Fn(pg_sys::Oid) -> bool) -> Result<()> {
    let others = roles.existing().filter(|role| role.id != user.id);
    for role in others.filter(|role| rights::core_lets_administer(user.id, role.id)) {
        let foreign = || rights::foreign_membership(user.id, &role).filter(|_| !harmless(role.id));
        if let Some(reason) = rights::why_not_theirs(&role).map(str::to_owned).or_else(foreign) {
            return Err(may_not_change(&role).detail(reason));
        }
    }
    Ok(())
}

fn may_not_change(role: &Role) -> Fault {
    Fault::denied(format!("permission denied to change role \"{}\"", role.display_name()))
}

/// Checks that an administrator may give CREATEROLE. From 16 on it administers only roles that its
/// holder has created, and PostgreSQL lets every role give it that has it.
fn may_give_createrole() -> Result<()> {
    if HAS_ADMIN_OPTION_RULES {
        return Ok(());
    }
    Err(Fault::denied("permission denied to give CREATEROLE")
        .detail("Azure AD administrators may not make others administrators of roles; a superuser may."))
}
