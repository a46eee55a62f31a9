//! How logins ended for each linked role, as far as there is room: for the roles that logged in
//! last.
//!
//! A table of fixed size under one lightweight lock, written once per login after the decision. The
//! roles stand apart from what is known of them, so that looking for one reads four kilobytes and
//! no more. Nothing is allocated, raised or waited for under the lock.

use entra::Code;
use pgrx::prelude::*;

use crate::pg::clock;
use crate::pg::shmem::{Locked, shareable};

/// As many roles are remembered.
const CAPACITY: usize = 1_024;

/// The last logins of a role, and how many there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Unix seconds; 0 if it never was.
    pub(super) last_admitted: i64,
    /// Unix seconds; 0 if it never was.
    pub(super) last_refused: i64,
    /// The reason of that refusal.
    pub(super) last_code: Option<Code>,
    pub(super) admitted: u64,
    pub(super) refused: u64,
}

shareable!(Record { last_admitted, last_refused, last_code, admitted, refused });

impl Record {
    const EMPTY: Self = Self { last_admitted: 0, last_refused: 0, last_code: None, admitted: 0, refused: 0 };
}

struct RecentRoles {
    /// Invalid where a place is free.
    roles: [pg_sys::Oid; CAPACITY],
    /// The number of the last login of each, 0 where a place is free.
    last_logins: [u64; CAPACITY],
    records: [Record; CAPACITY],
    /// The number of the last login of all.
    last_login: u64,
}
shareable!(RecentRoles { roles, last_logins, records, last_login });

const _: () = assert!(size_of::<RecentRoles>() <= 64 * 1024, "the budget for shared memory is 1 MiB in all");

impl RecentRoles {
    #[expect(clippy::large_stack_arrays, reason = "made once, at server start, and moved to shared memory")]
    fn new() -> Self {
        Self {
            roles: [pg_sys::InvalidOid; CAPACITY],
            last_logins: [0; CAPACITY],
            records: [Record::EMPTY; CAPACITY],
            last_login: 0,
        }
    }

    /// Notes a login of a role. If there is no room, it takes the place of the role whose last
    /// login was longest ago.
    fn note(&mut self, role: pg_sys::Oid, now: i64, refused: Option<Code>) {
        let known = self.roles.iter().position(|known| *known == role);
        let Some(place) = known.or_else(|| self.oldest()) else { return };
        self.last_login += 1;
        let parts = (self.roles.get_mut(place), self.last_logins.get_mut(place), self.records.get_mut(place));
        let (Some(owner), Some(last_login), Some(record)) = parts else { return };
        if *owner != role {
            *owner = role;
            *record = Record::EMPTY;
        }
        *last_login = self.last_login;
        if refused.is_some() {
            record.last_refused = now;
            record.last_code = refused;
            record.refused += 1;
        } else {
            record.last_admitted = now;
            record.admitted += 1;
        }
    }

    /// Returns a free place, or else the one whose last login was longest ago.
    fn oldest(&self) -> Option<usize> {
        self.last_logins.iter().enumerate().min_by_key(|(_, login)| **login).map(|(place, _)| place)
    }

    fn records(&self) -> impl Iterator<Item = (pg_sys::Oid, Record)> {
        let all = self.roles.iter().copied().zip(self.records.iter().copied());
        all.filter(|(role, _)| *role != pg_sys::InvalidOid)
    }

    fn forget(&mut self) {
        self.roles.fill(pg_sys::InvalidOid);
        self.last_logins.fill(0);
    }
}

static RECENT: Locked<RecentRoles> = Locked::new(c"azure_ad_auth_stat_principals", RecentRoles::new);

/// Requests the table. In the postmaster only, while it loads its libraries.
pub(super) fn init_shared_memory() {
    RECENT.request();
}

/// Notes a login of a role, accepted or refused for a reason.
pub(super) fn note(role: pg_sys::Oid, refused: Option<Code>) {
    let now = clock::unix_now();
    RECENT.exclusive().note(role, now, refused);
}

/// Returns every role in the table with what is known of it.
pub(super) fn records() -> Vec<(pg_sys::Oid, Record)> {
    let mut records = Vec::with_capacity(CAPACITY);
    records.extend(RECENT.share().records());
    records
}

/// Forgets all.
pub(super) fn reset() {
    RECENT.exclusive().forget();
}

#[cfg(test)]
mod tests {
    use entra::Code;
    use pgrx::pg_sys::Oid;

    use super::{CAPACITY, RecentRoles};

    fn role(number: usize) -> Oid {
        Oid::from(16_384 + u32::try_from(number).expect("a small number"))
    }

    #[test]
    fn a_record_adds_up() {
        let mut table = Box::new(RecentRoles::new());
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
        let mut table = Box::new(RecentRoles::new());
        (0..CAPACITY).for_each(|number| table.note(role(number), 1, None));
        assert_eq!(table.records().count(), CAPACITY);
        // The first logs in again, so that the second one's login is longest ago.
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
