//! How a token reaches us, and the one path from there to admission.

pub(crate) mod guard;
pub(crate) mod password;
pub(crate) mod seal;

use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use entra::{Code, Principal, Refusal, Token, Untrusted, Unverified, Uuid};
use pgrx::prelude::*;

use crate::clock::unix_now;
use crate::keys::{self, Found};
use crate::principal::catalog::{self, Role, Standing};
use crate::report::Denial;
use crate::settings::{self, Rules};

/// Who wants in, as established before the token was asked for.
pub(crate) struct Visitor {
    /// The role's name, as the client gave it.
    pub(crate) name: CString,
    /// The role that had this name then.
    pub(crate) role: pg_sys::Oid,
    /// Nobody on the way can read along.
    pub(crate) protected: bool,
}

impl Visitor {
    fn display_name(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }
}

/// Why a visitor stays outside.
pub(crate) enum Refused {
    /// For a reason of ours.
    Denied(Denial),
    /// The role has no LOGIN: core's own reason, in core's own words.
    NoLogin,
}

impl From<Denial> for Refused {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

/// A visitor let in.
pub(crate) struct Admission {
    pub(crate) role: pg_sys::Oid,
    /// The object the role was linked to when it was let in.
    pub(crate) object_id: Uuid,
    /// What was believed.
    pub(crate) token: Token,
}

/// What the visitor is judged by; the first two reasons to ask for no token.
pub(crate) fn rules_for(visitor: &Visitor) -> Result<Rules, Denial> {
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
pub(crate) fn check_standing(visitor: &Visitor, rules: &Rules, role: &Role) -> Result<(), Refused> {
    let name = visitor.display_name();
    let deny = |code, facts| Err(Refused::Denied(Denial::new(code, &name, facts)));
    match catalog::associated_tenant() {
        None => return deny(Code::NoAdmin, vec![]),
        Some(tenant) if tenant != rules.policy.tenant() => {
            let facts = vec![
                ("problem", "the administrators are of another tenant".to_owned()),
                ("expected", rules.policy.tenant().to_string()),
                ("found", tenant.to_string()),
            ];
            return deny(Code::NotConfigured, facts);
        }
        Some(_) => {}
    }
    if role.is_privileged() {
        let attributes = [
            (role.superuser, "superuser"),
            (role.replication, "replication"),
            (role.bypass_rls, "bypassrls"),
        ];
        let held: Vec<_> = attributes.iter().filter(|(held, _)| *held).map(|(_, name)| *name).collect();
        return deny(Code::PrivilegedRole, vec![("attributes", held.join(","))]);
    }
    if !role.can_login {
        return Err(Refused::NoLogin);
    }
    Ok(())
}

/// Judges a token for a visitor.
///
/// First what the token is worth, which may wait for keys; then, with everything committed meanwhile taken in, whether the
/// name is still that of the role it was, and whether that role is linked to the token's object.
pub(crate) fn admit(visitor: &Visitor, rules: &Rules, text: &[u8]) -> Result<Admission, Refused> {
    let name = visitor.display_name();
    let token = judge(text, rules, &name)?;
    catalog::accept_changes();
    let Some(role) = catalog::role_named(&visitor.name).filter(|role| role.id == visitor.role) else {
        let problem = "the role was renamed or dropped while its token was awaited".to_owned();
        return Err(Denial::new(Code::NotLinked, &name, vec![("problem", problem)]).into());
    };
    check_standing(visitor, rules, &role)?;
    let Standing::Linked(label) = catalog::standing_of(&role) else {
        return Err(Denial::new(Code::NotLinked, &name, about(&token)).into());
    };
    let Some(principal) = Principal::of(&label) else {
        return Err(Denial::new(Code::NotLinked, &name, about(&token)).into());
    };
    fenced(|| principal.accepts(&token)).map_err(|refusal| denial_by(refusal, &name))?;
    Ok(Admission { role: role.id, object_id: principal.object_id, token })
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
