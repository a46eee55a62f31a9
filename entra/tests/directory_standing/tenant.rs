//! A tenant of which each round sees what a test says.

use std::collections::BTreeMap;

use entra::Uuid;
use entra::directory::roll::{Report, Roll, Round};
use entra::directory::standing::{Moment, Out, Sight, Standing};

pub(crate) const MINUTE: u64 = 60_000;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const START: i64 = 1_795_000_000;

pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(crate) const HERE: Sight = Sight::Present { is_enabled: Some(true), valid_from: None };
pub(crate) const DISABLED: Sight = Sight::Present { is_enabled: Some(false), valid_from: None };

/// A tenant of so many users, polled every five minutes unless said otherwise.
pub(crate) struct Tenant {
    pub(crate) roll: Roll,
    pub(crate) sights: BTreeMap<Uuid, Sight>,
    pub(crate) has_canary: bool,
    pub(crate) interval: u64,
    pub(crate) now: u64,
    pub(crate) administrators: Vec<Uuid>,
}

impl Tenant {
    pub(crate) fn of(users: u128) -> Self {
        let sights = (1..=users).map(|user| (id(user), HERE)).collect();
        let mut tenant = Self {
            roll: Roll::default(),
            sights,
            has_canary: true,
            interval: 5 * MINUTE,
            now: HOUR,
            administrators: Vec::new(),
        };
        tenant.round();
        tenant
    }

    pub(crate) fn unix_now(&self) -> i64 {
        START + i64::try_from(self.now / 1_000).expect("a time")
    }

    /// Without a canary, no id is believed to be absent.
    pub(crate) fn round(&mut self) -> Report {
        self.now += self.interval;
        let unix_now = self.unix_now();
        let believed = |sight| if self.has_canary || sight != Sight::Absent { sight } else { Sight::Unknown };
        let sights: BTreeMap<_, _> = self.sights.iter().map(|(id, sight)| (*id, believed(*sight))).collect();
        self.roll.note(&Round {
            sights: &sights,
            moment: Moment { interval: self.interval, now: self.now, unix_now },
            administrators: &self.administrators,
            clients: &BTreeMap::new(),
        })
    }

    pub(crate) fn rounds(&mut self, number: usize) -> Vec<Uuid> {
        (0..number).flat_map(|_| self.round().changed).collect()
    }

    pub(crate) fn shows(&mut self, user: u128, sight: Sight) {
        self.sights.insert(id(user), sight);
    }

    pub(crate) fn standing(&self, user: u128) -> Standing {
        self.roll.get(id(user)).expect("a record").known.standing
    }

    pub(crate) fn judge(&self, user: u128, issued_at: i64) -> Option<Out> {
        self.roll.get(id(user)).expect("a record").known.judge(issued_at)
    }
}
