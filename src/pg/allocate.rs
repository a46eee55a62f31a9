//! Memory whose size a client or a statement decides ("Foreign sizes" in CONTRIBUTING.md).
//!
//! Rust's own collections end the process when there is no memory, and the server then ends every
//! session. These functions return an error, which ends the statement.

use pgrx::prelude::*;

use crate::pg::error::{Fault, Result};

/// Appends one item to a list.
pub(crate) fn push<T>(list: &mut Vec<T>, item: T) -> Result<()> {
    list.try_reserve(1).map_err(|_| exhausted())?;
    list.push(item);
    Ok(())
}

/// Collects items into a list.
pub(crate) fn collect<T>(items: impl IntoIterator<Item = T>) -> Result<Vec<T>> {
    let mut list = Vec::new();
    items.into_iter().try_for_each(|item| push(&mut list, item))?;
    Ok(list)
}

/// Returns the error that PostgreSQL raises when it has no memory.
fn exhausted() -> Fault {
    Fault::new(PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY, "out of memory")
}
