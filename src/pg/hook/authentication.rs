//! The ClientAuthentication hook.

use std::ffi::{c_int, c_void};

use pgrx::prelude::*;

use crate::pg::connection::Connection;
use crate::pg::hook::{Chain, ClientAuthentication, Kind};
use crate::pg::server::Port;

/// The method of pg_hba.conf accepted the client; also what a hook is told of an accepted client
/// (libpq/libpq.h of the front end has the same names).
pub(crate) const STATUS_OK: c_int = 0;
/// The client is refused.
pub(crate) const STATUS_ERROR: c_int = -1;
/// The client hung up.
pub(crate) const STATUS_EOF: c_int = -2;

static CHAIN: Chain<ClientAuthentication> = Chain::new();

/// Decides about a connection.
pub(crate) trait Decide: 'static {
    /// Called with what the method of pg_hba.conf decided. Returns if the client may go on, and
    /// raises an error if not.
    fn decide(connection: Connection, status: c_int);
}

/// Installs the hook. In the postmaster only, while it loads its libraries.
pub(crate) fn install<D: Decide>() {
    CHAIN.install(Some(on_client_authentication::<D>));
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of the hook")]
unsafe extern "C-unwind" fn on_client_authentication<D: Decide>(port: *mut Port, status: c_int) {
    // SAFETY: core calls the hook with the connection it is authenticating.
    let connection = unsafe { Connection::new(port) };
    D::decide(connection, status);
}

/// Tells the hook that was installed before what has been decided. It may raise an error.
#[expect(unsafe_code, ffi_unwind_calls, reason = "a C function pointer, inside pg_guard_ffi_boundary")]
pub(crate) fn call_previous(connection: Connection, status: c_int) {
    if let Some(previous) = CHAIN.previous() {
        // SAFETY: the pointer was in ClientAuthentication_hook when this library's took its place,
        // and gets what core would give it.
        unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| previous(connection.port(), status)) }
    }
}

/// Returns the address of the hook that is called first: this library's, or that of a library
/// loaded after it.
#[expect(unsafe_code, reason = "reads a variable of the server")]
pub(crate) fn first() -> *const c_void {
    // SAFETY: a plain value of the main thread, set while libraries are loaded.
    unsafe { *ClientAuthentication::variable() }.map_or(std::ptr::null(), |hook| hook as *const c_void)
}
