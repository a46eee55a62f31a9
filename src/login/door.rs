//! The ways a token arrives by.

#[cfg(feature = "pg18")]
pub(crate) mod oauth;
pub(crate) mod pam;
pub(crate) mod password;
