//! Checks what must hold for a login whatever the token is.
//!
//! Most of it is checked before the token is asked for, so that none is sent in vain, and again
//! after it has arrived, because the client decides how long that takes.

use std::rc::Rc;

use entra::{Code, LineOptions};

use crate::catalog::{self, Role};
use crate::login::outcome::Refused;
use crate::login::request::LoginRequest;
use crate::report::Denial;
use crate::settings::{self, Rules};

/// Returns the refusal of a login as `azure_ad_user` or `azure_ad_admin`.
pub(super) fn marker_role_refused(request: &LoginRequest, role: &Role) -> Refused {
    if role.can_login {
        let problem = "this role marks Azure AD roles, and no client can log in as it".to_owned();
        Denial::new(Code::NotLinked, &request.display_name(), vec![("problem", problem)]).into()
    } else {
        Refused::NoLogin
    }
}

/// Returns the settings that decide about the request, narrowed by its line of pg_hba.conf, if the
/// connection is protected and they are complete and valid.
pub(super) fn rules_for(request: &LoginRequest) -> Result<Rules, Denial> {
    let name = request.display_name();
    if settings::require_tls() && !request.is_protected {
        return Err(Denial::new(Code::TlsRequired, &name, vec![]));
    }
    let mut rules = settings::rules().map_err(|fault| Denial::misconfigured(&fault, &name))?;
    if request.line != LineOptions::default() {
        let narrowed = rules.policy.narrowed(&request.line);
        rules.policy = Rc::new(narrowed.map_err(|fault| Denial::misconfigured_line(&fault, &name))?);
    }
    check_settings_known(&name).map(|()| rules)
}

/// Checks that no setting of this library's prefix is misspelt, as far as a worker has looked. It
/// is asked again after the token has arrived: at the start of the server a login may come before
/// the worker's first look.
pub(super) fn check_settings_known(name: &str) -> Result<(), Denial> {
    match settings::unknown::found() {
        Some(unknown) => Err(Denial::new(Code::NotConfigured, name, vec![("unknown_setting", unknown)])),
        None => Ok(()),
    }
}

/// Checks that the role may log in with a token at all.
pub(super) fn check_role(request: &LoginRequest, role: &Role) -> Result<(), Refused> {
    if role.is_privileged() {
        let attributes = [
            (role.superuser, "superuser"),
            (role.replication, "replication"),
            (role.bypass_rls, "bypassrls"),
        ];
        let held: Vec<_> = attributes.iter().filter(|(held, _)| *held).map(|(_, name)| *name).collect();
        let facts = vec![("attributes", held.join(","))];
        return Err(Denial::new(Code::PrivilegedRole, &request.display_name(), facts).into());
    }
    if !role.can_login {
        return Err(Refused::NoLogin);
    }
    Ok(())
}

/// Checks that there is an administrator, and that the administrators are of the configured tenant.
pub(super) fn check_administrators(request: &LoginRequest, rules: &Rules) -> Result<(), Denial> {
    match catalog::associated_tenant() {
        None => Err(Denial::new(Code::NoAdmin, &request.display_name(), vec![])),
        Some(tenant) if tenant != rules.policy.tenant() => {
            let facts = vec![
                ("problem", "the administrators are of another tenant".to_owned()),
                ("expected", rules.policy.tenant().to_string()),
                ("found", tenant.to_string()),
            ];
            Err(Denial::new(Code::NotConfigured, &request.display_name(), facts))
        }
        Some(_) => Ok(()),
    }
}
