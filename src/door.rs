//! How a token reaches us, and the one path from there to admission.

pub(crate) mod guard;
pub(crate) mod hook;
#[cfg(feature = "pg18")]
mod oauth;
pub(crate) mod pam;
mod password;
pub(crate) mod seal;
mod verdict;
mod visit;

use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use entra::{Code, Principal, Refusal, Token, Untrusted, Unverified};
use pgrx::prelude::*;

use crate::clock::unix_now;
use crate::keys::{self, Found};
use crate::principal::catalog::{self, Role, Standing};
use crate::report::{Attempt, Denial};
use crate::settings::{self, Rules};
use crate::stat;
use crate::wire::{Connection, Method};
use visit::{Admission, Refused, Sent};

/// By which way a token reaches us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// A `trust` line, behind which the hook asks.
    Password,
    /// A `pam` line: this library as PAM's module.
    Pam,
    /// An `oauth` line: this library as PostgreSQL's validator.
    OAuth,
}

impl Door {
    /// The door behind a method of pg_hba.conf, if there can be one.
    const fn behind(method: Method) -> Option<Self> {
        match method {
            Method::Trust => Some(Self::Password),
            Method::Pam => Some(Self::Pam),
            Method::OAuth => Some(Self::OAuth),
            Method::Other => None,
        }
    }

    /// For the log.
    const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Pam => "pam",
            Self::OAuth => "oauth",
        }
    }
}

/// Who wants in, as established before the token was asked for.
struct Visitor {
    /// The role's name, as the client gave it.
    name: CString,
    /// The role that had this name then; invalid: none had.
    role: pg_sys::Oid,
    /// Nobody on the way can read along.
    protected: bool,
}

impl Visitor {
    /// Whoever is at the other end of a connection.
    fn of(connection: Connection) -> Self {
        let name = connection.role_name();
        let role = catalog::role_named(&name).map_or(pg_sys::InvalidOid, |role| role.id);
        Self { name, role, protected: connection.is_tls() || connection.is_unix_socket() }
    }

    fn display_name(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }
}

/// The circumstances of a visit, for the log.
fn attempt(connection: Connection, door: Door) -> Attempt {
    let role = connection.role_name().to_string_lossy().into_owned();
    Attempt { role, door: door.name(), method: connection.method_name() }
}

/// The whole way from a visitor to a decision: checks, asks for the token, and judges it. The token is wiped when this returns or
/// raises.
fn attend(visitor: &Visitor, ask: impl FnOnce() -> Result<Sent, Refused>) -> Result<Admission, Refused> {
    let role = catalog::role_of(visitor.role);
    let standing = role.as_ref().map(standing_of);
    if let (Some(role), Some(Standing::Anchor)) = (&role, &standing) {
        return Err(anchor_refused(visitor, role));
    }
    let rules = rules_for(visitor)?;
    match (&role, standing) {
        (Some(role), Some(Standing::Linked(_) | Standing::Inherited)) => {
            check_standing(visitor, &rules, role)?;
        }
        // What a role is that is none of ours, or whether there is one, is not for a stranger to learn.
        _ => check_association(visitor, &rules)?,
    }
    admit(visitor, &rules, &ask()?)
}

/// The standing of the role that a visitor asks for; what comes of it counts for a linked role.
fn standing_of(role: &Role) -> Standing {
    let standing = catalog::standing_of(role);
    if matches!(standing, Standing::Linked(_)) {
        stat::is_for(role.id);
    }
    standing
}

fn anchor_refused(visitor: &Visitor, role: &Role) -> Refused {
    if role.can_login {
        let problem = "this role stands for all Azure AD roles and is nobody's".to_owned();
        Denial::new(Code::NotLinked, &visitor.display_name(), vec![("problem", problem)]).into()
    } else {
        Refused::NoLogin
    }
}

/// What the visitor is judged by; the first two reasons to ask for no token.
fn rules_for(visitor: &Visitor) -> Result<Rules, Denial> {
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

/// What does not depend on the token: decided before it is asked for, so that none is sent in vain, and again after it
/// has arrived, because the client decides how long that takes.
fn check_standing(visitor: &Visitor, rules: &Rules, role: &Role) -> Result<(), Refused> {
    check_association(visitor, rules)?;
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
fn check_association(visitor: &Visitor, rules: &Rules) -> Result<(), Denial> {
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

/// Judges a token for a visitor.
///
/// First what the token is worth, which may wait for keys; then, with everything committed meanwhile taken in, whether the
/// name is still that of the role it was, and whether that role is linked to the token's object.
fn admit(visitor: &Visitor, rules: &Rules, sent: &Sent) -> Result<Admission, Refused> {
    let name = visitor.display_name();
    let token = judge(&sent.token, rules, &name)?;
    catalog::accept_changes();
    let not_linked = || Refused::from(Denial::new(Code::NotLinked, &name, about(&token)));
    if visitor.role == pg_sys::InvalidOid {
        return Err(not_linked());
    }
    let Some(role) = catalog::role_named(&visitor.name).filter(|role| role.id == visitor.role) else {
        let problem = "the role was renamed or dropped while its token was awaited".to_owned();
        return Err(Denial::new(Code::NotLinked, &name, vec![("problem", problem)]).into());
    };
    let standing = catalog::standing_of(&role);
    if matches!(standing, Standing::Local) {
        return Err(not_linked());
    }
    check_standing(visitor, rules, &role)?;
    let Standing::Linked(label) = standing else { return Err(not_linked()) };
    let principal = Principal::of(&label).ok_or_else(not_linked)?;
    fenced(|| principal.accepts(&token)).map_err(|refusal| denial_by(refusal, &name))?;
    check_revocations(&token, &name)?;
    Ok(Admission { role: role.id, principal, token, took: sent.arrived.elapsed() })
}

/// Whether tokens of this object count, for whatever role.
fn check_revocations(token: &Token, name: &str) -> Result<(), Denial> {
    let Some(revocations) = catalog::revocations() else {
        let facts = vec![("problem", "the label of azure_ad_user cannot be read".to_owned())];
        return Err(Denial::new(Code::Internal, name, facts));
    };
    let issued_at = token.issued_at;
    match revocations.not_before(token.object_id, token.kind, token.application) {
        Some(not_before) if issued_at < not_before => {
            Err(Denial::of(&Refusal::TokenRevoked { issued_at, not_before }, name))
        }
        _ => Ok(()),
    }
}

/// Whose token it was, for the log of a refusal that is not about the token.
fn about(token: &Token) -> Vec<(&'static str, String)> {
    vec![("oid", token.object_id.to_string()), ("tid", token.tenant.to_string())]
}

/// What the token is worth, with the keys at hand, or with those of one fetch that is waited for.
fn judge(text: &[u8], rules: &Rules, name: &str) -> Result<Token, Denial> {
    let Rules { policy, origin } = rules;
    let token = fenced(|| parse(text)).map_err(|refusal| denial_by(refusal, name))?;
    let deadline = Instant::now() + settings::unknown_key_wait();
    let mut worth_waiting = None;
    loop {
        let lookup = keys::find(token.key_id(), &origin.fingerprint);
        if let Found::Key(key) = lookup.found {
            return fenced(|| token.verify(&key, policy, unix_now()))
                .map_err(|refusal| denial_by(refusal, name));
        }
        // Only a token that would pass with the right key may make anything happen, or keep a process waiting.
        let worth_waiting =
            *worth_waiting.get_or_insert_with(|| fenced(|| token.could_pass(policy, unix_now())).is_ok());
        if !(worth_waiting && lookup.await_another(&origin.fingerprint, deadline)) {
            return Err(match lookup.found {
                Found::Unavailable(facts) => Denial::new(Code::KeysUnavailable, name, facts),
                _ => Denial::of(&Refusal::UnknownKey { key_id: Untrusted::new(token.key_id()) }, name),
            });
        }
    }
}

#[cfg(not(feature = "fault_injection"))]
fn parse(text: &[u8]) -> Result<Unverified<'_>, Refusal> {
    Unverified::parse(text)
}

/// Panics, with the token in the text, so that a test can see that nobody gets to read it.
#[cfg(feature = "fault_injection")]
fn parse(text: &[u8]) -> Result<Unverified<'_>, Refusal> {
    let token = Unverified::parse(text)?;
    assert!(token.key_id() != "panic", "a fault in a login with the token {}", String::from_utf8_lossy(text));
    Ok(token)
}

/// Runs a pure function of `entra` so that a fault in it refuses this login, and no text of it reaches anyone.
fn fenced<T>(judgement: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Option<Refusal>> {
    catch_unwind(AssertUnwindSafe(judgement)).map_err(|_| None)?.map_err(Some)
}

fn denial_by(refusal: Option<Refusal>, name: &str) -> Denial {
    match refusal {
        Some(refusal) => Denial::of(&refusal, name),
        None => {
            Denial::new(Code::Internal, name, vec![("problem", "a fault while judging the token".to_owned())])
        }
    }
}
