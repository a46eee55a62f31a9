//! The SQL functions about principals and revocations: thin, over [`principal`], [`revocation`] and
//! [`rights`].
//!
//! [`principal`]: crate::link::principal
//! [`revocation`]: crate::link::revocation
//! [`rights`]: crate::link::rights

mod asked;
mod directory;
mod principals;
mod revocation;

use std::ffi::{CStr, CString};

use entra::Uuid;
use pgrx::prelude::*;

use crate::link::lock;
use crate::pg::argument::Argument;
use crate::pg::error::{Fault, Result};
use crate::pg::library;

/// Longest role name, in bytes (NAMEDATALEN - 1).
const MAX_NAME_BYTES: usize = 63;

/// Checks that a function can do its work here: the library is preloaded, and can write.
fn begin(function: &CStr) -> Result<()> {
    library::require()?;
    lock::require_writable(function)
}

/// Returns the name of a role that must be given.
fn given(role_name: Option<Argument<'_>>) -> Result<CString> {
    role_name_of(role_name.ok_or_else(|| null("role_name"))?)
}

/// The error for a parameter that is null.
fn null(parameter: &str) -> Fault {
    Fault::new(PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, format!("{parameter} must not be null"))
}

/// Returns an argument as a role's name. One that PostgreSQL would cut is refused: it would be the
/// name of another role.
pub(crate) fn role_name_of(name: Argument<'_>) -> Result<CString> {
    if name.len() == 0 {
        return Err(Fault::new(PgSqlErrorCode::ERRCODE_INVALID_NAME, "a role name cannot be empty"));
    }
    let fitting = name.within(MAX_NAME_BYTES).ok_or_else(|| {
        // The name is not shown: it may be a token in the wrong place.
        Fault::name_too_long("role name is too long")
            .detail(format!("It has {} bytes; at most {MAX_NAME_BYTES} are allowed.", name.len()))
    })?;
    // No text of PostgreSQL's has a NUL.
    Ok(CString::new(fitting).unwrap_or_default())
}

fn uuid(id: pgrx::Uuid) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

fn sql_uuid(id: Uuid) -> pgrx::Uuid {
    pgrx::Uuid::from_bytes(*id.as_bytes())
}
