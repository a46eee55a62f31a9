//! The second door: a `pam` line in pg_hba.conf, `hostssl all +azure_ad_user all pam pamservice=azure_ad_auth`, and this very
//! library as the module of that service.
//!
//! No `trust` is in sight: without the library there is nothing that could say yes. What opens this door is that libpam, asked for
//! a file that the process has loaded, gets the one that is loaded, with all its state. A copy that libpam has loaded by itself
//! has none: it was not loaded by the postmaster, and admits nobody.
//!
//! Called by libpam, which knows neither PostgreSQL's errors nor Rust's: neither passes through it. What went wrong is held
//! back, and said by the hook.

use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use entra::Code;
use pgrx::PgTryBuilder;
use pgrx::pg_sys::panic::CaughtError;

use super::verdict::{self, Objection, Verdict};
use super::{Door, Refused, Visitor, attend};
use crate::preloaded;
use crate::report::Denial;
use crate::wire::pam::{self, Handle};
use crate::wire::{Connection, Method};

/// Asks for the token and judges it (pam_sm_authenticate(3)).
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "called by libpam, by name")]
extern "C" fn pam_sm_authenticate(
    handle: *mut Handle,
    _flags: c_int,
    _count: c_int,
    _arguments: *const *const c_char,
) -> c_int {
    fenced(|| {
        let Some(connection) = visited() else { return pam::AUTHINFO_UNAVAIL };
        verdict::forget();
        let verdict = judge(connection, handle);
        let answer = match &verdict {
            Ok(_) => pam::SUCCESS,
            Err(Objection::Refused(Refused::HungUp)) => return pam::CONV_ERR,
            Err(Objection::Refused(_)) => pam::AUTH_ERR,
            Err(Objection::Failed(_)) => pam::SYSTEM_ERR,
        };
        verdict::note(Door::Pam, verdict);
        answer
    })
}

/// Whether [`pam_sm_authenticate`] has let this very connection in (pam_sm_acct_mgmt(3)).
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "called by libpam, by name")]
extern "C" fn pam_sm_acct_mgmt(
    _handle: *mut Handle,
    _flags: c_int,
    _count: c_int,
    _arguments: *const *const c_char,
) -> c_int {
    fenced(|| if_admitted(pam::AUTH_ERR))
}

/// There are no credentials to set; the answer is that of [`pam_sm_acct_mgmt`] (pam_sm_setcred(3)).
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "called by libpam, by name")]
extern "C" fn pam_sm_setcred(
    _handle: *mut Handle,
    _flags: c_int,
    _count: c_int,
    _arguments: *const *const c_char,
) -> c_int {
    fenced(|| if_admitted(pam::CRED_UNAVAIL))
}

/// Defines an entry for which there is nothing to do here.
macro_rules! no_service {
    ($($name:ident),*) => {$(
        /// PostgreSQL asks PAM for authentication and accounts only.
        #[unsafe(no_mangle)]
        #[expect(unsafe_code, reason = "called by libpam, by name")]
        extern "C" fn $name(
            _handle: *mut c_void,
            _flags: c_int,
            _count: c_int,
            _arguments: *const *const c_char,
        ) -> c_int {
            pam::SERVICE_ERR
        }
    )*};
}
no_service!(pam_sm_open_session, pam_sm_close_session, pam_sm_chauthtok);

fn if_admitted(otherwise: c_int) -> c_int {
    match visited() {
        None => pam::AUTHINFO_UNAVAIL,
        Some(_) if verdict::is_admitted_by(Door::Pam) => pam::SUCCESS,
        Some(_) => otherwise,
    }
}

/// The connection whose client is being authenticated by PAM; none in any other program or at any other time, and none in a
/// library that the postmaster has not loaded.
fn visited() -> Option<Connection> {
    if !preloaded::is_this_file() {
        return None;
    }
    Connection::being_authenticated().filter(|connection| connection.method() == Method::Pam)
}

/// Judges; an error of PostgreSQL's on the way is held back, and of a fault of ours no text reaches anyone.
fn judge(connection: Connection, handle: *mut Handle) -> Verdict {
    PgTryBuilder::new(AssertUnwindSafe(|| {
        let visitor = Visitor::of(connection);
        attend(&visitor, || pam::ask_for_token(handle).ok_or(Refused::HungUp)).map_err(Objection::Refused)
    }))
    .catch_others(|error| match error {
        CaughtError::RustPanic { .. } => {
            let facts = vec![("problem", "a fault at the door".to_owned())];
            let name = connection.role_name();
            Err(Objection::Refused(Denial::new(Code::Internal, &name.to_string_lossy(), facts).into()))
        }
        error => Err(Objection::Failed(Box::new(error))),
    })
    .execute()
}

fn fenced(act: impl FnOnce() -> c_int) -> c_int {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or(pam::SYSTEM_ERR)
}
