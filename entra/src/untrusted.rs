//! Foreign text, made fit for a log line.

use std::fmt;

use crate::limits;

/// Text from a token or a document that nobody has vouched for: at most [`limits::MAX_SHOWN_CHARS`] characters of it.
///
/// Shown, it has its quotes, backslashes, control and other unprintable characters escaped, so that it can neither end a
/// log line nor colour a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untrusted(String);

impl Untrusted {
    /// Keeps what will be shown, and no more.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut kept: String = text.chars().take(limits::MAX_SHOWN_CHARS).collect();
        if text.chars().nth(limits::MAX_SHOWN_CHARS).is_some() {
            kept.push('…');
        }
        Self(kept)
    }

    /// The text as it came; whoever shows it escapes it.
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
    fn nothing_leaves_the_line() {
        let shown = Untrusted::new("a\nb\u{1b}[31m\"\\\u{202e}\0").to_string();
        assert_eq!(shown, "a\\nb\\u{1b}[31m\\\"\\\\\\u{202e}\\0");
    }

    #[test]
    fn long_text_is_cut() {
        let shown = Untrusted::new(&"x".repeat(10_000)).to_string();
        assert_eq!(shown.chars().count(), limits::MAX_SHOWN_CHARS + 1);
    }
}
