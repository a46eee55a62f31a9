//! Which object of the directory a name means.
//!
//! By default every member of a tenant may create groups and register applications, and so choose
//! their display names; user principal names they cannot choose. So a name with an `@` is a user's
//! and never falls through to display names, unless the caller has named the type. Graph compares
//! loosely; what it finds is compared once more here: user principal names without case, as the
//! directory does, display names exactly.

use std::fmt;

use uuid::Uuid;

use super::answer::Object;
use super::request::{self, Kind, Literal, NameFault, Request};
use crate::ids::parse_uuid;

/// A name as it was typed, and what it may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    name: String,
    literal: Literal,
    /// The type that the caller has named.
    kind: Option<Kind>,
}

/// A question about a name. The answers of all questions decide together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// The user of this principal name.
    PrincipalName,
    /// The guests with this mail address.
    GuestMail,
    /// Objects of a kind with this display name.
    DisplayName(Kind),
    /// The application of this client id.
    ClientId(Uuid),
}

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// These, in full: no page is missing.
    Found(Vec<Object>),
    /// These and more, on pages that were not asked for.
    More(Vec<Object>),
    /// The application lacks the permission for this question.
    Forbidden,
    /// There was no answer: not in time, or none that can be read.
    None,
}

/// The object that a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Its id.
    pub id: Uuid,
    /// What it is.
    pub kind: Kind,
    /// The name by which the directory knows it.
    pub name: String,
    /// Whether it may sign in, where the answer says so.
    pub is_enabled: Option<bool>,
}

/// Why a name means no object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolved {
    /// Nothing has this name.
    NotFound,
    /// Nothing has exactly this name; these have nearly this name.
    Near(Vec<String>),
    /// Several objects have it.
    NotUnique(Vec<(Kind, Uuid)>),
    /// The group is one that gives no access.
    NotSecurityEnabled(Uuid),
    /// An answer is missing that would be needed: a permission is.
    Forbidden(Kind),
    /// An answer is missing that would be needed.
    NoAnswer,
}

impl Unresolved {
    /// Returns the SQLSTATE of the error that says so.
    #[must_use]
    pub const fn sqlstate(&self) -> &'static str {
        match self {
            Self::NotFound | Self::Near(_) => "42704",
            Self::NotUnique(_) => "42725",
            Self::NotSecurityEnabled(_) => "42809",
            Self::Forbidden(_) => "42501",
            Self::NoAnswer => "58000",
        }
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("the directory has no object of this name"),
            Self::Near(names) => {
                write!(f, "the directory has no object of exactly this name, but {}", quoted(names))
            }
            Self::NotUnique(found) => {
                f.write_str("the directory has several objects of this name: ")?;
                for (number, (kind, id)) in found.iter().enumerate() {
                    write!(f, "{}{} {id}", if number > 0 { ", " } else { "" }, word(*kind))?;
                }
                Ok(())
            }
            Self::NotSecurityEnabled(id) => write!(f, "group {id} is not security-enabled"),
            Self::Forbidden(kind) => write!(f, "the application lacks the permission {}", kind.permission()),
            Self::NoAnswer => f.write_str("the directory did not answer"),
        }
    }
}

fn quoted(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("\"{}\"", name.escape_debug())).collect();
    names.join(", ")
}

/// The word for a kind in labels and messages.
#[must_use]
pub const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "user",
        Kind::Group => "group",
        Kind::Application => "service",
    }
}

impl Sought {
    /// Takes a name as it was typed, and the type that the caller has named, if any.
    ///
    /// # Errors
    /// Why no object can have this name.
    pub fn new(name: &str, kind: Option<Kind>) -> Result<Self, NameFault> {
        Ok(Self { name: name.to_owned(), literal: Literal::of(name)?, kind })
    }

    /// Returns the questions whose answers decide.
    #[must_use]
    pub fn questions(&self) -> Vec<Question> {
        let is_address = self.name.contains('@');
        match self.kind {
            Some(Kind::User) => vec![Question::PrincipalName, Question::GuestMail],
            Some(Kind::Group) => vec![Question::DisplayName(Kind::Group)],
            Some(Kind::Application) => self.of_applications().collect(),
            None if is_address => vec![Question::PrincipalName, Question::GuestMail],
            None => {
                let groups = [Question::DisplayName(Kind::Group)];
                groups.into_iter().chain(self.of_applications()).collect()
            }
        }
    }

    fn of_applications(&self) -> impl Iterator<Item = Question> {
        let by_id = parse_uuid(&self.name).map(Question::ClientId);
        [Question::DisplayName(Kind::Application)].into_iter().chain(by_id)
    }

    /// Builds the request for a question.
    #[must_use]
    pub fn request(&self, question: Question) -> Request {
        match question {
            Question::PrincipalName => request::user_by_name(&self.literal),
            Question::GuestMail => request::users_by_mail(&self.literal),
            Question::DisplayName(kind) => request::by_display_name(kind, &self.literal),
            Question::ClientId(id) => request::application_by_client_id(id),
        }
    }

    /// Decides which object the name means, from the replies to all [`Sought::questions`].
    ///
    /// A user principal name that is found settles the matter, because it is unique. In every other
    /// case a reply that is missing could have held a second object, and so decides nothing.
    ///
    /// # Errors
    /// Why it means none.
    pub fn resolve(&self, replies: &[(Question, Reply)]) -> Result<Match, Unresolved> {
        if let Some(found) = self.by_principal_name(replies) {
            return Ok(found);
        }
        if let Some((question, _)) =
            objects(replies).find(|(question, object)| is_unreadable(**question, object))
        {
            return Err(Unresolved::Forbidden(question.kind()));
        }
        for (question, reply) in replies {
            match reply {
                Reply::Found(_) => {}
                Reply::Forbidden => return Err(Unresolved::Forbidden(question.kind())),
                // A second object on the first page settles that the name is not unique.
                Reply::More(_) => match self.only_one(replies) {
                    Err(fault @ Unresolved::NotUnique(_)) => return Err(fault),
                    _ => return Err(Unresolved::NoAnswer),
                },
                Reply::None => return Err(Unresolved::NoAnswer),
            }
        }
        if self.questions().iter().any(|asked| !replies.iter().any(|(question, _)| question == asked)) {
            return Err(Unresolved::NoAnswer);
        }
        self.only_one(replies)
    }

    fn by_principal_name(&self, replies: &[(Question, Reply)]) -> Option<Match> {
        let found = objects(replies).filter(|(question, _)| **question == Question::PrincipalName);
        let mut exact = found.filter(|(question, object)| self.is_exact(**question, object));
        let (question, object) = exact.next()?;
        // Principal names are unique. An answer with two is judged with all others.
        if exact.next().is_some() { None } else { matched(*question, object) }
    }

    fn only_one(&self, replies: &[(Question, Reply)]) -> Result<Match, Unresolved> {
        let mut exact: Vec<(Question, &Object)> = Vec::new();
        let mut near = Vec::new();
        for (question, object) in objects(replies) {
            if self.is_exact(*question, object) {
                if !exact.iter().any(|(_, other)| other.id == object.id) {
                    exact.push((*question, object));
                }
            } else if let Some(name) = near_name(*question, object) {
                near.push(name);
            }
        }
        match exact.as_slice() {
            [] if near.is_empty() => Err(Unresolved::NotFound),
            [] => {
                near.sort_unstable();
                near.dedup();
                near.truncate(MAX_NEAR);
                Err(Unresolved::Near(near))
            }
            [(question, object)]
                if question.kind() == Kind::Group && object.is_security_enabled != Some(true) =>
            {
                Err(match object.is_security_enabled {
                    Some(_) => Unresolved::NotSecurityEnabled(object.id),
                    None => Unresolved::Forbidden(Kind::Group),
                })
            }
            [(question, object)] => matched(*question, object).ok_or(Unresolved::NotFound),
            several => Err(Unresolved::NotUnique(
                several.iter().map(|(question, object)| (question.kind(), object.id)).collect(),
            )),
        }
    }

    /// Returns whether an object that Graph has found has exactly the name that was asked for.
    fn is_exact(&self, question: Question, object: &Object) -> bool {
        let is = |text: &Option<String>| text.as_deref() == Some(self.name.as_str());
        let is_folded =
            |text: &Option<String>| text.as_deref().is_some_and(|text| text.eq_ignore_ascii_case(&self.name));
        match question {
            Question::PrincipalName => is_folded(&object.principal_name),
            Question::GuestMail => object.is_guest == Some(true) && is_folded(&object.mail),
            Question::DisplayName(_) => is(&object.display_name),
            Question::ClientId(id) => object.client_id == Some(id),
        }
    }
}

/// Most near misses that an error names.
const MAX_NEAR: usize = 5;

impl Question {
    /// What it is about.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::PrincipalName | Self::GuestMail => Kind::User,
            Self::DisplayName(kind) => kind,
            Self::ClientId(_) => Kind::Application,
        }
    }
}

fn objects(replies: &[(Question, Reply)]) -> impl Iterator<Item = (&Question, &Object)> {
    replies.iter().flat_map(|(question, reply)| {
        let objects = match reply {
            Reply::Found(objects) | Reply::More(objects) => objects.as_slice(),
            Reply::Forbidden | Reply::None => &[],
        };
        objects.iter().map(move |object| (question, object))
    })
}

/// Returns whether an object lacks the property that it was found by, or that decides about it: the
/// application may then not read objects of its kind.
const fn is_unreadable(question: Question, object: &Object) -> bool {
    match question {
        Question::PrincipalName => object.principal_name.is_none(),
        Question::GuestMail => object.is_guest.is_none() || object.mail.is_none(),
        Question::DisplayName(_) => object.display_name.is_none(),
        Question::ClientId(_) => object.client_id.is_none(),
    }
}

fn name_of(question: Question, object: &Object) -> Option<&String> {
    match question {
        Question::PrincipalName | Question::GuestMail => object.principal_name.as_ref(),
        Question::DisplayName(_) | Question::ClientId(_) => object.display_name.as_ref(),
    }
}

/// The name of an object that is not the one that was asked for. A mail address that belongs to a
/// member, not a guest, is no near miss: it says nothing about the account's name.
fn near_name(question: Question, object: &Object) -> Option<String> {
    match question {
        Question::GuestMail => None,
        _ => name_of(question, object).cloned(),
    }
}

fn matched(question: Question, object: &Object) -> Option<Match> {
    let kind = question.kind();
    let contradicts = object.kind.is_some_and(|told| told != kind);
    let name = name_of(question, object).cloned().unwrap_or_default();
    (!contradicts).then_some(Match { id: object.id, kind, name, is_enabled: object.is_enabled })
}
