//! The connection to the client: the only file that reads and writes the protocol.
//!
//! What PostgreSQL does in auth.c for a password is done here for a token, because a
//! ClientAuthentication hook comes after the method of pg_hba.conf and is given nothing but the
//! connection.

use std::ffi::c_int;

use pgrx::prelude::*;
use zeroize::{Zeroize, Zeroizing};

use crate::pg::connection::Connection;
use crate::pg::server::{self, Port};

/// Longest password message that is read at all, in bytes. PostgreSQL hangs up at 65,535 without a
/// word; reading a little more lets a longer token be refused with a reason.
const MAX_MESSAGE_BYTES: c_int = 131_072;

/// `AUTH_REQ_PASSWORD`: cleartext (libpq/protocol.h; PostgreSQL documentation, "Message Formats").
const AUTH_REQ_PASSWORD: u32 = 3;

/// The type byte of a password message.
const PASSWORD_MESSAGE: c_int = b'p' as c_int;

/// End of file, as pq_getbyte() and pq_getmessage() report it.
const EOF: c_int = -1;

/// The answer to a request for the token.
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

/// Asks for a password in clear text and takes what comes. Makes the checks of core's
/// recv_password_packet() except one: an empty password is refused later, where the token is
/// verified. Runs `meanwhile` while the request is on its way to the client.
///
/// Waits as long as the client lets it, up to authentication_timeout, which ends the process from
/// within.
#[expect(unsafe_code, reason = "reads a buffer of the server's")]
pub(crate) fn ask_for_token(connection: Connection, meanwhile: impl FnOnce()) -> Reply {
    request_password(connection);
    meanwhile();
    let mut message = pg_sys::StringInfoData::default();
    let (kind, ended) = receive(&mut message);
    if message.data.is_null() {
        return if kind == EOF || ended { Reply::HungUp } else { Reply::WrongType(kind) };
    }
    // SAFETY: the message was read into a palloc'd buffer of maxlen bytes, of which len are set and
    // a NUL follows. It is wiped and freed here; nothing else has a pointer to it.
    unsafe {
        let buffer =
            std::slice::from_raw_parts_mut(message.data.cast::<u8>(), message.maxlen.unsigned_abs() as usize);
        let reply = if ended { Reply::HungUp } else { take_text(buffer, message.len) };
        buffer.zeroize();
        pg_sys::pfree(message.data.cast());
        reply
    }
}

/// Sends AuthenticationCleartextPassword.
#[expect(unsafe_code, ffi_unwind_calls, reason = "inside pg_guard_ffi_boundary")]
fn request_password(connection: Connection) {
    let port: *mut Port = connection.port();
    // SAFETY: the connection being authenticated. An error of PostgreSQL (a broken connection)
    // leaves the boundary as a panic that has nothing to drop in here.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            server::sendAuthRequest(port, AUTH_REQ_PASSWORD, std::ptr::null(), 0);
        });
    }
}

/// Reads an answer. Returns the type byte, and whether the client hung up within the message.
#[expect(unsafe_code, ffi_unwind_calls, reason = "inside pg_guard_ffi_boundary")]
fn receive(message: &mut pg_sys::StringInfoData) -> (c_int, bool) {
    let buffer: *mut pg_sys::StringInfoData = message;
    // SAFETY: called while a connection is authenticated. Plain values and C calls only: an error
    // of PostgreSQL (authentication_timeout, a broken connection) leaves the boundary as a panic
    // that has nothing to drop in here.
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

/// Returns the text of a message, whose last byte must be its only NUL.
fn take_text(buffer: &[u8], length: c_int) -> Reply {
    let message = usize::try_from(length).ok().and_then(|length| buffer.get(..length)).unwrap_or_default();
    match message.split_last() {
        // bounded: by MAX_MESSAGE_BYTES.
        Some((0, text)) if !text.contains(&0) => Reply::Token(Zeroizing::new(text.to_vec())),
        _ => Reply::WrongLength,
    }
}

/// Returns whether log_connections asks for a line per authentication.
#[expect(unsafe_code, reason = "reads a setting of the server")]
pub(crate) fn logs_authentication() -> bool {
    #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17"))]
    // SAFETY: a plain value, written by the main thread.
    unsafe {
        pg_sys::Log_connections
    }
    #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17")))]
    // SAFETY: as above.
    unsafe {
        server::log_connections & server::LogConnectionOption_LOG_CONNECTION_AUTHENTICATION != 0
    }
}
