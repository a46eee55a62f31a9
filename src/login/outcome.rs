//! What a client sends, and what comes of it.

use std::ffi::c_int;
use std::time::{Duration, Instant};

use entra::{Principal, Token};
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use zeroize::Zeroizing;

use crate::report::Denial;

/// A token that a client has sent.
pub(super) struct Received {
    /// Wiped when it is dropped.
    pub(super) token: Zeroizing<Vec<u8>>,
    pub(super) at: Instant,
}

impl Received {
    pub(super) fn now(token: Zeroizing<Vec<u8>>) -> Self {
        Self { token, at: Instant::now() }
    }
}

/// An accepted login.
pub(super) struct Admission {
    pub(super) role: pg_sys::Oid,
    /// The object that the role was linked to when the login was accepted.
    pub(super) principal: Principal,
    /// The verified token.
    pub(super) token: Token,
    /// From the token's arrival to the decision.
    pub(super) took: Duration,
}

/// Why a login is refused.
pub(super) enum Refused {
    /// For a reason of this library's, which the log has and the client is told in part.
    Denied(Denial),
    /// The role has no LOGIN: in core's own words.
    NoLogin,
    /// There is no such role: in core's own words.
    NoRole,
    /// The client hung up instead of sending a token: silently, as core does.
    HungUp,
    /// The client sent a message of this type instead of a password: in core's own words.
    MessageType(c_int),
    /// The client's password message has a NUL in its text: in core's own words.
    MessageLength,
}

impl From<Denial> for Refused {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

/// Why a login does not go on.
pub(super) enum Rejection {
    /// It is refused. The client does not know why yet.
    Refused(Refused),
    /// PostgreSQL has raised an error, which is held back where it cannot pass.
    Failed(Box<CaughtError>),
}

/// The result of an authentication.
pub(super) type Decision = Result<Admission, Rejection>;
