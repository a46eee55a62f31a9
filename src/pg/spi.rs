//! Statements run as the bootstrap superuser, after the caller's own right has been checked. The
//! only file that uses SPI.
//!
//! Memberships made here always have that grantor, whichever role links, so that unlinking finds
//! them all. The settings of the caller's session cannot change what a statement means: the search
//! path is pg_catalog while it runs.

use std::cell::Cell;
use std::ffi::{CStr, CString};

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{Error, SpiHeapTupleData};

use crate::pg::error::Fault;

thread_local! {
    /// How deeply calls of [`as_superuser`] are nested.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Returns whether the statement being run comes from this file, and so needs no check.
pub(crate) fn is_own_statement() -> bool {
    DEPTH.get() > 0
}

/// Restores the depth when it is dropped, also when an error passes through.
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

/// Runs `act` as the bootstrap superuser. After an error the end of the (sub)transaction restores
/// the user.
///
/// The caller gets no debug messages meanwhile: those about lines of files that PostgreSQL cannot
/// read have pieces of these lines, which only a superuser may read.
#[expect(unsafe_code, reason = "switches the user and a setting of the session")]
pub(crate) fn as_superuser<T>(act: impl FnOnce() -> T) -> T {
    let _depth = Depth::enter();
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    // SAFETY: within a transaction, as every statement is; what is set here is put back below, or
    // by the end of the (sub)transaction: xact.c restores the user, guc.c the setting.
    let level = unsafe {
        pg_sys::GetUserIdAndSecContext(&raw mut user, &raw mut context);
        pg_sys::SetUserIdAndSecContext(
            pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID),
            context | pg_sys::SECURITY_LOCAL_USERID_CHANGE.cast_signed(),
        );
        let level = pg_sys::NewGUCNestLevel();
        set_until_end(c"search_path", c"pg_catalog, pg_temp");
        if pg_sys::client_min_messages < pg_sys::NOTICE.cast_signed() {
            set_until_end(c"client_min_messages", c"notice");
        }
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

/// Sets a parameter until the end of [`as_superuser`], or of the transaction: guc.c puts back what
/// was there at the end of the level that `as_superuser` has begun, or of the transaction.
pub(crate) fn set_until_end(name: &CStr, value: &CStr) {
    set(name, value, pg_sys::GucAction::GUC_ACTION_SAVE);
}

/// Sets a parameter for the rest of a background worker's life.
pub(crate) fn set_for_session(name: &CStr, value: &CStr) {
    set(name, value, pg_sys::GucAction::GUC_ACTION_SET);
}

#[expect(unsafe_code, reason = "no safe wrapper")]
fn set(name: &CStr, value: &CStr, action: pg_sys::GucAction::Type) {
    // SAFETY: C strings that outlive the call; guc.c keeps copies.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
            action,
            true,
            0,
            false,
        );
    }
}

/// Runs one statement, given in parts: keywords, and names in their own bytes. Called within
/// [`as_superuser`].
pub(crate) fn run(statement: &[&[u8]]) {
    // Neither has a NUL in it.
    let statement = CString::new(statement.concat()).unwrap_or_default();
    or_raise(Spi::connect_mut(|client| client.update(statement.as_c_str(), None, &[]).map(drop)));
}

/// Runs one query, which sees the changes of this transaction, and returns its rows. Called within
/// [`as_superuser`].
pub(crate) fn query<T>(
    text: &str,
    arguments: &[DatumWithOid<'_>],
    read: impl Fn(&SpiHeapTupleData<'_>) -> T,
) -> Vec<T> {
    or_raise(Spi::connect(|client| {
        client.select(text, None, arguments).map(|rows| rows.map(|row| read(&row)).collect())
    }))
}

/// Returns the value, or raises an error. PostgreSQL's own errors have been raised already; the
/// error here is that SPI does not accept the statement.
fn or_raise<T>(result: Result<T, Error>) -> T {
    result
        .unwrap_or_else(|fault| Fault::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, fault.to_string()).raise())
}

/// Returns a name as it is written in a statement, for hints.
pub(crate) fn quoted(name: &str) -> String {
    let name = CString::new(name).unwrap_or_default();
    String::from_utf8(quoted_name(&name)).unwrap_or_default()
}

/// Returns a name as it is written in a statement, in its own bytes.
#[expect(unsafe_code, reason = "calls quote_identifier()")]
pub(crate) fn quoted_name(name: &CStr) -> Vec<u8> {
    // SAFETY: the result is either the argument or a palloc'd C string, copied at once. bounded: by
    // the longest name.
    unsafe { CStr::from_ptr(pg_sys::quote_identifier(name.as_ptr())).to_bytes().to_vec() }
}

/// Returns a text as it is written in a statement, for hints.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns a text as it is written in a statement, in its own bytes.
pub(crate) fn literal_bytes(text: &[u8]) -> Vec<u8> {
    let doubled = text.split(|byte| *byte == b'\'').collect::<Vec<_>>().join(&b"''"[..]);
    [b"'", &*doubled, b"'"].concat()
}
