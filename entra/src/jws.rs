//! From bytes to a token one may believe.
//!
//! [`Unverified::parse`] takes the three parts apart and reads the header; [`Unverified::verify`] is the only way from
//! there to a [`Token`]. The order of the checks is the order of trust: nothing of the claims is looked at before the
//! signature, except to decide whether asking for newer keys is worth a request ([`Unverified::could_pass`]).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::claims::{Claims, Envelope};
use crate::describe::{Step, Witness};
use crate::header::Header;
use crate::json::{self, Json, Object};
use crate::keyset::Key;
use crate::limits;
use crate::policy::Policy;
use crate::principal::Principal;
use crate::refusal::{FormatFault, Refusal};
use crate::revocations::Revocations;
use crate::signature;
use crate::surroundings::Surroundings;
use crate::untrusted::Untrusted;

/// One of the three parts of a compact JWS (RFC 7515 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Algorithm and key id.
    Header,
    /// The claims.
    Claims,
    /// The signature over the two others.
    Signature,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Claims => "claims",
            Self::Signature => "signature",
        })
    }
}

/// For whom a token was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A person, through an application: a delegated token.
    User,
    /// An application or managed identity itself: an app-only token.
    Application,
}

impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Application => "application",
        })
    }
}

/// The groups a token speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Groups {
    /// Those listed; none when the claim is missing.
    Listed {
        /// Object ids.
        ids: Vec<Uuid>,
        /// How many are listed beside them by something else, as by a name, and so never match.
        others: usize,
    },
    /// There are too many to list, and they are to be asked for ("Groups overage claim", Microsoft).
    Overage,
}

/// A token whose signature and claims hold. There is no other way to get one than verifying it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Token {
    /// `tid`.
    pub tenant: Uuid,
    /// `oid`: unique within the tenant, the same in every application.
    pub object_id: Uuid,
    /// A user's or an application's.
    pub kind: TokenKind,
    /// The client application: `appid` (1.0) or `azp` (2.0).
    pub application: Option<Uuid>,
    /// `groups`.
    pub groups: Groups,
    /// `amr`, where the token has it (1.0 only).
    pub methods: Option<Vec<String>>,
    /// `iat`, Unix seconds.
    pub issued_at: i64,
    /// `exp`, Unix seconds.
    pub expires_at: i64,
    /// A name to show to people; never to compare (`upn`, `preferred_username`, `unique_name`).
    pub display_name: Option<Untrusted>,
    /// `uti`, to find the sign-in in Entra's logs.
    pub token_id: Option<Untrusted>,
    /// `kid` of the key that signed it.
    pub key_id: String,
    pub(crate) members: Members,
}

/// All claims, as they came. Not shown by `{:?}`: some are opaque, and there may be many.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Members(pub(crate) Object);

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} claims", self.0.len())
    }
}

/// Claims that are Entra's own business: opaque texts to revalidate a token by ("Access token claims reference", Microsoft).
const OPAQUE_CLAIMS: [&str; 2] = ["aio", "rh"];

impl Token {
    /// All claims but those that are Entra's own business, as JSON. Neither the token nor its signature can be made of them.
    #[must_use]
    pub fn shown_claims(&self) -> String {
        let mut shown = String::new();
        let members = self.members.0.iter().filter(|(name, _)| !OPAQUE_CLAIMS.contains(&name.as_str()));
        json::write_members(members, &mut shown);
        shown
    }

    /// One of these: a string as it is, anything else as JSON; none for `null`.
    #[must_use]
    pub fn shown_claim(&self, name: &str) -> Option<String> {
        if OPAQUE_CLAIMS.contains(&name) {
            return None;
        }
        match self.members.0.get(name)? {
            Json::Null => None,
            // PostgreSQL's texts cannot have this character.
            Json::Text(text) => Some(text.replace('\0', "\u{fffd}")),
            Json::Number(digits) => Some(digits.clone()),
            other => {
                let mut shown = String::new();
                other.write(&mut shown);
                Some(shown)
            }
        }
    }
}

/// A token taken apart, of which nothing has been verified. What could be put together to a token again is wiped when this
/// is dropped; whoever owns the text wipes that.
pub struct Unverified<'t> {
    signed: &'t [u8],
    header: Header,
    claims: Zeroizing<Vec<u8>>,
    signature: Zeroizing<Vec<u8>>,
    length: usize,
}

impl<'t> Unverified<'t> {
    /// Takes a compact JWS apart and reads its header.
    ///
    /// # Errors
    /// [`Refusal::InvalidFormat`] or [`Refusal::UnsupportedAlgorithm`].
    pub fn parse(text: &'t [u8]) -> Result<Self, Refusal> {
        Self::parse_before(text, &mut ())
    }

    /// The same before a witness.
    ///
    /// # Errors
    /// As [`Unverified::parse`].
    pub fn parse_before(text: &'t [u8], witness: &mut impl Witness) -> Result<Self, Refusal> {
        let length = text.len();
        let invalid = |fault| Refusal::InvalidFormat { fault, length };
        witness.reach(Step::Size);
        if length > limits::MAX_TOKEN_BYTES {
            return Err(invalid(FormatFault::TooLong));
        }
        witness.reach(Step::Parts);
        let mut parts = text.split(|byte| *byte == b'.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            let count = text.split(|byte| *byte == b'.').count();
            return Err(invalid(Surroundings::or(text, FormatFault::PartCount(count))));
        };
        let decode = |part, piece| {
            decode(piece).ok_or_else(|| invalid(Surroundings::or(text, FormatFault::NotBase64Url(part))))
        };
        let signed =
            text.get(..header.len() + 1 + claims.len()).ok_or_else(|| invalid(FormatFault::TooLong))?;
        let header = decode(Part::Header, header)?;
        let claims = decode(Part::Claims, claims)?;
        let signature = decode(Part::Signature, signature)?;
        let header = Header::parse(&header, length, witness)?;
        Ok(Self { signed, header, claims, signature, length })
    }

    /// The `kid` of the header.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.header.key_id
    }

    /// Believes the token if `key` signed it and its claims fit `policy` at `now` (Unix seconds).
    ///
    /// # Errors
    /// The first check that fails, in the order of the contract.
    pub fn verify(&self, key: &Key, policy: &Policy, now: i64) -> Result<Token, Refusal> {
        self.verify_before(key, policy, now, &mut ())
    }

    /// The same before a witness.
    ///
    /// # Errors
    /// As [`Unverified::verify`].
    pub fn verify_before(
        &self,
        key: &Key,
        policy: &Policy,
        now: i64,
        witness: &mut impl Witness,
    ) -> Result<Token, Refusal> {
        witness.reach(Step::Signature);
        if !signature::fits(self.signed, &self.signature, key) {
            return Err(Refusal::BadSignature { key_id: Untrusted::new(self.key_id()) });
        }
        witness.reach(Step::Claims);
        self.claims()?.judge(&self.envelope(key.issuer()), policy, now, witness)
    }

    /// Whether the token would be let in as a role linked to `principal`, if a key not yet known
    /// had signed it. Believes nothing.
    ///
    /// Only such a token is worth a request for newer keys: anyone can invent a key id, and the
    /// claims of a token for this server are no secret, but whose the role is has to be known as
    /// well.
    ///
    /// # Errors
    /// The first check that fails, of the claims or of the principal's.
    pub fn could_pass(
        &self,
        policy: &Policy,
        now: i64,
        principal: &Principal,
        revocations: &Revocations,
    ) -> Result<(), Refusal> {
        let token = self.claims()?.judge(&self.envelope(None), policy, now, &mut ())?;
        principal.accepts(&token)?;
        revocations.check(&token)
    }

    const fn envelope<'e>(&'e self, key_issuer: Option<&'e str>) -> Envelope<'e> {
        Envelope { key_id: self.header.key_id.as_str(), key_issuer, media_type: self.header.media_type }
    }

    pub(crate) fn claims(&self) -> Result<Claims, Refusal> {
        json::parse_object(&self.claims, limits::MAX_TOKEN_VALUES).map(Claims::new).map_err(|fault| {
            Refusal::InvalidFormat { fault: FormatFault::Json(Part::Claims, fault), length: self.length }
        })
    }
}

/// Canonical base64url without padding: no blanks, no other alphabet, no stray bits at the end (RFC 4648 sections 3.5, 5).
///
/// Into a buffer of ours, which is wiped also if only its end turns out to be none.
fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut buffer).ok()?;
    buffer.truncate(length);
    Some(buffer)
}
