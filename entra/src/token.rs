//! A verified token: what its claims say, and what of them may be shown.

use std::fmt;

use uuid::Uuid;

use crate::json::{self, Json, Object};
use crate::kinds::{Holder, TokenKind};
use crate::untrusted::Untrusted;

/// Claims that only Entra uses: opaque texts to revalidate a token by ("Access token claims
/// reference", Microsoft).
const OPAQUE_CLAIMS: [&str; 2] = ["aio", "rh"];

/// The groups that a token lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Groups {
    /// The groups in the claim; none if it is missing.
    Listed {
        /// Object ids.
        ids: Vec<Uuid>,
        /// The number of entries that are not object ids but names, say. They never match.
        others: usize,
    },
    /// There are too many groups to list; they would have to be asked for ("Groups overage claim",
    /// Microsoft).
    Overage,
}

/// A token whose signature and claims are valid. Only verifying a token makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Token {
    /// `tid`.
    pub tenant: Uuid,
    /// `oid`: unique within the tenant, the same in every application.
    pub object_id: Uuid,
    /// A user's or a service's.
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
    /// A name to show to people, never to compare (`upn`, `preferred_username`, `unique_name`).
    pub display_name: Option<Untrusted>,
    /// `uti`, to find the sign-in in Entra's logs.
    pub token_id: Option<Untrusted>,
    /// `kid` of the key that signed it.
    pub key_id: String,
    pub(crate) members: Members,
}

/// All claims as they came. `{:?}` does not show them: some are opaque, and there may be many.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Members(pub(crate) Object);

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} claims", self.0.len())
    }
}

impl Token {
    /// Returns the directory object that the token was issued for.
    #[must_use]
    pub const fn holder(&self) -> Holder {
        Holder { object_id: self.object_id, kind: self.kind, application: self.application }
    }

    /// Returns all claims as JSON, except the opaque ones. Neither the token nor its signature can
    /// be made of them.
    #[must_use]
    pub fn shown_claims(&self) -> String {
        let mut shown = String::new();
        let members = self.members.0.iter().filter(|(name, _)| !OPAQUE_CLAIMS.contains(&name.as_str()));
        json::write_members(members, &mut shown);
        shown
    }

    /// Returns one of these claims: a string as it is, any other value as JSON, and none for
    /// `null`.
    #[must_use]
    pub fn shown_claim(&self, name: &str) -> Option<String> {
        if OPAQUE_CLAIMS.contains(&name) {
            return None;
        }
        match self.members.0.get(name)? {
            Json::Null => None,
            // A PostgreSQL text cannot contain this character.
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
