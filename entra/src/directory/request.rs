//! Requests to Microsoft Graph.
//!
//! A name that somebody has typed only ever becomes a quoted literal of a filter: its quotes are
//! doubled (OData 4.01, URL conventions, 5.1.1.6.1), and then every byte that RFC 3986 does not
//! call unreserved is percent-encoded. Paths have ids, which were parsed as uuids.

use std::fmt::Write;

use serde_json::{Value, json};
use uuid::Uuid;

/// Most ids of one `getByIds` ("directoryObject: getByIds", Microsoft).
pub const MAX_IDS: usize = 1_000;

/// Most groups of one `checkMemberGroups` ("directoryObject: checkMemberGroups", Microsoft).
pub const MAX_GROUPS: usize = 20;

/// Most requests of one batch ("JSON batching", Microsoft).
pub const MAX_BATCH: usize = 20;

/// Most values of one `in` filter ("Use the $filter query parameter", Microsoft).
pub const MAX_IN: usize = 15;

/// Longest name that is asked for, in characters. A user principal name has at most 113
/// (64 + 1 + 48), a display name 256.
pub const MAX_NAME_CHARS: usize = 256;

const USER: &str = "$select=id,userPrincipalName,mail,userType,displayName,accountEnabled";
const GROUP: &str = "$select=id,displayName,securityEnabled,visibility";
const APPLICATION: &str =
    "$select=id,appId,displayName,servicePrincipalType,accountEnabled,disabledByMicrosoftStatus";

/// How a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Reads too, with a body: nothing here ever writes to the directory.
    Post,
}

/// A request, without the root and the version that stand before its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// How it is sent.
    pub method: Method,
    /// Path and query, below the version.
    pub path: String,
    /// JSON, for [`Method::Post`].
    pub body: Option<String>,
}

impl Request {
    /// Returns the headers that it is sent with, besides the token's.
    ///
    /// None asks for `ConsistencyLevel: eventual`: what an index that lags says is no ground for a
    /// decision. Polling gives way to other requests where the service is short of capacity
    /// ("Microsoft Graph throttling guidance", Microsoft).
    pub fn headers(&self, is_polling: bool) -> impl Iterator<Item = (&'static str, &'static str)> {
        let body = self.body.as_ref().map(|_| ("Content-Type", "application/json"));
        let priority = is_polling.then_some(("x-ms-throttle-priority", "low"));
        [("Accept", "application/json")].into_iter().chain(body).chain(priority)
    }
}

/// Which of the three kinds of objects a path is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A person's account.
    User,
    /// A group.
    Group,
    /// An application's service principal, managed identities included.
    Application,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::User, Self::Group, Self::Application];

    const fn path(self) -> &'static str {
        match self {
            Self::User => "/users",
            Self::Group => "/groups",
            Self::Application => "/servicePrincipals",
        }
    }

    const fn properties(self) -> &'static str {
        match self {
            Self::User => USER,
            Self::Group => GROUP,
            Self::Application => APPLICATION,
        }
    }

    /// The application permission without which objects of this kind cannot be read.
    #[must_use]
    pub const fn permission(self) -> &'static str {
        match self {
            Self::User => "User.Read.All",
            Self::Group => "GroupMember.Read.All",
            Self::Application => "Application.Read.All",
        }
    }
}

/// A name that is fit to be asked for.
///
/// Graph does not find a name with blanks around it by the same name, so a name that was typed with
/// such blanks is asked for with and without them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// Quoted and encoded.
    exact: String,
    /// Without the blanks around it, if it has any.
    trimmed: Option<String>,
}

/// Why a name is not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameFault {
    /// It is empty.
    Empty,
    /// It has more than [`MAX_NAME_CHARS`] characters.
    TooLong,
    /// It has a control character, which no name in a directory has.
    ControlCharacter,
}

impl std::fmt::Display for NameFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::TooLong => write!(f, "it has more than {MAX_NAME_CHARS} characters"),
            Self::ControlCharacter => f.write_str("it has a control character"),
        }
    }
}

impl Literal {
    /// Takes a name as it was typed.
    ///
    /// # Errors
    /// Why no object can have it.
    pub fn of(name: &str) -> Result<Self, NameFault> {
        if name.is_empty() {
            return Err(NameFault::Empty);
        }
        if name.chars().nth(MAX_NAME_CHARS).is_some() {
            return Err(NameFault::TooLong);
        }
        if name.chars().any(char::is_control) {
            return Err(NameFault::ControlCharacter);
        }
        let trimmed = name.trim();
        if trimmed.is_empty() {
            return Err(NameFault::Empty);
        }
        let quoted = |name: &str| percent_encoded(&format!("'{}'", name.replace('\'', "''")));
        let trimmed = (trimmed != name).then(|| quoted(trimmed));
        Ok(Self { exact: quoted(name), trimmed })
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
pub(super) fn percent_encoded(text: &str) -> String {
    // Room for all of it: the text may be a secret, and growing leaves copies behind.
    let mut encoded = String::with_capacity(text.len().saturating_mul(3));
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn get(path: String) -> Request {
    Request { method: Method::Get, path, body: None }
}

fn post(path: String, body: &Value) -> Request {
    Request { method: Method::Post, path, body: Some(body.to_string()) }
}

fn filtered(kind: Kind, property: &str, name: &Literal) -> Request {
    let condition = match &name.trimmed {
        None => format!("eq%20{}", name.exact),
        Some(trimmed) => format!("in%20%28{}%2C{trimmed}%29", name.exact),
    };
    get(format!("{}?$filter={property}%20{condition}&{}", kind.path(), kind.properties()))
}

/// Asks for the user of a user principal name. It is unique, and Graph compares without case.
#[must_use]
pub fn user_by_name(name: &Literal) -> Request {
    filtered(Kind::User, "userPrincipalName", name)
}

/// Asks for the users of a mail address. It is neither unique nor verified.
#[must_use]
pub fn users_by_mail(name: &Literal) -> Request {
    filtered(Kind::User, "mail", name)
}

/// Asks for objects of a kind by their display name, which is not unique and compared without case.
#[must_use]
pub fn by_display_name(kind: Kind, name: &Literal) -> Request {
    filtered(kind, "displayName", name)
}

/// Asks for the application of a client id.
#[must_use]
pub fn application_by_client_id(client_id: Uuid) -> Request {
    get(format!("/servicePrincipals(appId='{}')?{APPLICATION}", client_id.hyphenated()))
}

/// Asks for an object by its id.
#[must_use]
pub fn by_id(kind: Kind, id: Uuid) -> Request {
    get(format!("{}/{}?{}", kind.path(), id.hyphenated(), kind.properties()))
}

/// Asks whether an id is that of an app registration, which is in no token.
#[must_use]
pub fn registration_by_id(id: Uuid) -> Request {
    get(format!("/applications/{}?$select=id,appId,displayName", id.hyphenated()))
}

/// Asks for a user or an application among those that were deleted in the last thirty days.
#[must_use]
pub fn deleted(id: Uuid) -> Request {
    get(format!("/directory/deletedItems/{}?$select=id", id.hyphenated()))
}

/// What polling asks about every object. `getByIds` takes properties that not every type has.
const STATE: &str = "$select=id,accountEnabled,disabledByMicrosoftStatus,signInSessionsValidFromDateTime";

/// Asks for up to [`MAX_IDS`] objects at once. Ids that are unknown are missing in the answer.
#[must_use]
pub fn by_ids(ids: &[Uuid]) -> Request {
    let body = json!({ "ids": texts(ids, MAX_IDS), "types": ["user", "group", "servicePrincipal"] });
    post(format!("/directoryObjects/getByIds?{STATE}"), &body)
}

/// Asks for up to [`MAX_IN`] objects of a kind. The states of each kind can be read with the one
/// permission that [`Kind::permission`] names, where `getByIds` is refused.
#[must_use]
pub fn by_ids_of(kind: Kind, ids: &[Uuid]) -> Request {
    let properties = match kind {
        Kind::User => "$select=id,accountEnabled,signInSessionsValidFromDateTime",
        Kind::Group => "$select=id",
        Kind::Application => "$select=id,accountEnabled,disabledByMicrosoftStatus",
    };
    get(format!("{}?$filter=id%20in%20{}&{properties}", kind.path(), list(ids)))
}

/// Asks for the applications of up to [`MAX_IN`] client ids: roles may be linked to those.
#[must_use]
pub fn by_client_ids(client_ids: &[Uuid]) -> Request {
    let properties = "$select=id,appId,accountEnabled,disabledByMicrosoftStatus";
    get(format!("/servicePrincipals?$filter=appId%20in%20{}&{properties}", list(client_ids)))
}

fn list(ids: &[Uuid]) -> String {
    let list: Vec<_> = texts(ids, MAX_IN).iter().map(|id| format!("'{id}'")).collect();
    percent_encoded(&format!("({})", list.join(",")))
}

/// Asks for one object of a kind, whichever: the answer shows what may be read.
#[must_use]
pub fn probe(kind: Kind) -> Request {
    get(format!("{}?$top=1&{}", kind.path(), kind.properties()))
}

/// Asks which of up to [`MAX_GROUPS`] groups a user or an application is a member of, directly or
/// through other groups. `None`: groups have no membership that a token could show.
#[must_use]
pub fn memberships(kind: Kind, id: Uuid, groups: &[Uuid]) -> Option<Request> {
    (kind != Kind::Group).then(|| check_member_groups(kind, id, groups))
}

/// Asks the same about an application.
#[must_use]
pub fn application_memberships(id: Uuid, groups: &[Uuid]) -> Request {
    check_member_groups(Kind::Application, id, groups)
}

fn check_member_groups(kind: Kind, id: Uuid, groups: &[Uuid]) -> Request {
    let path = format!("{}/{}/checkMemberGroups", kind.path(), id.hyphenated());
    post(path, &json!({ "groupIds": texts(groups, MAX_GROUPS) }))
}

/// Asks for the direct members of a group. Further pages are named by the answer.
#[must_use]
pub fn members(group: Uuid) -> Request {
    let properties = "$select=id,userPrincipalName,displayName,appId&$top=999";
    get(format!("/groups/{}/members?{properties}", group.hyphenated()))
}

/// Puts up to [`MAX_BATCH`] requests into one. The answers carry the number of each, from 0.
#[must_use]
pub fn batch(requests: &[Request]) -> Request {
    let items = requests.iter().take(MAX_BATCH).enumerate().map(|(number, request)| {
        let mut item = json!({
            "id": number.to_string(),
            "method": match request.method { Method::Get => "GET", Method::Post => "POST" },
            "url": request.path,
        });
        let body = request.body.as_deref().and_then(|body| serde_json::from_str::<Value>(body).ok());
        if let (Some(body), Some(members)) = (body, item.as_object_mut()) {
            members.insert("headers".to_owned(), json!({ "Content-Type": "application/json" }));
            members.insert("body".to_owned(), body);
        }
        item
    });
    post("/$batch".to_owned(), &json!({ "requests": items.collect::<Vec<_>>() }))
}

fn texts(ids: &[Uuid], most: usize) -> Vec<String> {
    ids.iter().take(most).map(|id| id.hyphenated().to_string()).collect()
}
