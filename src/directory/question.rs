//! The texts by which a process and the worker understand each other: of questions, and of answers.
//!
//! A question's text says all that it asks, so two questions with the same text are one. An answer
//! is a list of rows or a fault; their fields are separated by control characters, which no text in
//! it has.

use entra::directory::login::Pair;
use entra::directory::lookup::Row;
use entra::directory::name::word;
use entra::directory::request::{Kind, MAX_NAME_CHARS, NameFault};
use entra::{TokenKind, Uuid};
use pgrx::prelude::*;

use crate::directory::memory::slots::MAX_ANSWER_BYTES;
use crate::pg::error::Fault;

/// Separates fields.
const FIELD: char = '\u{1f}';

/// Separates rows.
const ROW: char = '\u{1e}';

/// The first row of an answer that has all rows, of one that lacks some, and of a fault.
const FOUND: &str = "found";
const FOUND_MORE: &str = "found more";
const FAULT: &str = "fault";

/// What the worker is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asking {
    /// Which object a name means.
    Name(String, Option<Kind>),
    /// What an id is.
    Id(Uuid, Option<Kind>),
    /// Everything that a text could mean.
    Lookup(String, Option<Kind>),
    /// Whether a principal is in a group.
    Membership(Pair, TokenKind),
}

/// Takes a name as it was typed.
///
/// # Errors
/// No object of the directory can have such a name.
pub(super) fn checked(name: &str) -> Result<String, NameFault> {
    entra::directory::request::Literal::of(name)?;
    // bounded: by that check.
    Ok(name.to_owned())
}

impl Asking {
    /// Returns the text.
    pub(super) fn text(&self) -> String {
        let of = |kind: &Option<Kind>| kind.map_or("any", word);
        match self {
            Self::Name(name, kind) => format!("name {} {name}", of(kind)),
            Self::Id(id, kind) => format!("id {} {id}", of(kind)),
            Self::Lookup(text, kind) => format!("lookup {} {text}", of(kind)),
            Self::Membership(pair, kind) => format!("member {kind} {} {}", pair.person, pair.group),
        }
    }

    /// Reads the text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (what, rest) = text.split_once(' ')?;
        let (kind, rest) = rest.split_once(' ')?;
        if what == "member" {
            let kind = if kind == TokenKind::User.as_str() { TokenKind::User } else { TokenKind::Service };
            let (person, group) = rest.split_once(' ')?;
            let pair = Pair { person: person.parse().ok()?, group: group.parse().ok()? };
            return Some(Self::Membership(pair, kind));
        }
        let kind = Kind::ALL.into_iter().find(|known| word(*known) == kind);
        match what {
            "name" => Some(Self::Name(rest.to_owned(), kind)),
            "id" => Some(Self::Id(rest.parse().ok()?, kind)),
            "lookup" => Some(Self::Lookup(rest.to_owned(), kind)),
            _ => None,
        }
    }
}

/// What is known of an object in an answer. The kind is none for an app registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) id: Uuid,
    pub(crate) kind: Option<Kind>,
    pub(crate) name: String,
    pub(crate) is_enabled: Option<bool>,
    pub(crate) detail: String,
}

impl From<Row> for Found {
    fn from(row: Row) -> Self {
        let Row { id, kind, name, is_enabled, detail } = row;
        Self { id, kind, name, is_enabled, detail: detail.to_owned() }
    }
}

/// An error, as an answer has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) sqlstate: &'static str,
    pub(super) message: String,
    pub(super) detail: String,
    pub(super) hint: String,
}

impl Refusal {
    pub(super) fn new(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self { sqlstate, message: message.into(), detail: String::new(), hint: String::new() }
    }

    pub(super) fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }
}

/// Returns a text without the characters that separate, and not longer than a name.
fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().take(MAX_NAME_CHARS).map(shown).collect()
}

/// Returns the text of an answer. Objects for which there is no room are left out, and it says so.
pub(super) fn written(answer: &Result<Vec<Found>, Refusal>) -> String {
    match answer {
        Ok(found) => {
            let rows: Vec<_> = found.iter().map(row).collect();
            let room = MAX_ANSWER_BYTES - FOUND_MORE.len();
            let mut length = 0;
            let fit = rows.iter().take_while(|row| {
                length += row.len() + 1;
                length <= room
            });
            let fitting: Vec<_> = fit.map(String::as_str).collect();
            let opening = if fitting.len() < rows.len() { FOUND_MORE } else { FOUND };
            [&[opening][..], &fitting].concat().join(&ROW.to_string())
        }
        Err(refusal) => {
            let Refusal { sqlstate, message, detail, hint } = refusal;
            let fields = [message, detail, hint].map(|text| plain_long(text)).join(&FIELD.to_string());
            format!("{FAULT}{ROW}{sqlstate}{FIELD}{fields}")
        }
    }
}

/// Returns a text of an error without the characters that separate, cut to the third of an answer.
fn plain_long(text: &str) -> String {
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut cut: String = text.chars().map(shown).collect();
    let mut end = cut.len().min((MAX_ANSWER_BYTES - 32) / 3);
    while !cut.is_char_boundary(end) {
        end -= 1;
    }
    cut.truncate(end);
    cut
}

fn row(found: &Found) -> String {
    let kind = found.kind.map_or("", word);
    let enabled = found.is_enabled.map_or("", |enabled| if enabled { "yes" } else { "no" });
    let fields = [&found.id.to_string(), kind, enabled, &plain(&found.detail), &plain(&found.name)];
    fields.join(&FIELD.to_string())
}

/// Reads the text of an answer: the objects, and whether there are more of them.
///
/// # Errors
/// The error that the answer is.
pub(super) fn read(text: &str) -> Result<(Vec<Found>, bool), Fault> {
    let mut rows = text.split(ROW);
    match rows.next() {
        Some(FAULT) => Err(fault(rows.next().unwrap_or_default())),
        Some(opening @ (FOUND | FOUND_MORE)) => {
            let found: Option<Vec<_>> = rows.map(object).collect();
            found.map(|found| (found, opening == FOUND_MORE)).ok_or_else(unreadable)
        }
        _ => Err(unreadable()),
    }
}

fn unreadable() -> Fault {
    Fault::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, "the directory worker's answer cannot be read")
}

fn object(row: &str) -> Option<Found> {
    let mut fields = row.split(FIELD);
    let id = fields.next()?.parse().ok()?;
    let kind = fields.next()?;
    let enabled = fields.next()?;
    Some(Found {
        id,
        kind: Kind::ALL.into_iter().find(|known| word(*known) == kind),
        is_enabled: match enabled {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        },
        detail: fields.next()?.to_owned(),
        name: fields.next()?.to_owned(),
    })
}

fn fault(row: &str) -> Fault {
    let mut fields = row.split(FIELD);
    let sqlstate = match fields.next().unwrap_or_default() {
        "22023" => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        "42501" => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        "42704" => PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        "42725" => PgSqlErrorCode::ERRCODE_AMBIGUOUS_FUNCTION,
        "42809" => PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
        "58000" => PgSqlErrorCode::ERRCODE_SYSTEM_ERROR,
        _ => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
    };
    let mut fault = Fault::new(sqlstate, fields.next().unwrap_or_default());
    if let Some(detail) = fields.next().filter(|detail| !detail.is_empty()) {
        fault = fault.detail(detail);
    }
    if let Some(hint) = fields.next().filter(|hint| !hint.is_empty()) {
        fault = fault.hint(hint);
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::memory::slots::MAX_QUESTION_BYTES;

    #[test]
    fn a_question_is_read_as_it_was_asked() {
        let id = Uuid::from_u128(7);
        for asking in [
            Asking::Name("o'brien  x@y ".to_owned(), None),
            Asking::Name("a b".to_owned(), Some(Kind::Group)),
            Asking::Id(id, Some(Kind::Application)),
            Asking::Lookup(" ".to_owned(), Some(Kind::User)),
            Asking::Membership(Pair { person: id, group: Uuid::from_u128(8) }, TokenKind::Service),
        ] {
            assert_eq!(Asking::parse(&asking.text()), Some(asking));
        }
        let longest = checked(&"\u{1F600}".repeat(MAX_NAME_CHARS)).expect("a name");
        assert!(Asking::Lookup(longest, Some(Kind::Application)).text().len() <= MAX_QUESTION_BYTES);
    }

    fn found(name: &str) -> Found {
        Found {
            id: Uuid::from_u128(7),
            kind: Some(Kind::Group),
            name: name.to_owned(),
            is_enabled: Some(false),
            detail: String::new(),
        }
    }

    #[test]
    fn an_answer_is_read_as_it_was_given_or_says_that_it_is_cut() {
        for rows in [vec![], vec![found("x"), Found { kind: None, is_enabled: None, ..found("") }]] {
            assert_eq!(read(&written(&Ok(rows.clone()))).expect("rows"), (rows, false));
        }
        let (rows, more) = read(&written(&Ok(vec![found(&"\u{1F600}".repeat(999)); 9]))).expect("rows");
        assert!(more && rows.len() == 2, "{} rows", rows.len());
        let (rows, _) = read(&written(&Ok(vec![found("a\u{1e}b\u{1f}c")]))).expect("rows");
        assert_eq!(rows[0].name, "a\u{fffd}b\u{fffd}c");
        let refusal = Refusal::new("42704", "m").detail("d\u{1f}").hint("\u{1F600}".repeat(4_000));
        let text = written(&Err(refusal));
        assert!(text.len() <= MAX_ANSWER_BYTES);
        assert_eq!(read(&text).expect_err("a fault").message(), "m");
    }
}
