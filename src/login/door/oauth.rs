//! The third door, from PostgreSQL 18 on: an `oauth` line in pg_hba.conf, and this library as the validator of
//! OAUTHBEARER tokens (PostgreSQL documentation, "OAuth Validator Modules").
//!
//! PostgreSQL loads the validator into the backend. Where the postmaster has loaded it before, that is the same one; where not, it
//! has no state and admits nobody.

use std::ffi::{CStr, CString, c_char};
use std::time::Instant;

use entra::{Code, Policy};
use pgrx::prelude::*;
use zeroize::Zeroizing;

use crate::login::{Door, Refused, Sent, Visitor, attempt, attend, decision, record};
use crate::pg::library::{self, Preloaded};
use crate::pg::wire::{
    Connection, OAuthValidatorCallbacks, PG_OAUTH_VALIDATOR_MAGIC, ValidatorModuleResult,
    ValidatorModuleState,
};
use crate::report::Denial;

/// The layout of what is exchanged comes from the server's own libpq/oauth.h, as build.rs found it.
static CALLBACKS: OAuthValidatorCallbacks = OAuthValidatorCallbacks {
    magic: PG_OAUTH_VALIDATOR_MAGIC,
    startup_cb: None,
    shutdown_cb: None,
    validate_cb: Some(validate),
};

/// Hands PostgreSQL our function.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "called by PostgreSQL, by name")]
extern "C" fn _PG_oauth_validator_module_init() -> *const OAuthValidatorCallbacks {
    &raw const CALLBACKS
}

/// Judges a token. The identity is set for those let in only: PostgreSQL logs it as authenticated at once.
#[pg_guard]
#[expect(unsafe_code, reason = "the signature of the callback")]
unsafe extern "C-unwind" fn validate(
    _state: *const ValidatorModuleState,
    token: *const c_char,
    _role: *const c_char,
    result: *mut ValidatorModuleResult,
) -> bool {
    // SAFETY: PostgreSQL calls with a C string that stays as it is until we return, and with a result of its own, set to zero.
    unsafe {
        (*result).authorized = false;
        let Some(connection) = Connection::being_authenticated() else { return true };
        let text = CStr::from_ptr(token).to_bytes();
        let Some(object_id) = judge(connection, text) else { return true };
        (*result).authn_id = pg_sys::pstrdup(object_id.as_ptr());
        (*result).authorized = true;
    }
    true
}

/// The object that was let in.
fn judge(connection: Connection, text: &[u8]) -> Option<CString> {
    let arrived = Instant::now();
    let attempt = attempt(connection, Door::OAuth);
    if let Some(problem) = unfit() {
        let facts = vec![("problem", problem.to_owned())];
        record::refusal(&attempt, &Denial::new(Code::NotConfigured, &attempt.role, facts));
        return None;
    }
    let judge = || {
        attend(&Visitor::of(connection), |rules| {
            check_line(connection, &rules.policy, &attempt.role)?;
            // bounded: by the longest message of a client that core reads before it is let in.
            Ok(Sent { token: Zeroizing::new(text.to_vec()), arrived })
        })
    };
    decision::reach(Door::OAuth, &attempt, judge, |verdict| {
        let admission = verdict.as_ref().ok()?;
        CString::new(admission.token.object_id.to_string()).ok()
    })
}

/// Why this library cannot judge: then its hook is not there to say so either.
fn unfit() -> Option<&'static str> {
    match library::status() {
        Preloaded::ThisFile => None,
        Preloaded::AnotherFile => Some(
            "this is another copy of azure_ad_auth than the server has loaded; name it as in \
                 shared_preload_libraries, and restart the server if the file has been replaced",
        ),
        Preloaded::No => Some(
            "azure_ad_auth is not in shared_preload_libraries; add it there and restart the server, \
             or take the oauth line out of pg_hba.conf",
        ),
    }
}

/// A line that sends clients to another tenant, or has them ask for tokens for something else, admits nobody.
fn check_line(connection: Connection, policy: &Policy, role: &str) -> Result<(), Refused> {
    let (issuer, scope) = (connection.advertised_issuer(), connection.advertised_scope());
    let (problem, found) = if !policy.fits_advertised_issuer(&issuer) {
        ("the issuer of the oauth line in pg_hba.conf is not one whose tokens are accepted", issuer)
    } else if !policy.fits_advertised_scope(&scope) {
        ("the scope of the oauth line in pg_hba.conf names no accepted audience", scope)
    } else {
        return Ok(());
    };
    let facts = vec![("problem", problem.to_owned()), ("found", found)];
    Err(Denial::new(Code::NotConfigured, role, facts).into())
}
