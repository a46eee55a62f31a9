//! How the client of this backend was authenticated. The login writes it; rules about what a
//! session may do read it.

use std::cell::{Cell, RefCell};

use entra::{Token, Uuid};
use pgrx::prelude::*;

use crate::pg::process;

/// How this backend's client was authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authentication {
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
    /// As a superuser that is no Azure AD role, by a method that is no door. Its labels are never
    /// read: the superuser may have logged in to mend labels.
    Superuser {
        /// The role.
        role: pg_sys::Oid,
    },
}

impl Authentication {
    /// Returns the role that was let in.
    pub(crate) const fn role(self) -> pg_sys::Oid {
        match self {
            Self::Token { role, .. } | Self::Method { role, .. } | Self::Superuser { role } => role,
        }
    }
}

thread_local! {
    /// Set by a login, in the backend that it admits; never in the postmaster, so never inherited.
    /// No statement can reach it.
    static AUTHENTICATION: Cell<Option<Authentication>> = const { Cell::new(None) };
    /// The verified token of the client; set in the same way.
    static TOKEN: RefCell<Option<Token>> = const { RefCell::new(None) };
}

/// Remembers how the client was authenticated.
pub(crate) fn note(authentication: Authentication) {
    AUTHENTICATION.set(Some(authentication));
}

/// Remembers the client's token.
pub(crate) fn note_token(token: Token) {
    TOKEN.set(Some(token));
}

/// Calls `look` with the client's token, if it has one.
pub(crate) fn with_token<T>(look: impl FnOnce(&Token) -> T) -> Option<T> {
    TOKEN.with_borrow(|token| token.as_ref().map(look))
}

/// Returns how the client was authenticated; none where the login hook has not seen it.
pub(crate) fn authentication() -> Option<Authentication> {
    AUTHENTICATION.get()
}

/// Returns the role that core authenticated, whatever SET ROLE or SET SESSION AUTHORIZATION have
/// made of it since; `InvalidOid` until core has looked the name up.
pub(crate) fn role() -> pg_sys::Oid {
    process::authenticated_role()
}
