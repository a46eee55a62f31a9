//! Decides from rounds of polling who is out.
//!
//! Evidence that a principal is out acts at once: an account that is disabled, an object among the
//! deleted ones, a time at which sessions were revoked. That an id is absent is weak evidence:
//! replicas lag, permissions vanish, answers break off. It acts after three rounds that took five
//! minutes or more ([`Record`]), in answers that held an object known to be there (the canary:
//! [`super::look`]), and not while so many are missing that the answer itself is more likely to be
//! wrong. Without an answer nothing changes: who was known to be out stays out, and nobody else is
//! put out.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::standing::{Known, Moment, Record, Sight, Standing};
use crate::freshness::Millis;

/// So many may be missing at once, whatever share of all they are.
const FEW: usize = 5;

/// More than one in so many is too many to be missing at once.
const SHARE: usize = 5;

/// Time for which too many must be missing until that is believed, in milliseconds.
const HELD_FOR: Millis = 7_200_000;

/// One round of polling.
#[derive(Debug, Clone, Copy)]
pub struct Round<'r> {
    /// What it says about each id that was asked for.
    pub sights: &'r BTreeMap<Uuid, Sight>,
    /// When it ended.
    pub moment: Moment,
    /// The ids of the administrators. The last of them who is not out is never put out for being
    /// absent: nobody could then repair a mistake.
    pub administrators: &'r [Uuid],
    /// The applications of client ids. What is known of an application holds for its client id.
    pub clients: &'r BTreeMap<Uuid, Uuid>,
}

impl Round<'_> {
    /// Returns what it says about each id but those of clients.
    fn principals(&self) -> impl Iterator<Item = (&Uuid, &Sight)> {
        self.sights.iter().filter(|(id, _)| !self.clients.contains_key(*id))
    }
}

/// What a round has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The ids of which logins and sessions must know something else than before.
    pub changed: Vec<Uuid>,
    /// So many are missing at once that nobody is put out for it.
    pub held: Option<usize>,
    /// The last administrator who would have been put out for being absent.
    pub spared: Option<Uuid>,
}

/// Everybody who is polled, and who is known to be out.
#[derive(Debug, Clone, Default)]
pub struct Roll {
    records: BTreeMap<Uuid, Record>,
    hold: Option<Hold>,
    is_believed: bool,
}

/// Nobody is put out, because too many are missing.
#[derive(Debug, Clone, Copy)]
struct Hold {
    since: Millis,
    /// So many were missing then, or fewer have been since.
    missing: usize,
}

impl Roll {
    /// Returns what is known about an id.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<&Record> {
        self.records.get(&id)
    }

    /// Returns everything that is known.
    pub fn iter(&self) -> impl Iterator<Item = (Uuid, &Record)> {
        self.records.iter().map(|(id, record)| (*id, record))
    }

    /// Takes in what an earlier life of the server knew.
    pub fn restore(&mut self, id: Uuid, known: Known) {
        self.records.insert(id, Record::restored(known));
    }

    /// Forgets what must not outlive a change of settings, except who is known to be out: called
    /// when the credential or an address has changed.
    pub fn restart(&mut self, now: i64) {
        self.records.retain(|_, record| record.known.matters(now));
        self.records.values_mut().for_each(|record| *record = Record::restored(record.known));
        (self.hold, self.is_believed) = (None, false);
    }

    /// Forgets ids that are neither polled any more nor of importance to logins at `now` (Unix
    /// seconds).
    pub fn forget(&mut self, is_polled: impl Fn(Uuid) -> bool, now: i64) {
        self.records.retain(|id, record| is_polled(*id) || record.known.matters(now));
    }

    /// Returns what logins must know at `now` (Unix seconds), by id, about at most so many
    /// principals, and how many others are left out. Who is out but cannot have a valid token any
    /// more is in it while there is room: views show it.
    ///
    /// Those who have open sessions come first, then those who are out, of these the ones that this
    /// server has seen enabled, and of equals the latest.
    #[must_use]
    pub fn ended(
        &self,
        now: i64,
        most: usize,
        has_session: impl Fn(Uuid) -> bool,
    ) -> (Vec<(Uuid, Known)>, usize) {
        let is_shown = |record: &Record| record.known.matters(now) || record.known.standing.is_out();
        let mut ended: Vec<_> = self.records.iter().filter(|(_, record)| is_shown(record)).collect();
        let mut left_out = 0;
        if ended.len() > most {
            ended.sort_by_key(|(id, record)| {
                let known = record.known;
                let latest = known.out_since.max(known.revoked_at);
                let is_out = known.standing.is_out();
                Reverse((known.matters(now), has_session(**id), is_out, record.was_active, latest))
            });
            left_out = ended.iter().skip(most).filter(|(_, record)| record.known.matters(now)).count();
            ended.truncate(most);
            ended.sort_by_key(|(id, _)| *id);
        }
        (ended.into_iter().map(|(id, record)| (*id, record.known)).collect(), left_out)
    }

    /// Notes that an administrator believes that so many are missing: they are put out with the
    /// next round.
    pub const fn believe(&mut self) {
        self.is_believed = self.hold.is_some();
    }

    /// Takes in a round.
    pub fn note(&mut self, round: &Round<'_>) -> Report {
        let mut report = Report::default();
        let matter = |known: Known| known.matters(round.moment.unix_now).then_some(known);
        for (id, sight) in round.principals() {
            let record = self.records.entry(*id).or_default();
            let before = record.known;
            record.see(*sight, &round.moment);
            if matter(before) != matter(record.known) {
                report.changed.push(*id);
            }
        }
        self.note_missing(round, &mut report);
        for (client, application) in round.clients {
            let Some(record) = self.records.get(application).copied() else { continue };
            let before = self.records.insert(*client, record).unwrap_or_default();
            if matter(before.known) != matter(record.known) {
                report.changed.push(*client);
            }
        }
        report
    }

    fn note_missing(&mut self, round: &Round<'_>, report: &mut Report) {
        let is_missing = |sight: &Sight| matches!(sight, Sight::Absent | Sight::Missing);
        let candidates = round.principals().filter(|(id, _)| self.is_in(**id));
        let (missing, all) = candidates
            .fold((0, 0), |(missing, all), (_, sight)| (missing + usize::from(is_missing(sight)), all + 1));
        let held = self.holds(missing, all, round.moment.now);
        report.held = held.then_some(missing);
        let object = |id: &Uuid| round.clients.get(id).copied().unwrap_or(*id);
        let administrators: BTreeSet<_> = round.administrators.iter().map(object).collect();
        let mut remaining = administrators.iter().filter(|id| self.is_in(**id)).count();
        for (id, sight) in round.principals() {
            let Some(record) = self.records.get_mut(id).filter(|record| !record.known.standing.is_out())
            else {
                continue;
            };
            if *sight != Sight::Absent || !record.miss(&round.moment) || held {
                continue;
            }
            if administrators.contains(id) {
                if remaining <= 1 {
                    report.spared = Some(*id);
                    continue;
                }
                remaining -= 1;
            }
            record.put_out(Standing::Deleted, &round.moment);
            report.changed.push(*id);
        }
    }

    fn is_in(&self, id: Uuid) -> bool {
        self.records.get(&id).is_none_or(|record| !record.known.standing.is_out())
    }

    /// Decides whether so many of all are missing that nobody is put out for it at `now`. That many
    /// have been missing for long, or are believed to be, says nothing about many others.
    fn holds(&mut self, missing: usize, all: usize, now: Millis) -> bool {
        let is_mass = missing > FEW && missing.saturating_mul(SHARE) > all;
        let has_grown = |hold: &Hold| missing > hold.missing + FEW.max(hold.missing / SHARE);
        let before = self.hold.filter(|hold| is_mass && !has_grown(hold));
        self.is_believed &= before.is_some();
        self.hold = match before {
            Some(hold) => Some(Hold { missing: hold.missing.min(missing), ..hold }),
            None => is_mass.then_some(Hold { since: now, missing }),
        };
        let is_waiting = |hold: Hold| now.saturating_sub(hold.since) < HELD_FOR;
        !self.is_believed && self.hold.is_some_and(is_waiting)
    }
}
