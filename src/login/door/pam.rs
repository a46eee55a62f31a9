//! The second door: a `pam` line in pg_hba.conf,
//! `hostssl all +azure_ad_user all pam pamservice=azure_ad_auth`, and this very library as the
//! module of that service.
//!
//! No line says `trust`: without the library there is nothing that could accept a client. The door
//! works because libpam, asked for a file that the process has loaded, gets the one that is loaded,
//! with all its state. A copy that libpam has loaded by itself has none: it was not loaded by the
//! postmaster, and accepts no client.
//!
//! Called by libpam, which knows neither PostgreSQL's errors nor Rust's: neither passes through it.
//! An error is held back, and the hook raises it.

use std::ffi::{CString, c_char, c_int, c_void};
use std::panic::AssertUnwindSafe;

use entra::Code;
use pgrx::PgTryBuilder;

use crate::login::authenticate::authenticate;
use crate::login::decision;
use crate::login::door::Door;
use crate::login::outcome::{Received, Refused, Rejection};
use crate::login::request::{LoginRequest, attempt};
use crate::pg::connection::{Connection, Method};
use crate::pg::library;
use crate::pg::pam::{self, Handle, NoAnswer};
use crate::report::{self, Denial};
use crate::settings;

/// So many services of PAM at most have their modules loaded when the server starts.
const MAX_SERVICES: usize = 10;

/// Hides this library's entries for libpam from other modules of PAM. In the postmaster only, while
/// it loads its libraries.
pub(crate) fn conceal_entries() {
    if let Err(problem) = pam::conceal() {
        report::warn_of_pam(problem);
    }
}

/// Loads the modules of PAM that each login would load, where this door is used: for each file in
/// PAM's folder whose name begins with azure_ad_auth. In the postmaster only, while it loads its
/// libraries.
pub(crate) fn preload_modules() {
    if !settings::preload_pam_modules() {
        return;
    }
    for service in services() {
        if let Err(problem) = pam::keep_loaded(&service) {
            report::warn_of_pam_modules(problem);
        }
    }
}

/// Returns the services of PAM that are this library's, as far as their names show.
fn services() -> Vec<CString> {
    let Ok(files) = std::fs::read_dir("/etc/pam.d") else { return Vec::new() };
    let names = files.filter_map(|file| Some(file.ok()?.file_name().into_encoded_bytes()));
    let names = names.filter(|name| name.starts_with(b"azure_ad_auth")).take(MAX_SERVICES);
    names.filter_map(|name| CString::new(name).ok()).collect()
}

/// Asks for the token and authenticates the client with it (pam_sm_authenticate(3)).
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "called by libpam, by name")]
extern "C" fn pam_sm_authenticate(
    handle: *mut Handle,
    _flags: c_int,
    _count: c_int,
    _arguments: *const *const c_char,
) -> c_int {
    fenced(|| {
        let Some(connection) = connection() else { return pam::AUTHINFO_UNAVAIL };
        let attempt = attempt(connection, Door::Pam);
        let run = || authenticate(&LoginRequest::of(connection), |_| ask(&attempt.role, handle));
        decision::record(Door::Pam, &attempt, run, |decision| match decision {
            Ok(_) => pam::SUCCESS,
            Err(Rejection::Refused(Refused::HungUp)) => pam::CONV_ERR,
            Err(Rejection::Refused(_)) => pam::AUTH_ERR,
            Err(Rejection::Failed(_)) => pam::SYSTEM_ERR,
        })
    })
}

/// Answers whether [`pam_sm_authenticate`] has accepted this very connection (pam_sm_acct_mgmt(3)).
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "called by libpam, by name")]
extern "C" fn pam_sm_acct_mgmt(
    _handle: *mut Handle,
    _flags: c_int,
    _count: c_int,
    _arguments: *const *const c_char,
) -> c_int {
    fenced(|| success_if_accepted(pam::AUTH_ERR))
}

/// Answers as [`pam_sm_acct_mgmt`] does: there are no credentials to set (pam_sm_setcred(3)).
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "called by libpam, by name")]
extern "C" fn pam_sm_setcred(
    _handle: *mut Handle,
    _flags: c_int,
    _count: c_int,
    _arguments: *const *const c_char,
) -> c_int {
    fenced(|| success_if_accepted(pam::CRED_UNAVAIL))
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

fn success_if_accepted(otherwise: c_int) -> c_int {
    match connection() {
        None => pam::AUTHINFO_UNAVAIL,
        Some(_) if decision::is_accepted_by(Door::Pam) => pam::SUCCESS,
        Some(_) => otherwise,
    }
}

/// Returns the connection whose client PAM authenticates; none in any other program or at any other
/// time, and none in a library that the postmaster has not loaded.
fn connection() -> Option<Connection> {
    if !library::is_this_file() {
        return None;
    }
    Connection::being_authenticated().filter(|connection| connection.method() == Method::Pam)
}

fn ask(role: &str, handle: *mut Handle) -> Result<Received, Refused> {
    pam::ask_for_token(handle).map(Received::now).map_err(|problem| match problem {
        NoAnswer::HungUp => Refused::HungUp,
        NoAnswer::NoConversation => {
            let problem = "PAM has no conversation to ask by".to_owned();
            Denial::new(Code::Internal, role, vec![("problem", problem)]).into()
        }
    })
}

/// Runs `act`; an error of PostgreSQL's or of Rust's in it is an error of the system to libpam. The
/// former is taken off PostgreSQL's stack of errors, too. In a program that has no such stack
/// nothing is done that could fail: see [`connection`].
fn fenced(act: impl FnOnce() -> c_int) -> c_int {
    PgTryBuilder::new(AssertUnwindSafe(act)).catch_others(|_| pam::SYSTEM_ERR).execute()
}
