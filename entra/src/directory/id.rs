//! What an id that an administrator gives is: checked before a role is linked to it.

use std::fmt;

use uuid::Uuid;

use super::answer::Object;
use super::name::word;
use super::request::{self, Kind, Request};

/// A question about an id. All can be asked in one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Whether it is the object id of an object of this kind.
    Object(Kind),
    /// Whether it is the client id of an application.
    Client,
    /// Whether it is the object id of an app registration, which no token has.
    Registration,
}

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// This one.
    Found(Box<Object>),
    /// Graph says that there is none.
    NotFound,
    /// The application lacks the permission for this question.
    Forbidden,
    /// There was no answer.
    None,
}

/// What an id is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// The kind of the object.
    pub kind: Kind,
    /// The object itself. Its id differs from the one that was given if that is a client id.
    pub object: Object,
    /// The id that was given is the application's client id.
    pub is_client_id: bool,
}

/// The reason why an id is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unidentified {
    /// The directory has no object of this id. New objects take minutes to be known everywhere.
    NotFound,
    /// It is the object id of an app registration. `client_id`: that of the application, by which
    /// its service principal is found.
    Registration {
        /// The application's client id.
        client_id: Option<Uuid>,
    },
    /// It is an object of another type than the caller says.
    OtherType {
        /// What the caller says.
        said: Kind,
        /// What it is.
        found: Kind,
    },
    /// The group is one that gives no access.
    NotSecurityEnabled,
    /// An answer is missing that would be needed: a permission is.
    Forbidden(Kind),
    /// An answer is missing that would be needed.
    NoAnswer,
}

impl Unidentified {
    /// Returns the SQLSTATE of the error that says so.
    #[must_use]
    pub const fn sqlstate(&self) -> &'static str {
        match self {
            Self::NotFound => "42704",
            Self::Registration { .. } | Self::OtherType { .. } | Self::NotSecurityEnabled => "42809",
            Self::Forbidden(_) => "42501",
            Self::NoAnswer => "58000",
        }
    }
}

impl fmt::Display for Unidentified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("the directory has no object of this id"),
            Self::Registration { .. } => {
                f.write_str("this is the object id of an app registration, which no access token has")
            }
            Self::OtherType { said, found } => {
                write!(f, "the object is a {}, not a {}", word(*found), word(*said))
            }
            Self::NotSecurityEnabled => f.write_str("the group is not security-enabled"),
            Self::Forbidden(kind) => write!(f, "the application lacks the permission {}", kind.permission()),
            Self::NoAnswer => f.write_str("the directory did not answer"),
        }
    }
}

impl Question {
    /// Every question.
    pub const ALL: [Self; 5] = [
        Self::Object(Kind::User),
        Self::Object(Kind::Group),
        Self::Object(Kind::Application),
        Self::Client,
        Self::Registration,
    ];

    /// Builds the request.
    #[must_use]
    pub fn request(self, id: Uuid) -> Request {
        match self {
            Self::Object(kind) => request::by_id(kind, id),
            Self::Client => request::application_by_client_id(id),
            Self::Registration => request::registration_by_id(id),
        }
    }

    /// Returns the kind of the objects that it is about: the path that was asked tells it.
    #[must_use]
    pub const fn kind(self) -> Option<Kind> {
        match self {
            Self::Object(kind) => Some(kind),
            Self::Client => Some(Kind::Application),
            Self::Registration => None,
        }
    }
}

/// Decides what an id is, from the replies to [`Question::ALL`]. `said`: the type that the caller
/// has named.
///
/// An object that was found settles the matter, because ids are unique. Otherwise a reply that is
/// missing could have had it, and decides nothing.
///
/// # Errors
/// The reason why the id is not accepted.
pub fn identify(
    id: Uuid,
    said: Option<Kind>,
    replies: &[(Question, Reply)],
) -> Result<Identified, Unidentified> {
    let found = replies.iter().find_map(|(question, reply)| match (question, reply) {
        (Question::Object(kind), Reply::Found(object)) if object.id == id => Some((*kind, object, false)),
        (Question::Client, Reply::Found(object)) if object.client_id == Some(id) => {
            Some((Kind::Application, object, true))
        }
        _ => None,
    });
    if let Some((kind, object, is_client_id)) = found {
        return accept(said, Identified { kind, object: (**object).clone(), is_client_id });
    }
    let registration = replies.iter().find_map(|(question, reply)| match (question, reply) {
        (Question::Registration, Reply::Found(object)) if object.id == id => Some(object.client_id),
        _ => None,
    });
    if let Some(client_id) = registration {
        return Err(Unidentified::Registration { client_id });
    }
    for question in Question::ALL {
        let is_needed = question.kind().is_some_and(|kind| said.is_none_or(|said| said == kind));
        let reply = replies.iter().find(|(asked, _)| *asked == question).map(|(_, reply)| reply);
        match reply {
            _ if !is_needed => {}
            Some(Reply::NotFound) => {}
            Some(Reply::Forbidden) => {
                return Err(question.kind().map_or(Unidentified::NoAnswer, Unidentified::Forbidden));
            }
            Some(Reply::Found(_) | Reply::None) | None => return Err(Unidentified::NoAnswer),
        }
    }
    Err(Unidentified::NotFound)
}

fn accept(said: Option<Kind>, found: Identified) -> Result<Identified, Unidentified> {
    if let Some(said) = said.filter(|said| *said != found.kind) {
        return Err(Unidentified::OtherType { said, found: found.kind });
    }
    match (found.kind, found.object.is_security_enabled) {
        (Kind::Group, Some(false)) => Err(Unidentified::NotSecurityEnabled),
        (Kind::Group, None) => Err(Unidentified::Forbidden(Kind::Group)),
        _ => Ok(found),
    }
}
