//! How a token reaches us, and the one path from there to admission.

mod decision;
pub(crate) mod door;
mod explain;
pub(crate) mod guard;
pub(crate) mod hook;
mod outcome;
mod preconditions;
mod record;
pub(crate) mod seal;

use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use entra::{Code, Principal, Refusal, Step, Token, Untrusted, Unverified, Witness};
use pgrx::prelude::*;

use crate::catalog::{self, Role, Standing};
use crate::keys::{self, Found};
use crate::login::outcome::{Admission, Refused, Sent};
use crate::login::preconditions::{
    check_association, check_revocations, check_role, marker_refused, rules_for,
};
use crate::pg::clock::unix_now;
use crate::pg::text::decode;
use crate::pg::wire::{Connection, Method};
use crate::report::{Attempt, Denial};
use crate::settings::{self, Rules};
use crate::stat;

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
    /// The role that had this name then, and what it was to us; none: there was no such role.
    role: Option<(Role, Standing)>,
    /// Nobody on the way can read along.
    protected: bool,
    /// Keys that are missing may be fetched and waited for.
    may_wait: bool,
}

impl Visitor {
    /// Whoever is at the other end of a connection, as the catalogs are now. What comes of it counts for a linked role.
    fn of(connection: Connection) -> Self {
        catalog::accept_changes();
        let name = connection.role_name();
        let protected = connection.is_tls() || connection.is_unix_socket();
        let visitor = Self { protected, may_wait: true, ..Self::named(name) };
        if let Some((role, Standing::Linked(_))) = &visitor.role {
            stat::is_for(role.id);
        }
        visitor
    }

    /// Whoever asks for a role by this name; nothing is done for its sake.
    fn named(name: CString) -> Self {
        let role = catalog::role_named(&name).map(|role| {
            let standing = catalog::standing_of(&role);
            (role, standing)
        });
        Self { name, role, protected: true, may_wait: false }
    }

    fn display_name(&self) -> String {
        decode(self.name.to_bytes())
    }
}

/// The circumstances of a visit, for the log.
fn attempt(connection: Connection, door: Door) -> Attempt {
    let role = decode(connection.role_name().to_bytes());
    Attempt { role, door: door.name(), method: connection.method_name() }
}

/// The whole way from a visitor to a decision: checks, asks for the token, and judges it. The token is wiped when this returns or
/// raises.
fn attend(
    visitor: &Visitor,
    ask: impl FnOnce(&Rules) -> Result<Sent, Refused>,
) -> Result<Admission, Refused> {
    attend_before(visitor, &mut (), ask)
}

/// The same before a witness.
fn attend_before(
    visitor: &Visitor,
    witness: &mut impl Witness,
    ask: impl FnOnce(&Rules) -> Result<Sent, Refused>,
) -> Result<Admission, Refused> {
    if let Some((role, Standing::Marker)) = &visitor.role {
        witness.reach(Step::Role);
        return Err(marker_refused(visitor, role));
    }
    witness.reach(Step::Configuration);
    let rules = rules_for(visitor)?;
    witness.reach(Step::Administrator);
    check_association(visitor, &rules)?;
    // What a role is that is none of ours, or whether there is one, is not for a stranger to learn.
    if let Some((role, Standing::Linked(_) | Standing::Inherited)) = &visitor.role {
        witness.reach(Step::Role);
        check_role(visitor, role)?;
    }
    admit(visitor, &rules, &ask(&rules)?, witness)
}

/// Judges a token for a visitor.
///
/// First what the token is worth, which may wait for keys; then, with everything committed meanwhile taken in, whether the
/// name is still that of the role it was, and whether that role is linked to the token's object.
fn admit(
    visitor: &Visitor,
    rules: &Rules,
    sent: &Sent,
    witness: &mut impl Witness,
) -> Result<Admission, Refused> {
    let name = visitor.display_name();
    let token = judge(visitor, &sent.token, rules, witness)?;
    witness.reach(Step::Link);
    catalog::accept_changes();
    let not_linked = || Refused::from(Denial::new(Code::NotLinked, &name, about(&token)));
    let (role, principal) = linked_role(visitor, rules, not_linked)?;
    fenced(|| principal.accepts_before(&token, witness)).map_err(|refusal| denial_by(refusal, &name))?;
    check_revocations(&token, principal.not_before, &name)?;
    Ok(Admission { role, principal, token, took: sent.arrived.elapsed() })
}

/// The role that the visitor asks for and what it is linked to, as the catalogs are now; it must be
/// the role that it was.
fn linked_role(
    visitor: &Visitor,
    rules: &Rules,
    not_linked: impl Fn() -> Refused,
) -> Result<(pg_sys::Oid, Principal), Refused> {
    let Some((before, _)) = &visitor.role else { return Err(not_linked()) };
    let Some(role) = catalog::role_named(&visitor.name).filter(|role| role.id == before.id) else {
        let problem = "the role was renamed or dropped while its token was awaited".to_owned();
        return Err(Denial::new(Code::NotLinked, &visitor.display_name(), vec![("problem", problem)]).into());
    };
    let standing = catalog::standing_of(&role);
    if matches!(standing, Standing::Local) {
        return Err(not_linked());
    }
    check_association(visitor, rules)?;
    check_role(visitor, &role)?;
    let Standing::Linked(label) = standing else { return Err(not_linked()) };
    let principal = Principal::of(&label).ok_or_else(not_linked)?;
    Ok((role.id, principal))
}

/// Whose token it was, for the log of a refusal that is not about the token.
fn about(token: &Token) -> Vec<(&'static str, String)> {
    vec![("oid", token.object_id.to_string()), ("tid", token.tenant.to_string())]
}

/// What the token is worth, with the keys at hand, or with those of one fetch that is waited for.
fn judge(visitor: &Visitor, text: &[u8], rules: &Rules, witness: &mut impl Witness) -> Result<Token, Denial> {
    let (Rules { policy, origin }, name) = (rules, &visitor.display_name());
    let token = fenced(|| parse(text, witness)).map_err(|refusal| denial_by(refusal, name))?;
    witness.reach(Step::Key);
    let deadline = Instant::now() + settings::unknown_key_wait();
    let mut worth_waiting = None;
    loop {
        let lookup = keys::find(token.key_id(), &origin.fingerprint);
        if let Found::Key(key) = lookup.found {
            return fenced(|| token.verify_before(&key, policy, unix_now(), witness))
                .map_err(|refusal| denial_by(refusal, name));
        }
        let worth_waiting =
            visitor.may_wait && *worth_waiting.get_or_insert_with(|| could_open(visitor, rules, &token));
        if !(worth_waiting && lookup.await_another(&origin.fingerprint, deadline)) {
            return Err(match lookup.found {
                Found::Unavailable(facts) => Denial::new(Code::KeysUnavailable, name, facts),
                _ => Denial::of(&Refusal::UnknownKey { key_id: Untrusted::new(token.key_id()) }, name),
            });
        }
    }
}

/// Whether a token would be let in as the role that is asked for, if only the right key had signed
/// it. No other may cause a fetch or keep a process waiting.
///
/// The claims are not verified, so anybody can write them; but to be worth a wait they must name
/// the very object that the role is linked to. Whoever has a token of that object learns nothing
/// from the wait. A stranger who guesses the object's id can see by it that the guess was right
/// (SECURITY.md says so); for everything else the answer comes at once, whatever the role is.
fn could_open(visitor: &Visitor, rules: &Rules, token: &Unverified<'_>) -> bool {
    catalog::accept_changes();
    let nobody = || Denial::new(Code::NotLinked, "", vec![]).into();
    let (Ok((_, principal)), Some(revocations)) =
        (linked_role(visitor, rules, nobody), catalog::revocations())
    else {
        return false;
    };
    fenced(|| token.could_pass(&rules.policy, unix_now(), &principal, &revocations)).is_ok()
}

#[cfg(not(feature = "fault_injection"))]
fn parse<'t>(text: &'t [u8], witness: &mut impl Witness) -> Result<Unverified<'t>, Refusal> {
    Unverified::parse_before(text, witness)
}

/// Panics, with the token in the text, so that a test can see that nobody gets to read it.
#[cfg(feature = "fault_injection")]
fn parse<'t>(text: &'t [u8], witness: &mut impl Witness) -> Result<Unverified<'t>, Refusal> {
    let token = Unverified::parse_before(text, witness)?;
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
