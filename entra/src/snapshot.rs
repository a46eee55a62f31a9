//! The last good keys as a file's content, for the next start of the server.
//!
//! The first line has the version and a checksum. A JSON object follows with the tenant and source
//! of the keys (`origin`), the time at which they were fetched, and the keys as in a key document.
//! The keys are read by the same rules as a key document: a key that would not be accepted from the
//! network is not accepted from here. The checksum detects damage only; a process that can write
//! the file can write the checksum too.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::freshness::Millis;
use crate::json::{self, Json, JsonFault, Object};
use crate::keyset::{Key, KeySet, KeySetFault};
use crate::limits;
use crate::seal::{Seal, SealFault};

/// The beginning of the file, and its version.
const SEAL: Seal = Seal { title: "azure_ad_auth signing keys, version ", version: "1" };

/// A key, and the time since which it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The key.
    pub key: Key,
    /// The time at which it was first seen, in Unix seconds.
    pub first_seen: i64,
}

/// The keys of one fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The settings that decide which keys these are, as one text.
    pub origin: String,
    /// The time at which they were fetched, in Unix seconds.
    pub fetched_at: i64,
    /// The keys.
    pub keys: Vec<Remembered>,
}

/// The reason why a snapshot is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotFault {
    /// It is larger than [`limits::MAX_SNAPSHOT_BYTES`].
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
    /// None of its keys can be used.
    Keys(KeySetFault),
    /// Its keys are of another tenant, address or file.
    Foreign,
    /// Its time lies ahead by so many seconds.
    FromTheFuture(i64),
    /// Its keys were fetched too long ago: so many seconds.
    TooOld(i64),
}

impl fmt::Display for SnapshotFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "it has more than {} bytes", limits::MAX_SNAPSHOT_BYTES),
            Self::NotASnapshot => f.write_str("it is not a snapshot of keys"),
            Self::OtherVersion => f.write_str("another version of azure_ad_auth wrote it"),
            Self::Damaged => f.write_str("it is damaged: the checksum does not fit"),
            Self::Json(fault) => write!(f, "it cannot be read: {fault}"),
            Self::Member(name) => write!(f, "it lacks a usable \"{name}\""),
            Self::Keys(fault) => fault.fmt(f),
            Self::Foreign => f.write_str("its keys were fetched under other settings"),
            Self::FromTheFuture(seconds) => {
                write!(f, "its keys were fetched {seconds} s from now: a clock is, or was, wrong")
            }
            Self::TooOld(seconds) => write!(f, "its keys are {seconds} s old"),
        }
    }
}

impl From<SealFault> for SnapshotFault {
    fn from(fault: SealFault) -> Self {
        match fault {
            SealFault::OtherTitle => Self::NotASnapshot,
            SealFault::OtherVersion => Self::OtherVersion,
            SealFault::Damaged => Self::Damaged,
        }
    }
}

impl Snapshot {
    /// Returns the content of the file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let keys: Vec<_> = self.keys.iter().map(entry).collect();
        let content = json!({ "origin": self.origin, "fetched_at": self.fetched_at, "keys": keys });
        Self::seal(content.to_string().as_bytes())
    }

    /// Puts the title and the checksum before a content, which is not checked.
    #[must_use]
    pub fn seal(content: &[u8]) -> Vec<u8> {
        SEAL.put_on(content)
    }

    /// Reads the result of [`Snapshot::to_bytes`]. Keys that cannot be used are left out.
    ///
    /// # Errors
    /// The first defect that is found.
    pub fn parse(bytes: &[u8]) -> Result<Self, SnapshotFault> {
        if bytes.len() > limits::MAX_SNAPSHOT_BYTES {
            return Err(SnapshotFault::TooLarge);
        }
        let content = SEAL.open(bytes)?;
        let members =
            json::parse_object(content, limits::MAX_KEY_DOCUMENT_VALUES).map_err(SnapshotFault::Json)?;
        let origin = members.get("origin").and_then(Json::as_text);
        let origin = origin.filter(|origin| origin.len() <= limits::MAX_ORIGIN_BYTES);
        let origin = origin.ok_or(SnapshotFault::Member("origin"))?.to_owned();
        let fetched_at = time(&members, "fetched_at").ok_or(SnapshotFault::Member("fetched_at"))?;
        let Some(Json::Array(entries)) = members.get("keys") else {
            return Err(SnapshotFault::Member("keys"));
        };
        let keys = KeySet::of(entries).map_err(SnapshotFault::Keys)?;
        let remembered = |key: &Key| Remembered {
            key: key.clone(),
            first_seen: first_seen(entries, key.id()).unwrap_or(fetched_at).min(fetched_at),
        };
        Ok(Self { origin, fetched_at, keys: keys.iter().map(remembered).collect() })
    }

    /// Returns whether `later` has the same origin and all of these keys.
    #[must_use]
    pub fn is_within(&self, later: &Self) -> bool {
        let there = |one: &Remembered| later.keys.iter().any(|other| other.key == one.key);
        self.origin == later.origin && self.keys.iter().all(there)
    }

    /// Returns the age of the keys at `now` (Unix seconds) if they may be used for `origin`.
    ///
    /// # Errors
    /// The reason why they may not.
    pub fn age(&self, origin: &str, now: i64, max_age: Millis) -> Result<Millis, SnapshotFault> {
        if self.origin != origin {
            return Err(SnapshotFault::Foreign);
        }
        let age = now.saturating_sub(self.fetched_at);
        // A small difference is a clock that was corrected since; with a larger one, the age of the
        // keys is unknown.
        if age < -limits::MAX_CLOCK_SKEW_SECONDS {
            return Err(SnapshotFault::FromTheFuture(age.saturating_neg()));
        }
        let millis = u64::try_from(age).unwrap_or(0).saturating_mul(1_000);
        if millis > max_age { Err(SnapshotFault::TooOld(age)) } else { Ok(millis) }
    }
}

/// Returns an entry of a key document, with the time at which the key was first seen.
fn entry(remembered: &Remembered) -> Value {
    let Remembered { key, first_seen } = remembered;
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let mut entry = json!({
        "kty": "RSA", "kid": key.id(), "n": number(key.modulus()), "e": number(key.exponent()),
        "first_seen": first_seen,
    });
    if let (Some(members), Some(issuer)) = (entry.as_object_mut(), key.issuer()) {
        members.insert("issuer".to_owned(), issuer.into());
    }
    entry
}

fn first_seen(entries: &[Json], key_id: &str) -> Option<i64> {
    entries.iter().find_map(|entry| match entry {
        Json::Object(members) if members.get("kid").and_then(Json::as_text) == Some(key_id) => {
            time(members, "first_seen")
        }
        _ => None,
    })
}

/// Reads a time in Unix seconds. A time before 1970 is not accepted.
fn time(members: &Object, name: &str) -> Option<i64> {
    members.get(name)?.as_integer().filter(|seconds| *seconds >= 0)
}
