//! The reasons to refuse a token: a code each, with the facts that decided, and never the token.

use std::fmt;

use uuid::Uuid;

use crate::code::Code;
use crate::directory::admission::Objection;
use crate::json::JsonFault;
use crate::kinds::{Part, PrincipalKind, TokenKind};
use crate::surroundings::Surroundings;
use crate::untrusted::Untrusted;

/// A defect in the outer form of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatFault {
    /// The token is longer than [`crate::limits::MAX_TOKEN_BYTES`].
    TooLong,
    /// There are not three parts between dots.
    PartCount(usize),
    /// A part is not canonical base64url without padding (RFC 7515 section 2).
    NotBase64Url(Part),
    /// A part is not a JSON object of the strict kind.
    Json(Part, JsonFault),
    /// There are other characters around the token, or blanks within it.
    Surrounded(Surroundings),
    /// `kid` is missing, empty, no string or too long.
    KeyId,
    /// The header has `crit`, a list of extensions that must be understood (RFC 7515 section
    /// 4.1.11). No extension is.
    CriticalExtensions,
}

impl fmt::Display for FormatFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("too long"),
            Self::PartCount(count) => write!(f, "{count} parts instead of 3"),
            Self::NotBase64Url(part) => write!(f, "{part} is not base64url"),
            Self::Json(part, fault) => write!(f, "{part}: {fault}"),
            Self::Surrounded(surroundings) => surroundings.fmt(f),
            Self::KeyId => f.write_str("header: no usable \"kid\""),
            Self::CriticalExtensions => f.write_str("header: has \"crit\""),
        }
    }
}

/// The reason why a token was refused, with the facts an administrator needs.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each variant's code documents it; the fields are the facts it was decided by"
)]
pub enum Refusal {
    /// See [`Code::BadSignature`].
    BadSignature { key_id: Untrusted },
    /// See [`Code::ClientNotAllowed`].
    ClientNotAllowed { found: Option<Uuid> },
    /// What the directory has against the token: see its code.
    Directory(Objection),
    /// See [`Code::Expired`]. Unix seconds.
    Expired { expired_at: i64, now: i64, skew: i64 },
    /// See [`Code::GroupsOverage`].
    GroupsOverage { group: Uuid },
    /// See [`Code::InvalidClaims`]. `problem` says what the claim should be.
    InvalidClaims { claim: &'static str, problem: &'static str },
    /// See [`Code::InvalidFormat`]. `length` in bytes.
    InvalidFormat { fault: FormatFault, length: usize },
    /// See [`Code::MfaRequired`]. Version 2.0 tokens never list their methods.
    MfaRequired { methods_listed: bool },
    /// See [`Code::NotAMember`].
    NotAMember { group: Uuid, listed: Listed },
    /// See [`Code::NotYetValid`]. Unix seconds.
    NotYetValid { claim: &'static str, valid_from: i64, now: i64, skew: i64 },
    /// See [`Code::OidMismatch`].
    OidMismatch { expected: DirectoryObject, found: DirectoryObject, found_app: Option<Uuid> },
    /// See [`Code::PermissionMissing`]. `claim` is `scp` or `roles`.
    PermissionMissing { claim: &'static str, required: String, found: Untrusted },
    /// See [`Code::Internal`]. The list of revoked objects cannot be read.
    RevocationsUnreadable,
    /// See [`Code::TokenRevoked`]. Unix seconds.
    TokenRevoked { issued_at: i64, not_before: i64 },
    /// See [`Code::UnknownKey`].
    UnknownKey { key_id: Untrusted },
    /// See [`Code::UnsupportedAlgorithm`].
    UnsupportedAlgorithm { found: Option<Untrusted> },
    /// See [`Code::WrongAudience`].
    WrongAudience { expected: Vec<String>, found: Untrusted },
    /// See [`Code::WrongIssuer`]. `of` is `token` for the token's `iss`, `key` for the `issuer` of
    /// the signing key.
    WrongIssuer { of: &'static str, expected: Vec<String>, found: Untrusted },
    /// See [`Code::WrongKind`].
    WrongKind { expected: PrincipalKind, found: TokenKind },
    /// See [`Code::WrongTenant`].
    WrongTenant { expected: Uuid, found: Uuid },
}

/// The number of groups a token lists, by object id and by other names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// By object id.
    pub ids: usize,
    /// By something else, for example a name.
    pub others: usize,
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.ids, self.others) {
            (ids, 0) => write!(f, "{ids}"),
            (0, others) => write!(f, "{others} listed, none of them an object id"),
            (ids, others) => write!(f, "{} listed, {ids} of them by object id", ids + others),
        }
    }
}

/// The address of a directory object: an id and the tenant it is unique in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryObject {
    /// The tenant, where one is named.
    pub tenant: Option<Uuid>,
    /// The object's id.
    pub id: Uuid,
}

impl Refusal {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::BadSignature { .. } => Code::BadSignature,
            Self::ClientNotAllowed { .. } => Code::ClientNotAllowed,
            Self::Directory(objection) => objection.code(),
            Self::Expired { .. } => Code::Expired,
            Self::GroupsOverage { .. } => Code::GroupsOverage,
            Self::InvalidClaims { .. } => Code::InvalidClaims,
            Self::InvalidFormat { .. } => Code::InvalidFormat,
            Self::MfaRequired { .. } => Code::MfaRequired,
            Self::NotAMember { .. } => Code::NotAMember,
            Self::NotYetValid { .. } => Code::NotYetValid,
            Self::OidMismatch { .. } => Code::OidMismatch,
            Self::PermissionMissing { .. } => Code::PermissionMissing,
            Self::RevocationsUnreadable => Code::Internal,
            Self::TokenRevoked { .. } => Code::TokenRevoked,
            Self::UnknownKey { .. } => Code::UnknownKey,
            Self::UnsupportedAlgorithm { .. } => Code::UnsupportedAlgorithm,
            Self::WrongAudience { .. } => Code::WrongAudience,
            Self::WrongIssuer { .. } => Code::WrongIssuer,
            Self::WrongKind { .. } => Code::WrongKind,
            Self::WrongTenant { .. } => Code::WrongTenant,
        }
    }

    /// Returns the facts for an administrator as `(name, value)`: expected and found, both ids,
    /// both times.
    ///
    /// Values from the token are cut but not escaped. None is a token or a piece of a signature.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::BadSignature { key_id } | Self::UnknownKey { key_id } => {
                vec![("key_id", key_id.raw().to_owned())]
            }
            Self::ClientNotAllowed { found } => vec![("found", or_none(found.as_ref()))],
            Self::Directory(objection) => objection.facts(),
            Self::Expired { expired_at, now, skew } => {
                vec![
                    ("expired_at", expired_at.to_string()),
                    ("now", now.to_string()),
                    ("skew", skew.to_string()),
                ]
            }
            Self::GroupsOverage { group } => vec![("expected", group.to_string())],
            Self::InvalidClaims { claim, problem } => {
                vec![("claim", (*claim).to_owned()), ("problem", (*problem).to_owned())]
            }
            Self::InvalidFormat { fault, length } => {
                vec![("problem", fault.to_string()), ("length", length.to_string())]
            }
            Self::MfaRequired { methods_listed } => vec![("amr_present", methods_listed.to_string())],
            Self::NotAMember { group, listed } => {
                vec![("expected", group.to_string()), ("groups_listed", listed.to_string())]
            }
            Self::NotYetValid { claim, valid_from, now, skew } => vec![
                ("claim", (*claim).to_owned()),
                ("valid_from", valid_from.to_string()),
                ("now", now.to_string()),
                ("skew", skew.to_string()),
            ],
            Self::OidMismatch { expected, found, found_app } => vec![
                ("expected", expected.id.to_string()),
                ("found", found.id.to_string()),
                ("expected_tenant", or_none(expected.tenant.as_ref())),
                ("found_tenant", or_none(found.tenant.as_ref())),
                ("found_app", or_none(found_app.as_ref())),
            ],
            Self::PermissionMissing { claim, required, found } => vec![
                ("claim", (*claim).to_owned()),
                ("expected", required.clone()),
                ("found", found.raw().to_owned()),
            ],
            Self::RevocationsUnreadable => {
                vec![("problem", "the label of azure_ad_user cannot be read".to_owned())]
            }
            Self::TokenRevoked { issued_at, not_before } => {
                vec![("issued_at", issued_at.to_string()), ("not_before", not_before.to_string())]
            }
            Self::UnsupportedAlgorithm { found } => {
                vec![("found", or_none(found.as_ref().map(Untrusted::raw).as_ref()))]
            }
            Self::WrongAudience { expected, found } => {
                vec![("expected", expected.join(" or ")), ("found", found.raw().to_owned())]
            }
            Self::WrongIssuer { of, expected, found } => {
                vec![
                    ("of", (*of).to_owned()),
                    ("expected", expected.join(" or ")),
                    ("found", found.raw().to_owned()),
                ]
            }
            Self::WrongKind { expected, found } => {
                vec![("expected", expected.to_string()), ("found", found.to_string())]
            }
            Self::WrongTenant { expected, found } => {
                vec![("expected", expected.to_string()), ("found", found.to_string())]
            }
        }
    }
}

fn or_none<T: fmt::Display>(value: Option<&T>) -> String {
    value.map_or_else(|| "none".to_owned(), T::to_string)
}
