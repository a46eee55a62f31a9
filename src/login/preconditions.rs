//! What must hold whatever token is brought, or whoever's it is.
//!
//! Most of it is decided before the token is asked for, so that none is sent in vain, and again after it has arrived, because the
//! client decides how long that takes.

use entra::Code;

use crate::catalog::{self, Role};
use crate::keys;
use crate::login::{Refused, Visitor};
use crate::report::Denial;
use crate::settings::{self, Rules};

pub(super) fn marker_refused(visitor: &Visitor, role: &Role) -> Refused {
    if role.can_login {
        let problem = "this role stands for all Azure AD roles and is nobody's".to_owned();
        Denial::new(Code::NotLinked, &visitor.display_name(), vec![("problem", problem)]).into()
    } else {
        Refused::NoLogin
    }
}

/// What the visitor is judged by; the first two reasons to ask for no token.
pub(super) fn rules_for(visitor: &Visitor) -> Result<Rules, Denial> {
    let name = visitor.display_name();
    if settings::require_tls() && !visitor.protected {
        return Err(Denial::new(Code::TlsRequired, &name, vec![]));
    }
    let rules = settings::rules().map_err(|fault| Denial::misconfigured(&fault, &name))?;
    match keys::unknown_setting() {
        Some(unknown) => Err(Denial::new(Code::NotConfigured, &name, vec![("unknown_setting", unknown)])),
        None => Ok(rules),
    }
}

/// Whether somebody may log in as a role at all.
pub(super) fn check_role(visitor: &Visitor, role: &Role) -> Result<(), Refused> {
    if role.is_privileged() {
        let attributes = [
            (role.superuser, "superuser"),
            (role.replication, "replication"),
            (role.bypass_rls, "bypassrls"),
        ];
        let held: Vec<_> = attributes.iter().filter(|(held, _)| *held).map(|(_, name)| *name).collect();
        let facts = vec![("attributes", held.join(","))];
        return Err(Denial::new(Code::PrivilegedRole, &visitor.display_name(), facts).into());
    }
    if !role.can_login {
        return Err(Refused::NoLogin);
    }
    Ok(())
}

/// Whether there is an administrator, of the configured tenant.
pub(super) fn check_association(visitor: &Visitor, rules: &Rules) -> Result<(), Denial> {
    let name = visitor.display_name();
    match catalog::associated_tenant() {
        None => Err(Denial::new(Code::NoAdmin, &name, vec![])),
        Some(tenant) if tenant != rules.policy.tenant() => {
            let facts = vec![
                ("problem", "the administrators are of another tenant".to_owned()),
                ("expected", rules.policy.tenant().to_string()),
                ("found", tenant.to_string()),
            ];
            Err(Denial::new(Code::NotConfigured, &name, facts))
        }
        Some(_) => Ok(()),
    }
}
