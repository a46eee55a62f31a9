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

    /// Notes a text as [`Self::add`] does, but takes texts that differ in their digits, or in the
    /// ids of requests, for the same.
    pub(crate) fn add_ignoring_numbers(&mut self, text: &str) -> bool {
        self.add(&without_numbers(text))
    }
}

/// Returns a text without digits and without hexadecimal numbers: words that have digits and no
/// other letters than these.
fn without_numbers(text: &str) -> String {
    let is_in_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let is_number = |word: &str| {
        let is_hex = word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        is_hex && word.bytes().any(|byte| byte.is_ascii_digit())
    };
    let mut shown = String::new();
    for part in text.split_inclusive(|c: char| !is_in_word(c)) {
        let word = part.trim_end_matches(|c: char| !is_in_word(c));
        let part = if is_number(word) { part.get(word.len()..).unwrap_or_default() } else { part };
        shown.extend(part.chars().filter(|c| !c.is_ascii_digit()));
    }
    shown
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
    fn ids_of_requests_are_no_news() {
        let mut log = LogOnce::default();
        for id in ["1c2d3e4f-aaaa-bbbb-cccc-0123456789ab", "ffffffff-aaaa-bbbb-cccc-deadbeef0000", "0aFf"] {
            let is_news = log.add_ignoring_numbers(&format!("status 503, code Busy, request-id {id}"));
            assert_eq!(is_news, id.starts_with('1'), "{id}");
        }
        assert!(log.add_ignoring_numbers("status 503, code Added, request-id 1"));
    }

    #[test]
    fn there_is_an_end_to_what_one_outage_can_say() {
        let mut log = LogOnce::default();
        let news = (0..100).filter(|count| log.add_ignoring_numbers(&"x".repeat(*count))).count();
        assert_eq!(news, MAX_TEXTS);
    }
}
