//! What the directory has to say about a login whose token has passed every other check.

use uuid::Uuid;

use super::standing::{Known, Out, Standing, was_issued_before};
use crate::freshness::Millis;
use crate::kinds::{PrincipalKind, TokenKind};
use crate::principal::Principal;
use crate::token::{Groups, Token};

/// When a login asks the directory whether the token's owner is in the role's group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupLookup {
    /// Never.
    Off,
    /// When the token has too many groups to list them.
    #[default]
    Overage,
    /// Whenever the token does not list the group.
    Always,
}

impl GroupLookup {
    /// Reads the value of the setting `group_lookup`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "off" => Some(Self::Off),
            "overage" => Some(Self::Overage),
            "always" => Some(Self::Always),
            _ => None,
        }
    }
}

/// A principal and a group that it may be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// The token's own object.
    pub person: Uuid,
    /// The group.
    pub group: Uuid,
}

/// An answer to the question whether somebody is in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Answered {
    /// It is, directly or through other groups.
    pub is_member: bool,
    /// Until when the answer counts, by the clock that never goes back.
    pub until: Millis,
}

/// An answer counts for so many milliseconds at least, so that the login which waits for it can
/// still read it, whatever is left of its token's life.
const SHORTEST: Millis = 5_000;

impl Answered {
    /// Returns how long an answer of `now` counts: a yes for `cache`, but not past the end of the
    /// tokens for which it was asked, and a no for a tenth of it. Times in milliseconds;
    /// `token_left`: what is left of the longest life of these tokens. Each token's end is a check
    /// of its own.
    #[must_use]
    pub const fn at(now: Millis, is_member: bool, cache: Millis, token_left: Millis) -> Self {
        let yes = if cache < token_left { cache } else { token_left };
        let lasts = if is_member { yes } else { cache / 10 };
        let lasts = if lasts < SHORTEST { SHORTEST } else { lasts };
        Self { is_member, until: now.saturating_add(lasts) }
    }

    /// Returns the answer, if it still counts.
    #[must_use]
    pub const fn counts(&self, now: Millis) -> Option<bool> {
        if now < self.until { Some(self.is_member) } else { None }
    }
}

/// What of a verified token matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// `oid`.
    pub person: Uuid,
    /// Whether it is a user's or a service's.
    pub kind: TokenKind,
    /// `iat`, Unix seconds.
    pub issued_at: i64,
    /// The group that the role is linked to, if it is linked to one.
    pub group: Option<Uuid>,
    /// Whether the token lists that group; none: it has too many groups to list them.
    pub lists_group: Option<bool>,
}

impl Shown {
    /// Returns what matters of a token that is shown for a role.
    #[must_use]
    pub fn of(token: &Token, principal: &Principal) -> Self {
        let group = Some(principal.object_id).filter(|_| principal.kind == Some(PrincipalKind::Group));
        let lists_group = match &token.groups {
            Groups::Listed { ids, .. } => Some(group.is_some_and(|group| ids.contains(&group))),
            Groups::Overage => None,
        };
        Self { person: token.object_id, kind: token.kind, issued_at: token.issued_at, group, lists_group }
    }
}

/// What the server knows when a token is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Knowledge {
    /// The directory is on. If it is off, nothing of what follows counts.
    pub is_on: bool,
    /// The directory may be asked: the settings are complete, and the service has not demanded a
    /// pause.
    pub may_ask: bool,
    /// The setting.
    pub lookup: GroupLookup,
    /// What is known about the token's owner.
    pub known: Option<Known>,
    /// When the owner's membership in the group was seen to have ended, in Unix seconds.
    pub membership_ended: Option<i64>,
    /// The answer to the question whether the owner is in the group, if it still counts.
    pub is_member: Option<bool>,
}

/// The reason why the directory refuses a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The account is disabled.
    AccountDisabled,
    /// The account no longer exists.
    AccountDeleted,
    /// The token was issued before the account's sign-in sessions were revoked.
    SessionsRevoked,
    /// The token does not list its groups, and nothing may be asked.
    GroupsOverage,
    /// The owner is not in the role's group.
    NotAMember,
    /// The membership cannot be verified at the moment.
    DirectoryUnavailable,
}

impl Knowledge {
    /// What is known while the directory is off: nothing that counts.
    pub const OFF: Self = Self {
        is_on: false,
        may_ask: false,
        lookup: GroupLookup::Off,
        known: None,
        membership_ended: None,
        is_member: None,
    };

    /// Returns when a login asks about membership, as things are: never while the directory is off.
    #[must_use]
    pub const fn lookup_in_effect(&self) -> GroupLookup {
        if self.is_on { self.lookup } else { GroupLookup::Off }
    }
}

impl Refused {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::AccountDisabled,
        Self::AccountDeleted,
        Self::SessionsRevoked,
        Self::GroupsOverage,
        Self::NotAMember,
        Self::DirectoryUnavailable,
    ];

    /// Returns the code of the refusal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccountDisabled => "account_disabled",
            Self::AccountDeleted => "account_deleted",
            Self::SessionsRevoked => "sessions_revoked",
            Self::GroupsOverage => "groups_overage",
            Self::NotAMember => "not_a_member",
            Self::DirectoryUnavailable => "directory_unavailable",
        }
    }
}

impl From<Out> for Refused {
    fn from(out: Out) -> Self {
        match out {
            Out::Disabled => Self::AccountDisabled,
            Out::Deleted => Self::AccountDeleted,
            Out::Revoked => Self::SessionsRevoked,
        }
    }
}

/// The decision about a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The directory has nothing against it.
    Admit,
    /// The worker has to be asked whether the token's owner is in the group. The login then decides
    /// anew by [`decide_after_wait`].
    Ask(Pair),
    /// It is refused.
    Refuse(Refused),
}

/// Decides about a login by what is known when the token is shown.
#[must_use]
pub fn decide(shown: &Shown, knowledge: &Knowledge) -> Decision {
    if let Some(out) = ended(shown, knowledge) {
        return Decision::Refuse(out.into());
    }
    let Some(group) = shown.group else { return Decision::Admit };
    let is_asked = match (shown.lists_group, knowledge.lookup) {
        (Some(true), _) if has_left(shown, knowledge) => return Decision::Refuse(Refused::NotAMember),
        (Some(true), _) => return Decision::Admit,
        _ if !knowledge.is_on => false,
        (None, lookup) => lookup != GroupLookup::Off,
        (Some(false), lookup) => lookup == GroupLookup::Always,
    };
    match (is_asked, knowledge.is_member) {
        (false, _) if shown.lists_group.is_none() => Decision::Refuse(Refused::GroupsOverage),
        (false, _) | (true, Some(false)) => Decision::Refuse(Refused::NotAMember),
        // That the membership has ended was seen after this answer.
        (true, Some(true)) if has_left(shown, knowledge) => Decision::Refuse(Refused::NotAMember),
        (true, Some(true)) => Decision::Admit,
        (true, None) if knowledge.may_ask => Decision::Ask(Pair { person: shown.person, group }),
        (true, None) => Decision::Refuse(Refused::DirectoryUnavailable),
    }
}

/// Decides about a login that has waited for an answer. `knowledge` is that of after the wait.
#[must_use]
pub fn decide_after_wait(shown: &Shown, knowledge: &Knowledge) -> Decision {
    match decide(shown, knowledge) {
        Decision::Ask(_) => Decision::Refuse(Refused::DirectoryUnavailable),
        decision => decision,
    }
}

/// Returns why a session, or a token that is shown, is not accepted any more for what is known
/// about the token's owner.
#[must_use]
pub fn ended(shown: &Shown, knowledge: &Knowledge) -> Option<Out> {
    knowledge.known.filter(|_| knowledge.is_on)?.judge(shown.issued_at)
}

/// Returns when a membership was seen to have ended, in Unix seconds. `left_at`: when that was seen
/// of the owner; `group`: what is known about the group. Nobody is in a group that is deleted.
#[must_use]
pub fn membership_ended(left_at: Option<i64>, group: Option<Known>) -> Option<i64> {
    let deleted = group.filter(|group| group.standing == Standing::Deleted);
    left_at.max(deleted.map(|group| group.out_since.unwrap_or(i64::MAX)))
}

/// Returns whether the token's owner has left the group, for a token from before that was seen. A
/// token that was issued later and lists the group is believed.
fn has_left(shown: &Shown, knowledge: &Knowledge) -> bool {
    let ended = knowledge.membership_ended.filter(|_| knowledge.is_on);
    ended.is_some_and(|ended_at| was_issued_before(shown.issued_at, ended_at))
}
