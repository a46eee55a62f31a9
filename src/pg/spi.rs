//! Statements run as the bootstrap superuser, after whoever asks has been found to have the right.
//!
//! Memberships made here always have that grantor, whoever links, so that unlinking finds them all. Nothing of the caller's
//! session has a say in what a statement means: the search path is pg_catalog's while it runs.

use std::cell::Cell;
use std::ffi::{CStr, CString};

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{Error, SpiHeapTupleData};

use crate::pg::error::Fault;

thread_local! {
    /// How deep we are in statements of our own.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Whether a statement comes from here, and so needs no further judgement.
pub(crate) fn is_own_statement() -> bool {
    DEPTH.get() > 0
}

/// Leaves the depth as it was, also when an error passes through.
struct Depth(u32);

impl Depth {
    fn enter() -> Self {
        Self(DEPTH.replace(DEPTH.get() + 1))
    }
}

impl Drop for Depth {
    fn drop(&mut self) {
        DEPTH.set(self.0);
    }
}

/// Runs `act` as the bootstrap superuser. After an error the end of the (sub)transaction puts back who was there before.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn as_superuser<T>(act: impl FnOnce() -> T) -> T {
    let _depth = Depth::enter();
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    // SAFETY: within a transaction, as every statement is; what is set here is put back below, or by the end of the
    // (sub)transaction: xact.c restores the user, guc.c the setting.
    let level = unsafe {
        pg_sys::GetUserIdAndSecContext(&raw mut user, &raw mut context);
        pg_sys::SetUserIdAndSecContext(
            pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID),
            context | pg_sys::SECURITY_LOCAL_USERID_CHANGE.cast_signed(),
        );
        let level = pg_sys::NewGUCNestLevel();
        set_until_end(c"search_path", c"pg_catalog, pg_temp");
        level
    };
    let result = act();
    // SAFETY: as above.
    unsafe {
        pg_sys::AtEOXact_GUC(false, level);
        pg_sys::SetUserIdAndSecContext(user, context);
    }
    result
}

/// Sets a parameter until the end of [`as_superuser`], or of the transaction.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn set_until_end(name: &CStr, value: &CStr) {
    // SAFETY: C strings that outlive the call; guc.c puts back what was there at the end of the level
    // that `as_superuser` has begun, or of the transaction.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
    }
}

/// Runs one statement, given in parts: our words, and names in their own bytes. Only within [`as_superuser`].
pub(crate) fn run(statement: &[&[u8]]) {
    // Neither has a NUL in it.
    let statement = CString::new(statement.concat()).unwrap_or_default();
    or_raise(Spi::connect_mut(|client| client.update(statement.as_c_str(), None, &[]).map(drop)));
}

/// Runs one query and collects its rows; sees what this transaction has done. Only within [`as_superuser`].
pub(crate) fn query<T>(
    text: &str,
    arguments: &[DatumWithOid<'_>],
    read: impl Fn(&SpiHeapTupleData<'_>) -> T,
) -> Vec<T> {
    or_raise(Spi::connect(|client| {
        client.select(text, None, arguments).map(|rows| rows.map(|row| read(&row)).collect())
    }))
}

/// Errors of PostgreSQL's have been raised already; what is left is a statement that SPI does not take.
fn or_raise<T>(result: Result<T, Error>) -> T {
    result
        .unwrap_or_else(|fault| Fault::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, fault.to_string()).raise())
}

/// A name as it is written in a statement, for hints.
pub(crate) fn quoted(name: &str) -> String {
    let name = CString::new(name).unwrap_or_default();
    String::from_utf8(quoted_name(&name)).unwrap_or_default()
}

/// A name as it is written in a statement, in its own bytes.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn quoted_name(name: &CStr) -> Vec<u8> {
    // SAFETY: the result is either the argument or a palloc'd C string, copied at once. bounded: by the longest name.
    unsafe { CStr::from_ptr(pg_sys::quote_identifier(name.as_ptr())).to_bytes().to_vec() }
}

/// A text as it is written in a statement, for hints.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A text as it is written in a statement, in its own bytes.
pub(crate) fn literal_bytes(text: &[u8]) -> Vec<u8> {
    let doubled = text.split(|byte| *byte == b'\'').collect::<Vec<_>>().join(&b"''"[..]);
    [b"'", &*doubled, b"'"].concat()
}
