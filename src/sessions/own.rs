//! How the client of this backend came in. Written by the doors, read by whoever must know.

use std::cell::{Cell, RefCell};

use entra::{Token, Uuid};
use pgrx::prelude::*;

/// How this backend's client came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// With a token, for a role linked to this object.
    Token {
        /// The role.
        role: pg_sys::Oid,
        /// The object its label named.
        object_id: Uuid,
    },
    /// By a method of pg_hba.conf.
    Method {
        /// The role.
        role: pg_sys::Oid,
        /// The method was `trust`.
        trusted: bool,
    },
    /// As a superuser who is no Azure AD role, by a method that is no door of ours. No label was
    /// read for this one, and none will be: labels may be what the superuser has come to mend.
    Superuser {
        /// The role.
        role: pg_sys::Oid,
    },
}

impl Passage {
    /// The role that was let in.
    pub(crate) const fn role(self) -> pg_sys::Oid {
        match self {
            Self::Token { role, .. } | Self::Method { role, .. } | Self::Superuser { role } => role,
        }
    }
}

thread_local! {
    /// Set by a door, in the backend it admits; never in the postmaster, so never inherited. No statement can reach it.
    static PASSAGE: Cell<Option<Passage>> = const { Cell::new(None) };
    /// The token it came in with, verified; in the same way.
    static TOKEN: RefCell<Option<Token>> = const { RefCell::new(None) };
}

/// Remembers how the client came in.
pub(crate) fn note(passage: Passage) {
    PASSAGE.set(Some(passage));
}

/// Remembers what the client's token said.
pub(crate) fn note_token(token: Token) {
    TOKEN.set(Some(token));
}

/// Looks at the token the client came in with, if it came in with one.
pub(crate) fn with_token<T>(look: impl FnOnce(&Token) -> T) -> Option<T> {
    TOKEN.with_borrow(|token| token.as_ref().map(look))
}

/// How the client came in; none where no door saw it.
pub(crate) fn passage() -> Option<Passage> {
    PASSAGE.get()
}

/// The role core authenticated, whatever SET ROLE or SET SESSION AUTHORIZATION have made of it
/// since; `InvalidOid` until core has looked the name up.
#[expect(unsafe_code, reason = "reads the state of the process")]
pub(crate) fn role() -> pg_sys::Oid {
    // SAFETY: set by InitProcess() in every process that runs statements, and valid until its end.
    unsafe { (*pg_sys::MyProc).roleId }
}
