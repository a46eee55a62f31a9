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

use crate::login::decision::{self, Objection};
use crate::login::{Door, Refused, Sent, Visitor, attempt, attend};
use crate::pg::library;
use crate::pg::pam::{self, Handle, Silence};
use crate::pg::wire::{Connection, Method};
use crate::report::{self, Denial};

/// Leaves other modules of PAM what is theirs. In the postmaster only, while it loads its libraries.
pub(crate) fn stand_aside() {
    if let Err(problem) = pam::conceal() {
        report::warn_of_pam(problem);
    }
}

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
        let attempt = attempt(connection, Door::Pam);
        let judge = || attend(&Visitor::of(connection), |_| ask(&attempt.role, handle));
        decision::reach(Door::Pam, &attempt, judge, |verdict| match verdict {
            Ok(_) => pam::SUCCESS,
            Err(Objection::Refused(Refused::HungUp)) => pam::CONV_ERR,
            Err(Objection::Refused(_)) => pam::AUTH_ERR,
            Err(Objection::Failed(_)) => pam::SYSTEM_ERR,
        })
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
        Some(_) if decision::is_admitted_by(Door::Pam) => pam::SUCCESS,
        Some(_) => otherwise,
    }
}

/// The connection whose client is being authenticated by PAM; none in any other program or at any other time, and none in a
/// library that the postmaster has not loaded.
fn visited() -> Option<Connection> {
    if !library::is_this_file() {
        return None;
    }
    Connection::being_authenticated().filter(|connection| connection.method() == Method::Pam)
}

fn ask(role: &str, handle: *mut Handle) -> Result<Sent, Refused> {
    pam::ask_for_token(handle).map(Sent::now).map_err(|silence| match silence {
        Silence::HungUp => Refused::HungUp,
        Silence::NoConversation => {
            let problem = "PAM has no conversation to ask by".to_owned();
            Denial::new(Code::Internal, role, vec![("problem", problem)]).into()
        }
    })
}

fn fenced(act: impl FnOnce() -> c_int) -> c_int {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or(pam::SYSTEM_ERR)
}
