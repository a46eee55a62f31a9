//! The compact form of a token (RFC 7515 section 3.1), from bytes to a [`Token`].
//!
//! [`Unverified::parse`] takes the three parts apart and reads the header; [`Unverified::verify`]
//! is the only way from there to a [`Token`]. The order of the checks is the order of trust: no
//! claim is read before the signature has been verified, except to decide whether the token is
//! worth a request for newer keys ([`Unverified::could_pass`]).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::claims::{Claims, Envelope};
use crate::directory::admission::{Verdict, judge};
use crate::directory::login::Knowledge;
use crate::header::Header;
use crate::json;
use crate::keyset::Key;
use crate::kinds::Part;
use crate::limits;
use crate::policy::Policy;
use crate::principal::Principal;
use crate::refusal::{FormatFault, Refusal};
use crate::revocations::Revocations;
use crate::signature;
use crate::step::{Observer, Step};
use crate::surroundings::Surroundings;
use crate::token::Token;
use crate::untrusted::Untrusted;

/// A token taken apart, of which nothing has been verified.
///
/// Every buffer from which a token could be put together again is wiped when this is dropped. The
/// text it was parsed from belongs to the caller, who wipes it.
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
        Self::parse_traced(text, &mut ())
    }

    /// Does the same as [`Unverified::parse`] and tells `observer` of each check.
    ///
    /// # Errors
    /// As [`Unverified::parse`].
    pub fn parse_traced(text: &'t [u8], observer: &mut impl Observer) -> Result<Self, Refusal> {
        let length = text.len();
        let invalid = |fault| Refusal::InvalidFormat { fault, length };
        observer.step(Step::Size);
        if length > limits::MAX_TOKEN_BYTES {
            return Err(invalid(FormatFault::TooLong));
        }
        observer.step(Step::Parts);
        let mut parts = text.split(|byte| *byte == b'.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            let count = text.split(|byte| *byte == b'.').count();
            return Err(invalid(surrounded_or(text, FormatFault::PartCount(count))));
        };
        let decode = |part, piece| {
            decode(piece).ok_or_else(|| invalid(surrounded_or(text, FormatFault::NotBase64Url(part))))
        };
        let signed =
            text.get(..header.len() + 1 + claims.len()).ok_or_else(|| invalid(FormatFault::TooLong))?;
        let header = decode(Part::Header, header)?;
        let claims = decode(Part::Claims, claims)?;
        let signature = decode(Part::Signature, signature)?;
        let header = Header::parse(&header, length, observer)?;
        Ok(Self { signed, header, claims, signature, length })
    }

    /// Returns the `kid` of the header.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.header.key_id
    }

    /// Returns the token if `key` signed it and its claims fit `policy` at `now` (Unix seconds).
    ///
    /// # Errors
    /// The first check that fails, in the order of [`Step`].
    pub fn verify(&self, key: &Key, policy: &Policy, now: i64) -> Result<Token, Refusal> {
        self.verify_traced(key, policy, now, &mut ())
    }

    /// Does the same as [`Unverified::verify`] and tells `observer` of each check.
    ///
    /// # Errors
    /// As [`Unverified::verify`].
    pub fn verify_traced(
        &self,
        key: &Key,
        policy: &Policy,
        now: i64,
        observer: &mut impl Observer,
    ) -> Result<Token, Refusal> {
        observer.step(Step::Signature);
        if !signature::fits(self.signed, &self.signature, key) {
            return Err(Refusal::BadSignature { key_id: Untrusted::new(self.key_id()) });
        }
        observer.step(Step::Claims);
        self.claims()?.check(&self.envelope(key.issuer()), policy, now, observer)
    }

    /// Checks whether the token would be accepted for a role linked to `principal` if a key that is
    /// not known yet had signed it. The result is not a reason to trust the token.
    ///
    /// Only such a token is worth a request for newer keys. Anyone can invent a key id, and the
    /// claims of a token for this server are no secret; but only a client that knows the object
    /// which the role is linked to, or an object that is known to be in the role's group, can pass
    /// this check. `knows` returns what is known about an object.
    ///
    /// # Errors
    /// The first check that fails, of the claims or of the principal's. A token for which the
    /// directory would have to be asked fails.
    pub fn could_pass(
        &self,
        policy: &Policy,
        now: i64,
        principal: &Principal,
        revocations: Option<&Revocations>,
        knows: impl FnOnce(Uuid) -> Knowledge,
    ) -> Result<(), Refusal> {
        let token = self.claims()?.check(&self.envelope(None), policy, now, &mut ())?;
        let knowledge = Knowledge { may_ask: false, ..knows(token.object_id) };
        match judge(principal, &token, revocations, &knowledge, &mut ())? {
            Verdict::Admit => Ok(()),
            Verdict::Ask(pair) => Err(Refusal::GroupsOverage { group: pair.group }),
        }
    }

    const fn envelope<'e>(&'e self, key_issuer: Option<&'e str>) -> Envelope<'e> {
        Envelope { key_id: self.header.key_id.as_str(), key_issuer, media_type: self.header.media_type }
    }

    /// Reads the claims, which nothing vouches for until the signature has been verified.
    pub(crate) fn claims(&self) -> Result<Claims, Refusal> {
        json::parse_object(&self.claims, limits::MAX_TOKEN_VALUES).map(Claims::new).map_err(|fault| {
            Refusal::InvalidFormat { fault: FormatFault::Json(Part::Claims, fault), length: self.length }
        })
    }
}

/// Returns what surrounds the token in `text`, if a whole token can be seen in it, else `fault`.
fn surrounded_or(text: &[u8], fault: FormatFault) -> FormatFault {
    Surroundings::of(text).map_or(fault, FormatFault::Surrounded)
}

/// Decodes canonical base64url without padding: no blanks, no other alphabet, no stray bits at the
/// end (RFC 4648 sections 3.5, 5).
///
/// It decodes into a buffer of its own, so that the buffer is wiped even if the error is found only
/// at the end of the text.
fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut buffer).ok()?;
    buffer.truncate(length);
    Some(buffer)
}
