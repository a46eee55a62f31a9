//! The signing keys of a tenant: a JWKS document (RFC 7517) and what of it we are willing to use.
//!
//! A key that is weak, foreign, ambiguous or cannot be read is dropped and counted, and costs no other; a document without
//! one good key is refused whole, so that it can never replace a good set by nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::json::{self, Json, JsonFault, Object};
use crate::limits;
use crate::roca;

/// Members of a JWK that are secrets (RFC 7518 section 6): a document with one is not a key document.
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
    /// Takes the parts of a key as they are kept: big-endian numbers without leading zeros.
    ///
    /// None if their sizes are not those of a key that [`KeySet::parse`] would keep.
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

    /// `kid`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `n`, big-endian.
    #[must_use]
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// `e`, big-endian.
    #[must_use]
    pub fn exponent(&self) -> &[u8] {
        &self.exponent
    }

    /// `issuer`, where the document has it: a template with `{tenantid}`, or fixed.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Two entries of one id as one key, with its issuer if either names one; none if they are different keys.
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

/// Finds the key a token names.
pub trait KeyLookup {
    /// The key with exactly this id.
    fn find(&self, key_id: &str) -> Option<Key>;
}

/// Usable keys, each id once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    keys: BTreeMap<String, Key>,
    /// Ids under which different keys were listed. None of those can be meant, whatever another document says.
    ambiguous: BTreeSet<String>,
    dropped: usize,
}

/// Why a key document is refused whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySetFault {
    /// Larger than [`limits::MAX_KEY_DOCUMENT_BYTES`].
    TooLarge,
    /// Not JSON of the strict kind.
    Json(JsonFault),
    /// No array `keys`.
    NoKeys,
    /// Not one key that can be used; so many were dropped.
    NoUsableKey(usize),
    /// More usable keys than [`limits::MAX_KEYS`].
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
    /// When not one key of it can be used, or it cannot be read.
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

    /// What of these entries can be used.
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
    /// When nothing is left, or too much.
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

    /// A key that is listed again counts once. Two keys of one id: neither can be meant, and a third of that id neither.
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

    /// The keys, by id.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Key> {
        self.keys.values()
    }

    /// How many entries of the documents were dropped.
    #[must_use]
    pub const fn dropped(&self) -> usize {
        self.dropped
    }
}

impl KeyLookup for KeySet {
    fn find(&self, key_id: &str) -> Option<Key> {
        self.keys.get(key_id).cloned()
    }
}

/// Reads one entry; none if it is not a key for us.
fn read_key(entry: &Json) -> Option<Key> {
    let Json::Object(members) = entry else { return None };
    let text = |name| members.get(name).and_then(Json::as_text);
    let for_us = text("kty") == Some("RSA")
        && absent_or(members, "use", |value| value.as_text() == Some("sig"))
        && absent_or(members, "alg", |value| value.as_text() == Some("RS256"))
        && absent_or(members, "key_ops", |value| value.as_texts().is_some_and(|ops| ops.contains(&"verify")))
        && absent_or(members, "issuer", |value| value.as_text().is_some())
        && !PRIVATE_MEMBERS.iter().any(|name| members.contains_key(*name));
    if !for_us {
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

/// Odd, within the bounds, no leading zeros (RFC 7518 section 6.3.1.1).
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
