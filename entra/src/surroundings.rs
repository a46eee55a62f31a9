//! The characters around a token that was pasted or read together with other text. The refusal
//! names them to the client, which cannot see them easily.
//!
//! The token is refused all the same. Only kinds of characters are named, and no text of the client
//! is repeated.

use std::fmt;

use crate::limits;

/// The beginning of every token: `{"`, encoded.
const BEGINNING: &[u8] = b"eyJ";

/// The characters before a token, within it or after it that do not belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surroundings {
    /// Before or after it; at least one of the two is not empty.
    Around {
        /// Before it.
        before: CharacterKinds,
        /// After it.
        after: CharacterKinds,
    },
    /// Blanks or line ends within it.
    Within,
}

/// The kinds of characters in a piece of text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each kind may be there or not")]
pub struct CharacterKinds {
    byte_order_mark: bool,
    bearer: bool,
    quotes: bool,
    blanks: bool,
    line_ends: bool,
    others: bool,
}

impl Surroundings {
    /// Returns what surrounds the token in a text; none if no whole token can be seen in it, or if
    /// the text is nothing but the token.
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        let start = text.windows(BEGINNING.len()).position(|window| window == BEGINNING)?;
        let (before, rest) = text.split_at_checked(start)?;
        let length = rest.iter().position(|byte| !is_of_token(*byte)).unwrap_or(rest.len());
        let (token, after) = rest.split_at_checked(length)?;
        if is_whole(token.iter().copied()) {
            let (before, after) = (CharacterKinds::of(before), CharacterKinds::of(after));
            let is_around = before != CharacterKinds::default() || after != CharacterKinds::default();
            return is_around.then_some(Self::Around { before, after });
        }
        let dense = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace());
        (start == 0 && is_whole(dense)).then_some(Self::Within)
    }
}

/// Returns whether a character can be part of a token: base64url, and the dots between its parts.
const fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Returns whether these are three parts, none of them empty, and nothing else.
fn is_whole(bytes: impl Iterator<Item = u8>) -> bool {
    let (mut dots, mut length, mut total) = (0, 0, 0);
    for byte in bytes {
        total += 1;
        if !is_of_token(byte) || total > limits::MAX_TOKEN_BYTES {
            return false;
        }
        if byte == b'.' {
            if length == 0 {
                return false;
            }
            (dots, length) = (dots + 1, 0);
        } else {
            length += 1;
        }
    }
    dots == 2 && length > 0
}

impl CharacterKinds {
    fn of(bytes: &[u8]) -> Self {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        const BEARER: &[u8] = b"bearer";
        let mut kinds = Self::default();
        let mut rest = bytes;
        while let Some((first, after)) = rest.split_first() {
            let word = rest.get(..BEARER.len()).is_some_and(|word| word.eq_ignore_ascii_case(BEARER));
            if let Some(after) = rest.strip_prefix(BYTE_ORDER_MARK) {
                kinds.byte_order_mark = true;
                rest = after;
                continue;
            }
            if word {
                kinds.bearer = true;
                rest = rest.get(BEARER.len()..).unwrap_or_default();
                continue;
            }
            match first {
                b'\r' | b'\n' => kinds.line_ends = true,
                b'"' | b'\'' | b'`' => kinds.quotes = true,
                byte if byte.is_ascii_whitespace() => kinds.blanks = true,
                _ => kinds.others = true,
            }
            rest = after;
        }
        kinds
    }
}

impl fmt::Display for CharacterKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            (self.byte_order_mark, "a byte-order mark"),
            (self.bearer, "the word Bearer"),
            (self.quotes, "quotes"),
            (self.blanks, "blanks"),
            (self.line_ends, "a line end"),
            (self.others, "other characters"),
        ];
        let names: Vec<_> = kinds.iter().filter(|(there, _)| *there).map(|(_, kind)| *kind).collect();
        f.write_str(&names.join(" and "))
    }
}

impl fmt::Display for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = CharacterKinds::default();
        match self {
            Self::Within => f.write_str("blanks or line ends within the token"),
            Self::Around { before, after } if *after == none => write!(f, "{before} before the token"),
            Self::Around { before, after } if *before == none => write!(f, "{after} after the token"),
            Self::Around { before, after } => {
                write!(f, "{before} before the token, {after} after it")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        Surroundings::of(text.as_bytes()).map(|surroundings| surroundings.to_string())
    }

    #[test]
    fn characters_around_a_token_are_named() {
        for (text, expected) in [
            ("eyJh.eyJi.AA", None),
            ("eyJh.eyJi.AA\n", Some("a line end after the token")),
            ("eyJh.eyJi.AA\r\n", Some("a line end after the token")),
            (" eyJh.eyJi.AA", Some("blanks before the token")),
            ("Bearer eyJh.eyJi.AA", Some("the word Bearer and blanks before the token")),
            ("BEARER\teyJh.eyJi.AA ", Some("the word Bearer and blanks before the token, blanks after it")),
            ("\"eyJh.eyJi.AA\"", Some("quotes before the token, quotes after it")),
            ("'eyJh.eyJi.AA'\n", Some("quotes before the token, quotes and a line end after it")),
            ("\u{feff}eyJh.eyJi.AA", Some("a byte-order mark before the token")),
            ("eyJh.eyJi.AA==", Some("other characters after the token")),
            (
                r#"{"accessToken": "eyJh.eyJi.AA"}"#,
                Some(
                    "quotes and blanks and other characters before the token, quotes and other characters after it",
                ),
            ),
            ("eyJh.ey\nJi.AA", Some("blanks or line ends within the token")),
            // No whole token can be seen in these.
            ("", None),
            ("a password", None),
            (" eyJh.eyJi", None),
            ("eyJh.eyJi.\n", None),
            ("eyJh..AA\n", None),
            ("eyJh.eyJi.AA.AA\n", None),
            ("passwordeyJ", None),
        ] {
            assert_eq!(shown(text).as_deref(), expected, "{text}");
        }
    }
}
