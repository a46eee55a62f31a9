//! How the directory fails on demand.

use std::time::Duration;

use serde_json::{Value, json};

use super::record::Kind;
use super::reply::{Answer, Reply, refusal, token_refusal, whole};

/// Whose answers are faulty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The token endpoint.
    Token,
    /// Graph: the requests, and what is in all answers to them, those in a batch included.
    Graph,
    /// The endpoints of the machine's identity.
    Identity,
    /// Requests of one kind, alone or as an item of a batch.
    Only(Kind),
}

/// A way to fail. The first three groups take the place of an answer; the others change what it
/// says.
#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// Status 429, with this `Retry-After`: seconds, a date, rubbish, or none.
    Throttle(Option<String>),
    /// This status, with an error of Graph or of the token endpoint that has this code. For the
    /// token endpoint the code is the number after AADSTS.
    Refuse(u16, &'static str),

    /// The right answer after a delay.
    Slow(Duration),
    /// No answer.
    Hang,
    /// A body that comes a byte at a time and never ends.
    Drip,
    /// A head that never ends.
    EndlessHead,
    /// The right answer, whose last bytes are missing.
    Cut,

    /// A status, a content type and a body.
    Body(u16, &'static str, Vec<u8>),
    /// These bytes in place of a response, head included; the connection is then closed.
    Raw(Vec<u8>),
    /// The right answer after so many bytes of blanks, which JSON allows.
    Huge(usize),
    /// Status 302 to this address.
    Redirect(String),

    /// Lists are empty and ids are unknown.
    Empty,
    /// Objects with these ids are left out everywhere.
    Hide(Vec<String>),
    /// Objects have the id [`STRANGER`] in place of their own.
    SomebodyElse,
    /// Lists also hold the id [`STRANGER`], which was not asked for.
    Unasked,
    /// Lists lack their second half.
    Truncated,
    /// All properties but the id are null, as those of objects that may not be read, and so are
    /// lists of groups.
    Nulls,
    /// A property is missing from all objects.
    Lacks(&'static str),
    /// A property has this value in all objects that show it.
    Says(&'static str, Value),

    /// Every page names this address as its next.
    NextLink(String),
    /// Every page names itself as its next.
    CircularPages,
    /// The first page is empty and names the page where the list begins as its next.
    EmptyFirstPage,
    /// The page with this number, counted from 0, answers with status 503.
    PageFails(usize),

    /// A batch lacks the answer to its first item.
    LosesItem,
    /// A batch has two answers to its first item, the second one with status 404.
    RepeatsItem,
}

/// The id of an object that nobody asked for.
pub const STRANGER: &str = "eeeeeeee-aaaa-bbbb-cccc-0000000000ee";

pub(super) struct Fault {
    id: u64,
    place: Place,
    trouble: Trouble,
    /// How many more answers it spoils; none if it lasts until it is mended.
    left: Option<usize>,
}

/// The faults there are. Of two at the same place, the one that was set earlier comes first.
#[derive(Default)]
pub(super) struct Faults {
    list: Vec<Fault>,
    last_id: u64,
}

impl Faults {
    pub(super) fn add(&mut self, place: Place, trouble: Trouble, left: Option<usize>) {
        self.last_id += 1;
        self.list.push(Fault { id: self.last_id, place, trouble, left });
    }

    pub(super) fn mend(&mut self, place: Place) {
        self.list.retain(|fault| fault.place != place);
    }

    /// Returns whether a fault has not been mended yet.
    pub(super) fn contain(&self, id: u64) -> bool {
        self.list.iter().any(|fault| fault.id == id)
    }

    /// Returns the fault that spoils an answer at the first of these places that has one, and its
    /// number.
    pub(super) fn next(&mut self, places: &[Place]) -> Option<(Trouble, u64)> {
        let spoils = |fault: &Fault, place: &Place| fault.place == *place && fault.left != Some(0);
        let at = |place: &Place| self.list.iter().position(|fault| spoils(fault, place));
        let found = places.iter().find_map(at)?;
        let fault = self.list.get_mut(found)?;
        fault.left = fault.left.map(|left| left - 1);
        Some((fault.trouble.clone(), fault.id))
    }
}

impl Trouble {
    /// Returns the answer that takes the place of the right one, if it is one that a batch can
    /// hold too.
    pub(super) fn refusal(&self, place: Place) -> Option<Answer> {
        let (status, code) = match self {
            Self::Throttle(_) => (429, "TooManyRequests"),
            Self::Refuse(status, code) => (*status, *code),
            _ => return None,
        };
        let answer = match (place, code.parse()) {
            (Place::Token | Place::Identity, Ok(number)) => {
                token_refusal(status, "invalid_request", number, "The request failed.")
            }
            (Place::Token | Place::Identity, Err(_)) => Answer {
                status,
                headers: Vec::new(),
                body: json!({ "error": code, "error_description": "The request failed." }),
            },
            _ => refusal(status, code, "The request failed."),
        };
        let retry_after = if let Self::Throttle(retry_after) = self { retry_after.clone() } else { None };
        Some(match retry_after {
            Some(value) => answer.with_header("Retry-After", value),
            None => answer,
        })
    }

    /// Returns what is sent in place of a response. `now`: what time it is there.
    pub(super) fn reply(&self, right: &Answer, fault: u64, now: i64) -> Reply {
        let endless =
            |opening: &str, more: String| Reply::Endless { opening: opening.to_owned(), more, fault };
        match self {
            Self::Hang => endless("", String::new()),
            Self::Drip => {
                endless("HTTP/1.1 200 Whatever\r\ncontent-length: 1000000\r\n\r\n{", " ".to_owned())
            }
            Self::EndlessHead => endless("HTTP/1.1 200 Whatever\r\nx-endless: ", "x".repeat(1_024)),
            Self::Cut => {
                let mut bytes = right.bytes(now);
                bytes.truncate(bytes.len() - 10);
                Reply::Last(bytes)
            }
            Self::Body(status, content_type, body) => {
                Reply::Whole(whole(*status, now, "", content_type, body))
            }
            Self::Raw(bytes) => Reply::Last(bytes.clone()),
            Self::Huge(blanks) => {
                let body = " ".repeat(*blanks) + &right.body.to_string();
                Reply::Whole(whole(right.status, now, "", "application/json", body.as_bytes()))
            }
            Self::Redirect(address) => {
                Reply::Whole(whole(302, now, &format!("location: {address}\r\n"), "text/html", b"elsewhere"))
            }
            _ => Reply::Whole(right.bytes(now)),
        }
    }
}
