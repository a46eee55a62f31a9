//! Whether a token is the one a role is linked to.

use std::fmt;

use uuid::Uuid;

use crate::describe::{Step, Witness};
use crate::jws::{Groups, Token, TokenKind};
use crate::label::Label;
use crate::refusal::{Bound, Listed, Refusal};

/// The kind of directory object a role is linked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    /// A person, member or guest.
    User,
    /// A group: whoever is in it may log in as the role.
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

    /// Reads the same in any case, and `ServicePrincipal`, which Azure's resource manager and tools have for a service.
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

/// A directory object a role is linked to, and what it demands of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal {
    /// The object's id.
    pub object_id: Uuid,
    /// Its kind; without one it may be a user or a service.
    pub kind: Option<PrincipalKind>,
    /// Its tenant; without one it is the tenant of the policy.
    pub tenant_id: Option<Uuid>,
    /// Multi-factor authentication is demanded.
    pub mfa: bool,
    /// Tokens issued earlier are refused; Unix seconds.
    pub not_before: Option<i64>,
}

/// What a session is remembered by: as much of its token as a link can ask for later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bearer {
    /// The token's tenant.
    pub tenant: Uuid,
    /// The token's own object.
    pub object_id: Uuid,
    /// Whose token it was.
    pub kind: TokenKind,
    /// The client application.
    pub application: Option<Uuid>,
    /// The group that the person was let in as a member of.
    pub group: Option<Uuid>,
    /// The token said that a second factor was used.
    pub second_factor: bool,
}

impl Bearer {
    /// Of a token that a principal has accepted.
    #[must_use]
    pub fn of(token: &Token, principal: &Principal) -> Self {
        Self {
            tenant: token.tenant,
            object_id: token.object_id,
            kind: token.kind,
            application: token.application,
            group: Some(principal.object_id).filter(|_| principal.kind == Some(PrincipalKind::Group)),
            second_factor: has_second_factor(token),
        }
    }
}

fn has_second_factor(token: &Token) -> bool {
    token.methods.iter().flatten().any(|method| method == "mfa")
}

impl Principal {
    /// Whether a session would be let in by the token it came in with, as far as is known: of the groups in the token only the one
    /// that let it in. Whether the token has been revoked is another matter.
    #[must_use]
    pub fn still_accepts(&self, bearer: &Bearer) -> bool {
        let is_own = bearer.object_id == self.object_id;
        let by_client_id =
            bearer.kind == TokenKind::Application && bearer.application == Some(self.object_id);
        let is_meant = match self.kind {
            Some(PrincipalKind::Group) => bearer.group == Some(self.object_id),
            Some(PrincipalKind::User) => bearer.kind == TokenKind::User && is_own,
            Some(PrincipalKind::Service) => bearer.kind == TokenKind::Application && (is_own || by_client_id),
            None => is_own || by_client_id,
        };
        is_meant
            && self.tenant_id.is_none_or(|tenant| tenant == bearer.tenant)
            && (!self.mfa || bearer.second_factor)
    }

    /// The object a label names, if it names one.
    #[must_use]
    pub fn of(label: &Label) -> Option<Self> {
        label.object_id.map(|object_id| Self {
            object_id,
            kind: label.kind,
            tenant_id: label.tenant_id,
            mfa: label.mfa,
            not_before: label.not_before,
        })
    }

    /// Whether `token` may log in as the role linked to this principal.
    ///
    /// # Errors
    /// The first thing that does not fit: kind, object, multi-factor authentication, revocation.
    pub fn accepts(&self, token: &Token) -> Result<(), Refusal> {
        self.accepts_before(token, &mut ())
    }

    /// The same before a witness.
    ///
    /// # Errors
    /// As [`Principal::accepts`].
    pub fn accepts_before(&self, token: &Token, witness: &mut impl Witness) -> Result<(), Refusal> {
        witness.reach(Step::Principal);
        match self.kind {
            Some(PrincipalKind::Group) => {
                self.check_tenant(token)?;
                self.check_membership(token)?;
            }
            Some(PrincipalKind::User) => {
                self.check_kind(token, TokenKind::User)?;
                self.check_object(token, false)?;
            }
            Some(PrincipalKind::Service) => {
                self.check_kind(token, TokenKind::Application)?;
                self.check_object(token, true)?;
            }
            None => self.check_object(token, token.kind == TokenKind::Application)?,
        }
        witness.reach(Step::Mfa);
        self.check_methods(token)?;
        witness.reach(Step::NotBefore);
        self.check_revocation(token)
    }

    fn check_tenant(&self, token: &Token) -> Result<(), Refusal> {
        if self.tenant_id.is_none_or(|tenant| tenant == token.tenant) {
            return Ok(());
        }
        Err(self.mismatch(token))
    }

    fn check_kind(&self, token: &Token, wanted: TokenKind) -> Result<(), Refusal> {
        match self.kind {
            Some(expected) if token.kind != wanted => Err(Refusal::WrongKind { expected, found: token.kind }),
            _ => Ok(()),
        }
    }

    /// An application may be linked by its client id too, as Azure allows: the id in its tokens that administrators know.
    fn check_object(&self, token: &Token, client_id_counts: bool) -> Result<(), Refusal> {
        self.check_tenant(token)?;
        let by_client_id = client_id_counts && token.application == Some(self.object_id);
        if token.object_id == self.object_id || by_client_id { Ok(()) } else { Err(self.mismatch(token)) }
    }

    fn check_membership(&self, token: &Token) -> Result<(), Refusal> {
        match &token.groups {
            Groups::Listed { ids, .. } if ids.contains(&self.object_id) => Ok(()),
            Groups::Listed { ids, others } => Err(Refusal::NotAMember {
                group: self.object_id,
                listed: Listed { ids: ids.len(), others: *others },
            }),
            Groups::Overage => Err(Refusal::GroupsOverage { group: self.object_id }),
        }
    }

    /// Only version 1.0 tokens list their methods; one that lists none is refused.
    fn check_methods(&self, token: &Token) -> Result<(), Refusal> {
        if !self.mfa || has_second_factor(token) {
            return Ok(());
        }
        Err(Refusal::MfaRequired { methods_listed: token.methods.is_some() })
    }

    const fn check_revocation(&self, token: &Token) -> Result<(), Refusal> {
        match self.not_before {
            Some(not_before) if token.issued_at < not_before => {
                Err(Refusal::TokenRevoked { issued_at: token.issued_at, not_before })
            }
            _ => Ok(()),
        }
    }

    const fn mismatch(&self, token: &Token) -> Refusal {
        Refusal::OidMismatch {
            expected: Bound { tenant: self.tenant_id, object: self.object_id },
            found: Bound { tenant: Some(token.tenant), object: token.object_id },
            found_app: token.application,
        }
    }
}
