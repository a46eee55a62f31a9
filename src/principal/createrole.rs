//! What an administrator may not do with CREATEROLE on 14 and 15, where PostgreSQL lets whoever has it grant itself anything.
//!
//! From 16 on the ADMIN option says who administers which role, and core keeps to it.

use super::catalog::{self, Role};
use super::statement::{Named, Statement};
use super::{managed, rights};
use crate::fault::{Fault, Outcome};

/// A statement of an administrator who is no superuser goes no further than the roles it holds itself.
pub(crate) fn check(statement: &Statement) -> Outcome<()> {
    if rights::HAS_ADMIN_OPTION_RULES {
        return Ok(());
    }
    let Some(user) = rights::user_of_administrator() else { return Ok(()) };
    match statement {
        Statement::Membership { granted, .. } => may_grant(&user, granted),
        Statement::Create(creation) => {
            may_grant(&user, &creation.parents)?;
            if creation.create_role { Err(may_not_give_createrole()) } else { Ok(()) }
        }
        Statement::Alter { role, create_role } => {
            may_touch(&user, std::slice::from_ref(role))?;
            let other = role.role().is_some_and(|role| !rights::is_administrator(&role));
            if *create_role && other { Err(may_not_give_createrole()) } else { Ok(()) }
        }
        Statement::Configure { role } | Statement::Rename { role, .. } => {
            may_touch(&user, std::slice::from_ref(role))
        }
        Statement::Drop { roles } => may_touch(&user, roles),
        _ => Ok(()),
    }
}

/// GRANT, REVOKE and IN ROLE: what one has, as everywhere else, and what administrators have made, if it is no more than that.
fn may_grant(user: &Role, roles: &[Named]) -> Outcome<()> {
    let theirs = |role: &Role| {
        let made = managed::is_marked(role) && rights::why_not_theirs(role).is_none();
        made && rights::foreign_membership(user.id, role).is_none()
    };
    let foreign = |role: &Role| !catalog::is_member(user.id, role.id) && !theirs(role);
    let Some(foreign) = roles.iter().filter_map(Named::role).find(foreign) else { return Ok(()) };
    Err(Fault::denied(format!("permission denied to grant role \"{}\"", foreign.display_name()))
        .detail("Azure AD administrators may grant roles they are members of."))
}

/// Azure AD roles, and what administrators have made. Other administrators are a superuser's to change, and so is what a
/// superuser has given more than the one who made it has.
fn may_touch(user: &Role, roles: &[Named]) -> Outcome<()> {
    for role in roles.iter().filter_map(Named::role).filter(|role| role.id != user.id) {
        // A linked one has no password, and a rebind is judged by itself.
        let foreign = || rights::foreign_membership(user.id, &role).filter(|_| !catalog::is_linked(role.id));
        let Some(reason) = rights::why_not_theirs(&role).map(str::to_owned).or_else(foreign) else {
            continue;
        };
        return Err(Fault::denied(format!("permission denied to change role \"{}\"", role.display_name()))
            .detail(reason));
    }
    Ok(())
}

fn may_not_give_createrole() -> Fault {
    Fault::denied("permission denied to give CREATEROLE")
        .detail("Azure AD administrators may not make others administrators of roles; a superuser may.")
}
