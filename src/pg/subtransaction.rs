//! Runs code whose failure must not end the statement.

use std::panic::AssertUnwindSafe;

use pgrx::PgTryBuilder;
use pgrx::prelude::*;

use crate::pg::error::message_of;

/// Runs `act`, which only reads, in a subtransaction of its own. If it ends in an error, the
/// subtransaction is rolled back and nothing is returned. A statement that is cancelled, or whose
/// server is shutting down, ends all the same.
pub(crate) fn or_take_back<T>(act: impl FnOnce() -> Option<T>) -> Option<T> {
    attempt(act).ok().flatten()
}

/// Runs `act` in a subtransaction of its own. If it ends in an error, what it has done is taken
/// back. A statement that is cancelled, or whose server is shutting down, ends all the same.
///
/// # Errors
/// The message of the error.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn attempt<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    // SAFETY: within a transaction, as every statement is. A subtransaction has its own memory and
    // owner of resources; both are put back to those of the statement, as PL/pgSQL does for a block
    // with EXCEPTION (exec_stmt_block, pl_exec.c). Rolling it back pops the snapshot, too.
    unsafe {
        let (memory, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(memory);
        // What the statement has changed so far is to be seen.
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let result = PgTryBuilder::new(AssertUnwindSafe(|| Ok(act())))
            .catch_when(PgSqlErrorCode::ERRCODE_QUERY_CANCELED, |end| end.rethrow())
            .catch_when(PgSqlErrorCode::ERRCODE_ADMIN_SHUTDOWN, |end| end.rethrow())
            .catch_when(PgSqlErrorCode::ERRCODE_CRASH_SHUTDOWN, |end| end.rethrow())
            .catch_rust_panic(|fault| fault.rethrow())
            .catch_others(|fault| Err(message_of(&fault)))
            .execute();
        if result.is_ok() {
            pg_sys::PopActiveSnapshot();
            pg_sys::ReleaseCurrentSubTransaction();
        } else {
            pg_sys::MemoryContextSwitchTo(memory);
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        pg_sys::MemoryContextSwitchTo(memory);
        pg_sys::CurrentResourceOwner = owner;
        result
    }
}
