//! The one way from a login request to a decision: the preconditions, the token, and the link
//! between the token's object and the role.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use entra::directory::admission::{Verdict, judge};
use entra::{Code, Millis, Observer, Principal, Refusal, Step, Token, Untrusted, Unverified};
use pgrx::prelude::*;

use crate::catalog::{self, Standing};
use crate::directory;
use crate::keys::{self, Found};
use crate::login::knowledge::{Asking, denial_of, known};
use crate::login::outcome::{Admission, Received, Refused};
use crate::login::preconditions::{
    check_administrators, check_role, check_settings_known, marker_role_refused, rules_for,
};
use crate::login::request::LoginRequest;
use crate::pg::clock::unix_now;
use crate::report::Denial;
use crate::settings::{self, Rules};

/// Authenticates a request: checks what must hold whatever the token, asks for the token, and
/// decides by it. The token is wiped when this returns or raises.
pub(super) fn authenticate(
    request: &LoginRequest,
    ask: impl FnOnce(&Rules) -> Result<Received, Refused>,
) -> Result<Admission, Refused> {
    authenticate_traced(request, &mut (), ask)
}

/// Does the same, and tells an observer of each step before it is taken.
pub(super) fn authenticate_traced(
    request: &LoginRequest,
    observer: &mut impl Observer,
    ask: impl FnOnce(&Rules) -> Result<Received, Refused>,
) -> Result<Admission, Refused> {
    if let Some((role, Standing::Marker)) = &request.role {
        observer.step(Step::Role);
        return Err(marker_role_refused(request, role));
    }
    observer.step(Step::Configuration);
    let rules = rules_for(request)?;
    observer.step(Step::Administrator);
    check_administrators(request, &rules)?;
    // A stranger must not learn what a local role may do, or whether there is a role of that name.
    if let Some((role, Standing::Linked(_) | Standing::Inherited)) = &request.role {
        observer.step(Step::Role);
        check_role(request, role)?;
    }
    authorize(request, &rules, &ask(&rules)?, observer)
}

/// Verifies a token, and authorizes its holder to log in as the role that is asked for.
///
/// Verifying may wait for keys. After that, with everything that was committed meanwhile taken into
/// account, the name must still be that of the same role, and the role must be linked to the
/// token's object. The directory may then have to be asked whether the token's owner is in the
/// role's group; after that wait all of this is checked anew, and the directory is not asked again.
fn authorize(
    request: &LoginRequest,
    rules: &Rules,
    received: &Received,
    observer: &mut impl Observer,
) -> Result<Admission, Refused> {
    let name = request.display_name();
    let token = verify(request, &received.token, rules, observer)?;
    let mut asking = Asking::Allowed;
    loop {
        check_settings_known(&name)?;
        let (role, principal, verdict) = judge_as_role(request, rules, &token, asking, observer)?;
        match verdict {
            Verdict::Admit => return Ok(Admission { role, principal, token, took: received.at.elapsed() }),
            Verdict::Ask(pair) => directory::ask_membership(pair, token.kind, left_of(&token)),
        }
        asking = Asking::Done;
    }
}

/// Judges a verified token as the catalogs and what is known of the directory are now. Returns the
/// role that is asked for, and what it is linked to.
fn judge_as_role(
    request: &LoginRequest,
    rules: &Rules,
    token: &Token,
    asking: Asking,
    observer: &mut impl Observer,
) -> Result<(pg_sys::Oid, Principal, Verdict), Refused> {
    observer.step(Step::Link);
    catalog::accept_changes();
    let name = request.display_name();
    let not_linked = || {
        let facts = vec![("oid", token.object_id.to_string()), ("tid", token.tenant.to_string())];
        Refused::from(Denial::new(Code::NotLinked, &name, facts))
    };
    let (role, principal) = linked_role(request, rules, not_linked)?;
    let revocations = catalog::revocations();
    let knowledge = known(token.object_id, &principal, asking);
    let verdict = catch_panics(|| judge(&principal, token, revocations.as_ref(), &knowledge, observer))
        .map_err(|refusal| denial(refusal, &name))?;
    Ok((role, principal, verdict))
}

/// Returns what is left of the life of a token, in milliseconds.
fn left_of(token: &Token) -> Millis {
    let seconds = token.expires_at.saturating_sub(unix_now());
    Millis::try_from(seconds).unwrap_or_default().saturating_mul(1_000)
}

/// Returns the role that is asked for and what it is linked to, as the catalogs are now. It must be
/// the role that it was when the login was requested.
fn linked_role(
    request: &LoginRequest,
    rules: &Rules,
    not_linked: impl Fn() -> Refused,
) -> Result<(pg_sys::Oid, Principal), Refused> {
    let Some((before, _)) = &request.role else { return Err(not_linked()) };
    let Some(role) = catalog::role_named(&request.role_name).filter(|role| role.id == before.id) else {
        let problem = "the role was renamed or dropped while its token was awaited".to_owned();
        return Err(Denial::new(Code::NotLinked, &request.display_name(), vec![("problem", problem)]).into());
    };
    let standing = catalog::standing_of(&role);
    if matches!(standing, Standing::Local) {
        return Err(not_linked());
    }
    check_administrators(request, rules)?;
    check_role(request, &role)?;
    let Standing::Linked(label) = standing else { return Err(not_linked()) };
    let principal = Principal::of(&label).ok_or_else(not_linked)?;
    Ok((role.id, principal))
}

/// Verifies a token, with the keys that are there or with those of one fetch, which is waited for.
pub(super) fn verify(
    request: &LoginRequest,
    text: &[u8],
    rules: &Rules,
    observer: &mut impl Observer,
) -> Result<Token, Denial> {
    let (Rules { policy, origin }, name) = (rules, &request.display_name());
    let token = catch_panics(|| parse(text, observer)).map_err(|refusal| denial(refusal, name))?;
    observer.step(Step::Key);
    let deadline = Instant::now() + settings::unknown_key_wait();
    let mut could_pass = None;
    loop {
        let lookup = keys::find(token.key_id(), &origin.fingerprint);
        if let Found::Key(key) = lookup.found {
            return catch_panics(|| token.verify_traced(&key, policy, unix_now(), observer))
                .map_err(|refusal| denial(refusal, name));
        }
        let is_worth_waiting = request.may_wait
            && *could_pass.get_or_insert_with(|| could_pass_with_key(request, rules, &token));
        if !(is_worth_waiting && lookup.await_another(&origin.fingerprint, deadline)) {
            return Err(match lookup.found {
                Found::Unavailable(facts) => Denial::new(Code::KeysUnavailable, name, facts),
                _ => Denial::of(&Refusal::UnknownKey { key_id: Untrusted::new(token.key_id()) }, name),
            });
        }
    }
}

/// Returns whether a token would be accepted for the role that is asked for, if only the right key
/// had signed it. No other token may cause a fetch or keep a process waiting.
///
/// The claims are not verified, so any client can write them; but to be worth a wait they must name
/// the very object that the role is linked to. A client that has a token of that object learns
/// nothing from the wait. A stranger who guesses the object's id can see by it that the guess was
/// right (SECURITY.md says so); for everything else the answer comes at once, whatever the role is.
fn could_pass_with_key(request: &LoginRequest, rules: &Rules, token: &Unverified<'_>) -> bool {
    catalog::accept_changes();
    let not_linked = || Denial::new(Code::NotLinked, "", vec![]).into();
    let Ok((_, principal)) = linked_role(request, rules, not_linked) else { return false };
    let revocations = catalog::revocations();
    // It may wait, and be interrupted by an error of PostgreSQL: not where panics are caught.
    directory::await_start();
    let knows = |person| known(person, &principal, Asking::Done);
    catch_panics(|| token.could_pass(&rules.policy, unix_now(), &principal, revocations.as_ref(), knows))
        .is_ok()
}

#[cfg(not(feature = "fault_injection"))]
fn parse<'t>(text: &'t [u8], observer: &mut impl Observer) -> Result<Unverified<'t>, Refusal> {
    Unverified::parse_traced(text, observer)
}

/// Parses a token. Panics if the key id is "panic", with the token in the text, so that a test can
/// see that the text reaches neither the client nor the log.
#[cfg(feature = "fault_injection")]
fn parse<'t>(text: &'t [u8], observer: &mut impl Observer) -> Result<Unverified<'t>, Refusal> {
    let token = Unverified::parse_traced(text, observer)?;
    assert!(token.key_id() != "panic", "a fault in a login with the token {}", String::from_utf8_lossy(text));
    Ok(token)
}

/// Runs a pure function of `entra`. A panic in it refuses this login and is returned as an error
/// without a refusal, so that no text of the panic reaches the client or the log.
fn catch_panics<T>(decide: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Option<Refusal>> {
    catch_unwind(AssertUnwindSafe(decide)).map_err(|_| None)?.map_err(Some)
}

/// Returns what [`catch_panics`] has found as a refusal of the role `name`.
fn denial(refusal: Option<Refusal>, name: &str) -> Denial {
    let fault = || {
        let facts = vec![("problem", "a fault while judging the token".to_owned())];
        Denial::new(Code::Internal, name, facts)
    };
    refusal.map_or_else(fault, |refusal| denial_of(&refusal, name))
}
