//! What must hold whatever token is brought, or whoever's it is.
//!
//! Most of it is decided before the token is asked for, so that none is sent in vain, and again after it has arrived, because the
//! client decides how long that takes.

use entra::{Code, Refusal, Token};

use crate::catalog::{self, Role};
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
    match settings::unknown::found() {
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

/// Whether tokens of this object count, for whatever role, and those of a role whose tokens count from `own` on.
pub(super) fn check_revocations(token: &Token, own: Option<i64>, name: &str) -> Result<(), Denial> {
    let Some(revocations) = catalog::revocations() else {
        let facts = vec![("problem", "the label of azure_ad_user cannot be read".to_owned())];
        return Err(Denial::new(Code::Internal, name, facts));
    };
    let issued_at = token.issued_at;
    let everywhere = revocations.not_before(token.object_id, token.kind, token.application);
    match own.max(everywhere) {
        Some(not_before) if issued_at < not_before => {
            Err(Denial::of(&Refusal::TokenRevoked { issued_at, not_before }, name))
        }
        _ => Ok(()),
    }
}
