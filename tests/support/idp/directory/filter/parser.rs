//! Reads a filter. `and` binds stronger than `or`.

use serde_json::{Value, json};

use super::{Fault, Filter};

/// Reads a whole text as a filter.
pub(super) fn parse(text: &str) -> Result<Filter, Fault> {
    let mut parser = Parser { rest: text };
    let filter = parser.alternatives()?;
    parser.skip_blanks();
    if parser.rest.is_empty() { Ok(filter) } else { Err(parser.fault("end")) }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn fault(&self, expected: &str) -> Fault {
        Fault::Syntax(format!("Syntax error: {expected} expected before '{}'.", self.rest))
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
    }

    /// Takes a word if it stands here, and something else than a letter or digit after it.
    fn word(&mut self, word: &str) -> bool {
        self.skip_blanks();
        let Some(after) = self.rest.strip_prefix(word) else { return false };
        if after.starts_with(|next: char| next.is_ascii_alphanumeric()) {
            return false;
        }
        self.rest = after;
        true
    }

    fn mark(&mut self, mark: char) -> bool {
        self.skip_blanks();
        let after = self.rest.strip_prefix(mark);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn expect(&mut self, mark: char) -> Result<(), Fault> {
        if self.mark(mark) { Ok(()) } else { Err(self.fault(&format!("'{mark}'"))) }
    }

    fn name(&mut self) -> Result<&'a str, Fault> {
        self.skip_blanks();
        let end = self.rest.find(|next: char| !next.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        if end == 0 {
            return Err(self.fault("a name"));
        }
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(name)
    }

    /// Reads a text in quotes, in which two quotes stand for one, or a word.
    fn literal(&mut self) -> Result<Value, Fault> {
        for (word, value) in [("true", json!(true)), ("false", json!(false)), ("null", Value::Null)] {
            if self.word(word) {
                return Ok(value);
            }
        }
        self.expect('\'')?;
        let mut text = String::new();
        loop {
            let Some((part, rest)) = self.rest.split_once('\'') else { return Err(self.fault("a quote")) };
            text.push_str(part);
            self.rest = rest;
            match rest.strip_prefix('\'') {
                Some(rest) => self.rest = rest,
                None => return Ok(json!(text)),
            }
            text.push('\'');
        }
    }

    fn text(&mut self) -> Result<String, Fault> {
        let literal = self.literal()?;
        literal.as_str().map(ToOwned::to_owned).ok_or_else(|| self.fault("a text"))
    }

    fn alternatives(&mut self) -> Result<Filter, Fault> {
        let mut parts = vec![self.conjunction()?];
        while self.word("or") {
            parts.push(self.conjunction()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::Or(parts) })
    }

    fn conjunction(&mut self) -> Result<Filter, Fault> {
        let mut parts = vec![self.part()?];
        while self.word("and") {
            parts.push(self.part()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::And(parts) })
    }

    fn part(&mut self) -> Result<Filter, Fault> {
        if self.word("not") {
            return Ok(Filter::Not(Box::new(self.part()?)));
        }
        if self.mark('(') {
            let inner = self.alternatives()?;
            self.expect(')')?;
            return Ok(inner);
        }
        let name = self.name()?;
        let function = name.to_ascii_lowercase();
        if (function == "startswith" || function == "endswith") && self.mark('(') {
            let property = self.name()?.to_owned();
            self.expect(',')?;
            let text = self.text()?;
            self.expect(')')?;
            let starts = function == "startswith";
            return Ok(if starts {
                Filter::StartsWith(property, text)
            } else {
                Filter::EndsWith(property, text)
            });
        }
        let property = name.to_owned();
        if self.word("eq") {
            return Ok(Filter::Equals(property, self.literal()?));
        }
        if self.word("ne") {
            return Ok(Filter::Differs(property, self.literal()?));
        }
        if !self.word("in") {
            return Err(self.fault("an operator"));
        }
        self.expect('(')?;
        let mut values = vec![self.literal()?];
        while self.mark(',') {
            values.push(self.literal()?);
        }
        self.expect(')')?;
        Ok(Filter::In(property, values))
    }
}
