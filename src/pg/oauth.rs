//! PostgreSQL's interface for validators of OAUTHBEARER tokens, from PostgreSQL 18 on ("OAuth
//! Validator Modules" in its documentation).

use std::ffi::{CStr, CString, c_char};

use pgrx::prelude::*;

use crate::pg::connection::Connection;
pub(crate) use crate::pg::server::OAuthValidatorCallbacks;
use crate::pg::server::{PG_OAUTH_VALIDATOR_MAGIC, ValidatorModuleResult, ValidatorModuleState};

/// Validates tokens.
pub(crate) trait Validator: 'static {
    /// Returns the identity of the client that the token lets in; none if it is refused. PostgreSQL
    /// logs the identity as authenticated at once.
    fn validate(connection: Connection, token: &[u8]) -> Option<CString>;
}

/// Returns the table of functions that PostgreSQL asks a validator for. Its layout comes from the
/// server's own libpq/oauth.h, as build.rs found it.
pub(crate) const fn callbacks<V: Validator>() -> OAuthValidatorCallbacks {
    OAuthValidatorCallbacks {
        magic: PG_OAUTH_VALIDATOR_MAGIC,
        startup_cb: None,
        shutdown_cb: None,
        validate_cb: Some(validate::<V>),
    }
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of the callback")]
unsafe extern "C-unwind" fn validate<V: Validator>(
    _state: *const ValidatorModuleState,
    token: *const c_char,
    _role: *const c_char,
    result: *mut ValidatorModuleResult,
) -> bool {
    // SAFETY: PostgreSQL calls with a C string that stays as it is until this returns, and with a
    // result of its own, set to zero.
    unsafe {
        (*result).authorized = false;
        let Some(connection) = Connection::being_authenticated() else { return true };
        let token = CStr::from_ptr(token).to_bytes();
        let Some(identity) = V::validate(connection, token) else { return true };
        (*result).authn_id = pg_sys::pstrdup(identity.as_ptr());
        (*result).authorized = true;
    }
    true
}
