//! What rounds of polling say about principals: who is active, disabled, deleted, revoked.
//!
//! Evidence that somebody is out acts at once: an account that is disabled, an object among the
//! deleted ones, a time before which sessions were revoked. That an id is missing in an answer is
//! weak evidence: replicas lag, permissions vanish, answers break off. It acts after three rounds
//! that took five minutes or more, in answers that had an object that is known to be there (the
//! canary), and not while so many are missing that the answer itself is more likely to be wrong. No
//! answer changes nothing: who was known to be out stays out, and nobody else is put out.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::freshness::Millis;

/// Rounds running in which an id must be missing.
const ABSENT_ROUNDS: u8 = 3;

/// How long an id must be missing at least, in milliseconds, where rounds are not more frequent.
const ABSENT_FOR: Millis = 300_000;

/// So many may be missing in one round, whatever share of all they are.
const FEW: usize = 5;

/// Missing in one round are too many if they are more than one in so many.
const SHARE: usize = 5;

/// How long too many must be missing until it is believed, in milliseconds.
const HELD_FOR: Millis = 7_200_000;

/// Rounds running in which a membership must be missing.
const MEMBERSHIP_ROUNDS: u8 = 2;

/// A token that is younger than this may be of a member whom the directory does not list yet, in
/// seconds.
const YOUNG_TOKEN: i64 = 600;

/// Entra dates tokens back by so many seconds.
const BACKDATED: i64 = 300;

/// Longest life of a token that Entra issues, in seconds: 28 hours, of clients with continuous
/// access evaluation. After that nobody has one from before.
pub const LONGEST_LIFE: i64 = 100_800;

/// What one round says about one id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It is there. What cannot be read is none.
    Present {
        /// Whether it may sign in.
        is_enabled: Option<bool>,
        /// Its sessions were revoked at this time, in Unix seconds.
        valid_from: Option<i64>,
    },
    /// It is not in an answer that should have it.
    Absent,
    /// It is among the deleted objects.
    Deleted,
    /// There was no answer.
    Unknown,
}

/// What is known about a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It is there, and nothing says that it may not sign in.
    Active,
    /// It may not sign in.
    Disabled,
    /// It is no longer there.
    Deleted,
}

impl Standing {
    /// A word for views.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }

    const fn is_out(self) -> bool {
        matches!(self, Self::Disabled | Self::Deleted)
    }
}

/// What is known about one principal, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    /// What it is.
    pub standing: Standing,
    /// Since when it is known to be out, in Unix seconds.
    pub out_since: Option<i64>,
    /// Sessions from before this time are revoked, in Unix seconds.
    pub revoked_at: Option<i64>,
    /// When an answer last spoke of it, in Unix seconds.
    pub checked_at: Option<i64>,
    absence: Option<Absence>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Absence {
    rounds: u8,
    since: Millis,
}

/// Why a token is not accepted, or a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Out {
    /// The account is disabled.
    Disabled,
    /// The object is no longer there.
    Deleted,
    /// The token was issued before the account's sessions were revoked.
    Revoked,
}

impl Record {
    /// Says whether a token that was issued at a time, in Unix seconds, is still accepted; none: it
    /// is.
    #[must_use]
    pub fn judge(&self, issued_at: i64) -> Option<Out> {
        match self.standing {
            Standing::Disabled => Some(Out::Disabled),
            Standing::Deleted => Some(Out::Deleted),
            Standing::Unknown | Standing::Active => {
                let is_void = |revoked_at| issued_at.saturating_add(BACKDATED) < revoked_at;
                self.revoked_at.is_some_and(is_void).then_some(Out::Revoked)
            }
        }
    }

    /// Whether logins still have to look at this at a time, in Unix seconds. They need not once no
    /// token from before can be alive.
    #[must_use]
    pub fn matters(&self, now: i64) -> bool {
        let is_recent = |time: i64| time.saturating_add(LONGEST_LIFE) > now;
        let out = self.standing.is_out() && self.out_since.is_none_or(is_recent);
        out || self.revoked_at.is_some_and(is_recent)
    }
}

/// One round of polling.
#[derive(Debug, Clone, Copy)]
pub struct Round<'r> {
    /// What it says about each id that was asked for.
    pub sights: &'r BTreeMap<Uuid, Sight>,
    /// The answers had an object that is known to be there.
    pub has_canary: bool,
    /// The time between two rounds, in milliseconds.
    pub interval: Millis,
    /// When it ended, by a clock that never goes back.
    pub now: Millis,
    /// When it ended, in Unix seconds.
    pub unix_now: i64,
    /// An id that is not put out for being missing: the last administrator's.
    pub spared: Option<Uuid>,
}

/// What a round has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Who is out from now on, or is in again.
    pub changed: Vec<Uuid>,
    /// So many are missing at once that nobody is put out for it.
    pub held: Option<usize>,
    /// Ids were missing, and so was the canary: the answer is not believed.
    pub is_without_canary: bool,
}

/// Everybody who is polled.
#[derive(Debug, Clone, Default)]
pub struct Roll {
    records: BTreeMap<Uuid, Record>,
    held_since: Option<Millis>,
    is_believed: bool,
}

impl Roll {
    /// Returns what is known about an id.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<&Record> {
        self.records.get(&id)
    }

    /// Returns all that is known.
    pub fn iter(&self) -> impl Iterator<Item = (Uuid, &Record)> {
        self.records.iter().map(|(id, record)| (*id, record))
    }

    /// Takes in what an earlier life of the server knew.
    pub fn restore(&mut self, id: Uuid, record: Record) {
        self.records.insert(id, Record { absence: None, ..record });
    }

    /// Forgets ids that are neither polled any more nor of importance to logins.
    pub fn forget(&mut self, is_polled: impl Fn(Uuid) -> bool, now: i64) {
        self.records.retain(|id, record| is_polled(*id) || record.matters(now));
    }

    /// An administrator believes that many are missing: they are put out with the next round.
    pub const fn believe(&mut self) {
        self.is_believed = self.held_since.is_some();
    }

    /// Takes in a round.
    pub fn note(&mut self, round: &Round<'_>) -> Report {
        let mut report = Report::default();
        for (id, sight) in round.sights {
            let record = self.records.entry(*id).or_default();
            let before = *record;
            record.see(*sight, round);
            if (record.standing.is_out(), record.revoked_at) != (before.standing.is_out(), before.revoked_at)
            {
                report.changed.push(*id);
            }
        }
        let missing = round.sights.iter().filter(|(id, sight)| self.is_missing(**id, **sight)).count();
        if missing == 0 {
            (self.held_since, self.is_believed) = (None, false);
        } else if !round.has_canary {
            report.is_without_canary = true;
        } else {
            self.note_missing(round, missing, &mut report);
        }
        report
    }

    fn is_missing(&self, id: Uuid, sight: Sight) -> bool {
        sight == Sight::Absent && self.records.get(&id).is_some_and(|record| !record.standing.is_out())
    }

    fn note_missing(&mut self, round: &Round<'_>, missing: usize, report: &mut Report) {
        let not_out = |id: &Uuid| self.records.get(id).is_some_and(|record| !record.standing.is_out());
        let all = round.sights.keys().filter(|id| not_out(id)).count();
        let is_mass = missing > FEW && missing.saturating_mul(SHARE) > all;
        self.held_since = if is_mass { self.held_since.or(Some(round.now)) } else { None };
        self.is_believed &= is_mass;
        let is_waiting = |since| round.now.saturating_sub(since) < HELD_FOR;
        let held = !self.is_believed && self.held_since.is_some_and(is_waiting);
        if held {
            report.held = Some(missing);
        }
        for (id, sight) in round.sights {
            if *sight != Sight::Absent {
                continue;
            }
            let Some(record) = self.records.get_mut(id).filter(|record| !record.standing.is_out()) else {
                continue;
            };
            if record.miss(round) && !held && round.spared != Some(*id) {
                record.put_out(Standing::Deleted, round.unix_now);
                report.changed.push(*id);
            }
        }
    }
}

impl Record {
    fn see(&mut self, sight: Sight, round: &Round<'_>) {
        match sight {
            Sight::Present { is_enabled, valid_from } => {
                self.absence = None;
                self.checked_at = Some(round.unix_now);
                match is_enabled {
                    Some(true) => (self.standing, self.out_since) = (Standing::Active, None),
                    Some(false) => self.put_out(Standing::Disabled, round.unix_now),
                    // It is there again; whether it may sign in is not known, and was not meant to
                    // be possible before.
                    None if self.standing == Standing::Deleted => {
                        (self.standing, self.out_since) = (Standing::Active, None);
                    }
                    None if self.standing == Standing::Unknown => self.standing = Standing::Active,
                    None => {}
                }
                // An answer of a replica that lags must not take a revocation back.
                self.revoked_at = self.revoked_at.max(valid_from);
            }
            Sight::Deleted => {
                self.absence = None;
                self.checked_at = Some(round.unix_now);
                self.put_out(Standing::Deleted, round.unix_now);
            }
            Sight::Absent | Sight::Unknown => {}
        }
    }

    fn put_out(&mut self, standing: Standing, now: i64) {
        self.standing = standing;
        self.out_since = self.out_since.or(Some(now));
    }

    /// Counts a round in which the id was missing. Returns whether that is enough.
    fn miss(&mut self, round: &Round<'_>) -> bool {
        let absence = self.absence.get_or_insert(Absence { rounds: 0, since: round.now });
        absence.rounds = absence.rounds.saturating_add(1);
        let least = ABSENT_FOR.min(round.interval.saturating_mul(Millis::from(ABSENT_ROUNDS)));
        // From the first of the rounds to this one there is an interval less than there are rounds.
        let took = round.now.saturating_sub(absence.since).saturating_add(round.interval);
        absence.rounds >= ABSENT_ROUNDS && took >= least
    }
}

/// How a membership that let a session in was last answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Membership {
    missed: u8,
}

impl Membership {
    /// Takes in an answer; none: there was none. Returns whether the membership has ended, for a
    /// token that was issued at a time, both in Unix seconds.
    pub fn note(&mut self, is_member: Option<bool>, issued_at: i64, now: i64) -> bool {
        match is_member {
            Some(true) => self.missed = 0,
            Some(false) if now.saturating_sub(issued_at) < YOUNG_TOKEN => {}
            Some(false) => self.missed = self.missed.saturating_add(1),
            None => {}
        }
        self.missed >= MEMBERSHIP_ROUNDS
    }
}
