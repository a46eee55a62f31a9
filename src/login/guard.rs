//! The guard: what keeps the `trust` line shut on a server that was started without this library.
//!
//! Every linked role carries two settings (see `link::guard`):
//!
//! - `session_preload_libraries`, with azure_ad_auth in it. Where the library was not loaded by the
//!   postmaster, it is loaded here, into the session of such a role, which ends at once. Sessions
//!   of other roles, which load it by LOAD or by calling one of its functions, are left alone;
//!   nothing that writes is registered for them.
//! - `azure_ad_auth.guard = on`. Where the library was loaded by the postmaster, this setting is
//!   ours, and PostgreSQL calls [`check_guard`] when it applies the settings of role and database
//!   to a new session. There the session is given the libraries that it would have without the
//!   guard, and PostgreSQL loads them next, as it does for anybody.
//!
//! Where the library was not loaded by the postmaster the second setting is a placeholder without
//! effect.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_void};

use entra::Code;
use pgrx::prelude::*;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

use crate::catalog::{self, Standing};
use crate::link::guard;
use crate::login::record;
use crate::pg::library::{self, Preloaded};
use crate::report::{Attempt, Denial};
use crate::sessions::own;

static GUARD: GucSetting<bool> = GucSetting::<bool>::new(false);

thread_local! {
    /// What the configuration of the server names in session_preload_libraries.
    static SERVERS_LIBRARIES: RefCell<Option<CString>> = const { RefCell::new(None) };
}

/// Defines `azure_ad_auth.guard`. In the postmaster only, while it loads its libraries; for
/// pg_upgrade too, which restores the settings of roles.
#[expect(unsafe_code, reason = "pgrx asks that hooks be guarded")]
pub(crate) fn define() {
    // SAFETY: the hook carries #[pg_guard].
    unsafe {
        GucRegistry::define_bool_guc_with_hooks(
            c"azure_ad_auth.guard",
            c"Marks the settings of a role that is linked to a directory object.",
            c"Set by azure_ad_auth itself, beside session_preload_libraries. Does nothing but in the settings of a role.",
            &GUARD,
            GucContext::Suset,
            GucFlags::DISALLOW_IN_FILE,
            Some(check_guard),
            None,
            None,
        );
    }
}

/// Remembers which libraries the server's own configuration names. Called before anything of the
/// role, the database or the client has been applied.
#[expect(unsafe_code, reason = "reads a variable of the server")]
pub(super) fn note_servers_libraries() {
    // SAFETY: null or a C string, which is copied at once; configuration files are not read again
    // before the session begins.
    let libraries = unsafe {
        let libraries = pg_sys::session_preload_libraries_string;
        (!libraries.is_null()).then(|| CStr::from_ptr(libraries).to_owned())
    };
    SERVERS_LIBRARIES.set(libraries);
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of a check hook")]
unsafe extern "C-unwind" fn check_guard(
    value: *mut bool,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: guc.c hands over a pointer to the new value.
    let is_on = unsafe { value.as_ref().is_some_and(|value| *value) };
    if is_on && is_applied_to_session(source) {
        give_way();
    }
    true
}

/// Whether core is applying the settings of a role to the session of a client. Not so where ALTER
/// ROLE tries a value, in a parallel worker, which takes over what its leader has, and in any other
/// process without a client, for which core loads no libraries.
#[expect(unsafe_code, reason = "reads the state of the process")]
fn is_applied_to_session(source: pg_sys::GucSource::Type) -> bool {
    let is_of_role =
        [pg_sys::GucSource::PGC_S_USER, pg_sys::GucSource::PGC_S_DATABASE_USER].contains(&source);
    // SAFETY: plain values of the main thread.
    is_of_role
        && unsafe {
            !pg_sys::MyProcPort.is_null()
                && pg_sys::IsTransactionState()
                && pg_sys::MyDatabaseId != pg_sys::InvalidOid
        }
}

/// Gives the session the libraries that it would have without the guard.
///
/// Core applies the row IN DATABASE first, then the role's own, the database's and that of all
/// roles, and each is weaker than the one before. What is set here is as strong as the first, so
/// nothing that is still to be applied replaces it, except the rest of the row IN DATABASE; and
/// after that row this is called once more, for the role's own. So the order of settings within a
/// row does not matter. What a superuser asks for as an option of the connection is stronger, as
/// ever.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn give_way() {
    // SAFETY: a plain value of the main thread.
    let database = unsafe { pg_sys::MyDatabaseId };
    let libraries = guard::libraries_without_guard(database, own::role())
        .or_else(|| SERVERS_LIBRARIES.with_borrow(Clone::clone));
    // Where no door has seen the client come, nothing is known, and the session will not get far.
    let Some(libraries) = libraries else { return };
    // SAFETY: C strings that outlive the call, within a transaction.
    unsafe {
        pg_sys::SetConfigOption(
            c"session_preload_libraries".as_ptr(),
            libraries.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_DATABASE_USER,
        );
    }
}

/// Ends this process if it is a session of an Azure AD role on a server without us.
pub(crate) fn stand() {
    if library::status() != Preloaded::No {
        return;
    }
    let Some(transaction) = Transaction::ensure() else { return };
    if let Some((attempt, denial)) = unguarded_visitor() {
        record::refusal_of_session(&attempt, &denial);
    }
    transaction.end();
}

fn unguarded_visitor() -> Option<(Attempt, Denial)> {
    let role = catalog::role_of(own::role())?;
    if matches!(catalog::standing_of(&role), Standing::Local) {
        return None;
    }
    let name = role.display_name();
    let problem = "the server does not have azure_ad_auth in shared_preload_libraries".to_owned();
    let denial = Denial::new(Code::NotConfigured, &name, vec![("problem", problem)]);
    Some((Attempt { role: name, door: "guard", method: "none".to_owned() }, denial))
}

/// A transaction to read the catalogs in: the one that is there, or one of our own.
struct Transaction {
    own: bool,
}

#[expect(unsafe_code, reason = "no safe wrapper")]
impl Transaction {
    /// None outside a client's session, where there is nobody to stop.
    fn ensure() -> Option<Self> {
        // SAFETY: plain values of the main thread; a transaction may be started where none is.
        unsafe {
            if pg_sys::MyProcPort.is_null() {
                return None;
            }
            let own = !pg_sys::IsTransactionState();
            if own {
                pg_sys::StartTransactionCommand();
            }
            Some(Self { own })
        }
    }

    fn end(self) {
        if self.own {
            // SAFETY: started by ensure().
            unsafe { pg_sys::CommitTransactionCommand() }
        }
    }
}
