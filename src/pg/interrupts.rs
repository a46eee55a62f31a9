//! Requests to this process to cancel its statement or to end: from a user, an administrator, a
//! timeout, or the server when it shuts down.

use pgrx::prelude::*;

/// Cancels the statement or ends the process if that was requested. Called for each item of a list
/// whose length a client or a statement decides.
#[inline]
pub(crate) fn check() {
    check_for_interrupts!();
}
