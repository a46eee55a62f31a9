//! What logins came to for each linked role: of the roles that were seen last.
//!
//! A table of fixed size under one lightweight lock, written once per login after the decision. The roles stand apart from what
//! is known of them, so that looking for one reads four kilobytes and no more. Nothing is allocated, raised or waited for under the lock.

use entra::Code;
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init};

use crate::pg::clock;

/// As many roles are remembered.
const CAPACITY: usize = 1_024;

/// What is known of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Record {
    /// Unix seconds; 0: never.
    pub(super) last_admitted: i64,
    /// Unix seconds; 0: never.
    pub(super) last_refused: i64,
    /// Why it was refused then.
    pub(super) last_code: Option<Code>,
    pub(super) admitted: u64,
    pub(super) refused: u64,
}

impl Record {
    const EMPTY: Self = Self { last_admitted: 0, last_refused: 0, last_code: None, admitted: 0, refused: 0 };
}

#[repr(C)]
struct Table {
    /// Invalid where a place is free.
    roles: [pg_sys::Oid; CAPACITY],
    /// The number of the last login of each, 0 where a place is free.
    turns: [u64; CAPACITY],
    records: [Record; CAPACITY],
    /// The number of the last login of all.
    turn: u64,
}

const _: () = assert!(size_of::<Table>() <= 64 * 1024, "the budget for shared memory is 1 MiB in all");

#[expect(clippy::large_stack_arrays, reason = "made once, at server start, and moved to shared memory")]
impl Default for Table {
    fn default() -> Self {
        Self {
            roles: [pg_sys::InvalidOid; CAPACITY],
            turns: [0; CAPACITY],
            records: [Record::EMPTY; CAPACITY],
            turn: 0,
        }
    }
}

impl Table {
    /// Notes a login of a role, which takes the place of the one that has been away longest if need be.
    fn note(&mut self, role: pg_sys::Oid, now: i64, refused: Option<Code>) {
        let known = self.roles.iter().position(|known| *known == role);
        let Some(place) = known.or_else(|| self.oldest()) else { return };
        self.turn += 1;
        let parts = (self.roles.get_mut(place), self.turns.get_mut(place), self.records.get_mut(place));
        let (Some(owner), Some(turn), Some(record)) = parts else { return };
        if *owner != role {
            *owner = role;
            *record = Record::EMPTY;
        }
        *turn = self.turn;
        if refused.is_some() {
            record.last_refused = now;
            record.last_code = refused;
            record.refused += 1;
        } else {
            record.last_admitted = now;
            record.admitted += 1;
        }
    }

    /// A free place, or else the one whose last login was first.
    fn oldest(&self) -> Option<usize> {
        self.turns.iter().enumerate().min_by_key(|(_, turn)| **turn).map(|(place, _)| place)
    }

    fn records(&self) -> impl Iterator<Item = (pg_sys::Oid, Record)> {
        let all = self.roles.iter().copied().zip(self.records.iter().copied());
        all.filter(|(role, _)| *role != pg_sys::InvalidOid)
    }

    fn forget(&mut self) {
        self.roles.fill(pg_sys::InvalidOid);
        self.turns.fill(0);
    }
}

#[expect(unsafe_code, reason = "a promise to pgrx")]
// SAFETY: plain values.
unsafe impl PGRXSharedMemory for Table {}

#[expect(unsafe_code, reason = "a promise to pgrx")]
// SAFETY: nothing else in shared memory has this name.
static TABLE: PgLwLock<Table> = unsafe { PgLwLock::new(c"azure_ad_auth_stat_principals") };

/// Requests the table. In the postmaster only, while it loads its libraries.
pub(super) fn init_shared_memory() {
    pg_shmem_init!(TABLE);
}

/// Notes a login of a role, let in or refused for a reason.
pub(super) fn note(role: pg_sys::Oid, refused: Option<Code>) {
    let now = clock::unix_now();
    TABLE.exclusive().note(role, now, refused);
}

/// Every role remembered.
pub(super) fn records() -> Vec<(pg_sys::Oid, Record)> {
    let mut records = Vec::with_capacity(CAPACITY);
    records.extend(TABLE.share().records());
    records
}

/// Forgets all.
pub(super) fn reset() {
    TABLE.exclusive().forget();
}

#[cfg(test)]
mod tests {
    use entra::Code;
    use pgrx::pg_sys::Oid;

    use super::{CAPACITY, Table};

    fn role(number: usize) -> Oid {
        Oid::from(16_384 + u32::try_from(number).expect("a small number"))
    }

    #[test]
    fn a_record_adds_up() {
        let mut table = Box::<Table>::default();
        table.note(role(7), 100, None);
        table.note(role(7), 200, Some(Code::Expired));
        table.note(role(7), 300, Some(Code::OidMismatch));
        table.note(role(7), 400, None);
        let (known, record) = table.records().next().expect("a record");
        assert_eq!((known, table.records().count()), (role(7), 1));
        assert_eq!((record.last_admitted, record.admitted), (400, 2));
        assert_eq!(
            (record.last_refused, record.refused, record.last_code),
            (300, 2, Some(Code::OidMismatch))
        );
        table.forget();
        assert_eq!(table.records().count(), 0);
    }

    #[test]
    fn the_role_that_has_been_away_longest_is_forgotten() {
        let mut table = Box::<Table>::default();
        (0..CAPACITY).for_each(|number| table.note(role(number), 1, None));
        assert_eq!(table.records().count(), CAPACITY);
        // The first comes back, so that the second is the one away longest.
        table.note(role(0), 2, None);
        table.note(role(CAPACITY), 3, Some(Code::Expired));
        assert_eq!(table.records().count(), CAPACITY);
        let known =
            |number| table.records().find(|(known, _)| *known == role(number)).map(|(_, record)| record);
        assert_eq!(known(0).map(|record| record.admitted), Some(2));
        assert_eq!(known(1), None);
        assert!(known(2).is_some());
        let new = known(CAPACITY).expect("the new one");
        assert_eq!((new.admitted, new.refused, new.last_admitted), (0, 1, 0), "nothing of its predecessor");
    }
}
