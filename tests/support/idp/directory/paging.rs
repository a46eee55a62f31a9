//! Graph: lists, a page at a time.

use serde_json::{Value, json};

use super::graph::{Graph, Shape};
use super::objects::Object;
use super::query::{Query, Question, bad};
use super::reply::{Answer, refusal};
use super::trouble::Trouble;

/// The length of a page if the request asks for none.
const DEFAULT_LENGTH: usize = 100;

/// Where a page begins.
struct Position {
    /// The number of the page, counted from 0.
    page: usize,
    /// The last id of the page before it.
    after: String,
}

impl Position {
    fn parse(token: Option<&str>) -> Result<Self, Answer> {
        let Some(token) = token else { return Ok(Self { page: 0, after: String::new() }) };
        let parts = token.split_once('.').and_then(|(page, after)| Some((page.parse().ok()?, after)));
        let (page, after) = parts.ok_or_else(|| bad("The skip token is not valid."))?;
        Ok(Self { page, after: after.to_owned() })
    }

    fn token(&self) -> String {
        format!("{}.{}", self.page, self.after)
    }
}

impl Graph<'_> {
    /// Answers with a page of a list that is ordered by id.
    pub(super) fn page(
        &self,
        question: &Question,
        query: &Query,
        found: &[&Object],
        shape: Shape,
    ) -> Result<Answer, Answer> {
        let position = Position::parse(query.skip_token.as_deref())?;
        if self.trouble == Some(&Trouble::PageFails(position.page)) {
            return Err(refusal(503, "ServiceUnavailable", "The service is unavailable."));
        }
        let asked = query.top.unwrap_or(DEFAULT_LENGTH);
        let length = self.options.page_length.map_or(asked, |longest| asked.min(longest));
        let mut rest = found.iter().filter(|object| object.id > position.after).peekable();
        let empty = self.trouble == Some(&Trouble::EmptyFirstPage) && position.page == 0;
        let page: Vec<&Object> = rest.by_ref().take(if empty { 0 } else { length }).copied().collect();
        let after = page.last().map_or_else(|| position.after.clone(), |last| last.id.clone());
        let next = Position { page: position.page + 1, after };

        let shown = page.iter().map(|object| self.show(object, query, shape)).collect();
        let mut body = json!({ "@odata.context": self.context() });
        if query.count && question.eventual {
            body["@odata.count"] = json!(found.len());
        }
        let link = |token: &str| {
            let options = question.options_for_next_page();
            format!("{}{}?{options}$skiptoken={token}", self.base, question.raw_path)
        };
        let next_link = match self.trouble {
            Some(Trouble::NextLink(address)) => Some(address.clone()),
            Some(Trouble::CircularPages) => Some(link(&position.token())),
            Some(Trouble::Truncated) => None,
            _ => rest.peek().map(|_| link(&next.token())),
        };
        if let Some(next_link) = next_link {
            body["@odata.nextLink"] = json!(next_link);
        }
        body["value"] = Value::Array(self.falsified(shown));
        Ok(Answer::ok(body))
    }
}
