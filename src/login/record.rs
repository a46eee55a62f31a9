//! Records how a login has ended: in the counters and in the log.

use std::time::Duration;

use entra::Token;

use crate::report::{self, Attempt, Denial};
use crate::stat;

/// Counts and logs that a token was accepted, and how long it took from arrival to decision.
pub(super) fn admission(attempt: &Attempt, token: &Token, took: Duration) {
    stat::count_admission(attempt.door, token.kind, took);
    report::log_admission(attempt, token);
}

/// Counts and logs a refusal.
pub(super) fn refusal(attempt: &Attempt, denial: &Denial) {
    stat::count_refusal(attempt.door, denial.code);
    report::log_denial(attempt, denial);
}

/// Counts and logs a refusal of a session that is already open, and ends the session and the
/// process. No destructor of a caller runs.
pub(super) fn refusal_of_session(attempt: &Attempt, denial: &Denial) -> ! {
    refusal(attempt, denial);
    report::end_session(denial)
}
