//! Whether a verified token may log in as a role, or keep its session, with what the directory is
//! known to say; and what it has against the token, for the log.
//!
//! The directory is judged last, so that a token which fails otherwise asks nothing.

use uuid::Uuid;

use super::login::{Decision, Knowledge, Pair, Refused, Shown, decide};
use crate::code::Code;
use crate::principal::{Bearer, Principal};
use crate::refusal::Refusal;
use crate::revocations::Revocations;
use crate::step::{Observer, Step};
use crate::token::Token;

/// The verdict on a token that nothing is known against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It is accepted.
    Admit,
    /// It is accepted if the directory, which has to be asked, says that its owner is in the group.
    /// The login is then judged anew.
    Ask(Pair),
}

/// Judges a token that is shown for the role that is linked to `principal`. `revocations` are none
/// if they cannot be read, and then no token is accepted.
///
/// # Errors
/// The first check that fails: kind, object, multi-factor authentication, revocation, directory.
pub fn judge(
    principal: &Principal,
    token: &Token,
    revocations: Option<&Revocations>,
    knowledge: &Knowledge,
    observer: &mut impl Observer,
) -> Result<Verdict, Refusal> {
    let lookup = knowledge.lookup_in_effect();
    principal.accepts_except_membership(token, revocations, lookup, observer)?;
    judge_owner(&Shown::of(token, principal), knowledge, observer)
}

/// Judges the token of a session that has been admitted as a member of the group `by_group`, if it
/// is one. The directory is not asked again: that the owner is in the group was settled by the
/// login.
///
/// # Errors
/// As [`judge`].
pub fn judge_session(
    principal: &Principal,
    token: &Token,
    revocations: Option<&Revocations>,
    knowledge: &Knowledge,
    by_group: Option<Uuid>,
) -> Result<(), Refusal> {
    let lookup = knowledge.lookup_in_effect();
    principal.accepts_except_membership(token, revocations, lookup, &mut ())?;
    let mut shown = Shown::of(token, principal);
    if shown.group.is_some() && shown.group == by_group {
        shown.lists_group = Some(true);
    }
    let knowledge = Knowledge { may_ask: false, ..*knowledge };
    judge_owner(&shown, &knowledge, &mut ()).map(|_| ())
}

/// Judges a token for no role: by what is known about its owner.
///
/// # Errors
/// The directory has something against the owner.
pub fn judge_bearer(
    token: &Token,
    knowledge: &Knowledge,
    observer: &mut impl Observer,
) -> Result<(), Refusal> {
    let shown = Shown {
        person: token.object_id,
        kind: token.kind,
        issued_at: token.issued_at,
        group: None,
        lists_group: None,
    };
    judge_owner(&shown, knowledge, observer).map(|_| ())
}

/// Returns why a session must end for what is known about its token's owner. That the owner is in
/// the group was settled by the login.
#[must_use]
pub fn end_of_session(bearer: &Bearer, issued_at: i64, knowledge: &Knowledge) -> Option<Refused> {
    let Bearer { object_id, kind, group, .. } = *bearer;
    let shown = Shown { person: object_id, kind, issued_at, group, lists_group: Some(true) };
    match decide(&shown, knowledge) {
        Decision::Refuse(reason) => Some(reason),
        Decision::Admit | Decision::Ask(_) => None,
    }
}

fn judge_owner(
    shown: &Shown,
    knowledge: &Knowledge,
    observer: &mut impl Observer,
) -> Result<Verdict, Refusal> {
    if knowledge.is_on {
        observer.step(Step::Directory);
    }
    match decide(shown, knowledge) {
        Decision::Admit => Ok(Verdict::Admit),
        Decision::Ask(pair) => Ok(Verdict::Ask(pair)),
        Decision::Refuse(reason) => Err(Refusal::Directory(Objection {
            reason,
            person: shown.person,
            issued_at: shown.issued_at,
            group: shown.group,
            time: match reason {
                Refused::AccountDisabled | Refused::AccountDeleted => {
                    knowledge.known.and_then(|known| known.out_since)
                }
                Refused::SessionsRevoked => knowledge.known.and_then(|known| known.revoked_at),
                Refused::NotAMember if shown.lists_group == Some(true) => knowledge.membership_ended,
                Refused::NotAMember | Refused::GroupsOverage | Refused::DirectoryUnavailable => None,
            },
        })),
    }
}

/// What the directory has against a token. Times are Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Objection {
    /// Why it is refused.
    pub reason: Refused,
    /// The token's own object.
    pub person: Uuid,
    /// `iat`.
    pub issued_at: i64,
    /// The group that the role is linked to, if it is linked to one.
    pub group: Option<Uuid>,
    /// Since when the owner is known to be disabled or deleted; when the sessions were revoked;
    /// when the membership was seen to have ended. None where no time is known.
    pub time: Option<i64>,
}

impl Refused {
    /// Returns the code of the refusal.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::AccountDisabled => Code::AccountDisabled,
            Self::AccountDeleted => Code::AccountDeleted,
            Self::SessionsRevoked => Code::SessionsRevoked,
            Self::GroupsOverage => Code::GroupsOverage,
            Self::NotAMember => Code::NotAMember,
            Self::DirectoryUnavailable => Code::DirectoryUnavailable,
        }
    }
}

impl Objection {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.reason.code()
    }

    /// Returns the facts for an administrator as `(name, value)`.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let time = |name| (name, self.time.map_or_else(|| "unknown".to_owned(), |time| time.to_string()));
        let mut facts = Vec::new();
        if let Some(group) = self.group.filter(|_| !self.is_about_owner()) {
            facts.push(("expected", group.to_string()));
        }
        facts.push(("oid", self.person.to_string()));
        match self.reason {
            Refused::AccountDisabled | Refused::AccountDeleted => facts.push(time("out_since")),
            Refused::SessionsRevoked => facts.push(time("revoked_at")),
            Refused::NotAMember if self.time.is_some() => facts.push(time("left_at")),
            Refused::NotAMember => facts.push((
                "problem",
                "not in the group, says the directory; it may not know a new member for some minutes"
                    .to_owned(),
            )),
            Refused::GroupsOverage | Refused::DirectoryUnavailable => {}
        }
        facts.push(("issued_at", self.issued_at.to_string()));
        facts
    }

    /// Returns whether it holds for every role that the token is shown for.
    const fn is_about_owner(&self) -> bool {
        matches!(self.reason, Refused::AccountDisabled | Refused::AccountDeleted | Refused::SessionsRevoked)
    }
}
