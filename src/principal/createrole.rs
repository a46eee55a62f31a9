//! What an administrator may not do with CREATEROLE on 15, where PostgreSQL lets whoever has it grant itself anything.
//!
//! From 16 on the ADMIN option says who administers which role, and core keeps to it.

use pgrx::prelude::*;

use super::catalog::{self, Role};
use super::listed::Roles;
use super::rights;
use super::statement::Statement;
use crate::fault::{Fault, Outcome};

/// A statement of an administrator who is no superuser goes no further than the roles it holds itself.
pub(crate) fn check(statement: &Statement) -> Outcome<()> {
    if rights::HAS_ADMIN_OPTION_RULES {
        return Ok(());
    }
    let Some(user) = rights::user_of_administrator() else {
        return administrators_are_superusers(&targets(statement));
    };
    match statement {
        Statement::Membership { granted, .. } => may_grant(&user, granted),
        Statement::Create(creation) => {
            may_grant(&user, &creation.parents)?;
            if creation.create_role { Err(may_not_give_createrole()) } else { Ok(()) }
        }
        Statement::Alter { role, create_role, .. } => {
            may_touch(&user, &targets(statement), catalog::is_linked)?;
            let other = role.role().is_some_and(|role| !rights::is_administrator(&role));
            if *create_role && other { Err(may_not_give_createrole()) } else { Ok(()) }
        }
        Statement::Drop { .. } => may_touch(&user, &targets(statement), catalog::is_linked),
        // Its next session does with all its rights what its settings say.
        Statement::Configure { .. } | Statement::Rename { .. } => {
            may_touch(&user, &targets(statement), |_| false)
        }
        _ => Ok(()),
    }
}

/// The roles that a statement alters or drops. Whoever may drop none is told so by core, which looks at none of them.
fn targets(statement: &Statement) -> Roles {
    match statement {
        Statement::Alter { role, .. } | Statement::Configure { role } | Statement::Rename { role, .. } => {
            Roles::One(role.clone())
        }
        Statement::Drop { roles } if rights::has_create_role() => roles.clone(),
        _ => Roles::none(),
    }
}

/// Azure AD administrators, whom from 16 on nobody has the ADMIN option on, are a superuser's to change.
fn administrators_are_superusers(roles: &Roles) -> Outcome<()> {
    if rights::is_superuser() {
        return Ok(());
    }
    let Some(role) = roles.existing().find(rights::is_administrator) else { return Ok(()) };
    Err(may_not_change(&role).detail("It is an Azure AD administrator; only a superuser may change that."))
}

/// GRANT, REVOKE and IN ROLE: what one has, as everywhere else, and what administrators have made, if it is no more than that.
fn may_grant(user: &Role, roles: &Roles) -> Outcome<()> {
    let theirs = |role: &Role| {
        rights::could_grant_himself(user.id, role) && rights::foreign_membership(user.id, role).is_none()
    };
    let foreign = |role: &Role| !catalog::is_member(user.id, role.id) && !theirs(role);
    let Some(foreign) = roles.existing().find(foreign) else { return Ok(()) };
    Err(Fault::denied(format!("permission denied to grant role \"{}\"", foreign.display_name()))
        .detail("Azure AD administrators may grant roles they are members of."))
}

/// Azure AD roles, and what administrators have made. What a superuser has given more than the one who made it has is a
/// superuser's to change, but for those who have no password: a rebind is judged by itself.
fn may_touch(user: &Role, roles: &Roles, harmless: impl Fn(pg_sys::Oid) -> bool) -> Outcome<()> {
    for role in roles.existing().filter(|role| role.id != user.id) {
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

fn may_not_give_createrole() -> Fault {
    Fault::denied("permission denied to give CREATEROLE")
        .detail("Azure AD administrators may not make others administrators of roles; a superuser may.")
}
