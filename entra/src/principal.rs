//! The directory object a role is linked to, and whether a token was issued for it.

use uuid::Uuid;

use crate::directory::login::GroupLookup;
use crate::kinds::{Holder, PrincipalKind, TokenKind};
use crate::label::Label;
use crate::refusal::{DirectoryObject, Listed, Refusal};
use crate::revocations::Revocations;
use crate::step::{Observer, Step};
use crate::token::{Groups, Token};

/// A directory object a role is linked to, and what the link demands of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal {
    /// The object's id.
    pub object_id: Uuid,
    /// Its kind; without one it may be a user or a service.
    pub kind: Option<PrincipalKind>,
    /// Its tenant; without one it is the tenant of the policy.
    pub tenant_id: Option<Uuid>,
    /// The link demands multi-factor authentication.
    pub mfa: bool,
    /// The role refuses tokens that were issued before this time, in Unix seconds.
    pub not_before: Option<i64>,
}

/// The facts about a token that a session keeps: all that the terms of a link can depend on later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bearer {
    /// The token's tenant.
    pub tenant: Uuid,
    /// The token's own object.
    pub object_id: Uuid,
    /// A user's or a service's.
    pub kind: TokenKind,
    /// The client application.
    pub application: Option<Uuid>,
    /// The group by which the login was accepted.
    pub group: Option<Uuid>,
    /// The token said that a second factor was used.
    pub second_factor: bool,
}

impl Bearer {
    /// Returns the facts about a token that `principal` has accepted.
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

    /// Returns the directory object that the token was issued for.
    #[must_use]
    pub const fn holder(&self) -> Holder {
        Holder { object_id: self.object_id, kind: self.kind, application: self.application }
    }
}

fn has_second_factor(token: &Token) -> bool {
    token.methods.iter().flatten().any(|method| method == "mfa")
}

impl Principal {
    /// Returns the object a label names, if it names one.
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

    /// Checks whether `token` may log in as the role linked to this principal. `revocations` are
    /// none if they cannot be read, and then no token may.
    ///
    /// # Errors
    /// The first check that fails: kind, object, multi-factor authentication, revocation.
    pub fn accepts(&self, token: &Token, revocations: Option<&Revocations>) -> Result<(), Refusal> {
        self.accepts_traced(token, revocations, &mut ())
    }

    /// Does the same as [`Principal::accepts`] and tells `observer` of each check.
    ///
    /// # Errors
    /// As [`Principal::accepts`].
    pub fn accepts_traced(
        &self,
        token: &Token,
        revocations: Option<&Revocations>,
        observer: &mut impl Observer,
    ) -> Result<(), Refusal> {
        self.accepts_except_membership(token, revocations, GroupLookup::Off, observer)
    }

    /// Does the same, but leaves the membership open where `lookup` says that the directory is
    /// asked about it. Called by [`crate::directory::admission`] only, which does not leave it
    /// open.
    ///
    /// # Errors
    /// As [`Principal::accepts`].
    pub(crate) fn accepts_except_membership(
        &self,
        token: &Token,
        revocations: Option<&Revocations>,
        lookup: GroupLookup,
        observer: &mut impl Observer,
    ) -> Result<(), Refusal> {
        observer.step(Step::Principal);
        match self.kind {
            Some(PrincipalKind::Group) => {
                self.check_tenant(token)?;
                self.check_membership(token, lookup)?;
            }
            Some(PrincipalKind::User) => {
                self.check_kind(token, TokenKind::User)?;
                self.check_object(token)?;
            }
            Some(PrincipalKind::Service) => {
                self.check_kind(token, TokenKind::Service)?;
                self.check_object(token)?;
            }
            None => self.check_object(token)?,
        }
        observer.step(Step::Mfa);
        self.check_methods(token)?;
        observer.step(Step::NotBefore);
        revocations.ok_or(Refusal::RevocationsUnreadable)?.check(token, self.not_before)
    }

    /// Returns whether a session's token would be accepted now, as far as the session knows its
    /// token: of the token's groups it knows only the one by which the login was accepted.
    ///
    /// Revocation is another question: [`Revocations::revoked_before`].
    #[must_use]
    pub fn still_accepts(&self, bearer: &Bearer) -> bool {
        let is_object = bearer.holder().is_named_by(self.object_id);
        let fits = match self.kind {
            Some(PrincipalKind::Group) => bearer.group == Some(self.object_id),
            Some(PrincipalKind::User) => bearer.kind == TokenKind::User && is_object,
            Some(PrincipalKind::Service) => bearer.kind == TokenKind::Service && is_object,
            None => is_object,
        };
        fits && self.tenant_id.is_none_or(|tenant| tenant == bearer.tenant)
            && (!self.mfa || bearer.second_factor)
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

    fn check_object(&self, token: &Token) -> Result<(), Refusal> {
        self.check_tenant(token)?;
        if token.holder().is_named_by(self.object_id) { Ok(()) } else { Err(self.mismatch(token)) }
    }

    fn check_membership(&self, token: &Token, lookup: GroupLookup) -> Result<(), Refusal> {
        match &token.groups {
            Groups::Listed { ids, .. } if ids.contains(&self.object_id) => Ok(()),
            Groups::Listed { .. } if lookup == GroupLookup::Always => Ok(()),
            Groups::Overage if lookup != GroupLookup::Off => Ok(()),
            Groups::Listed { ids, others } => Err(Refusal::NotAMember {
                group: self.object_id,
                listed: Listed { ids: ids.len(), others: *others },
            }),
            Groups::Overage => Err(Refusal::GroupsOverage { group: self.object_id }),
        }
    }

    /// Checks the authentication methods. Only version 1.0 tokens list theirs; a token that lists
    /// none is refused.
    fn check_methods(&self, token: &Token) -> Result<(), Refusal> {
        if !self.mfa || has_second_factor(token) {
            return Ok(());
        }
        Err(Refusal::MfaRequired { methods_listed: token.methods.is_some() })
    }

    const fn mismatch(&self, token: &Token) -> Refusal {
        Refusal::OidMismatch {
            expected: DirectoryObject { tenant: self.tenant_id, id: self.object_id },
            found: DirectoryObject { tenant: Some(token.tenant), id: token.object_id },
            found_app: token.application,
        }
    }
}
