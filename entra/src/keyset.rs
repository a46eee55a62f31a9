//! The signing keys of a tenant: a JWKS document (RFC 7517), and the keys in it that are used.
//!
//! A key that is weak, foreign, ambiguous or cannot be read is dropped and counted; the other keys
//! are used. A document without a single good key is refused as a whole, so that it can never
//! replace good keys by none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::json::{self, Json, JsonFault, Object};
use crate::limits;
use crate::roca;

/// Members of a JWK that are secrets (RFC 7518 section 6). An entry with one of them is not a
/// public key and is dropped.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// An RSA public key for RS256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    id: String,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    issuer: Option<String>,
}

impl Key {
    /// Makes a key of its parts: big-endian numbers without leading zeros.
    ///
    /// Returns none if their sizes are not those of a key that [`KeySet::parse`] would keep.
    #[must_use]
    pub fn new(id: &str, modulus: &[u8], exponent: &[u8], issuer: Option<&str>) -> Option<Self> {
        let fits = is_key_id(id) && is_modulus(modulus) && is_exponent(exponent);
        (fits && issuer.is_none_or(is_issuer)).then(|| Self {
            id: id.to_owned(),
            modulus: modulus.to_owned(),
            exponent: exponent.to_owned(),
            issuer: issuer.map(str::to_owned),
        })
    }

    /// Returns `kid`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns `n`, big-endian.
    #[must_use]
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// Returns `e`, big-endian.
    #[must_use]
    pub fn exponent(&self) -> &[u8] {
        &self.exponent
    }

    /// Returns `issuer`, where the document has it: a template with `{tenantid}`, or a fixed text.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Merges two entries of one id into one key, with its issuer if either names one. Returns none
    /// if they are different keys.
    fn merged(self, other: Self) -> Option<Self> {
        if self.modulus != other.modulus || self.exponent != other.exponent {
            return None;
        }
        match (&self.issuer, &other.issuer) {
            (Some(one), Some(two)) if one != two => None,
            (Some(_), _) => Some(self),
            (None, _) => Some(other),
        }
    }
}

/// The usable keys, each id once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    keys: BTreeMap<String, Key>,
    /// Ids under which different keys were listed. No key of such an id is used, whatever another
    /// document lists.
    ambiguous: BTreeSet<String>,
    dropped: usize,
}

/// The reason why a key document is refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySetFault {
    /// The document is larger than [`limits::MAX_KEY_DOCUMENT_BYTES`].
    TooLarge,
    /// The document cannot be read as strict JSON.
    Json(JsonFault),
    /// There is no array `keys`.
    NoKeys,
    /// No key can be used; so many were dropped.
    NoUsableKey(usize),
    /// There are more usable keys than [`limits::MAX_KEYS`].
    TooManyKeys(usize),
}

impl fmt::Display for KeySetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => {
                write!(f, "the key document has more than {} bytes", limits::MAX_KEY_DOCUMENT_BYTES)
            }
            Self::Json(fault) => write!(f, "the key document cannot be read: {fault}"),
            Self::NoKeys => f.write_str("the key document has no array \"keys\""),
            Self::NoUsableKey(dropped) => {
                write!(f, "the key document has no usable key ({dropped} were dropped)")
            }
            Self::TooManyKeys(count) => {
                write!(f, "the key documents have {count} keys; at most {} are kept", limits::MAX_KEYS)
            }
        }
    }
}

impl KeySet {
    /// Reads a JWKS document.
    ///
    /// # Errors
    /// The document cannot be read, or no key of it can be used.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetFault> {
        if document.len() > limits::MAX_KEY_DOCUMENT_BYTES {
            return Err(KeySetFault::TooLarge);
        }
        let members = json::parse_object_leniently(document, limits::MAX_KEY_DOCUMENT_VALUES)
            .map_err(KeySetFault::Json)?;
        let Some(Json::Array(entries)) = members.get("keys") else {
            return Err(KeySetFault::NoKeys);
        };
        Self::of(entries)
    }

    /// Reads the entries of a document and keeps the usable keys.
    pub(crate) fn of(entries: &[Json]) -> Result<Self, KeySetFault> {
        let mut set = Self { keys: BTreeMap::new(), ambiguous: BTreeSet::new(), dropped: 0 };
        for entry in entries {
            match read_key(entry) {
                None => set.dropped += 1,
                Some(key) => set.add(key),
            }
        }
        set.checked()
    }

    /// Joins the keys of another document of the same tenant, by the rules for one document.
    ///
    /// # Errors
    /// No key is left, or too many are.
    pub fn join(mut self, other: Self) -> Result<Self, KeySetFault> {
        self.dropped += other.dropped;
        for id in other.ambiguous {
            self.dropped += usize::from(self.keys.remove(&id).is_some());
            self.ambiguous.insert(id);
        }
        for key in other.keys.into_values() {
            self.add(key);
        }
        self.checked()
    }

    /// Adds a key. A key that is listed again counts once. If two different keys have one id, both
    /// are dropped, and so is every further key of that id.
    fn add(&mut self, key: Key) {
        if self.ambiguous.contains(&key.id) {
            self.dropped += 1;
            return;
        }
        let id = key.id.clone();
        let Some(kept) = self.keys.remove(&id) else {
            self.keys.insert(id, key);
            return;
        };
        if let Some(key) = kept.merged(key) {
            self.keys.insert(id, key);
        } else {
            self.ambiguous.insert(id);
            self.dropped += 2;
        }
    }

    fn checked(self) -> Result<Self, KeySetFault> {
        match self.keys.len() {
            0 => Err(KeySetFault::NoUsableKey(self.dropped)),
            count if count > limits::MAX_KEYS => Err(KeySetFault::TooManyKeys(count)),
            _ => Ok(self),
        }
    }

    /// Returns the keys, ordered by id.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Key> {
        self.keys.values()
    }

    /// Returns the key with exactly this id.
    pub(crate) fn get(&self, key_id: &str) -> Option<&Key> {
        self.keys.get(key_id)
    }

    /// Returns the number of entries that were dropped.
    #[must_use]
    pub const fn dropped(&self) -> usize {
        self.dropped
    }
}

/// Reads one entry. Returns none if it is not an RSA key for RS256 signatures.
fn read_key(entry: &Json) -> Option<Key> {
    let Json::Object(members) = entry else { return None };
    let text = |name| members.get(name).and_then(Json::as_text);
    let is_signing_key = text("kty") == Some("RSA")
        && absent_or(members, "use", |value| value.as_text() == Some("sig"))
        && absent_or(members, "alg", |value| value.as_text() == Some("RS256"))
        && absent_or(members, "key_ops", |value| value.as_texts().is_some_and(|ops| ops.contains(&"verify")))
        && absent_or(members, "issuer", |value| value.as_text().is_some())
        && !PRIVATE_MEMBERS.iter().any(|name| members.contains_key(*name));
    if !is_signing_key {
        return None;
    }
    let modulus = URL_SAFE_NO_PAD.decode(text("n")?).ok()?;
    let exponent = URL_SAFE_NO_PAD.decode(text("e")?).ok()?;
    Key::new(text("kid")?, &modulus, &exponent, text("issuer"))
        .filter(|key| !roca::is_vulnerable(key.modulus()))
}

fn absent_or(members: &Object, name: &str, fits: impl Fn(&Json) -> bool) -> bool {
    members.get(name).is_none_or(fits)
}

fn is_key_id(id: &str) -> bool {
    (1..=limits::MAX_KEY_ID_BYTES).contains(&id.len())
}

fn is_issuer(issuer: &str) -> bool {
    (1..=limits::MAX_ISSUER_BYTES).contains(&issuer.len())
}

/// Returns whether a number is odd, within the bounds and without leading zeros (RFC 7518 section
/// 6.3.1.1).
fn is_modulus(modulus: &[u8]) -> bool {
    let (Some(first), Some(last)) = (modulus.first(), modulus.last()) else { return false };
    let bits = (modulus.len() * 8).saturating_sub(first.leading_zeros() as usize);
    *first != 0 && last % 2 == 1 && (limits::MIN_MODULUS_BITS..=limits::MAX_MODULUS_BITS).contains(&bits)
}

fn is_exponent(exponent: &[u8]) -> bool {
    if exponent.first().is_none_or(|first| *first == 0) || exponent.len() > size_of::<u64>() {
        return false;
    }
    let value = exponent.iter().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
    value % 2 == 1 && (limits::MIN_EXPONENT..=limits::MAX_EXPONENT).contains(&value)
}
