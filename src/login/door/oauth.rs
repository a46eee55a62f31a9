//! The third door, from PostgreSQL 18 on: an `oauth` line in pg_hba.conf, and this library as the
//! validator of OAUTHBEARER tokens (PostgreSQL documentation, "OAuth Validator Modules").
//!
//! PostgreSQL loads the validator into the backend. Where the postmaster has loaded it before, that
//! is the same one; where not, it has no state and accepts no client.

use std::ffi::CString;
use std::time::Instant;

use entra::{Code, LineOptions, Policy, Token};
use zeroize::Zeroizing;

use crate::login::authenticate::authenticate;
use crate::login::decision;
use crate::login::door::Door;
use crate::login::outcome::{Decision, Received, Refused, Rejection};
use crate::login::request::{LoginRequest, attempt};
use crate::pg::connection::Connection;
use crate::pg::library::{self, Preloaded};
use crate::pg::oauth::{self, LineOptionValues, OAuthValidatorCallbacks, Validator, callbacks};
use crate::report::{self, Denial};

static CALLBACKS: OAuthValidatorCallbacks = callbacks::<TokenValidator>();

/// Called by PostgreSQL, which asks the validator for its functions.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "called by PostgreSQL, by name")]
extern "C" fn _PG_oauth_validator_module_init() -> *const OAuthValidatorCallbacks {
    &raw const CALLBACKS
}

struct TokenValidator;

impl Validator for TokenValidator {
    const OPTIONS: &'static [&'static str] = &LineOptions::NAMES;

    /// Returns the id of the object whose token was accepted.
    fn validate(
        connection: Connection,
        options: &LineOptionValues<'_>,
        token: &[u8],
    ) -> Result<CString, oauth::Refused> {
        let at = Instant::now();
        let attempt = attempt(connection, Door::OAuth);
        let run = || {
            check_library(&attempt.role)?;
            let line = LineOptions::read(|name| options.get(name));
            authenticate(&LoginRequest { line, ..LoginRequest::of(connection) }, |rules| {
                check_line(connection, &rules.policy, &attempt.role)?;
                // bounded: by the longest message of a client that core reads during
                // authentication.
                Ok(Received { token: Zeroizing::new(token.to_vec()), at })
            })
        };
        decision::record(Door::OAuth, &attempt, run, answer)
    }
}

/// Returns what PostgreSQL is told of a decision. The hook refuses the client after it, where the
/// library is preloaded; where not, PostgreSQL does, and its log has the code and the facts.
fn answer(decision: &Decision) -> Result<CString, oauth::Refused> {
    let text = match decision {
        Ok(admission) => return identity(&admission.token).ok_or(oauth::Refused { detail: None }),
        Err(Rejection::Refused(Refused::Denied(denial))) => report::facts_of(denial),
        Err(_) => return Err(oauth::Refused { detail: None }),
    };
    Err(oauth::Refused { detail: CString::new(text).ok() })
}

fn identity(token: &Token) -> Option<CString> {
    CString::new(token.object_id.to_string()).ok()
}

/// Refuses where the postmaster has not loaded this library: then its hook is not there to refuse.
fn check_library(role: &str) -> Result<(), Denial> {
    let problem = match library::status() {
        Preloaded::ThisFile => return Ok(()),
        Preloaded::AnotherFile => {
            "this is another copy of azure_ad_auth than the server has loaded; name it as in \
             shared_preload_libraries, and restart the server if the file has been replaced"
        }
        Preloaded::No => {
            "azure_ad_auth is not in shared_preload_libraries; add it there and restart the server, \
             or take the oauth line out of pg_hba.conf"
        }
    };
    Err(Denial::new(Code::NotConfigured, role, vec![("problem", problem.to_owned())]))
}

/// Refuses by a line that sends clients to another tenant, or has them ask for tokens for another
/// resource.
fn check_line(connection: Connection, policy: &Policy, role: &str) -> Result<(), Denial> {
    let (issuer, scope) = (connection.advertised_issuer(), connection.advertised_scope());
    let (problem, found) = if !policy.fits_advertised_issuer(&issuer) {
        ("the issuer of the oauth line in pg_hba.conf is not one whose tokens are accepted", issuer)
    } else if !policy.fits_advertised_scope(&scope) {
        ("the scope of the oauth line in pg_hba.conf names no accepted audience", scope)
    } else {
        return Ok(());
    };
    let facts = vec![("problem", problem.to_owned()), ("found", found)];
    Err(Denial::new(Code::NotConfigured, role, facts))
}
