//! Everything that a text could mean in the directory, for people to look at: nothing is linked by
//! it.

use uuid::Uuid;

use super::answer::Object;
use super::id;
use super::request::{self, Kind, Literal, NameFault, Request};
use crate::ids::parse_uuid;

/// A question of a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Users by principal name.
    PrincipalName,
    /// Users by mail address.
    Mail,
    /// Objects of a kind by display name.
    DisplayName(Kind),
    /// An object by an id.
    Id(Uuid, id::Question),
}

/// An object that a text could mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub id: Uuid,
    /// What it is; none: an app registration.
    pub kind: Option<Kind>,
    /// The name by which the directory knows it.
    pub name: String,
    /// Whether it may sign in, if that could be read.
    pub is_enabled: Option<bool>,
    /// What an administrator should know about it.
    pub detail: &'static str,
}

/// Returns the questions for a text and their requests. `kind`: the only type of interest.
///
/// # Errors
/// The reason why no object can have such a name.
pub fn questions(text: &str, kind: Option<Kind>) -> Result<Vec<(Question, Request)>, NameFault> {
    let literal = Literal::of(text)?;
    let is_wanted = |of: Kind| kind.is_none_or(|kind| kind == of);
    let mut questions = Vec::new();
    if is_wanted(Kind::User) {
        questions.push((Question::PrincipalName, request::user_by_name(&literal)));
        questions.push((Question::Mail, request::users_by_mail(&literal)));
    }
    for kind in Kind::ALL.into_iter().filter(|kind| is_wanted(*kind)) {
        questions.push((Question::DisplayName(kind), request::by_display_name(kind, &literal)));
    }
    if let Some(id) = parse_uuid(text.trim()) {
        let all = id::Question::ALL.into_iter();
        let wanted = all.filter(|question| question.kind().is_none_or(is_wanted));
        questions.extend(wanted.map(|question| (Question::Id(id, question), question.request(id))));
    }
    Ok(questions)
}

/// Returns the rows that the answers give, each object once. `found`: what each question has found.
#[must_use]
pub fn rows(text: &str, found: &[(Question, Vec<Object>)]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let objects =
        found.iter().flat_map(|(question, objects)| objects.iter().map(move |object| (*question, object)));
    for (question, object) in objects {
        if !rows.iter().any(|row| row.id == object.id) {
            rows.push(row(text, question, object));
        }
    }
    rows
}

fn row(text: &str, question: Question, object: &Object) -> Row {
    let kind = match question {
        Question::PrincipalName | Question::Mail => Some(Kind::User),
        Question::DisplayName(kind) => Some(kind),
        Question::Id(_, question) => question.kind(),
    };
    let name = match kind {
        Some(Kind::User) => object.principal_name.as_ref(),
        _ => object.display_name.as_ref(),
    };
    Row {
        id: object.id,
        kind,
        name: name.cloned().unwrap_or_default(),
        is_enabled: object.is_enabled,
        detail: detail(text, question, kind, object),
    }
}

fn detail(text: &str, question: Question, kind: Option<Kind>, object: &Object) -> &'static str {
    match (question, kind) {
        (_, None) => "app registration: its id is in no access token; use that of its service principal",
        (_, Some(Kind::Group)) if object.is_security_enabled == Some(false) => {
            "not security-enabled: cannot be linked"
        }
        (Question::PrincipalName, _) => "by user principal name",
        (Question::Mail, _) if object.is_guest == Some(true) => "guest, by mail address",
        (Question::Mail, _) => "no guest: a mail address does not name it",
        (Question::DisplayName(Kind::User), _) => "by display name, which does not name a user",
        (Question::DisplayName(_), _) if object.display_name.as_deref() == Some(text) => "by display name",
        (Question::DisplayName(_), _) => "its display name differs: names are compared exactly",
        (Question::Id(_, id::Question::Client), _) => "by client id",
        (Question::Id(..), _) => "by object id",
    }
}
