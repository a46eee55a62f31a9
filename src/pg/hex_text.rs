//! Texts of unknown encoding, on their way through a query.
//!
//! Names of roles and lines of files come as somebody wrote them, in whatever encoding, which need not be this database's nor
//! UTF-8. A query hands their bytes over as hexadecimal digits.

use crate::pg::text;

/// An expression for the bytes of the text that the expression `text` has, as hexadecimal digits.
pub(crate) fn raw(text: &str) -> String {
    format!("encode(decode(replace({text}, chr(92), repeat(chr(92), 2)), 'escape'), 'hex')")
}

/// An expression for the texts that a set has, as their bytes; null if it has none.
pub(crate) fn raw_list(text: &str) -> String {
    format!("string_agg({}, ',')", raw(text))
}

/// What [`raw`] has of a text in a file.
pub(crate) fn plain(raw: &str) -> String {
    text::read_utf8(&bytes(raw))
}

/// What [`raw`] has, as it is.
pub(crate) fn bytes(raw: &str) -> Vec<u8> {
    let digits: Vec<_> = raw.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let byte =
        |pair: &[u32]| pair.iter().fold(0, |byte, digit| byte << 4 | u8::try_from(*digit).unwrap_or(0));
    digits.chunks(2).map(byte).collect()
}
