//! The codes of refusals: the stable names by which the log, the statistics, the documents and the
//! tests call them.

use std::fmt;

/// The stable name of a refusal.
///
/// The server decides the first eight, not the token; they are here so that there is one list of
/// codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The method that matched an Azure AD role does not ask for an access token.
    WrongMethod,
    /// The connection is neither encrypted by TLS nor a Unix-domain socket.
    TlsRequired,
    /// A setting is missing or does not parse, or the administrators are of another tenant.
    NotConfigured,
    /// No role is an Azure AD administrator.
    NoAdmin,
    /// The role is a superuser, or has REPLICATION or BYPASSRLS.
    PrivilegedRole,
    /// There are no signing keys, or they are too old.
    KeysUnavailable,
    /// The role has no link to a directory object, or is no longer the role it was.
    NotLinked,
    /// An error in this library, or a label of its own that cannot be read.
    Internal,
    /// The token is not a compact JWS of the form Entra issues.
    InvalidFormat,
    /// The algorithm is not RS256.
    UnsupportedAlgorithm,
    /// No cached key has the token's key id.
    UnknownKey,
    /// The key did not make the signature.
    BadSignature,
    /// A claim is missing or malformed.
    InvalidClaims,
    /// `tid` is another tenant.
    WrongTenant,
    /// `iss`, or the issuer of the key, is not accepted.
    WrongIssuer,
    /// `aud` is not accepted.
    WrongAudience,
    /// `exp` has passed.
    Expired,
    /// `nbf` or `iat` lies ahead.
    NotYetValid,
    /// The client application is not allowed.
    ClientNotAllowed,
    /// The required scope or app role is missing.
    PermissionMissing,
    /// `amr` lacks `mfa`.
    MfaRequired,
    /// The token was issued before the role's tokens, or the object's, were revoked.
    TokenRevoked,
    /// The role needs a service's token and got a user's, or the reverse.
    WrongKind,
    /// The token does not list its groups.
    GroupsOverage,
    /// The role is linked to another directory object.
    OidMismatch,
    /// The token's groups do not contain the role's, or the directory says that its owner is not in
    /// the group.
    NotAMember,
    /// The account that the token was issued to is disabled in the directory.
    AccountDisabled,
    /// The account that the token was issued to no longer exists in the directory.
    AccountDeleted,
    /// The token was issued before the account's sign-in sessions were revoked in the directory.
    SessionsRevoked,
    /// The directory cannot be asked at the moment whether the token's owner is in the group.
    DirectoryUnavailable,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 30] = [
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
        Self::AccountDisabled,
        Self::AccountDeleted,
        Self::SessionsRevoked,
        Self::DirectoryUnavailable,
        Self::Internal,
    ];

    /// Returns the code as it is written everywhere.
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
            Self::AccountDisabled => "account_disabled",
            Self::AccountDeleted => "account_deleted",
            Self::SessionsRevoked => "sessions_revoked",
            Self::DirectoryUnavailable => "directory_unavailable",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
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
