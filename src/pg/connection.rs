//! The client's end of the line: the only file that speaks the protocol and reads `Port` and pg_hba.conf's line.
//!
//! What PostgreSQL does in auth.c for a password is done here for a token, because a ClientAuthentication hook comes after
//! the method of pg_hba.conf and is given nothing but the connection.

use std::ffi::{CStr, CString, c_int, c_void};

use pgrx::prelude::*;
use zeroize::{Zeroize, Zeroizing};

/// The parts of the server's headers that pgrx leaves out; made by build.rs from the server's own.
#[allow(
    unsafe_code,
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    unreachable_pub,
    dead_code,
    clippy::pedantic,
    clippy::undocumented_unsafe_blocks,
    clippy::allow_attributes_without_reason,
    clippy::indexing_slicing,
    clippy::use_self,
    reason = "generated; which of these it needs depends on the version"
)]
mod server {
    include!(concat!(env!("OUT_DIR"), "/server.rs"));
}

pub(crate) use server::{ClientAuthentication_hook, ClientAuthentication_hook_type, Port};
#[cfg(feature = "pg18")]
pub(crate) use server::{
    OAuthValidatorCallbacks, PG_OAUTH_VALIDATOR_MAGIC, ValidatorModuleResult, ValidatorModuleState,
};

/// The success of a method, and what a hook is told of one (libpq/libpq.h of the front end calls them so too).
pub(crate) const STATUS_OK: c_int = 0;
/// Refused.
pub(crate) const STATUS_ERROR: c_int = -1;
/// The client hung up.
pub(crate) const STATUS_EOF: c_int = -2;

/// Longest password message that is read at all, in bytes. PostgreSQL hangs up at 65,535 without a word; reading a little
/// more lets a longer token be refused with a reason.
const MAX_MESSAGE_BYTES: c_int = 131_072;

/// `AUTH_REQ_PASSWORD`: cleartext (libpq/protocol.h; PostgreSQL documentation, "Message Formats").
const AUTH_REQ_PASSWORD: u32 = 3;

/// The type byte of a password message.
const PASSWORD_MESSAGE: c_int = b'p' as c_int;

/// End of file, as pq_getbyte() and pq_getmessage() report it.
const EOF: c_int = -1;

/// The method of pg_hba.conf that matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Lets everyone in; the method that is ours to guard.
    Trust,
    /// Asks PAM, which may ask us.
    Pam,
    /// Asks a validator, which may be us. PostgreSQL 18.
    #[cfg_attr(not(feature = "pg18"), expect(dead_code, reason = "no such method"))]
    OAuth,
    /// Any other.
    Other,
}

/// What came in answer to a request for the token.
pub(crate) enum Reply {
    /// A password message. Wipes itself.
    Token(Zeroizing<Vec<u8>>),
    /// Nothing: the client hung up, as psql does before it asks its user.
    HungUp,
    /// A message of another type.
    WrongType(c_int),
    /// A password message that is longer than its text, that is, with a NUL in it.
    WrongLength,
}

/// The connection being authenticated.
#[derive(Clone, Copy)]
pub(crate) struct Connection {
    port: *mut Port,
}

#[expect(unsafe_code, reason = "reads the server's structure of the connection")]
impl Connection {
    /// # Safety
    /// `port` is the `Port` a ClientAuthentication hook was called with, and the hook has not returned.
    pub(crate) const unsafe fn new(port: *mut Port) -> Self {
        Self { port }
    }

    /// The connection that this backend is about to authenticate; none later, and none in any other process.
    pub(crate) fn being_authenticated() -> Option<Self> {
        // SAFETY: plain values of the main thread, which is the one that authenticates.
        let (port, now) = unsafe { (server::MyProcPort, server::ClientAuthInProgress) };
        // SAFETY: the `Port` the hook will be called with; its line is chosen before the method is run.
        unsafe { (now && !port.is_null() && !(*port).hba.is_null()).then(|| Self::new(port)) }
    }

    /// The connection of this backend's client, while the backend starts: later the lines of
    /// pg_hba.conf are freed. None in processes without a client.
    ///
    /// # Safety
    /// The startup transaction has not ended.
    pub(crate) unsafe fn of_starting_session() -> Option<Self> {
        // SAFETY: a plain value of the main thread; its line was chosen before the client was
        // authenticated.
        unsafe {
            let port = server::MyProcPort;
            (!port.is_null() && !(*port).hba.is_null()).then(|| Self::new(port))
        }
    }

    /// Whether pg_hba.conf's line would be chosen again, as the catalogs are now.
    #[expect(ffi_unwind_calls, reason = "inside pg_guard_ffi_boundary")]
    pub(crate) fn is_matched_again(self) -> bool {
        // SAFETY: see new(). Core chooses among lines that stay where they are as long as the process lives; an error of
        // PostgreSQL leaves the boundary as a panic that has nothing to drop in here.
        unsafe {
            let line = (*self.port).hba;
            pg_sys::ffi::pg_guard_ffi_boundary(|| server::hba_getauthmethod(self.port));
            std::ptr::eq((*self.port).hba, line)
        }
    }

    /// The role name the client asked for. Core has cut it to 63 bytes.
    pub(crate) fn role_name(self) -> CString {
        // SAFETY: see new(); core refuses a startup packet without a user name, so it is set.
        unsafe { CStr::from_ptr((*self.port).user_name).to_owned() }
    }

    /// The method that matched.
    pub(crate) fn method(self) -> Method {
        match self.auth_method() {
            server::UserAuth_uaTrust => Method::Trust,
            server::UserAuth_uaPAM => Method::Pam,
            #[cfg(feature = "pg18")]
            server::UserAuth_uaOAuth => Method::OAuth,
            _ => Method::Other,
        }
    }

    /// Where an `oauth` line sends clients to acquire a token.
    #[cfg(feature = "pg18")]
    pub(crate) fn advertised_issuer(self) -> String {
        // SAFETY: see new(); set in every line of this method, and null in others.
        unsafe { text_of((*(*self.port).hba).oauth_issuer) }
    }

    /// What an `oauth` line has clients ask for.
    #[cfg(feature = "pg18")]
    pub(crate) fn advertised_scope(self) -> String {
        // SAFETY: as above.
        unsafe { text_of((*(*self.port).hba).oauth_scope) }
    }

    /// The method's name, as in pg_hba.conf.
    #[expect(ffi_unwind_calls, reason = "reads a table and raises nothing")]
    pub(crate) fn method_name(self) -> String {
        // SAFETY: a table of constant strings, indexed by a value of the server's own.
        unsafe { CStr::from_ptr(server::hba_authname(self.auth_method())).to_string_lossy().into_owned() }
    }

    fn auth_method(self) -> server::UserAuth {
        // SAFETY: see new(); the line is set before the method is run, and the hook comes after that.
        unsafe { (*(*self.port).hba).auth_method }
    }

    /// Whether TLS encrypts it. GSS encryption does not count.
    pub(crate) fn is_tls(self) -> bool {
        // SAFETY: see new().
        unsafe { (*self.port).ssl_in_use }
    }

    /// Whether it is a Unix-domain socket.
    pub(crate) fn is_unix_socket(self) -> bool {
        // SAFETY: see new(); the address was filled by accept().
        unsafe { c_int::from((*self.port).raddr.addr.ss_family) == libc::AF_UNIX }
    }

    /// Asks for a password in clear text and takes what comes, with the checks of core's recv_password_packet(),
    /// but for one: that nothing at all is a token is said where it is judged. `meanwhile`, the client is on its way.
    ///
    /// Waits as long as the client lets it, up to authentication_timeout, which ends the process from within.
    pub(crate) fn ask_for_token(self, meanwhile: impl FnOnce()) -> Reply {
        self.request();
        meanwhile();
        let mut message = pg_sys::StringInfoData::default();
        let (kind, ended) = receive(&mut message);
        if message.data.is_null() {
            return if kind == EOF || ended { Reply::HungUp } else { Reply::WrongType(kind) };
        }
        // SAFETY: the message was read into a palloc'd buffer of maxlen bytes, of which len are set and a NUL follows. It is
        // wiped and freed here; nothing else has a pointer to it.
        unsafe {
            let buffer = std::slice::from_raw_parts_mut(
                message.data.cast::<u8>(),
                message.maxlen.unsigned_abs() as usize,
            );
            let reply = if ended { Reply::HungUp } else { take_text(buffer, message.len) };
            buffer.zeroize();
            pg_sys::pfree(message.data.cast());
            reply
        }
    }

    fn request(self) {
        // SAFETY: see new(). An error of PostgreSQL (a broken connection) leaves the boundary as a panic that has nothing to drop
        // in here.
        unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| request_password(self.port)) }
    }

    /// Makes the directory object's id the identity of the session, in place of what the method left there.
    ///
    /// set_authn_id() exists on 18 only and refuses a second identity; PAM has already set the role name as the first.
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
#[cfg(feature = "pg18")]
#[expect(unsafe_code, reason = "a C string of the server's")]
unsafe fn text_of(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: see above.
    unsafe { CStr::from_ptr(text).to_string_lossy().into_owned() }
}

/// Reads an answer; the type byte, and whether the client hung up within the message.
#[expect(unsafe_code, ffi_unwind_calls, reason = "inside pg_guard_ffi_boundary")]
fn receive(message: &mut pg_sys::StringInfoData) -> (c_int, bool) {
    let buffer: *mut pg_sys::StringInfoData = message;
    // SAFETY: called while a connection is authenticated. Plain values and C calls only: an error of PostgreSQL
    // (authentication_timeout, a broken connection) leaves the boundary as a panic that has nothing to drop in here.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            server::pq_startmsgread();
            let kind = server::pq_getbyte();
            if kind != PASSWORD_MESSAGE {
                return (kind, false);
            }
            pg_sys::initStringInfo(buffer);
            (kind, server::pq_getmessage(buffer.cast(), MAX_MESSAGE_BYTES) != 0)
        })
    }
}

/// The text of a message, whose last byte must be its only NUL.
fn take_text(buffer: &[u8], length: c_int) -> Reply {
    let message = usize::try_from(length).ok().and_then(|length| buffer.get(..length)).unwrap_or_default();
    match message.split_last() {
        // bounded: by MAX_MESSAGE_BYTES.
        Some((0, text)) if !text.contains(&0) => Reply::Token(Zeroizing::new(text.to_vec())),
        _ => Reply::WrongLength,
    }
}

/// Sends AuthenticationCleartextPassword.
///
/// # Safety
/// Of the connection being authenticated; within pg_guard_ffi_boundary.
#[expect(unsafe_code, ffi_unwind_calls, reason = "inside pg_guard_ffi_boundary")]
unsafe fn request_password(port: *mut Port) {
    // SAFETY: see above.
    unsafe { server::sendAuthRequest(port, AUTH_REQ_PASSWORD, std::ptr::null(), 0) }
}

/// The address of the ClientAuthentication hook that is called first: ours, or that of a library loaded after this one.
#[expect(unsafe_code, reason = "reads a variable of the server")]
pub(crate) fn first_hook() -> *const c_void {
    // SAFETY: a plain value of the main thread, set while libraries are loaded.
    unsafe { ClientAuthentication_hook }.map_or(std::ptr::null(), |hook| hook as *const c_void)
}

/// Calls the hook that was there before ours.
#[expect(unsafe_code, ffi_unwind_calls, reason = "a C function pointer, inside pg_guard_ffi_boundary")]
pub(crate) fn call_previous(previous: ClientAuthentication_hook_type, connection: Connection, status: c_int) {
    if let Some(previous) = previous {
        // SAFETY: the pointer was in ClientAuthentication_hook when we took its place, and gets what core would give it.
        unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| previous(connection.port, status)) }
    }
}

/// Ends the process as core does when a client hangs up during authentication: without a word.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn end_quietly() -> ! {
    // SAFETY: runs the server's own exit callbacks and does not come back.
    unsafe { pg_sys::proc_exit(0) };
    #[allow(unreachable_code, reason = "the bindings of some versions know that it does not come back")]
    {
        unreachable!("proc_exit() does not come back")
    }
}

/// What `%c` in log_line_prefix is in this process (log_status_format, elog.c): when it started, and its number.
#[expect(unsafe_code, reason = "reads the state of the process")]
pub(crate) fn log_line_id() -> String {
    // SAFETY: a plain value, set when the process began.
    format!("{:x}.{:x}", unsafe { pg_sys::MyStartTime }, std::process::id())
}

/// Whether log_connections asks for a line per authentication.
#[expect(unsafe_code, reason = "reads a setting of the server")]
pub(crate) fn logs_authentication() -> bool {
    #[cfg(not(feature = "pg18"))]
    // SAFETY: a plain value, written by the main thread.
    unsafe {
        pg_sys::Log_connections
    }
    #[cfg(feature = "pg18")]
    // SAFETY: as above.
    unsafe {
        server::log_connections & server::LogConnectionOption_LOG_CONNECTION_AUTHENTICATION != 0
    }
}
