//! One thing that was looked at.

/// How grave it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Notice,
    /// Somebody may not get in, or something will go wrong.
    Warning,
    /// Nobody gets in, or somebody may who should not.
    Danger,
}

impl Level {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Danger => "danger",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    pub(crate) topic: &'static str,
    pub(crate) message: String,
    pub(crate) what_to_do: Option<String>,
}

impl Finding {
    pub(crate) fn new(level: Level, topic: &'static str, message: impl Into<String>) -> Self {
        Self { level, topic, message: message.into(), what_to_do: None }
    }

    pub(crate) fn ok(topic: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Ok, topic, message)
    }

    pub(crate) fn notice(topic: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Notice, topic, message)
    }

    pub(crate) fn warning(topic: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Warning, topic, message)
    }

    pub(crate) fn danger(topic: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Danger, topic, message)
    }

    pub(crate) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.what_to_do = Some(advice.into());
        self
    }
}
