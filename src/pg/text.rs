//! Text between a database and this library.
//!
//! This library's texts are UTF-8. A database has an encoding of its own; and names of roles, which
//! all databases share, may be in any encoding. So bytes that come in are decoded by [`decode`].
//! What goes out is a [`Text`]: exact, or an error, where programs depend on it; with unknown
//! characters escaped where people read it, so that no name can make a view fail.
//!
//! Where no database is selected, as during a login, nothing is converted, and no catalog is read
//! for it.

mod conversion;
mod datum;

use std::ffi::{CStr, CString, c_char};

use pgrx::prelude::*;

use crate::pg::text::conversion::{UTF8, converted, converted_exactly, escaped_character, is_plain};

/// A value of type text, in the encoding of the database.
#[derive(Debug, Clone)]
pub(crate) struct Text(Vec<u8>);

impl Text {
    /// Returns a text for people: characters that the database's encoding does not have are
    /// escaped, as in `E'\u0416'`.
    pub(crate) fn shown(text: &str) -> Self {
        Self(converted(text.as_bytes(), UTF8, database_encoding()))
    }

    /// Returns the name of a role as other views have it, but bytes that are no text in this
    /// database's encoding are escaped, as in `E'\xEB'`.
    pub(crate) fn name(name: &CStr) -> Self {
        Self(converted(name.to_bytes(), database_encoding(), database_encoding()))
    }

    /// Returns a text for programs. Raises PostgreSQL's own error where the database's encoding
    /// does not have a character.
    pub(crate) fn exact(text: &str) -> Self {
        Self(exactly(text))
    }
}

/// A value of type jsonb, from a JSON text: the one that `'...'::jsonb` would be.
pub(crate) struct Json(CString);

impl Json {
    /// Returns a value. Raises PostgreSQL's own error where the database's encoding does not have a
    /// character. JSON has no NUL in it.
    pub(crate) fn exact(text: &str) -> Self {
        Self(CString::new(exactly(text)).unwrap_or_default())
    }
}

/// Returns a text that is in the database's encoding, or in none, as UTF-8. What cannot be decoded
/// is escaped, as in `E'\xEB'`.
pub(crate) fn decode(bytes: &[u8]) -> String {
    String::from_utf8(converted(bytes, database_encoding(), UTF8)).unwrap_or_default()
}

/// Returns a text that is in the database's encoding as UTF-8; none if it is not valid there.
pub(crate) fn decode_exactly(bytes: &[u8]) -> Option<String> {
    String::from_utf8(converted_exactly(bytes, database_encoding(), UTF8)?).ok()
}

/// Returns a text in the encoding of the database; none if that lacks one of its characters.
pub(crate) fn encode_exactly(text: &str) -> Option<CString> {
    CString::new(converted_exactly(text.as_bytes(), UTF8, database_encoding())?).ok()
}

/// Returns the text of a file, which should be UTF-8. What is not is escaped.
pub(crate) fn read_utf8(bytes: &[u8]) -> String {
    String::from_utf8(converted(bytes, UTF8, UTF8)).unwrap_or_default()
}

/// Returns a text for an error report, which goes through Rust's strings: characters beyond ASCII
/// are escaped, unless the database needs no conversion.
pub(crate) fn reported(text: String) -> String {
    if text.is_ascii() || is_plain(database_encoding()) {
        return text;
    }
    text.chars().map(|c| if c.is_ascii() { c.to_string() } else { escaped_character(c) }).collect()
}

/// Returns the encoding of the database; SQL_ASCII while none is selected.
#[expect(unsafe_code, reason = "reads a variable of the server")]
fn database_encoding() -> i32 {
    // SAFETY: reads a variable of the server.
    unsafe { pg_sys::GetDatabaseEncoding() }
}

#[expect(unsafe_code, reason = "uses the server's own conversion")]
fn exactly(text: &str) -> Vec<u8> {
    let Ok(length) = i32::try_from(text.len()) else { return Vec::new() };
    // SAFETY: so many bytes; the result is the same text, or a palloc'd C string, which goes with
    // the memory of the call.
    unsafe {
        let source = text.as_ptr().cast::<c_char>();
        let found = pg_sys::pg_any_to_server(source, length, UTF8);
        if std::ptr::eq(found, source) {
            // bounded: by the token, whose claims these are.
            text.as_bytes().to_vec()
        } else {
            // bounded: as above.
            CStr::from_ptr(found).to_bytes().to_vec()
        }
    }
}
