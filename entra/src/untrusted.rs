//! Text from outside, made safe to log.

use std::fmt;

use crate::limits;

/// Text from a token or a document that is not verified: at most [`limits::MAX_SHOWN_CHARS`]
/// characters of it.
///
/// Its `Display` escapes quotes, backslashes, control and other unprintable characters, so that it
/// can neither end a log line nor change the colours of a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untrusted(String);

impl Untrusted {
    /// Keeps as much of `text` as will be shown.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut kept: String = text.chars().take(limits::MAX_SHOWN_CHARS).collect();
        if text.chars().nth(limits::MAX_SHOWN_CHARS).is_some() {
            kept.push_str("...");
        }
        Self(kept)
    }

    /// Returns the text without escapes. The caller must escape it before showing it.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_can_end_a_log_line() {
        let shown = Untrusted::new("a\nb\u{1b}[31m\"\\\u{202e}\0").to_string();
        assert_eq!(shown, "a\\nb\\u{1b}[31m\\\"\\\\\\u{202e}\\0");
    }

    #[test]
    fn long_text_is_cut() {
        let shown = Untrusted::new(&"x".repeat(10_000)).to_string();
        assert_eq!(shown.chars().count(), limits::MAX_SHOWN_CHARS + 3);
        assert!(shown.ends_with("x..."));
    }
}
