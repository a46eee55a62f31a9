//! Requests to this process to cancel its statement or to end: a user's, an administrator's, a timeout's, the server's at its end.

use pgrx::prelude::*;

/// Obeys such a request. Called for each item of whatever a client or a statement sizes.
#[inline]
pub(crate) fn check() {
    check_for_interrupts!();
}
