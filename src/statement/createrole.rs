//! What an administrator may not do with CREATEROLE.
//!
//! Whoever may link or rebind a role can become it, so an administrator may link no role that holds what he does not (see
//! `rights`). By GRANT, by a password, or by settings that take effect in the role's next session he would come to the same,
//! so these are judged by the same rule, on every version.
//!
//! On 15 CREATEROLE administers every role. There an administrator goes no further than the roles he holds himself, those
//! that administrators have made, and linked ones. From 16 on the ADMIN option says which roles are whose, and core keeps to
//! it; what core would refuse anyway is left to core and its words.

use pgrx::prelude::*;

use crate::catalog::{self, Role};
use crate::link::rights::{self, HAS_ADMIN_OPTION_RULES};
use crate::pg::error::{Fault, Result};
use crate::statement::parse::Statement;
use crate::statement::named_roles::Roles;

/// A statement of an administrator who is no superuser goes no further than the roles it holds itself.
pub(crate) fn check(statement: &Statement) -> Result<()> {
    let Some(user) = rights::user_of_administrator() else {
        return administrators_are_superusers(&targets(statement));
    };
    match statement {
        // Before 16 nobody else says whose memberships one may take away.
        Statement::Membership { granted, is_grant, .. } if *is_grant || !HAS_ADMIN_OPTION_RULES => {
            may_grant(&user, granted)
        }
        Statement::Create(creation) => {
            may_grant(&user, &creation.parents)?;
            if creation.create_role { may_give_createrole() } else { Ok(()) }
        }
        // A linked role has no password, and what else may be altered lets nobody in.
        Statement::Alter { role, create_role, .. } => {
            may_touch(&user, &targets(statement), catalog::is_linked)?;
            let other = role.role().is_some_and(|role| !rights::is_administrator(&role));
            if *create_role && other { may_give_createrole() } else { Ok(()) }
        }
        // Nobody becomes a role by dropping it.
        Statement::Drop { .. } => may_touch(&user, &targets(statement), |_| true),
        // Its next session does with all its rights what its settings say, and finds the schema of its name first.
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
fn administrators_are_superusers(roles: &Roles) -> Result<()> {
    if HAS_ADMIN_OPTION_RULES || rights::is_superuser() {
        return Ok(());
    }
    let Some(role) = roles.existing().find(rights::is_administrator) else { return Ok(()) };
    Err(may_not_change(&role).detail("It is an Azure AD administrator; only a superuser may change that."))
}

/// GRANT and IN ROLE: what one can act as anyway, and what one administers, if that holds no more than one does.
fn may_grant(user: &Role, roles: &Roles) -> Result<()> {
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

fn why_not_to_grant(user: &Role, role: &Role) -> Option<String> {
    if rights::could_grant_himself(user.id, role) {
        rights::foreign_membership(user.id, role)
    } else if HAS_ADMIN_OPTION_RULES {
        None
    } else {
        Some("Azure AD administrators may grant roles they are members of.".to_owned())
    }
}

/// Azure AD roles, and what administrators have made. What a superuser has given more than the one who made it has is a
/// superuser's to change, where the change is not harmless.
fn may_touch(user: &Role, roles: &Roles, harmless: impl Fn(pg_sys::Oid) -> bool) -> Result<()> {
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

/// From 16 on CREATEROLE administers what its holder has made, and an administrator may give it as anybody may who has it.
fn may_give_createrole() -> Result<()> {
    if HAS_ADMIN_OPTION_RULES {
        return Ok(());
    }
    Err(Fault::denied("permission denied to give CREATEROLE")
        .detail("Azure AD administrators may not make others administrators of roles; a superuser may."))
}
