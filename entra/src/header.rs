//! The header of a token: which key, and that it is RS256. Everything else in it is ignored.
//!
//! `jku`, `jwk`, `x5u` and `x5c` would let the token name its own key; `typ` differs between issuers and proves nothing.

use crate::explain::{Step, Witness};
use crate::json::{self, Json};
use crate::limits;
use crate::refusal::{FormatFault, Refusal};
use crate::shown::Untrusted;
use crate::token::Part;

/// The only algorithm accepted (RFC 8725 section 3.1). Entra signs access tokens with no other.
const ALGORITHM: &str = "RS256";

pub(crate) struct Header {
    /// `kid`: not empty, at most [`limits::MAX_KEY_ID_BYTES`].
    pub(crate) key_id: String,
}

impl Header {
    /// Reads a decoded header; `length` is that of the whole token, for the refusal.
    pub(crate) fn parse(bytes: &[u8], length: usize, witness: &mut impl Witness) -> Result<Self, Refusal> {
        let invalid = |fault| Refusal::InvalidFormat { fault, length };
        witness.reach(Step::Header);
        let mut members = json::parse_object(bytes, limits::MAX_TOKEN_VALUES)
            .map_err(|fault| invalid(FormatFault::Json(Part::Header, fault)))?;
        witness.reach(Step::Algorithm);
        match members.get("alg").and_then(Json::as_text) {
            Some(ALGORITHM) => {}
            other => {
                return Err(Refusal::UnsupportedAlgorithm { found: other.map(Untrusted::new) });
            }
        }
        witness.reach(Step::KeyId);
        if members.contains_key("crit") {
            return Err(invalid(FormatFault::CriticalExtensions));
        }
        match members.remove("kid") {
            Some(Json::Text(key_id)) if (1..=limits::MAX_KEY_ID_BYTES).contains(&key_id.len()) => {
                Ok(Self { key_id })
            }
            _ => Err(invalid(FormatFault::KeyId)),
        }
    }
}
