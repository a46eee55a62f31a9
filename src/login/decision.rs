//! What a door behind a method of pg_hba.conf has decided, kept for the hook, which is called after the method and is told no more
//! than OK or ERROR.

use std::cell::RefCell;

use std::panic::AssertUnwindSafe;

use entra::Code;
use pgrx::PgTryBuilder;
use pgrx::pg_sys::panic::CaughtError;

use crate::login::{Admission, Door, Refused, record};
use crate::report::{Attempt, Denial};

/// What came of a visitor.
pub(super) type Verdict = Result<Admission, Objection>;

/// Why nothing came of it.
pub(super) enum Objection {
    /// Refused. The log has it, the client does not know why yet.
    Refused(Refused),
    /// An error of PostgreSQL's, held back where it could not be raised.
    Failed(Box<CaughtError>),
}

thread_local! {
    /// Of this backend's one connection. Never set in the postmaster, so never inherited.
    static VERDICT: RefCell<Option<(Door, Verdict)>> = const { RefCell::new(None) };
}

/// Judges by a door, and remembers the verdict, which takes the place of an earlier one. A refusal is logged here: the client decides
/// whether the hook is ever called.
///
/// An error of PostgreSQL's on the way is held back, and of a fault of ours no text reaches anyone.
pub(super) fn reach<T>(
    door: Door,
    attempt: &Attempt,
    judge: impl FnOnce() -> Result<Admission, Refused>,
    answer: impl FnOnce(&Verdict) -> T,
) -> T {
    VERDICT.set(None);
    let verdict = PgTryBuilder::new(AssertUnwindSafe(|| judge().map_err(Objection::Refused)))
        .catch_others(|error| match error {
            CaughtError::RustPanic { .. } => Err(Objection::Refused(fault(&attempt.role).into())),
            error => Err(Objection::Failed(Box::new(error))),
        })
        .execute();
    if let Err(Objection::Refused(Refused::Denied(denial))) = &verdict {
        record::refusal(attempt, denial);
    }
    let answer = answer(&verdict);
    VERDICT.set(Some((door, verdict)));
    answer
}

/// A fault of ours.
pub(super) fn fault(role: &str) -> Denial {
    Denial::new(Code::Internal, role, vec![("problem", "a fault at the door".to_owned())])
}

/// Whether a door has let the visitor in.
pub(super) fn is_admitted_by(door: Door) -> bool {
    VERDICT.with_borrow(|noted| matches!(noted, Some((by, Ok(_))) if *by == door))
}

/// Takes the verdict of a door; one of another door is none.
pub(super) fn take(door: Option<Door>) -> Option<Verdict> {
    VERDICT.take().and_then(|(by, verdict)| (Some(by) == door).then_some(verdict))
}
