//! The connection being authenticated: the only file that reads `Port` and its line of pg_hba.conf.

use std::ffi::{CStr, CString, c_int};

use pgrx::prelude::*;

use crate::pg::server::{self, Port};

/// The method of pg_hba.conf that matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Lets every client in. Behind it the hook of this library asks for the token.
    Trust,
    /// Asks PAM, which may ask this library.
    Pam,
    /// Asks a validator, which may be this library. From PostgreSQL 18 on.
    #[cfg_attr(not(oauth), expect(dead_code, reason = "no such method"))]
    OAuth,
    /// Any other.
    Other,
}

/// The connection being authenticated.
#[derive(Clone, Copy)]
pub(crate) struct Connection {
    port: *mut Port,
}

#[expect(unsafe_code, reason = "reads the server's structure of the connection")]
impl Connection {
    /// # Safety
    /// `port` is the `Port` a ClientAuthentication hook was called with, and the hook has not
    /// returned; or the lines of pg_hba.conf have not been freed yet.
    pub(super) const unsafe fn new(port: *mut Port) -> Self {
        Self { port }
    }

    pub(super) const fn port(self) -> *mut Port {
        self.port
    }

    /// Returns the connection that this backend is about to authenticate; none later, and none in
    /// any other process.
    pub(crate) fn being_authenticated() -> Option<Self> {
        // SAFETY: plain values of the main thread, which is the one that authenticates.
        let (port, now) = unsafe { (server::MyProcPort, server::ClientAuthInProgress) };
        // SAFETY: the `Port` the hook will be called with; its line is chosen before the method is
        // run.
        unsafe { (now && !port.is_null() && !(*port).hba.is_null()).then(|| Self::new(port)) }
    }

    /// Returns the connection of this backend's client while the backend starts; none later, and
    /// none in processes without a client.
    ///
    /// The lines of pg_hba.conf are in PostmasterContext (load_hba, hba.c), which PostgresMain()
    /// deletes after the startup transaction (InitPostgres), before it reads the first message of
    /// the session.
    pub(crate) fn of_starting_session() -> Option<Self> {
        // SAFETY: plain values of the main thread; the line was chosen before the client was
        // authenticated, and is there as long as its memory.
        unsafe {
            let port = server::MyProcPort;
            let is_starting = !pg_sys::PostmasterContext.is_null();
            (is_starting && !port.is_null() && !(*port).hba.is_null()).then(|| Self::new(port))
        }
    }

    /// Returns whether pg_hba.conf's line would be chosen again, as the catalogs are now.
    #[expect(ffi_unwind_calls, reason = "inside pg_guard_ffi_boundary")]
    pub(crate) fn is_matched_again(self) -> bool {
        // SAFETY: see new(). Core chooses among lines that stay where they are while the backend
        // starts; an error of PostgreSQL leaves the boundary as a panic that has nothing to drop in
        // here.
        unsafe {
            let line = (*self.port).hba;
            pg_sys::ffi::pg_guard_ffi_boundary(|| server::hba_getauthmethod(self.port));
            std::ptr::eq((*self.port).hba, line)
        }
    }

    /// Returns the role name the client asked for. Core has cut it to 63 bytes.
    pub(crate) fn role_name(self) -> CString {
        // SAFETY: see new(); core refuses a startup packet without a user name, so it is set.
        unsafe { CStr::from_ptr((*self.port).user_name).to_owned() }
    }

    /// Returns the method that matched.
    pub(crate) fn method(self) -> Method {
        match self.auth_method() {
            server::UserAuth_uaTrust => Method::Trust,
            server::UserAuth_uaPAM => Method::Pam,
            #[cfg(oauth)]
            server::UserAuth_uaOAuth => Method::OAuth,
            _ => Method::Other,
        }
    }

    /// Returns the method's name, as in pg_hba.conf.
    #[expect(ffi_unwind_calls, reason = "reads a table and raises nothing")]
    pub(crate) fn method_name(self) -> String {
        // SAFETY: a table of constant strings, indexed by a value of the server's own.
        unsafe { CStr::from_ptr(server::hba_authname(self.auth_method())).to_string_lossy().into_owned() }
    }

    fn auth_method(self) -> server::UserAuth {
        // SAFETY: see new(); the line is set before the method is run, and the hook comes after
        // that.
        unsafe { (*(*self.port).hba).auth_method }
    }

    /// Returns the issuer that an `oauth` line sends clients to for a token.
    #[cfg(oauth)]
    pub(crate) fn advertised_issuer(self) -> String {
        // SAFETY: see new(); set in every line of this method, and null in others.
        unsafe { text_of((*(*self.port).hba).oauth_issuer) }
    }

    /// Returns the scope that an `oauth` line has clients ask for.
    #[cfg(oauth)]
    pub(crate) fn advertised_scope(self) -> String {
        // SAFETY: as above.
        unsafe { text_of((*(*self.port).hba).oauth_scope) }
    }

    /// Returns whether TLS encrypts it. GSS encryption does not count.
    pub(crate) fn is_tls(self) -> bool {
        // SAFETY: see new().
        unsafe { (*self.port).ssl_in_use }
    }

    /// Returns whether it is a Unix-domain socket.
    pub(crate) fn is_unix_socket(self) -> bool {
        // SAFETY: see new(); the address was filled by accept().
        unsafe { c_int::from((*self.port).raddr.addr.ss_family) == libc::AF_UNIX }
    }

    /// Makes the directory object's id the identity of the session, in place of what the method
    /// left there.
    ///
    /// set_authn_id() exists from 18 on and refuses a second identity; PAM has already set the role
    /// name as the first.
    pub(crate) fn set_identity(self, identity: &str) {
        let Ok(identity) = CString::new(identity) else { return };
        // SAFETY: see new(). The copy lives as long as the process.
        unsafe {
            let copy = pg_sys::MemoryContextStrdup(pg_sys::TopMemoryContext, identity.as_ptr());
            #[cfg(feature = "pg15")]
            {
                (*self.port).authn_id = copy;
            }
            #[cfg(not(feature = "pg15"))]
            {
                server::MyClientConnectionInfo.authn_id = copy;
                server::MyClientConnectionInfo.auth_method = self.auth_method();
            }
        }
    }
}

/// # Safety
/// Null, or a C string that stays for now.
#[cfg(oauth)]
#[expect(unsafe_code, reason = "a C string of the server's")]
unsafe fn text_of(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: see above.
    unsafe { CStr::from_ptr(text).to_string_lossy().into_owned() }
}
