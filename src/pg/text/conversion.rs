//! Conversion between the encodings of the server, piece by piece, with escapes for what cannot be
//! converted.

use pgrx::prelude::*;

pub(super) const UTF8: i32 = pg_sys::pg_enc::PG_UTF8.cast_signed();
const SQL_ASCII: i32 = pg_sys::pg_enc::PG_SQL_ASCII.cast_signed();

/// The most bytes that a conversion makes of one (`MAX_CONVERSION_GROWTH`, mb/pg_wchar.h).
const GROWTH: usize = 4;

/// The most bytes that are converted at once.
const PIECE: usize = 256;

/// The longest character of any encoding of the server, in bytes (`MAX_MULTIBYTE_CHAR_LEN`,
/// mb/pg_wchar.h).
const LONGEST_CHARACTER: usize = 4;

/// Returns a text in another encoding. What cannot be converted is escaped.
pub(super) fn converted(source: &[u8], from: i32, to: i32) -> Vec<u8> {
    convert_all(source, from, to).0
}

/// Returns a text in another encoding; none if a part of it cannot be converted.
pub(super) fn converted_exactly(source: &[u8], from: i32, to: i32) -> Option<Vec<u8>> {
    let (result, is_exact) = convert_all(source, from, to);
    is_exact.then_some(result)
}

/// Returns a text in another encoding, where what cannot be converted is escaped, and whether
/// nothing was.
fn convert_all(source: &[u8], from: i32, to: i32) -> (Vec<u8>, bool) {
    if source.is_ascii() && !source.contains(&0) {
        // bounded: by the callers, which never pass on what a client has sized.
        return (source.to_vec(), true);
    }
    // bounded: as above.
    let mut result = Vec::with_capacity(source.len());
    let step = Step::between(from, to);
    let (mut rest, mut is_exact) = (source, true);
    while !rest.is_empty() {
        // Not the whole rest, which would be read again for each byte in it that cannot be
        // converted.
        let piece = rest.get(..PIECE).unwrap_or(rest);
        let taken = step.take(piece, &mut result);
        rest = rest.get(taken..).unwrap_or_default();
        let is_cut = piece.len() - taken < LONGEST_CHARACTER && rest.len() > piece.len() - taken;
        if taken > 0 && is_cut {
            // What is left of the piece may begin a character that goes on in the next piece.
            continue;
        }
        let Some(byte) = rest.first() else { break };
        is_exact = false;
        // In UTF-8 a whole character is escaped, in other encodings a byte.
        let character = if is_plain(from) { first_character(rest) } else { None };
        result.extend(character.map_or_else(|| escaped_byte(*byte), escaped_character).bytes());
        rest = rest.get(character.map_or(1, char::len_utf8)..).unwrap_or_default();
    }
    (result, is_exact)
}

fn first_character(bytes: &[u8]) -> Option<char> {
    let first = bytes.get(..LONGEST_CHARACTER).unwrap_or(bytes);
    first.utf8_chunks().next()?.valid().chars().next()
}

/// How texts of one encoding are converted to another.
enum Step {
    /// Both are UTF-8, or are taken for it.
    Utf8,
    /// Both are this encoding.
    Same(i32),
    /// By this function of the server.
    Function { function: pg_sys::Oid, from: i32, to: i32 },
    /// Only ASCII: the server has no conversion.
    None,
}

impl Step {
    #[expect(unsafe_code, reason = "looks a conversion up in the catalogs")]
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

    /// Appends the beginning of `source`, up to a NUL or to what cannot be converted, and returns
    /// the number of bytes taken.
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

/// Returns how many bytes at the beginning of `source` are valid in an encoding.
#[expect(unsafe_code, reason = "uses the server's own check")]
fn valid_length(encoding: i32, source: &[u8]) -> usize {
    let length = i32::try_from(source.len()).unwrap_or(0);
    // SAFETY: so many bytes; an encoding of the server's.
    let valid = unsafe { pg_sys::pg_encoding_verifymbstr(encoding, source.as_ptr().cast(), length) };
    usize::try_from(valid).unwrap_or(0)
}

/// Appends the beginning of `source` in another encoding, and returns the number of bytes taken.
#[expect(unsafe_code, reason = "uses the server's own conversion")]
fn convert(function: pg_sys::Oid, source: &[u8], from: i32, to: i32, result: &mut Vec<u8>) -> usize {
    // bounded: by the piece.
    let mut buffer = vec![0_u8; (source.len() + 1) * GROWTH + 1];
    let (Ok(length), Ok(room)) = (i32::try_from(source.len()), i32::try_from(buffer.len())) else { return 0 };
    // SAFETY: so many bytes each, which is room enough; it ends what it has written with a NUL, and
    // returns how much it has read.
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

/// Returns PostgreSQL's escape of a character, as in `E'...'`.
pub(super) fn escaped_character(c: char) -> String {
    let code = u32::from(c);
    if code > 0xFFFF { format!("\\U{code:08X}") } else { format!("\\u{code:04X}") }
}

fn escaped_byte(byte: u8) -> String {
    format!("\\x{byte:02X}")
}

/// Returns whether texts of an encoding are not converted: UTF-8, or bytes of unknown encoding,
/// which are taken for UTF-8.
pub(super) const fn is_plain(encoding: i32) -> bool {
    encoding == UTF8 || encoding == SQL_ASCII
}
