//! The guard: ends the sessions of linked roles on a server that was started without this library,
//! where a `trust` line would let in anyone.
//!
//! Every linked role carries two settings (see `link::guard`):
//!
//! - `session_preload_libraries`, with azure_ad_auth in it. Where the library was not loaded by the
//!   postmaster, it is loaded here, into the session of such a role, which ends at once. Sessions
//!   of other roles, which load it by LOAD or by calling one of its functions, are left alone;
//!   nothing that writes is registered for them.
//! - `azure_ad_auth.guard = on`. Where the library was loaded by the postmaster, it has defined
//!   this setting, and [`Guard::apply`] is called when PostgreSQL applies the settings of role and
//!   database to a new session. There the session is given the libraries that it would have without
//!   the guard, and PostgreSQL loads them next, as it does for any other session.
//!
//! Where the library was not loaded by the postmaster the second setting is a placeholder without
//! effect.

use std::cell::RefCell;
use std::ffi::{CStr, CString};

use entra::Code;
use pgrx::GucSetting;

use crate::catalog::{self, Standing};
use crate::link::guard::libraries_without_guard;
use crate::login::refusal;
use crate::pg::library::{self, Preloaded};
use crate::pg::role_setting::{self, RoleSetting};
use crate::pg::{preload, process, transaction};
use crate::report::Denial;
use crate::sessions::own;

static GUARD: GucSetting<bool> = GucSetting::<bool>::new(false);

thread_local! {
    /// The libraries that the server's configuration names in session_preload_libraries.
    static SERVER_LIBRARIES: RefCell<Option<CString>> = const { RefCell::new(None) };
}

/// Defines `azure_ad_auth.guard`. In the postmaster only, while it loads its libraries; for
/// pg_upgrade too, which restores the settings of roles.
pub(crate) fn define() {
    role_setting::define::<Guard>();
}

/// Remembers which libraries the server's own configuration names. Called before anything of the
/// role, the database or the client has been applied. Configuration files are not read again before
/// the session begins.
pub(super) fn note_server_libraries() {
    SERVER_LIBRARIES.set(preload::session_libraries());
}

struct Guard;

impl RoleSetting for Guard {
    const NAME: &'static CStr = c"azure_ad_auth.guard";
    const SHORT_DESCRIPTION: &'static CStr =
        c"Marks the settings of a role that is linked to a directory object.";
    const LONG_DESCRIPTION: &'static CStr = c"Set by azure_ad_auth itself, beside session_preload_libraries. Does nothing but in the settings of a role.";

    fn variable() -> &'static GucSetting<bool> {
        &GUARD
    }

    /// Gives the session the libraries that it would have without the guard.
    ///
    /// Core applies the row IN DATABASE first, then the role's own, the database's and that of all
    /// roles, and each is weaker than the one before. What is set here is as strong as the first,
    /// so nothing that is still to be applied replaces it, except the rest of the row IN DATABASE;
    /// and after that row this is called once more, for the role's own. So the order of settings
    /// within a row does not matter. What a superuser asks for as an option of the connection is
    /// stronger, as ever.
    fn apply() {
        let libraries = libraries_without_guard(process::database(), own::role())
            .or_else(|| SERVER_LIBRARIES.with_borrow(Clone::clone));
        // Where the hook has not seen the connection nothing is known, and the seal ends the
        // session.
        if let Some(libraries) = libraries {
            preload::set_session_libraries(&libraries);
        }
    }
}

/// Ends this process if it is a session of an Azure AD role on a server that does not preload the
/// library.
pub(crate) fn end_unguarded_session() {
    if library::status() != Preloaded::No {
        return;
    }
    transaction::within_session(|| {
        let Some(role) = catalog::role_of(own::role()) else { return };
        if matches!(catalog::standing_of(&role), Standing::Local) {
            return;
        }
        let name = role.display_name();
        let problem = "the server does not have azure_ad_auth in shared_preload_libraries".to_owned();
        let denial = Denial::new(Code::NotConfigured, &name, vec![("problem", problem)]);
        refusal::end_session("guard", name, &denial);
    });
}
