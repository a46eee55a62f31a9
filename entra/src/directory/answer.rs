//! Answers of Microsoft Graph.
//!
//! An answer is read strictly and whole: a document with a member that occurs twice, an id that is
//! no uuid, or a list that breaks off is not an answer. A property that is missing or null is
//! unknown; it is neither true nor false. Texts come from people who may write in the
//! directory, and are shown by [`Untrusted`] only.

use std::collections::BTreeMap;
use std::fmt;

use http::Uri;
use uuid::Uuid;

use super::hosts::VERSION;
use super::request::Kind;
use super::retry::{self, Outcome};
use super::time;
use crate::ids::parse_uuid;
use crate::json::{self, Json, JsonFault, Object as Members};
use crate::limits::{MAX_DIRECTORY_ANSWER_BYTES, MAX_DIRECTORY_ANSWER_VALUES};
use crate::untrusted::Untrusted;

/// A user, a group or an application, as far as an answer tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its id: what tokens have as `oid`.
    pub id: Uuid,
    /// What it is; none: of a type that this crate does not know.
    pub kind: Option<Kind>,
    /// A user's principal name.
    pub principal_name: Option<String>,
    /// A user's mail address.
    pub mail: Option<String>,
    /// Whether a user is a guest.
    pub is_guest: Option<bool>,
    /// The name that is shown.
    pub display_name: Option<String>,
    /// An application's client id.
    pub client_id: Option<Uuid>,
    /// Whether a group can be used for access: a distribution list cannot.
    pub is_security_enabled: Option<bool>,
    /// Who may see a group and its members.
    pub visibility: Option<String>,
    /// Whether the account may sign in.
    pub is_enabled: Option<bool>,
    /// Tokens issued before this time, in Unix seconds, were revoked.
    pub sessions_valid_from: Option<i64>,
}

/// A list, or a page of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The objects, in the answer's order.
    pub objects: Vec<Object>,
    /// Where the next page is: below the version, as in a request.
    pub next: Option<String>,
}

/// Why something that came is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerFault {
    /// It has more than [`MAX_DIRECTORY_ANSWER_BYTES`].
    TooLarge,
    /// It is not JSON of the strict kind.
    Json(JsonFault),
    /// A member is missing, or is not what it should be.
    Member(&'static str),
    /// The next page is at another host, so that our token would go there.
    ForeignLink,
}

impl fmt::Display for AnswerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "the answer has more than {MAX_DIRECTORY_ANSWER_BYTES} bytes"),
            Self::Json(fault) => write!(f, "the answer cannot be read: {fault}"),
            Self::Member(name) => write!(f, "the answer lacks a usable \"{name}\""),
            Self::ForeignLink => f.write_str("the answer's next page is at another host"),
        }
    }
}

/// Longest link to a next page, in bytes: its `$skiptoken` may be some thousand.
const MAX_LINK_BYTES: usize = 8_192;

/// What Graph says when it does not answer a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The status of HTTP.
    pub status: u16,
    /// The error's code. Texts change; codes are what Graph promises.
    pub code: Option<Untrusted>,
    /// The id by which Microsoft finds the request in its logs.
    pub request_id: Option<Untrusted>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, ", code {code}")?;
        }
        if let Some(request_id) = &self.request_id {
            write!(f, ", request-id {request_id}")?;
        }
        Ok(())
    }
}

impl Problem {
    /// Says what this means for the request.
    ///
    /// Only Graph itself can say that an object does not exist or that a permission is missing: a
    /// status without an error code of Graph's comes from a proxy, and is no answer.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let code = self.code.as_ref().map(Untrusted::raw);
        match (retry::outcome(self.status), code) {
            (Outcome::NotFound, Some(code)) if NOT_FOUND.contains(&code) => Outcome::NotFound,
            (Outcome::NotFound, Some(_)) => Outcome::Refused,
            (Outcome::NotFound | Outcome::Forbidden, None) => Outcome::Later,
            (outcome, _) => outcome,
        }
    }
}

/// The codes by which Graph says that it knows no object of this id.
const NOT_FOUND: [&str; 2] = ["Request_ResourceNotFound", "Directory_ObjectNotFound"];

/// One answer of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The status of HTTP.
    pub status: u16,
    /// What `Retry-After` says.
    pub retry_after: Option<String>,
    body: Option<Members>,
}

fn parse(bytes: &[u8]) -> Result<Members, AnswerFault> {
    if bytes.len() > MAX_DIRECTORY_ANSWER_BYTES {
        return Err(AnswerFault::TooLarge);
    }
    json::parse_object(bytes, MAX_DIRECTORY_ANSWER_VALUES).map_err(AnswerFault::Json)
}

/// Reads one object. `kind`: what the path that was asked says it is, if it says so.
///
/// # Errors
/// Why it is no answer.
pub fn parse_object(bytes: &[u8], kind: Option<Kind>) -> Result<Object, AnswerFault> {
    object(&parse(bytes)?, kind)
}

/// Reads a list or a page of one. `root`: where it was asked for.
///
/// # Errors
/// Why it is no answer.
pub fn parse_page(bytes: &[u8], kind: Option<Kind>, root: &str) -> Result<Page, AnswerFault> {
    page(&parse(bytes)?, kind, root)
}

/// Reads the ids of the groups that an object is a member of.
///
/// # Errors
/// Why it is no answer.
pub fn parse_memberships(bytes: &[u8]) -> Result<Vec<Uuid>, AnswerFault> {
    memberships(&parse(bytes)?)
}

/// Reads the answers of a batch, by the number of the request. One that is missing was not
/// answered.
///
/// # Errors
/// Why it is no answer.
pub fn parse_batch(bytes: &[u8]) -> Result<BTreeMap<usize, Part>, AnswerFault> {
    let members = parse(bytes)?;
    let Some(Json::Array(items)) = members.get("responses") else {
        return Err(AnswerFault::Member("responses"));
    };
    let mut parts = BTreeMap::new();
    for item in items {
        let Json::Object(item) = item else { return Err(AnswerFault::Member("responses")) };
        let number = item.get("id").and_then(Json::as_text).and_then(|id| id.parse().ok());
        let number = number.ok_or(AnswerFault::Member("id"))?;
        let status =
            item.get("status").and_then(Json::as_integer).and_then(|status| u16::try_from(status).ok());
        let status = status.ok_or(AnswerFault::Member("status"))?;
        let body = match item.get("body") {
            Some(Json::Object(body)) => Some(body.clone()),
            _ => None,
        };
        let part = Part { status, retry_after: retry_after(item), body };
        if parts.insert(number, part).is_some() {
            return Err(AnswerFault::Member("id"));
        }
    }
    Ok(parts)
}

impl Part {
    /// Reads one object.
    ///
    /// # Errors
    /// Why it is no answer.
    pub fn object(&self, kind: Option<Kind>) -> Result<Object, AnswerFault> {
        object(self.body()?, kind)
    }

    /// Reads a list or a page of one.
    ///
    /// # Errors
    /// Why it is no answer.
    pub fn page(&self, kind: Option<Kind>, root: &str) -> Result<Page, AnswerFault> {
        page(self.body()?, kind, root)
    }

    /// Reads the ids of the groups that an object is a member of.
    ///
    /// # Errors
    /// Why it is no answer.
    pub fn memberships(&self) -> Result<Vec<Uuid>, AnswerFault> {
        memberships(self.body()?)
    }

    /// Says why there is no answer to the question.
    #[must_use]
    pub fn problem(&self) -> Problem {
        problem(self.status, self.body.as_ref())
    }

    /// Returns the body of a response that succeeded. What stands in any other is no answer.
    fn body(&self) -> Result<&Members, AnswerFault> {
        let body = self.body.as_ref().filter(|_| (200..=299).contains(&self.status));
        body.ok_or(AnswerFault::Member("body"))
    }
}

/// Reads what Graph, or a proxy in between, says instead of an answer. Anything may stand there.
#[must_use]
pub fn parse_problem(status: u16, bytes: &[u8]) -> Problem {
    problem(status, parse(bytes).ok().as_ref())
}

fn problem(status: u16, body: Option<&Members>) -> Problem {
    let error = match body.and_then(|body| body.get("error")) {
        Some(Json::Object(error)) => Some(error),
        _ => None,
    };
    let text = |value: Option<&Json>| value.and_then(Json::as_text).map(Untrusted::new);
    let inner = match error.and_then(|error| error.get("innerError")) {
        Some(Json::Object(inner)) => Some(inner),
        _ => None,
    };
    Problem {
        status,
        code: text(error.and_then(|error| error.get("code"))),
        request_id: text(inner.and_then(|inner| inner.get("request-id"))),
    }
}

fn object(members: &Members, kind: Option<Kind>) -> Result<Object, AnswerFault> {
    let text = |name: &str| members.get(name).and_then(Json::as_text).map(str::to_owned);
    let flag = |name: &str| match members.get(name) {
        Some(Json::Bool(value)) => Some(*value),
        _ => None,
    };
    let id = members.get("id").and_then(Json::as_text).and_then(parse_uuid);
    let is_disabled_by_microsoft =
        text("disabledByMicrosoftStatus").is_some_and(|status| status.starts_with("Disabled"));
    Ok(Object {
        id: id.ok_or(AnswerFault::Member("id"))?,
        kind: match members.get("@odata.type").and_then(Json::as_text) {
            None => kind,
            Some(name) => kind_of(name).or(kind),
        },
        principal_name: text("userPrincipalName"),
        mail: text("mail"),
        is_guest: text("userType").map(|kind| kind == "Guest"),
        display_name: text("displayName"),
        client_id: members.get("appId").and_then(Json::as_text).and_then(parse_uuid),
        is_security_enabled: flag("securityEnabled"),
        visibility: text("visibility"),
        is_enabled: if is_disabled_by_microsoft { Some(false) } else { flag("accountEnabled") },
        sessions_valid_from: text("signInSessionsValidFromDateTime").and_then(|text| time::parse(&text)),
    })
}

/// Returns what a type of Graph's schema is. New types appear, and are no fault.
fn kind_of(name: &str) -> Option<Kind> {
    match name {
        "#microsoft.graph.user" | "#microsoft.graph.agentUser" => Some(Kind::User),
        "#microsoft.graph.group" => Some(Kind::Group),
        "#microsoft.graph.servicePrincipal" | "#microsoft.graph.agentIdentity" => Some(Kind::Application),
        _ => None,
    }
}

fn page(members: &Members, kind: Option<Kind>, root: &str) -> Result<Page, AnswerFault> {
    let Some(Json::Array(items)) = members.get("value") else { return Err(AnswerFault::Member("value")) };
    let objects = items.iter().map(|item| match item {
        Json::Object(item) => object(item, kind),
        _ => Err(AnswerFault::Member("value")),
    });
    let next = match members.get("@odata.nextLink") {
        None | Some(Json::Null) => None,
        Some(Json::Text(link)) => Some(below(root, link)?),
        Some(_) => return Err(AnswerFault::Member("@odata.nextLink")),
    };
    Ok(Page { objects: objects.collect::<Result<_, _>>()?, next })
}

/// Takes root and version away from a link. A link to another scheme, host or port is refused: the
/// request for it carries the server's token.
fn below(root: &str, link: &str) -> Result<String, AnswerFault> {
    let (root, uri) = (root.parse::<Uri>(), link.parse::<Uri>());
    let (Ok(root), Ok(uri)) = (root, uri) else { return Err(AnswerFault::ForeignLink) };
    let is_plain = link.len() <= MAX_LINK_BYTES && !link.contains(['#', '@', '\\']) && !link.contains("/..");
    let rest = uri.path_and_query().and_then(|path| path.as_str().strip_prefix(VERSION));
    let rest = rest.filter(|rest| rest.starts_with('/') && is_plain && origin(&root) == origin(&uri));
    rest.map(str::to_owned).ok_or(AnswerFault::ForeignLink)
}

/// Returns scheme, host and port: those of an address that leaves the port out are the scheme's
/// own.
fn origin(uri: &Uri) -> Option<(String, String, u16)> {
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let port = uri.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

fn memberships(members: &Members) -> Result<Vec<Uuid>, AnswerFault> {
    let ids = members.get("value").and_then(Json::as_texts).ok_or(AnswerFault::Member("value"))?;
    ids.into_iter().map(|id| parse_uuid(id).ok_or(AnswerFault::Member("value"))).collect()
}

fn retry_after(item: &Members) -> Option<String> {
    let Some(Json::Object(headers)) = item.get("headers") else { return None };
    let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
    match found?.1 {
        Json::Text(text) | Json::Number(text) => Some(text.clone()),
        _ => None,
    }
}
