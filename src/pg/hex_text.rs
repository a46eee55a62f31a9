//! Texts of unknown encoding in the result of a query.
//!
//! Names of roles and lines of files may be in any encoding, not only in this database's or in
//! UTF-8. So a query returns their bytes as hexadecimal digits.

use crate::pg::text;

/// Returns an SQL expression for the bytes of the text that the expression `text` has, as
/// hexadecimal digits.
pub(crate) fn raw(text: &str) -> String {
    format!("encode(decode(replace({text}, chr(92), repeat(chr(92), 2)), 'escape'), 'hex')")
}

/// Returns an SQL expression for the texts of a set, in that form; null if it has none.
pub(crate) fn raw_list(text: &str) -> String {
    format!("string_agg({}, ',')", raw(text))
}

/// Returns the text of a file that [`raw`] has given.
pub(crate) fn plain(raw: &str) -> String {
    text::read_utf8(&bytes(raw))
}

/// Returns the bytes that [`raw`] has given.
pub(crate) fn bytes(raw: &str) -> Vec<u8> {
    let digits: Vec<_> = raw.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let byte =
        |pair: &[u32]| pair.iter().fold(0, |byte, digit| byte << 4 | u8::try_from(*digit).unwrap_or(0));
    digits.chunks(2).map(byte).collect()
}
