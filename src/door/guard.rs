//! The guard: what keeps the `trust` line shut on a server that was started without this library.
//!
//! Every linked role carries `session_preload_libraries` with azure_ad_auth in it. Where the library was not loaded by the
//! postmaster, it is loaded here, into the session of such a role, which ends at once. Sessions of other roles, which load
//! it by LOAD or by calling one of its functions, are left alone; nothing that writes is registered for them.

use entra::Code;
use pgrx::prelude::*;

use crate::preloaded::{self, Preloaded};
use crate::principal::catalog::{self, Standing};
use crate::report::{self, Attempt, Denial};
use crate::session;

/// Ends this process if it is a session of an Azure AD role on a server without us.
pub(crate) fn stand() {
    if preloaded::status() != Preloaded::No {
        return;
    }
    let Some(transaction) = Transaction::ensure() else { return };
    if let Some((attempt, denial)) = unguarded_visitor() {
        report::end_session(&attempt, &denial);
    }
    transaction.end();
}

fn unguarded_visitor() -> Option<(Attempt, Denial)> {
    let role = catalog::role_of(session::role())?;
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
