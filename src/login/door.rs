//! The doors: the ways a token arrives by.

#[cfg(oauth)]
pub(crate) mod oauth;
pub(crate) mod pam;
pub(super) mod password;

use crate::pg::connection::Method;

/// A way a token arrives by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// A `trust` line, behind which the hook asks for the token.
    Password,
    /// A `pam` line, with this library as PAM's module.
    Pam,
    /// An `oauth` line, with this library as PostgreSQL's validator.
    OAuth,
}

impl Door {
    /// Returns the door that a method of pg_hba.conf leads to, if it leads to one.
    pub(super) const fn behind(method: Method) -> Option<Self> {
        match method {
            Method::Trust => Some(Self::Password),
            Method::Pam => Some(Self::Pam),
            Method::OAuth => Some(Self::OAuth),
            Method::Other => None,
        }
    }

    /// Returns its name, for the log.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Pam => "pam",
            Self::OAuth => "oauth",
        }
    }
}
