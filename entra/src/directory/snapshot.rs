//! Who is known to be out, as a file's content, for the next start of the server.
//!
//! The form is that of the keys' snapshot ([`crate::Snapshot`]): a first line with version and
//! checksum, and a strict JSON object. It has the tenant, whose ids these are, and no name and no
//! secret.

use std::fmt;

use serde_json::{Value, json};
use uuid::Uuid;

use super::login::Pair;
use super::standing::{Known, LONGEST_LIFE, Standing};
use crate::ids::parse_uuid;
use crate::json::{self, Json, JsonFault, Object};
use crate::limits::{MAX_ENDED, MAX_ENDED_SNAPSHOT_BYTES, MAX_ENDED_SNAPSHOT_VALUES, MAX_UNIX_SECONDS};
use crate::seal::{Seal, SealFault};

/// The beginning of the file, and its version.
const SEAL: Seal = Seal { title: "azure_ad_auth ended principals, version ", version: "1" };

/// Who is known to be out in a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedSnapshot {
    /// The tenant.
    pub tenant: Uuid,
    /// When it was written, in Unix seconds.
    pub written_at: i64,
    /// Principals that are out, or whose sessions were revoked.
    pub principals: Vec<(Uuid, Known)>,
    /// Memberships that have ended, and when that was seen, in Unix seconds.
    pub memberships: Vec<(Pair, i64)>,
}

/// The reason why a snapshot is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedSnapshotFault {
    /// It is larger than [`MAX_ENDED_SNAPSHOT_BYTES`].
    TooLarge,
    /// It does not begin like a snapshot.
    NotASnapshot,
    /// It has another version of the format.
    OtherVersion,
    /// Its checksum is wrong.
    Damaged,
    /// Its checksum is right, but it cannot be read as strict JSON.
    Json(JsonFault),
    /// Its checksum is right, but a member is missing or has the wrong form.
    Member(&'static str),
    /// It is of another tenant.
    Foreign,
}

impl fmt::Display for EndedSnapshotFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "it has more than {MAX_ENDED_SNAPSHOT_BYTES} bytes"),
            Self::NotASnapshot => f.write_str("it is not a snapshot of ended principals"),
            Self::OtherVersion => f.write_str("another version of azure_ad_auth wrote it"),
            Self::Damaged => f.write_str("it is damaged: the checksum does not fit"),
            Self::Json(fault) => write!(f, "it cannot be read: {fault}"),
            Self::Member(name) => write!(f, "it lacks a usable \"{name}\""),
            Self::Foreign => f.write_str("it is of another tenant"),
        }
    }
}

impl From<SealFault> for EndedSnapshotFault {
    fn from(fault: SealFault) -> Self {
        match fault {
            SealFault::OtherTitle => Self::NotASnapshot,
            SealFault::OtherVersion => Self::OtherVersion,
            SealFault::Damaged => Self::Damaged,
        }
    }
}

impl EndedSnapshot {
    /// Returns the content of the file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let principals: Vec<_> = self.principals.iter().map(principal_entry).collect();
        let memberships = self.memberships.iter().map(|(Pair { person, group }, ended_at)| {
            json!({ "id": person.hyphenated().to_string(), "group": group.hyphenated().to_string(), "ended_at": ended_at })
        });
        let content = json!({
            "tenant": self.tenant.hyphenated().to_string(),
            "written_at": self.written_at,
            "principals": principals,
            "memberships": memberships.collect::<Vec<_>>(),
        });
        Self::seal(content.to_string().as_bytes())
    }

    /// Puts the first line before a content, which is not checked.
    #[must_use]
    pub fn seal(content: &[u8]) -> Vec<u8> {
        SEAL.put_on(content)
    }

    /// Reads the result of [`EndedSnapshot::to_bytes`], all of it or nothing.
    ///
    /// # Errors
    /// The first defect that is found.
    pub fn parse(bytes: &[u8]) -> Result<Self, EndedSnapshotFault> {
        if bytes.len() > MAX_ENDED_SNAPSHOT_BYTES {
            return Err(EndedSnapshotFault::TooLarge);
        }
        let members = json::parse_object(SEAL.open(bytes)?, MAX_ENDED_SNAPSHOT_VALUES)
            .map_err(EndedSnapshotFault::Json)?;
        Ok(Self {
            tenant: id(&members, "tenant")?,
            written_at: time(&members, "written_at")?,
            principals: entries(&members, "principals")?
                .into_iter()
                .map(principal)
                .collect::<Result<_, _>>()?,
            memberships: entries(&members, "memberships")?
                .into_iter()
                .map(membership)
                .collect::<Result<_, _>>()?,
        })
    }

    /// Returns what of it still counts for a tenant at `now` (Unix seconds).
    ///
    /// What has a time that lies ahead counts, and the time stays as it is: the clock may have been
    /// set back for a while only.
    ///
    /// # Errors
    /// [`EndedSnapshotFault::Foreign`].
    pub fn of(mut self, tenant: Uuid, now: i64) -> Result<Self, EndedSnapshotFault> {
        if self.tenant != tenant {
            return Err(EndedSnapshotFault::Foreign);
        }
        self.principals.retain(|(_, known)| known.matters(now));
        self.memberships.retain(|(_, ended_at)| ended_at.saturating_add(LONGEST_LIFE) > now);
        Ok(self)
    }
}

fn principal_entry((id, known): &(Uuid, Known)) -> Value {
    let mut entry = json!({ "id": id.hyphenated().to_string(), "state": known.standing.as_str() });
    let times = [("out_since", known.out_since), ("revoked_at", known.revoked_at)];
    if let Some(members) = entry.as_object_mut() {
        members.extend(times.into_iter().filter_map(|(name, time)| Some((name.to_owned(), time?.into()))));
    }
    entry
}

fn principal(entry: &Object) -> Result<(Uuid, Known), EndedSnapshotFault> {
    let state = entry.get("state").and_then(Json::as_text);
    let standing = Standing::ALL.into_iter().find(|standing| Some(standing.as_str()) == state);
    let optional = |name| if entry.contains_key(name) { time(entry, name).map(Some) } else { Ok(None) };
    let known = Known {
        standing: standing.ok_or(EndedSnapshotFault::Member("state"))?,
        out_since: optional("out_since")?,
        revoked_at: optional("revoked_at")?,
    };
    Ok((id(entry, "id")?, known))
}

fn membership(entry: &Object) -> Result<(Pair, i64), EndedSnapshotFault> {
    Ok((Pair { person: id(entry, "id")?, group: id(entry, "group")? }, time(entry, "ended_at")?))
}

/// Reads a list of at most [`MAX_ENDED`] objects.
fn entries<'m>(members: &'m Object, name: &'static str) -> Result<Vec<&'m Object>, EndedSnapshotFault> {
    let fault = EndedSnapshotFault::Member(name);
    let Some(Json::Array(entries)) = members.get(name) else { return Err(fault) };
    if entries.len() > MAX_ENDED {
        return Err(fault);
    }
    let object = |entry: &'m Json| match entry {
        Json::Object(members) => Ok(members),
        _ => Err(fault),
    };
    entries.iter().map(object).collect()
}

fn id(members: &Object, name: &'static str) -> Result<Uuid, EndedSnapshotFault> {
    members.get(name).and_then(Json::as_text).and_then(parse_uuid).ok_or(EndedSnapshotFault::Member(name))
}

/// Reads a time in Unix seconds. A time before 1970 or after the year 9999 is not accepted.
fn time(members: &Object, name: &'static str) -> Result<i64, EndedSnapshotFault> {
    let seconds = members.get(name).and_then(Json::as_integer);
    let seconds = seconds.filter(|seconds| (0..=MAX_UNIX_SECONDS).contains(seconds));
    seconds.ok_or(EndedSnapshotFault::Member(name))
}
