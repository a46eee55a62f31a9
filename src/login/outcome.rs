//! What a visitor brings, and what comes of it.

use std::time::{Duration, Instant};

use entra::{Principal, Token};
use pgrx::prelude::*;
use zeroize::Zeroizing;

use crate::report::Denial;

/// What a visitor has sent.
pub(super) struct Sent {
    pub(super) token: Zeroizing<Vec<u8>>,
    pub(super) arrived: Instant,
}

impl Sent {
    pub(super) fn now(token: Zeroizing<Vec<u8>>) -> Self {
        Self { token, arrived: Instant::now() }
    }
}

/// A visitor let in.
pub(super) struct Admission {
    pub(super) role: pg_sys::Oid,
    /// What the role was linked to when it was let in.
    pub(super) principal: Principal,
    /// What was believed.
    pub(super) token: Token,
    /// From the token's arrival to the decision.
    pub(super) took: Duration,
}

/// Why a visitor stays outside.
pub(super) enum Refused {
    /// For a reason of ours.
    Denied(Denial),
    /// The role has no LOGIN: core's own reason, in core's own words.
    NoLogin,
    /// There is no such role: the same.
    NoRole,
    /// The client hung up instead of sending a token: silently, as core does.
    HungUp,
}

impl From<Denial> for Refused {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}
