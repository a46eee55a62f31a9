//! One thing that was checked, and the result.

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Notice,
    /// A login that should succeed may fail, or something will go wrong later.
    Warning,
    /// No login succeeds, or one may succeed that should not.
    Danger,
}

impl Level {
    /// Returns the word that SQL functions show.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Danger => "danger",
        }
    }
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub level: Level,
    /// What was checked, in a word or two.
    pub topic: &'static str,
    /// What was found.
    pub message: String,
    /// How to correct it.
    pub what_to_do: Option<String>,
}

impl Finding {
    /// Returns a finding without advice.
    pub fn new(level: Level, topic: &'static str, message: impl Into<String>) -> Self {
        Self { level, topic, message: message.into(), what_to_do: None }
    }

    /// Returns a finding that something is as it should be.
    pub fn ok(topic: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Ok, topic, message)
    }

    /// Returns a finding that is worth knowing.
    pub fn notice(topic: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Notice, topic, message)
    }

    /// Returns a finding about something that goes wrong, or will.
    pub fn warning(topic: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Warning, topic, message)
    }

    /// Returns a finding about something that keeps every client out, or lets in clients that
    /// should not get in.
    pub fn danger(topic: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Danger, topic, message)
    }

    /// Adds how to correct it.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.what_to_do = Some(advice.into());
        self
    }
}
