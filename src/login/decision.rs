//! What a door behind a method of pg_hba.conf has decided, kept for the hook, which is called after
//! the method and is told no more than OK or ERROR.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;

use entra::Code;
use pgrx::PgTryBuilder;
use pgrx::pg_sys::panic::CaughtError;

use crate::login::door::Door;
use crate::login::outcome::{Admission, Decision, Refused, Rejection};
use crate::login::refusal;
use crate::report::{Attempt, Denial};

thread_local! {
    /// The decision about this backend's one connection. Never set in the postmaster, so never
    /// inherited.
    static DECISION: RefCell<Option<(Door, Decision)>> = const { RefCell::new(None) };
}

/// Runs an authentication. Holds back an error that PostgreSQL raises, and turns a panic into a
/// refusal, so that no text of a panic reaches anyone.
pub(super) fn decide(role: &str, authenticate: impl FnOnce() -> Result<Admission, Refused>) -> Decision {
    PgTryBuilder::new(AssertUnwindSafe(|| authenticate().map_err(Rejection::Refused)))
        .catch_others(|error| match error {
            CaughtError::RustPanic { .. } => {
                let facts = vec![("problem", "a fault at the door".to_owned())];
                Err(Rejection::Refused(Denial::new(Code::Internal, role, facts).into()))
            }
            error => Err(Rejection::Failed(Box::new(error))),
        })
        .execute()
}

/// Runs the authentication of a door and records its decision, in place of an earlier one. Returns
/// what `answer` makes of it.
///
/// A refusal is logged here: the client decides whether the hook is ever called.
pub(super) fn record<T>(
    door: Door,
    attempt: &Attempt,
    authenticate: impl FnOnce() -> Result<Admission, Refused>,
    answer: impl FnOnce(&Decision) -> T,
) -> T {
    DECISION.set(None);
    let decision = decide(&attempt.role, authenticate);
    if let Err(Rejection::Refused(refused)) = &decision {
        refusal::log(attempt, refused);
    }
    let answer = answer(&decision);
    DECISION.set(Some((door, decision)));
    answer
}

/// Returns whether a door has accepted the client.
pub(super) fn is_accepted_by(door: Door) -> bool {
    DECISION.with_borrow(|recorded| matches!(recorded, Some((by, Ok(_))) if *by == door))
}

/// Takes the decision of a door. One of another door is dropped.
pub(super) fn take(door: Option<Door>) -> Option<Decision> {
    DECISION.take().and_then(|(by, decision)| (Some(by) == door).then_some(decision))
}
