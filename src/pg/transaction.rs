//! The transaction that a process is in, and what is done when one ends.

use std::ffi::c_void;

use pgrx::prelude::*;

use crate::pg::process;

/// Returns whether the catalogs can be read: the process is in a transaction that has not failed.
#[expect(unsafe_code, reason = "reads the state of the process")]
pub(crate) fn can_read_catalogs() -> bool {
    // SAFETY: both read plain values of the main thread.
    unsafe { pg_sys::IsTransactionState() && !pg_sys::IsAbortedTransactionBlockState() }
}

/// Returns whether the process is in a transaction (IsTransactionState, xact.c).
#[expect(unsafe_code, reason = "reads the state of the process")]
pub(crate) fn is_open() -> bool {
    // SAFETY: reads a plain value of the main thread.
    unsafe { pg_sys::IsTransactionState() }
}

/// Runs `act` in the transaction that the process is in, or in one of its own. Does nothing in a
/// process without a client.
#[expect(unsafe_code, reason = "starts and commits a transaction")]
pub(crate) fn within_session(act: impl FnOnce()) {
    if !process::has_client() {
        return;
    }
    if is_open() {
        return act();
    }
    // SAFETY: a transaction may be started where there is none.
    unsafe { pg_sys::StartTransactionCommand() };
    act();
    // SAFETY: the one started above.
    unsafe { pg_sys::CommitTransactionCommand() };
}

/// What happens to a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It is about to be committed. The catalogs can be read, and an error takes it back.
    BeforeCommit,
    /// It is about to be prepared for a commit in two phases. The same holds.
    BeforePrepare,
    /// It has been committed. Nothing may be read or raised any more.
    Committed,
    /// It has been rolled back. The same holds.
    Aborted,
}

/// Is called for each [`Event`].
pub(crate) trait Observer: 'static {
    fn notice(event: Event);
}

/// Registers a callback for every transaction of this process and of the processes it forks. It
/// stays registered for good.
#[expect(unsafe_code, reason = "registers a callback")]
pub(crate) fn observe<O: Observer>() {
    // SAFETY: the callback takes no argument, and its code stays as long as the process.
    unsafe { pg_sys::RegisterXactCallback(Some(on_event::<O>), std::ptr::null_mut()) }
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of a transaction callback")]
unsafe extern "C-unwind" fn on_event<O: Observer>(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    let event = match event {
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT => Event::BeforeCommit,
        pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE => Event::BeforePrepare,
        pg_sys::XactEvent::XACT_EVENT_COMMIT => Event::Committed,
        pg_sys::XactEvent::XACT_EVENT_ABORT => Event::Aborted,
        _ => return,
    };
    O::notice(event);
}
