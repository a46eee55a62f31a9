//! What has been said in the log: a change once, not every try.

/// Most reasons that are told of one outage.
const MAX_REASONS: usize = 16;

/// What has been said since the last turn.
#[derive(Default)]
pub(crate) struct Said(Vec<String>);

impl Said {
    /// Things have taken a turn: whether that is news, and what went before may be said again.
    pub(crate) fn turn(&mut self, gist: &str) -> bool {
        let news = self.0 != [gist];
        self.0 = vec![gist.to_owned()];
        news
    }

    /// One more thing: whether it is news since the last turn. Reasons that take turns are said once each.
    pub(crate) fn adds_exactly(&mut self, gist: &str) -> bool {
        let news = self.0.iter().all(|said| said != gist) && self.0.len() < MAX_REASONS;
        if news {
            self.0.push(gist.to_owned());
        }
        news
    }

    /// The same, numbers aside.
    pub(crate) fn adds(&mut self, gist: &str) -> bool {
        self.adds_exactly(&gist.replace(|c: char| c.is_ascii_digit(), ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_take_turns_or_name_the_time_are_news_once() {
        let mut said = Said::default();
        assert!(said.turn("2 keys"));
        assert!(!said.turn("2 keys"));
        assert!(said.adds("expired 9 s ago"));
        assert!(said.adds("refused"));
        assert!(!said.adds("expired 10 s ago"));
        assert!(!said.adds("refused"));
        assert!(said.turn("2 keys"), "it works again");
        assert!(said.adds("refused"));
        assert!(said.turn("3 keys"));
    }

    #[test]
    fn there_is_an_end_to_what_one_outage_can_say() {
        let mut said = Said::default();
        let news = (0..100).filter(|count| said.adds(&"x".repeat(*count))).count();
        assert_eq!(news, MAX_REASONS);
    }
}
