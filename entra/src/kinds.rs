//! The kinds of things that other files tell apart: parts of a token, kinds of tokens, kinds of
//! directory objects; and the object that a token was issued for.

use std::fmt;

use uuid::Uuid;

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

/// The kind of object a token was issued for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A person, through an application: a delegated token.
    User,
    /// An application or managed identity itself: an app-only token.
    Service,
}

impl TokenKind {
    /// Returns the name that the log and the views have for this kind.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
        }
    }
}

impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The kind of directory object a role is linked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    /// A person, member or guest.
    User,
    /// A group: each of its members may log in as the role.
    Group,
    /// An application or managed identity.
    Service,
}

impl PrincipalKind {
    /// Reads `user`, `group` or `service`, in lower case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "user" => Some(Self::User),
            "group" => Some(Self::Group),
            "service" => Some(Self::Service),
            _ => None,
        }
    }

    /// Reads the same names in any case, and `ServicePrincipal`, which is the name that Azure's
    /// resource manager and tools have for a service.
    #[must_use]
    pub fn parse_as_written(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("ServicePrincipal") {
            return Some(Self::Service);
        }
        Self::parse(&text.to_ascii_lowercase())
    }
}

impl fmt::Display for PrincipalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Service => "service",
        })
    }
}

/// The directory object that a token was issued for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The object's own id.
    pub object_id: Uuid,
    /// Its kind.
    pub kind: TokenKind,
    /// The client application that acquired the token.
    pub application: Option<Uuid>,
}

impl Holder {
    /// Returns the client id, if the object may be named by it. That is so for a service: Azure
    /// allows the client id in its place, because administrators know it. A user's token names the
    /// application that acquired it, which is not the user.
    #[must_use]
    pub fn client_id(&self) -> Option<Uuid> {
        self.application.filter(|_| self.kind == TokenKind::Service)
    }

    /// Returns whether `id` names this object: it is the object's own id, or its client id.
    #[must_use]
    pub fn is_named_by(&self, id: Uuid) -> bool {
        self.object_id == id || self.client_id() == Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_by_its_client_id_and_a_user_is_not() {
        let [object, client, other] = [1, 2, 3].map(Uuid::from_u128);
        for (kind, application, id, expected) in [
            (TokenKind::User, Some(client), object, true),
            (TokenKind::User, Some(client), client, false),
            (TokenKind::User, None, object, true),
            (TokenKind::Service, Some(client), object, true),
            (TokenKind::Service, Some(client), client, true),
            (TokenKind::Service, Some(client), other, false),
            (TokenKind::Service, None, client, false),
        ] {
            let holder = Holder { object_id: object, kind, application };
            assert_eq!(holder.is_named_by(id), expected, "{holder:?} {id}");
        }
    }
}
