//! The header of a token: which key, and that it is RS256. Everything else in it is ignored.
//!
//! `jku`, `jwk`, `x5u` and `x5c` would let the token name its own key. `typ` is kept for the claims to be judged by: it tells
//! an access token from other signed tokens.

use crate::describe::{Step, Witness};
use crate::json::{self, Json};
use crate::jws::Part;
use crate::limits;
use crate::refusal::{FormatFault, Refusal};
use crate::untrusted::Untrusted;

/// The only algorithm accepted (RFC 8725 section 3.1). Entra signs access tokens with no other.
const ALGORITHM: &str = "RS256";

/// What `typ` says a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MediaType {
    /// Nothing, a JWT, or an access token.
    AccessToken,
    /// Anything else.
    Other,
}

impl MediaType {
    /// Entra writes `JWT` in access tokens; RFC 9068 section 2.1 has `at+jwt`. Media types are compared without regard to
    /// case, and may leave out or have `application/` (RFC 7515 section 4.1.9). Parameters are not accepted.
    fn of(value: Option<&Json>) -> Self {
        let Some(value) = value else { return Self::AccessToken };
        let is_known = |text: &str| {
            let (prefix, rest) = text.split_at_checked("application/".len()).unwrap_or_default();
            let name = if prefix.eq_ignore_ascii_case("application/") { rest } else { text };
            ["JWT", "at+jwt"].iter().any(|known| name.eq_ignore_ascii_case(known))
        };
        if value.as_text().is_some_and(is_known) { Self::AccessToken } else { Self::Other }
    }
}

pub(crate) struct Header {
    /// `kid`: not empty, at most [`limits::MAX_KEY_ID_BYTES`].
    pub(crate) key_id: String,
    /// `typ`.
    pub(crate) media_type: MediaType,
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
                Ok(Self { key_id, media_type: MediaType::of(members.get("typ")) })
            }
            _ => Err(invalid(FormatFault::KeyId)),
        }
    }
}
