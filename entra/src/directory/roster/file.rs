//! The members of groups, as a file's content.
//!
//! The process that asks the directory writes it, and the one that changes roles reads it. The form
//! is that of the snapshot of ended principals: a first line with version and checksum, and a
//! strict JSON object. It has ids, names and kinds of members, and no secret.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::json;
use uuid::Uuid;

use super::{List, Member, Roster};
use crate::ids::parse_uuid;
use crate::json::{self, Json, JsonFault, Object};
use crate::limits::{
    MAX_ROSTER_BYTES, MAX_ROSTER_GROUPS, MAX_ROSTER_MEMBERS, MAX_ROSTER_NAME_BYTES, MAX_ROSTER_PROBLEM_BYTES,
    MAX_ROSTER_VALUES, MAX_UNIX_SECONDS,
};
use crate::seal::{Seal, SealFault};

/// The beginning of the file, and its version.
const SEAL: Seal = Seal { title: "azure_ad_auth group members, version ", version: "1" };

/// The reason why a file of members is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RosterFault {
    /// It is larger than [`MAX_ROSTER_BYTES`].
    TooLarge,
    /// It does not begin like such a file.
    NotARoster,
    /// It has another version of the format.
    OtherVersion,
    /// Its checksum is wrong.
    Damaged,
    /// Its checksum is right, but it cannot be read as strict JSON.
    Json(JsonFault),
    /// Its checksum is right, but a member is missing or has the wrong form.
    Member(&'static str),
}

impl fmt::Display for RosterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "it has more than {MAX_ROSTER_BYTES} bytes"),
            Self::NotARoster => f.write_str("it is not a list of group members"),
            Self::OtherVersion => f.write_str("another version of azure_ad_auth wrote it"),
            Self::Damaged => f.write_str("it is damaged: the checksum does not fit"),
            Self::Json(fault) => write!(f, "it cannot be read: {fault}"),
            Self::Member(name) => write!(f, "it lacks a usable \"{name}\""),
        }
    }
}

impl From<SealFault> for RosterFault {
    fn from(fault: SealFault) -> Self {
        match fault {
            SealFault::OtherTitle => Self::NotARoster,
            SealFault::OtherVersion => Self::OtherVersion,
            SealFault::Damaged => Self::Damaged,
        }
    }
}

impl Roster {
    /// Returns the content of the file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let text = |id: &Uuid| id.hyphenated().to_string();
        let members = self.members.iter().map(|(id, member)| {
            let kind = if member.is_application { SERVICE } else { USER };
            json!([text(id), kind, member.name, member.client_id.as_ref().map(text)])
        });
        let groups = self.lists.iter().map(|(group, list)| match list {
            List::Whole(ids) => {
                json!({ "id": text(group), "members": ids.iter().map(text).collect::<Vec<_>>() })
            }
            List::None(problem) => json!({ "id": text(group), "problem": problem }),
        });
        let content = json!({
            "tenant": text(&self.tenant),
            "run": self.run,
            "asked_at": self.asked_at,
            "members": members.collect::<Vec<_>>(),
            "groups": groups.collect::<Vec<_>>(),
            "unknown": self.unknown.iter().map(text).collect::<Vec<_>>(),
        });
        Self::seal(content.to_string().as_bytes())
    }

    /// Puts the first line before a content, which is not checked.
    #[must_use]
    pub fn seal(content: &[u8]) -> Vec<u8> {
        SEAL.put_on(content)
    }

    /// Reads the result of [`Roster::to_bytes`], all of it or nothing.
    ///
    /// # Errors
    /// The first defect that is found.
    pub fn parse(bytes: &[u8]) -> Result<Self, RosterFault> {
        if bytes.len() > MAX_ROSTER_BYTES {
            return Err(RosterFault::TooLarge);
        }
        let file = json::parse_object(SEAL.open(bytes)?, MAX_ROSTER_VALUES).map_err(RosterFault::Json)?;
        let number = |name: &'static str, most: i64| {
            let number = file.get(name).and_then(Json::as_integer);
            number.filter(|number| (0..=most).contains(number)).ok_or(RosterFault::Member(name))
        };
        let run = number("run", i64::MAX)?;
        let roster = Self {
            tenant: file.get("tenant").and_then(id).ok_or(RosterFault::Member("tenant"))?,
            run: u64::try_from(run).map_err(|_| RosterFault::Member("run"))?,
            asked_at: number("asked_at", MAX_UNIX_SECONDS)?,
            members: entries(&file, "members", MAX_ROSTER_MEMBERS, member)?,
            lists: entries(&file, "groups", MAX_ROSTER_GROUPS, list)?,
            unknown: ids(file.get("unknown")).ok_or(RosterFault::Member("unknown"))?,
        };
        let sizes = roster.lists.values().map(|list| if let List::Whole(ids) = list { ids.len() } else { 0 });
        if sizes.sum::<usize>() > MAX_ROSTER_MEMBERS || roster.unknown.len() > MAX_ROSTER_MEMBERS {
            return Err(RosterFault::Member("groups"));
        }
        Ok(roster)
    }
}

/// The kinds of members.
const USER: &str = "user";
const SERVICE: &str = "service";

/// Reads a list of entries, each of another id, and not more than `most`.
fn entries<T>(
    file: &Object,
    name: &'static str,
    most: usize,
    read: impl Fn(&Json) -> Option<(Uuid, T)>,
) -> Result<BTreeMap<Uuid, T>, RosterFault> {
    let fault = RosterFault::Member(name);
    let Some(Json::Array(items)) = file.get(name) else { return Err(fault) };
    let entries: BTreeMap<_, _> = items.iter().take(most).map(read).collect::<Option<_>>().ok_or(fault)?;
    if entries.len() == items.len() { Ok(entries) } else { Err(fault) }
}

fn member(entry: &Json) -> Option<(Uuid, Member)> {
    let Json::Array(entry) = entry else { return None };
    let [member, kind, name, client_id] = entry.as_slice() else { return None };
    let is_application = match kind.as_text()? {
        USER => false,
        SERVICE => true,
        _ => return None,
    };
    let name = match name {
        Json::Null => None,
        name => Some(text_of(name, MAX_ROSTER_NAME_BYTES)?),
    };
    let client_id = match client_id {
        Json::Null => None,
        client_id => Some(id(client_id).filter(|_| is_application)?),
    };
    Some((id(member)?, Member { is_application, name, client_id }))
}

fn list(entry: &Json) -> Option<(Uuid, List)> {
    let Json::Object(entry) = entry else { return None };
    let list = match (entry.get("members"), entry.get("problem")) {
        (members @ Some(_), None) => List::Whole(ids(members)?),
        (None, Some(problem)) => List::None(text_of(problem, MAX_ROSTER_PROBLEM_BYTES)?),
        _ => return None,
    };
    Some((entry.get("id").and_then(id)?, list))
}

/// Reads a text as it is written: bounded, and without control characters.
fn text_of(value: &Json, most: usize) -> Option<String> {
    let text = value.as_text().filter(|text| text.len() <= most && !text.contains(char::is_control))?;
    Some(text.to_owned())
}

/// Reads a list of ids, each of them once.
fn ids(list: Option<&Json>) -> Option<BTreeSet<Uuid>> {
    let Some(Json::Array(items)) = list else { return None };
    let ids: BTreeSet<_> = items.iter().map(id).collect::<Option<_>>()?;
    (ids.len() == items.len()).then_some(ids)
}

fn id(value: &Json) -> Option<Uuid> {
    value.as_text().and_then(parse_uuid)
}
