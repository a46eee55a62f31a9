//! PostgreSQL's interface for validators of OAUTHBEARER tokens, from PostgreSQL 18 on ("OAuth
//! Validator Modules" in its documentation).

use std::ffi::{CStr, CString, c_char};

use pgrx::prelude::*;

use crate::pg::connection::Connection;
pub(crate) use crate::pg::server::OAuthValidatorCallbacks;
use crate::pg::server::{PG_OAUTH_VALIDATOR_MAGIC, ValidatorModuleResult, ValidatorModuleState};
#[cfg(feature = "pg19")]
use crate::pg::text;

/// Validates tokens.
pub(crate) trait Validator: 'static {
    /// The names of the options that a line of pg_hba.conf may have for this validator, as
    /// `validator.NAME=VALUE`. From PostgreSQL 19 on: before, no line can have any.
    #[cfg_attr(not(feature = "pg19"), expect(dead_code, reason = "no line has options"))]
    const OPTIONS: &'static [&'static str];

    /// Returns the identity of the client that the token lets in, or why the token is refused.
    /// PostgreSQL logs the identity as authenticated at once.
    fn validate(
        connection: Connection,
        options: &LineOptionValues<'_>,
        token: &[u8],
    ) -> Result<CString, Refused>;
}

/// A refusal, with a DETAIL for the line that PostgreSQL logs if no hook raises another error. Used
/// from PostgreSQL 19 on.
pub(crate) struct Refused {
    /// The DETAIL.
    #[cfg_attr(not(feature = "pg19"), expect(dead_code, reason = "PostgreSQL takes none"))]
    pub(crate) detail: Option<CString>,
}

/// The values of the options on the line of pg_hba.conf that a connection has matched.
#[cfg_attr(not(feature = "pg19"), expect(dead_code, reason = "no line has options"))]
pub(crate) struct LineOptionValues<'state>(&'state ValidatorModuleState);

impl LineOptionValues<'_> {
    /// Returns the value of an option; none if the line does not have it. Bytes that are not UTF-8
    /// are escaped, as where lines are checked.
    #[cfg(feature = "pg19")]
    #[expect(unsafe_code, ffi_unwind_calls, reason = "calls GetOAuthHBAOption, in a boundary")]
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let name = CString::new(name).ok()?;
        // SAFETY: called while a token is validated, as the function demands. It returns null or a
        // string of the line, which stays as long as the connection is being authenticated.
        unsafe {
            let value = pg_sys::ffi::pg_guard_ffi_boundary(|| {
                crate::pg::server::GetOAuthHBAOption(self.0, name.as_ptr())
            });
            (!value.is_null()).then(|| text::read_utf8(CStr::from_ptr(value).to_bytes()))
        }
    }

    /// Returns none: no line has options.
    #[cfg(not(feature = "pg19"))]
    #[expect(clippy::unused_self, reason = "as it is from PostgreSQL 19 on")]
    pub(crate) const fn get(&self, _name: &str) -> Option<String> {
        None
    }
}

/// Returns the table of functions that PostgreSQL asks a validator for. Its layout comes from the
/// server's own libpq/oauth.h, as build.rs found it.
pub(crate) const fn callbacks<V: Validator>() -> OAuthValidatorCallbacks {
    OAuthValidatorCallbacks {
        magic: PG_OAUTH_VALIDATOR_MAGIC,
        #[cfg(feature = "pg19")]
        startup_cb: Some(register_options::<V>),
        #[cfg(not(feature = "pg19"))]
        startup_cb: None,
        shutdown_cb: None,
        validate_cb: Some(validate::<V>),
    }
}

/// Tells PostgreSQL the names of the options. With another name on its line it refuses every
/// client.
#[cfg(feature = "pg19")]
#[pg_guard]
#[expect(unsafe_code, ffi_unwind_calls, reason = "the signature of the callback, and a call in a boundary")]
unsafe extern "C-unwind" fn register_options<V: Validator>(state: *mut ValidatorModuleState) {
    let names: Vec<_> = V::OPTIONS.iter().filter_map(|name| CString::new(*name).ok()).collect();
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let count = i32::try_from(pointers.len()).unwrap_or_default();
    // SAFETY: PostgreSQL's own state, and as many C strings as are counted, which it copies. An
    // error leaves the boundary as a panic, so that the names are dropped.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            crate::pg::server::RegisterOAuthHBAOptions(state, count, pointers.as_mut_ptr());
        });
    }
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of the callback")]
unsafe extern "C-unwind" fn validate<V: Validator>(
    state: *const ValidatorModuleState,
    token: *const c_char,
    _role: *const c_char,
    result: *mut ValidatorModuleResult,
) -> bool {
    // SAFETY: PostgreSQL calls with its state of this validator and a C string, which stay as they
    // are until this returns, and with a result of its own, set to zero.
    unsafe {
        (*result).authorized = false;
        let Some(connection) = Connection::being_authenticated() else { return true };
        let token = CStr::from_ptr(token).to_bytes();
        match V::validate(connection, &LineOptionValues(&*state), token) {
            Ok(identity) => {
                (*result).authn_id = pg_sys::pstrdup(identity.as_ptr());
                (*result).authorized = true;
            }
            #[cfg(feature = "pg19")]
            Err(Refused { detail: Some(detail) }) => {
                (*result).error_detail = pg_sys::pstrdup(detail.as_ptr());
            }
            Err(_) => {}
        }
    }
    true
}
