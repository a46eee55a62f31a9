//! The header of a token, which must name a key and RS256. All other members are ignored.
//!
//! `jku`, `jwk`, `x5u` and `x5c` would let the token bring its own key. `typ` is kept for the check
//! of the claims, because it tells an access token from other signed tokens.

use crate::json::{self, Json};
use crate::kinds::Part;
use crate::limits;
use crate::refusal::{FormatFault, Refusal};
use crate::step::{Observer, Step};
use crate::untrusted::Untrusted;

/// The only algorithm accepted (RFC 8725 section 3.1). Entra signs access tokens with no other.
const ALGORITHM: &str = "RS256";

/// The type of token that `typ` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MediaType {
    /// `typ` is missing, or names a JWT or an access token.
    AccessToken,
    /// `typ` names anything else.
    Other,
}

impl MediaType {
    /// Reads `typ`. Entra writes `JWT` in access tokens; RFC 9068 section 2.1 has `at+jwt`. Media
    /// types are compared without regard to case, with or without `application/` (RFC 7515 section
    /// 4.1.9). Parameters are not accepted.
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

/// The members of a header that are used.
pub(crate) struct Header {
    /// `kid`: not empty, at most [`limits::MAX_KEY_ID_BYTES`].
    pub(crate) key_id: String,
    /// `typ`.
    pub(crate) media_type: MediaType,
}

impl Header {
    /// Reads a decoded header. `length` is that of the whole token, for the refusal.
    pub(crate) fn parse(bytes: &[u8], length: usize, observer: &mut impl Observer) -> Result<Self, Refusal> {
        let invalid = |fault| Refusal::InvalidFormat { fault, length };
        observer.step(Step::Header);
        let mut members = json::parse_object(bytes, limits::MAX_TOKEN_VALUES)
            .map_err(|fault| invalid(FormatFault::Json(Part::Header, fault)))?;
        observer.step(Step::Algorithm);
        match members.get("alg").and_then(Json::as_text) {
            Some(ALGORITHM) => {}
            other => {
                return Err(Refusal::UnsupportedAlgorithm { found: other.map(Untrusted::new) });
            }
        }
        observer.step(Step::KeyId);
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
