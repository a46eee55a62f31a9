//! What a door behind a method of pg_hba.conf has decided, kept for the hook, which is called after the method and is told no more
//! than OK or ERROR.

use std::cell::RefCell;

use pgrx::pg_sys::panic::CaughtError;

use super::{Admission, Door, Refused};

/// What came of a visitor.
pub(super) type Verdict = Result<Admission, Objection>;

/// Why nothing came of it.
pub(super) enum Objection {
    /// Refused, not yet said why.
    Refused(Refused),
    /// An error of PostgreSQL's, held back where it could not be raised.
    Failed(Box<CaughtError>),
}

thread_local! {
    /// Of this backend's one connection. Never set in the postmaster, so never inherited.
    static VERDICT: RefCell<Option<(Door, Verdict)>> = const { RefCell::new(None) };
}

/// Remembers a verdict. One that is there already gives way: the last word of a door counts.
pub(super) fn note(door: Door, verdict: Verdict) {
    VERDICT.set(Some((door, verdict)));
}

/// Forgets whatever was decided.
pub(super) fn forget() {
    VERDICT.set(None);
}

/// Whether a door has let the visitor in.
pub(super) fn is_admitted_by(door: Door) -> bool {
    VERDICT.with_borrow(|noted| matches!(noted, Some((by, Ok(_))) if *by == door))
}

/// Takes the verdict of a door; one of another door is none.
pub(super) fn take(door: Option<Door>) -> Option<Verdict> {
    VERDICT.take().and_then(|(by, verdict)| (Some(by) == door).then_some(verdict))
}
