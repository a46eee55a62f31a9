//! Text on its way to and from a database.
//!
//! Ours is UTF-8. A database has an encoding of its own; and names of roles, which all databases share, are in whichever they were
//! written in. So what comes in is read by [`decode`]; what goes out is a [`Text`]: exact, or an error, where programs depend on
//! it; with the odd character escaped where people look at it, so that nobody's name can keep a view from being read.
//!
//! Where no database is selected, as during a login, nothing is converted, and no catalog is asked how.

use std::ffi::{CStr, CString, c_char};

use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;

const UTF8: i32 = pg_sys::pg_enc::PG_UTF8.cast_signed();
const SQL_ASCII: i32 = pg_sys::pg_enc::PG_SQL_ASCII.cast_signed();

/// No conversion takes more bytes for one (`MAX_CONVERSION_GROWTH`, mb/pg_wchar.h).
const GROWTH: usize = 4;

/// As many bytes are looked at at once.
const PIECE: usize = 256;

/// No encoding of a server's has longer characters, in bytes (`MAX_MULTIBYTE_CHAR_LEN`, mb/pg_wchar.h).
const LONGEST_CHARACTER: usize = 4;

/// A value of type text, in the encoding of the database.
#[derive(Debug, Clone)]
pub(crate) struct Text(Vec<u8>);

impl Text {
    /// For people: characters that the database does not have are escaped, as in `E'\u0416'`.
    pub(crate) fn shown(text: &str) -> Self {
        Self(converted(text.as_bytes(), UTF8, database_encoding()))
    }

    /// The name of a role as other views have it, but what is no text in this database's encoding is escaped, as in `E'\xEB'`.
    pub(crate) fn name(name: &CStr) -> Self {
        Self(converted(name.to_bytes(), database_encoding(), database_encoding()))
    }

    /// For programs. Raises PostgreSQL's own error where the database does not have a character.
    pub(crate) fn exact(text: &str) -> Self {
        Self(exactly(text))
    }
}

/// A value of type jsonb, from a JSON text: the one that `'…'::jsonb` would be.
pub(crate) struct Json(CString);

impl Json {
    /// Raises PostgreSQL's own error where the database does not have a character. JSON has no NUL in it.
    pub(crate) fn exact(text: &str) -> Self {
        Self(CString::new(exactly(text)).unwrap_or_default())
    }
}

/// A text of the database's encoding, or of none, as ours. What cannot be read is escaped, as in `E'\xEB'`.
pub(crate) fn decode(bytes: &[u8]) -> String {
    String::from_utf8(converted(bytes, database_encoding(), UTF8)).unwrap_or_default()
}

/// A text of a file, which is UTF-8 if anything, as ours.
pub(crate) fn read_utf8(bytes: &[u8]) -> String {
    String::from_utf8(converted(bytes, UTF8, UTF8)).unwrap_or_default()
}

/// A text as an error report has it, which goes through Rust's strings: what is not ASCII is escaped, but where it needs no conversion.
pub(crate) fn reported(text: String) -> String {
    if text.is_ascii() || is_plain(database_encoding()) {
        return text;
    }
    text.chars().map(|c| if c.is_ascii() { c.to_string() } else { escaped_character(c) }).collect()
}

/// PostgreSQL's escapes, as in `E'…'`.
fn escaped_character(c: char) -> String {
    let code = u32::from(c);
    if code > 0xFFFF { format!("\\U{code:08X}") } else { format!("\\u{code:04X}") }
}

fn escaped_byte(byte: u8) -> String {
    format!("\\x{byte:02X}")
}

/// Nothing is converted to it or from it: UTF-8, or bytes of unknown meaning, which are taken for that.
const fn is_plain(encoding: i32) -> bool {
    encoding == UTF8 || encoding == SQL_ASCII
}

/// SQL_ASCII while no database is selected.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn database_encoding() -> i32 {
    // SAFETY: reads a variable of the server.
    unsafe { pg_sys::GetDatabaseEncoding() }
}

#[expect(unsafe_code, reason = "uses the server's own conversion")]
fn exactly(text: &str) -> Vec<u8> {
    let Ok(length) = i32::try_from(text.len()) else { return Vec::new() };
    // SAFETY: so many bytes; the result is the same text, or a palloc'd C string, which goes with the memory of the call.
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

/// Converts what can be, and escapes what cannot.
fn converted(source: &[u8], from: i32, to: i32) -> Vec<u8> {
    if source.is_ascii() && !source.contains(&0) {
        // bounded: by whoever asks, who never hands over what a client has sized.
        return source.to_vec();
    }
    // bounded: as above.
    let mut result = Vec::with_capacity(source.len());
    let step = Step::between(from, to);
    let mut rest = source;
    while !rest.is_empty() {
        // Not the whole rest, which would be looked at once for each odd byte in it.
        let piece = rest.get(..PIECE).unwrap_or(rest);
        let taken = step.take(piece, &mut result);
        rest = rest.get(taken..).unwrap_or_default();
        let is_cut = piece.len() - taken < LONGEST_CHARACTER && rest.len() > piece.len() - taken;
        if taken > 0 && is_cut {
            // What is left of the piece may be part of a character, whose rest is in the next.
            continue;
        }
        let Some(odd) = rest.first() else { break };
        // Of UTF-8 a whole character is odd, of anything else a byte.
        let character = if is_plain(from) { first_character(rest) } else { None };
        result.extend(character.map_or_else(|| escaped_byte(*odd), escaped_character).bytes());
        rest = rest.get(character.map_or(1, char::len_utf8)..).unwrap_or_default();
    }
    result
}

fn first_character(bytes: &[u8]) -> Option<char> {
    let first = bytes.get(..LONGEST_CHARACTER).unwrap_or(bytes);
    first.utf8_chunks().next()?.valid().chars().next()
}

/// How as much as possible is taken over at once.
enum Step {
    /// It is, or is taken for, UTF-8.
    Utf8,
    /// It is of this encoding.
    Same(i32),
    /// By this function of the server's.
    Function { function: pg_sys::Oid, from: i32, to: i32 },
    /// ASCII only: the server knows no way.
    None,
}

impl Step {
    #[expect(unsafe_code, reason = "no safe wrapper")]
    fn between(from: i32, to: i32) -> Self {
        if is_plain(from) && is_plain(to) {
            return Self::Utf8;
        }
        if from == to {
            return Self::Same(from);
        }
        // SAFETY: reads a catalog, where one can be read.
        let function = unsafe {
            if !pg_sys::IsTransactionState() {
                return Self::None;
            }
            pg_sys::FindDefaultConversionProc(from, to)
        };
        if function == pg_sys::InvalidOid { Self::None } else { Self::Function { function, from, to } }
    }

    /// Appends what `source` begins with, as far as it goes without a NUL or anything odd. The number of bytes taken.
    fn take(&self, source: &[u8], result: &mut Vec<u8>) -> usize {
        let source = source.split(|byte| *byte == 0).next().unwrap_or_default();
        let taken = match *self {
            Self::Function { function, from, to } => return convert(function, source, from, to, result),
            Self::Utf8 => source.utf8_chunks().next().map_or(0, |chunk| chunk.valid().len()),
            Self::Same(encoding) => valid_length(encoding, source),
            Self::None => source.iter().take_while(|byte| byte.is_ascii()).count(),
        };
        result.extend(source.iter().take(taken));
        taken
    }
}

#[expect(unsafe_code, reason = "no safe wrapper")]
fn valid_length(encoding: i32, source: &[u8]) -> usize {
    let length = i32::try_from(source.len()).unwrap_or(0);
    // SAFETY: so many bytes; an encoding of the server's.
    let valid = unsafe { pg_sys::pg_encoding_verifymbstr(encoding, source.as_ptr().cast(), length) };
    usize::try_from(valid).unwrap_or(0)
}

#[expect(unsafe_code, reason = "uses the server's own conversion")]
fn convert(function: pg_sys::Oid, source: &[u8], from: i32, to: i32, result: &mut Vec<u8>) -> usize {
    // bounded: by the piece.
    let mut buffer = vec![0_u8; (source.len() + 1) * GROWTH + 1];
    let (Ok(length), Ok(room)) = (i32::try_from(source.len()), i32::try_from(buffer.len())) else { return 0 };
    // SAFETY: so many bytes each, which is room enough; it ends what it has written with a NUL, and tells how much it has read.
    let taken = unsafe {
        let source = source.as_ptr().cast_mut();
        pg_sys::pg_do_encoding_conversion_buf(
            function,
            from,
            to,
            source,
            length,
            buffer.as_mut_ptr(),
            room,
            true,
        )
    };
    result.extend(buffer.iter().take_while(|byte| **byte != 0));
    usize::try_from(taken).unwrap_or(0)
}

impl IntoDatum for Text {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        self.0.as_slice().into_datum()
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::TEXTOID
    }
}

impl IntoDatum for Json {
    #[expect(unsafe_code, reason = "calls a function of the server's")]
    fn into_datum(self) -> Option<pg_sys::Datum> {
        // SAFETY: it takes a C string.
        unsafe { pgrx::direct_function_call_as_datum(pg_sys::jsonb_in, &[Some(self.0.as_ptr().into())]) }
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::JSONBOID
    }
}

/// Lets functions return it.
macro_rules! returned {
    ($type:ty, $name:literal) => {
        #[expect(unsafe_code, reason = "a promise to pgrx")]
        // SAFETY: the datum is of the type that the function is declared to return.
        unsafe impl BoxRet for $type {
            unsafe fn box_into<'fcx>(self, call: &mut FcInfo<'fcx>) -> Datum<'fcx> {
                match self.into_datum() {
                    // SAFETY: see above.
                    Some(datum) => unsafe { call.return_raw_datum(datum) },
                    None => call.return_null(),
                }
            }
        }

        #[expect(unsafe_code, reason = "a promise to pgrx")]
        // SAFETY: the type of SQL that it is.
        unsafe impl SqlTranslatable for $type {
            const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!($type);
            const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
            const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal($name));
            const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
                Ok(ReturnsRef::One(SqlMappingRef::literal($name)));
        }
    };
}
returned!(Text, "text");
returned!(Json, "jsonb");
