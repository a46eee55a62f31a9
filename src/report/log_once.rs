//! Keeps a log that is written again and again from saying the same thing more than once.

/// Most texts that are logged before one starts over.
const MAX_TEXTS: usize = 16;

/// The texts that have been logged since it was started over.
#[derive(Default)]
pub(crate) struct LogOnce(Vec<String>);

impl LogOnce {
    /// Notes a text and forgets all others, which may then be logged again. Returns whether the
    /// text is to be logged: it is not if it was the only one.
    pub(crate) fn start_over(&mut self, text: &str) -> bool {
        let is_news = self.0 != [text];
        self.0 = vec![text.to_owned()];
        is_news
    }

    /// Notes a text. Returns whether it is to be logged: the first time, so that texts that
    /// alternate are logged once each.
    pub(crate) fn add(&mut self, text: &str) -> bool {
        let is_news = self.0.iter().all(|logged| logged != text) && self.0.len() < MAX_TEXTS;
        if is_news {
            self.0.push(text.to_owned());
        }
        is_news
    }

    /// Notes a text as [`Self::add`] does, but takes texts that differ in their digits for the
    /// same.
    pub(crate) fn add_ignoring_numbers(&mut self, text: &str) -> bool {
        self.add(&text.replace(|c: char| c.is_ascii_digit(), ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_take_turns_or_name_the_time_are_news_once() {
        let mut log = LogOnce::default();
        assert!(log.start_over("2 keys"));
        assert!(!log.start_over("2 keys"));
        assert!(log.add_ignoring_numbers("expired 9 s ago"));
        assert!(log.add_ignoring_numbers("refused"));
        assert!(!log.add_ignoring_numbers("expired 10 s ago"));
        assert!(!log.add_ignoring_numbers("refused"));
        assert!(log.start_over("2 keys"), "it works again");
        assert!(log.add_ignoring_numbers("refused"));
        assert!(log.start_over("3 keys"));
    }

    #[test]
    fn there_is_an_end_to_what_one_outage_can_say() {
        let mut log = LogOnce::default();
        let news = (0..100).filter(|count| log.add_ignoring_numbers(&"x".repeat(*count))).count();
        assert_eq!(news, MAX_TEXTS);
    }
}
