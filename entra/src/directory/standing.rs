//! What is known about a principal: whether it is active, disabled, deleted, or its sign-in
//! sessions were revoked, and which tokens that ends.

use crate::directory::answer::Object;
use crate::directory::request::Kind;
use crate::freshness::Millis;

/// Number of rounds in which an id must be absent.
const ABSENT_ROUNDS: u32 = 3;

/// Time for which an id must be absent, in milliseconds; three intervals where those take less.
const ABSENT_FOR: Millis = 300_000;

/// Entra dates the `iat` of tokens back by so many seconds, so that a token issued just after a
/// revocation seems to be older than it.
pub(super) const BACKDATED: i64 = 300;

/// Times that lie ahead by more seconds than this are not believed.
const AHEAD: i64 = crate::limits::MAX_CLOCK_SKEW_SECONDS;

/// Longest life of a token that Entra issues, in seconds: 28 hours, for clients with continuous
/// access evaluation ("Continuous access evaluation", Microsoft).
pub const LONGEST_LIFE: i64 = 100_800;

/// What one round says about one id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It is there.
    Present {
        /// Whether it may sign in, if that could be read. Always true for a group.
        is_enabled: Option<bool>,
        /// Its sign-in sessions were revoked at this time, in Unix seconds.
        valid_from: Option<i64>,
    },
    /// It is not in an answer that should have it, and a second question confirmed that.
    Absent,
    /// It is not in an answer that should have it, and nothing confirmed that yet.
    Missing,
    /// It is among the deleted objects.
    Deleted,
    /// There was no answer, or none to be believed.
    Unknown,
}

impl Sight {
    /// Returns what an object in an answer says about its id.
    #[must_use]
    pub fn of(object: &Object) -> Self {
        let is_enabled = if object.kind == Some(Kind::Group) { Some(true) } else { object.is_enabled };
        Self::Present { is_enabled, valid_from: object.sessions_valid_from }
    }
}

/// What a principal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// Nothing is known, or it could not be read.
    #[default]
    Unknown,
    /// It is there and may sign in.
    Active,
    /// It may not sign in.
    Disabled,
    /// It is no longer there.
    Deleted,
}

impl Standing {
    /// Every standing.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Active, Self::Disabled, Self::Deleted];

    /// Returns the word for it in views and in the snapshot.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }

    /// Returns whether no token of the principal is accepted.
    #[must_use]
    pub const fn is_out(self) -> bool {
        matches!(self, Self::Disabled | Self::Deleted)
    }
}

/// The reason why a token is not accepted, or a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Out {
    /// The account is disabled.
    Disabled,
    /// The object is no longer there.
    Deleted,
    /// The token was issued before the account's sign-in sessions were revoked.
    Revoked,
}

/// Returns whether a token with this `iat` was issued before a time, as far as `iat` tells (Unix
/// seconds). This is the only place with that rule.
#[must_use]
pub const fn was_issued_before(issued_at: i64, time: i64) -> bool {
    issued_at.saturating_add(BACKDATED) < time
}

/// What a login or the end of a session must know about a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    /// What it is.
    pub standing: Standing,
    /// Since when it is known to be disabled or deleted, in Unix seconds.
    pub out_since: Option<i64>,
    /// Its sign-in sessions from before this time are revoked, in Unix seconds.
    pub revoked_at: Option<i64>,
}

impl Known {
    /// Returns why a token with this `iat` (Unix seconds) is not accepted; none if it is.
    #[must_use]
    pub fn judge(&self, issued_at: i64) -> Option<Out> {
        match self.standing {
            Standing::Disabled => Some(Out::Disabled),
            Standing::Deleted => Some(Out::Deleted),
            Standing::Unknown | Standing::Active => self
                .revoked_at
                .is_some_and(|revoked_at| was_issued_before(issued_at, revoked_at))
                .then_some(Out::Revoked),
        }
    }

    /// Returns whether this may end a token that is alive at `now` (Unix seconds). After the
    /// longest life of a token, nobody has one from before.
    #[must_use]
    pub fn matters(&self, now: i64) -> bool {
        let is_recent = |time: i64| time.saturating_add(LONGEST_LIFE) > now;
        (self.standing.is_out() && self.out_since.is_none_or(is_recent))
            || self.revoked_at.is_some_and(is_recent)
    }
}

/// What is known about a principal that is polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    /// What logins must know.
    pub known: Known,
    /// When an answer last had it, in Unix seconds.
    pub checked_at: Option<i64>,
    /// It was seen to be enabled since the server knows it.
    pub was_active: bool,
    absence: Option<Absence>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Absence {
    rounds: u32,
    since: Millis,
}

/// The time of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Time between two rounds, in milliseconds; 0: rounds are made on demand only.
    pub interval: Millis,
    /// By a clock that never goes back.
    pub now: Millis,
    /// In Unix seconds.
    pub unix_now: i64,
}

impl Record {
    /// Returns what is known from an earlier life of the server.
    #[must_use]
    pub const fn restored(known: Known) -> Self {
        Self { known, checked_at: None, was_active: false, absence: None }
    }

    /// Returns in how many rounds running the id was absent.
    #[must_use]
    pub fn absent_rounds(&self) -> u32 {
        self.absence.map_or(0, |absence| absence.rounds)
    }

    /// Takes in what a round says, except absence.
    pub(super) fn see(&mut self, sight: Sight, moment: &Moment) {
        match sight {
            Sight::Present { is_enabled, valid_from } => {
                self.absence = None;
                self.checked_at = Some(moment.unix_now);
                match is_enabled {
                    Some(true) => {
                        self.was_active = true;
                        (self.known.standing, self.known.out_since) = (Standing::Active, None);
                    }
                    Some(false) => self.put_out(Standing::Disabled, moment),
                    // It is there again. Whether it may sign in is not known.
                    None if self.known.standing == Standing::Deleted => {
                        (self.known.standing, self.known.out_since) = (Standing::Unknown, None);
                    }
                    None => {}
                }
                // A replica that lags must not take a revocation back.
                let limit = moment.unix_now.saturating_add(AHEAD);
                self.known.revoked_at = self.known.revoked_at.max(valid_from.filter(|time| *time <= limit));
            }
            Sight::Deleted => {
                self.absence = None;
                self.checked_at = Some(moment.unix_now);
                self.put_out(Standing::Deleted, moment);
            }
            Sight::Absent | Sight::Missing | Sight::Unknown => {}
        }
    }

    /// Notes that the principal is out. One that was already out stays so since then.
    pub(super) fn put_out(&mut self, standing: Standing, moment: &Moment) {
        self.known.standing = standing;
        self.known.out_since = self.known.out_since.or(Some(moment.unix_now));
    }

    /// Counts a round in which the id was absent. Returns whether that is enough.
    ///
    /// The time is that from the first of these rounds to the last, so rounds on demand that follow
    /// each other quickly are not enough.
    pub(super) fn miss(&mut self, moment: &Moment) -> bool {
        let absence = self.absence.get_or_insert(Absence { rounds: 0, since: moment.now });
        absence.rounds = absence.rounds.saturating_add(1);
        let three_intervals = moment.interval.saturating_mul(Millis::from(ABSENT_ROUNDS));
        let least = if moment.interval == 0 { ABSENT_FOR } else { ABSENT_FOR.min(three_intervals) };
        absence.rounds >= ABSENT_ROUNDS && moment.now.saturating_sub(absence.since) >= least
    }
}
