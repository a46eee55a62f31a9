//! Why a token does not open a door: one code each, with the facts and without the token.

use std::fmt;

use uuid::Uuid;

use crate::json::JsonFault;
use crate::jws::{Part, TokenKind};
use crate::principal::PrincipalKind;
use crate::surroundings::Surroundings;
use crate::untrusted::Untrusted;

/// The stable name of a refusal: in the log line, the statistics, the README and the tests.
///
/// The first eight are decided by the server, not by the token; they are here so that there is one list of codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// An Azure AD role was matched by a method other than ours.
    WrongMethod,
    /// The connection is neither encrypted by TLS nor a Unix-domain socket.
    TlsRequired,
    /// A setting is missing or does not parse, or the association names another tenant.
    NotConfigured,
    /// No role is the Azure AD administrator.
    NoAdmin,
    /// The role is a superuser, or has REPLICATION or BYPASSRLS.
    PrivilegedRole,
    /// No signing keys, or none young enough.
    KeysUnavailable,
    /// The role has no link to a directory object, or is no longer the role it was.
    NotLinked,
    /// A fault of ours.
    Internal,
    /// Not a compact JWS of the form Entra issues.
    InvalidFormat,
    /// An algorithm other than RS256.
    UnsupportedAlgorithm,
    /// No cached key has the token's key id.
    UnknownKey,
    /// The signature does not fit.
    BadSignature,
    /// A claim is missing or malformed.
    InvalidClaims,
    /// `tid` is another tenant's.
    WrongTenant,
    /// `iss`, or the issuer of the key, is not accepted.
    WrongIssuer,
    /// `aud` is not accepted.
    WrongAudience,
    /// `exp` has passed.
    Expired,
    /// `nbf` or `iat` lies ahead.
    NotYetValid,
    /// The client application may not be used.
    ClientNotAllowed,
    /// The required scope or app role is missing.
    PermissionMissing,
    /// `amr` lacks `mfa`.
    MfaRequired,
    /// Issued before the role's tokens were revoked.
    TokenRevoked,
    /// A user's token where an application's is wanted, or the reverse.
    WrongKind,
    /// The token does not list its groups.
    GroupsOverage,
    /// The role is bound to another directory object.
    OidMismatch,
    /// The token's groups do not contain the role's.
    NotAMember,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 26] = [
        Self::WrongMethod,
        Self::TlsRequired,
        Self::NotConfigured,
        Self::NoAdmin,
        Self::PrivilegedRole,
        Self::KeysUnavailable,
        Self::InvalidFormat,
        Self::UnsupportedAlgorithm,
        Self::UnknownKey,
        Self::BadSignature,
        Self::InvalidClaims,
        Self::WrongTenant,
        Self::WrongIssuer,
        Self::WrongAudience,
        Self::Expired,
        Self::NotYetValid,
        Self::ClientNotAllowed,
        Self::PermissionMissing,
        Self::MfaRequired,
        Self::TokenRevoked,
        Self::WrongKind,
        Self::GroupsOverage,
        Self::NotLinked,
        Self::OidMismatch,
        Self::NotAMember,
        Self::Internal,
    ];

    /// The code as it is written everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongMethod => "wrong_method",
            Self::TlsRequired => "tls_required",
            Self::NotConfigured => "not_configured",
            Self::NoAdmin => "no_admin",
            Self::PrivilegedRole => "privileged_role",
            Self::KeysUnavailable => "keys_unavailable",
            Self::NotLinked => "not_linked",
            Self::Internal => "internal",
            Self::InvalidFormat => "invalid_format",
            Self::UnsupportedAlgorithm => "unsupported_algorithm",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::InvalidClaims => "invalid_claims",
            Self::WrongTenant => "wrong_tenant",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::ClientNotAllowed => "client_not_allowed",
            Self::PermissionMissing => "permission_missing",
            Self::MfaRequired => "mfa_required",
            Self::TokenRevoked => "token_revoked",
            Self::WrongKind => "wrong_kind",
            Self::GroupsOverage => "groups_overage",
            Self::OidMismatch => "oid_mismatch",
            Self::NotAMember => "not_a_member",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is wrong with the outer form of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatFault {
    /// Longer than [`crate::limits::MAX_TOKEN_BYTES`].
    TooLong,
    /// Not three parts between dots.
    PartCount(usize),
    /// A part is not canonical base64url without padding (RFC 7515 section 2).
    NotBase64Url(Part),
    /// A part is not a JSON object of the strict kind.
    Json(Part, JsonFault),
    /// Something stands around the token, or within it.
    Surrounded(Surroundings),
    /// `kid` is missing, empty, no string or too long.
    KeyId,
    /// The header has `crit`: extensions that must be understood (RFC 7515 section 4.1.11), and none are.
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

/// Whose issuer was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssuerOf {
    /// The token's `iss`.
    Token,
    /// The `issuer` property of the signing key.
    Key,
}

/// Why a token was refused, with the facts an administrator needs.
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
    OidMismatch { expected: Bound, found: Bound, found_app: Option<Uuid> },
    /// See [`Code::PermissionMissing`]. `claim` is `scp` or `roles`.
    PermissionMissing { claim: &'static str, required: String, found: Untrusted },
    /// See [`Code::TokenRevoked`]. Unix seconds.
    TokenRevoked { issued_at: i64, not_before: i64 },
    /// See [`Code::UnknownKey`].
    UnknownKey { key_id: Untrusted },
    /// See [`Code::UnsupportedAlgorithm`].
    UnsupportedAlgorithm { found: Option<Untrusted> },
    /// See [`Code::WrongAudience`].
    WrongAudience { expected: Vec<String>, found: Untrusted },
    /// See [`Code::WrongIssuer`].
    WrongIssuer { of: IssuerOf, expected: Vec<String>, found: Untrusted },
    /// See [`Code::WrongKind`].
    WrongKind { expected: PrincipalKind, found: TokenKind },
    /// See [`Code::WrongTenant`].
    WrongTenant { expected: Uuid, found: Uuid },
}

/// How many groups a token lists, by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// By object id.
    pub ids: usize,
    /// By something else, as by a name.
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

/// A directory object: an id and the tenant it is unique in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The tenant, where one is named.
    pub tenant: Option<Uuid>,
    /// The object.
    pub object: Uuid,
}

impl Refusal {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::BadSignature { .. } => Code::BadSignature,
            Self::ClientNotAllowed { .. } => Code::ClientNotAllowed,
            Self::Expired { .. } => Code::Expired,
            Self::GroupsOverage { .. } => Code::GroupsOverage,
            Self::InvalidClaims { .. } => Code::InvalidClaims,
            Self::InvalidFormat { .. } => Code::InvalidFormat,
            Self::MfaRequired { .. } => Code::MfaRequired,
            Self::NotAMember { .. } => Code::NotAMember,
            Self::NotYetValid { .. } => Code::NotYetValid,
            Self::OidMismatch { .. } => Code::OidMismatch,
            Self::PermissionMissing { .. } => Code::PermissionMissing,
            Self::TokenRevoked { .. } => Code::TokenRevoked,
            Self::UnknownKey { .. } => Code::UnknownKey,
            Self::UnsupportedAlgorithm { .. } => Code::UnsupportedAlgorithm,
            Self::WrongAudience { .. } => Code::WrongAudience,
            Self::WrongIssuer { .. } => Code::WrongIssuer,
            Self::WrongKind { .. } => Code::WrongKind,
            Self::WrongTenant { .. } => Code::WrongTenant,
        }
    }

    /// What an administrator wants to know, as `(name, value)`: expected and found, both ids, both times.
    ///
    /// Values from the token are cut, and not yet escaped; none is a token or a piece of a signature.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::BadSignature { key_id } | Self::UnknownKey { key_id } => {
                vec![("key_id", key_id.raw().to_owned())]
            }
            Self::ClientNotAllowed { found } => vec![("found", or_none(found.as_ref()))],
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
                ("expected", expected.object.to_string()),
                ("found", found.object.to_string()),
                ("expected_tenant", or_none(expected.tenant.as_ref())),
                ("found_tenant", or_none(found.tenant.as_ref())),
                ("found_app", or_none(found_app.as_ref())),
            ],
            Self::PermissionMissing { claim, required, found } => vec![
                ("claim", (*claim).to_owned()),
                ("expected", required.clone()),
                ("found", found.raw().to_owned()),
            ],
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
                let whose = match of {
                    IssuerOf::Token => "token",
                    IssuerOf::Key => "key",
                };
                vec![
                    ("of", whose.to_owned()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_lower_snake_and_distinct() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }
}
