//! A utility statement as its hook is given it, and what the server says about running one
//! (utility.c).

#![expect(unsafe_code, reason = "reads what the server hands to its utility hook")]

use std::ffi::CStr;
use std::marker::PhantomData;

use pgrx::prelude::*;

use crate::pg::hook::UtilityCall;
use crate::pg::node::Node;

/// A call of the utility hook, whose statement lives for `'call`.
#[derive(Clone, Copy)]
pub(crate) struct Utility<'call>(UtilityCall, PhantomData<&'call UtilityCall>);

impl<'call> Utility<'call> {
    /// Returns a call of the hook.
    ///
    /// # Safety
    /// PostgreSQL made the call, which lasts for `'call`, and so does the current memory context.
    pub(crate) const unsafe fn new(call: UtilityCall) -> Self {
        Self(call, PhantomData)
    }

    /// Returns the call, to be passed on.
    pub(crate) const fn call(self) -> UtilityCall {
        self.0
    }

    /// Returns the statement's tree.
    pub(crate) fn statement(self) -> Option<Node<'call>> {
        // SAFETY: the planned statement is there, and has a tree that lives as long as the call.
        unsafe { Node::new((*self.0.planned).utilityStmt) }
    }

    /// Returns what PostgreSQL calls the kind of statement, for example "GRANT ROLE".
    pub(crate) fn tag(self) -> &'static CStr {
        // SAFETY: as above; the names of kinds of statements are constants (cmdtag.c).
        unsafe {
            let tag = pg_sys::CreateCommandTag((*self.0.planned).utilityStmt);
            CStr::from_ptr(pg_sys::GetCommandTagName(tag))
        }
    }

    /// Returns the text of this statement alone: the text of the call may hold other statements.
    pub(crate) fn text(self) -> &'call [u8] {
        // SAFETY: the planned statement is there, and its text is a C string that outlives the
        // call.
        let (text, at, length) = unsafe {
            let text = CStr::from_ptr(self.0.source).to_bytes();
            (text, (*self.0.planned).stmt_location, (*self.0.planned).stmt_len)
        };
        // The place may be unknown, and a length of 0 means all that follows (plannodes.h).
        let rest = usize::try_from(at).ok().and_then(|at| text.get(at..)).unwrap_or(text);
        usize::try_from(length)
            .ok()
            .filter(|length| *length > 0)
            .and_then(|length| rest.get(..length))
            .unwrap_or(rest)
    }

    /// Returns the same call of another statement, in memory of the current context.
    pub(crate) fn with_statement(self, statement: Node<'call>) -> Self {
        // SAFETY: palloc raises an error rather than return null. A planned statement is copied as
        // it is, but for its tree; the copy is used while the statement runs.
        let planned = unsafe {
            let copy = pg_sys::palloc(size_of::<pg_sys::PlannedStmt>()).cast::<pg_sys::PlannedStmt>();
            copy.write(pg_sys::PlannedStmt { utilityStmt: statement.as_ptr(), ..*self.0.planned });
            copy
        };
        Self(UtilityCall { planned, ..self.0 }, PhantomData)
    }
}

/// Makes what a statement has written visible to what this transaction reads next.
pub(crate) fn make_changes_visible() {
    // SAFETY: called between two commands of a transaction.
    unsafe { pg_sys::CommandCounterIncrement() }
}

/// Returns whether the server is a standby, or still recovers.
pub(crate) fn in_recovery() -> bool {
    // SAFETY: has no preconditions.
    unsafe { pg_sys::RecoveryInProgress() }
}

/// Raises PostgreSQL's own error if the transaction is read-only.
pub(crate) fn prevent_if_read_only(command: &CStr) {
    // SAFETY: a C string that outlives the call.
    unsafe { pg_sys::PreventCommandIfReadOnly(command.as_ptr()) }
}
