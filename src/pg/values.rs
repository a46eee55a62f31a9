//! Values of the crates below as types that SQL has.

/// Returns an id as a value of type uuid.
pub(crate) fn uuid(id: entra::Uuid) -> pgrx::Uuid {
    pgrx::Uuid::from_bytes(id.into_bytes())
}

/// Returns a count as a value of type bigint.
pub(crate) fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
