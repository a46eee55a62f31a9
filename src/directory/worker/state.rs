//! What the worker knows about people and applications, and how that is kept: in shared memory for
//! logins, and in the snapshot for the next start.

use std::collections::{BTreeMap, BTreeSet};

use entra::directory::login::Pair;
use entra::directory::look::Memory;
use entra::directory::roll::Roll;
use entra::directory::snapshot::EndedSnapshot;
use entra::directory::standing;
use entra::{Uuid, limits};

use crate::directory::memory::people::{self, Ended, MAX_LEFT};
use crate::directory::memory::publish::{self, LeftOut};
use crate::directory::memory::seen::Filter;
use crate::directory::snapshot;
use crate::directory::watch::Memberships;
use crate::directory::worker::log;
use crate::pg::clock;
use crate::report::log_once::LogOnce;

/// What the worker knows.
#[derive(Default)]
pub(super) struct Known {
    /// The tenant that it is about; none: nothing was taken over yet.
    tenant: Option<Uuid>,
    pub(super) roll: Roll,
    pub(super) memberships: Memberships,
    pub(super) memory: Memory,
    /// The object id of the server's own application, once it is known.
    pub(super) own: Option<Uuid>,
    /// A look has succeeded since this was begun anew.
    pub(super) has_looked: bool,
    /// Who was logged in when the last look began.
    pub(super) logged_in: BTreeSet<Uuid>,
    /// For whom there was no room when this was last published.
    left_out: LeftOut,
    /// What logins know, by id.
    published: BTreeMap<Uuid, standing::Known>,
    /// What is in the snapshot.
    kept: Option<Kept>,
    log_of_snapshot: LogOnce,
}

/// What a snapshot has.
type Kept = (Vec<(Uuid, standing::Known)>, Vec<(Pair, i64)>);

impl Known {
    /// Takes over what is known about a tenant: from shared memory, if an earlier worker has put it
    /// there, or from the snapshot. Does nothing if this is the tenant already.
    pub(super) fn take_over(&mut self, tenant: Uuid, fingerprint: u64) {
        if self.tenant == Some(tenant) {
            return;
        }
        let is_first = self.tenant.is_none();
        *self = Self { tenant: Some(tenant), ..Self::default() };
        if is_first && publish::fingerprint() == fingerprint {
            self.take_from_memory();
        } else {
            self.take_from_snapshot(tenant);
        }
        self.publish();
    }

    fn take_from_memory(&mut self) {
        // Before the lock, under which nothing is allocated.
        let mut ended = Vec::with_capacity(limits::MAX_ENDED);
        let mut left = Vec::with_capacity(MAX_LEFT);
        people::read(|people| {
            ended.extend_from_slice(people.ended());
            left.extend_from_slice(people.left());
        });
        for entry in &ended {
            self.roll.restore(entry.id, entry.known());
        }
        let left: Vec<_> = left.iter().map(|entry| (entry.pair, entry.ended_at)).collect();
        self.memberships.restore(&left);
    }

    fn take_from_snapshot(&mut self, tenant: Uuid) {
        let usable =
            |found: EndedSnapshot| found.of(tenant, clock::unix_now()).map_err(|fault| fault.to_string());
        match snapshot::read().and_then(|found| found.map(usable).transpose()) {
            Ok(None) => {}
            Ok(Some(found)) => {
                found.principals.iter().for_each(|(id, known)| self.roll.restore(*id, *known));
                self.memberships.restore(&found.memberships);
                let principals = found.principals.iter().filter(|(_, known)| known.standing.is_out()).count();
                let memberships = found.memberships.len();
                if principals + memberships > 0 {
                    log(&format!(
                        "{principals} principals and {memberships} memberships that are known to have \
                         ended were found in {}",
                        snapshot::FILE
                    ));
                }
                self.kept = Some((found.principals, found.memberships));
            }
            Err(fault) => self.log_snapshot(&format!("is not used: {fault}")),
        }
    }

    fn log_snapshot(&mut self, text: &str) {
        if self.log_of_snapshot.add_ignoring_numbers(text) {
            log(&format!("{} {text}", snapshot::FILE));
        }
    }

    /// Forgets what was learnt under settings that have changed, except who is known to be out.
    pub(super) fn restart(&mut self) {
        self.roll.restart(clock::unix_now());
        self.memberships.restart();
        (self.memory, self.own, self.has_looked) = (Memory::default(), None, false);
    }

    /// Returns who is known to be out.
    pub(super) fn out(&self) -> impl Iterator<Item = Uuid> {
        self.published.keys().copied()
    }

    /// Returns whether an id is known to be deleted.
    pub(super) fn is_deleted(&self, id: Uuid) -> bool {
        self.roll.get(id).is_some_and(|record| record.known.standing == standing::Standing::Deleted)
    }

    /// Returns what logins know, by id.
    pub(super) const fn published(&self) -> &BTreeMap<Uuid, standing::Known> {
        &self.published
    }

    /// Publishes who is out and which memberships have ended, for logins. Returns what they knew
    /// before.
    pub(super) fn publish(&mut self) -> BTreeMap<Uuid, standing::Known> {
        let now = clock::unix_now();
        let has_session = |id| self.logged_in.contains(&id);
        let (ended, left_out) = self.roll.ended(now, limits::MAX_ENDED, has_session);
        let entries: Vec<_> = ended.iter().map(|(id, known)| Ended::new(*id, *known)).collect();
        let left_out = LeftOut { principals: left_out, memberships: self.memberships.left_out() };
        publish::publish(&entries, &self.memberships.ended(now), left_out);
        self.log_left_out(left_out);
        std::mem::replace(&mut self.published, ended.into_iter().collect())
    }

    /// Logs that there is no room for all who are out, and for all memberships of open sessions:
    /// once, until there is.
    fn log_left_out(&mut self, left_out: LeftOut) {
        let LeftOut { principals, memberships } = left_out;
        let before = std::mem::replace(&mut self.left_out, left_out);
        let most = limits::MAX_ENDED;
        match (before.principals, principals) {
            (0, 1..) => log(&format!(
                "directory: no more than {most} principals that are disabled, deleted or revoked are kept: \
                 {principals} others are not refused"
            )),
            (1.., 0) => {
                log("directory: all principals that are disabled, deleted or revoked are refused again");
            }
            _ => {}
        }
        match (before.memberships, memberships) {
            (0, 1..) => log(&format!(
                "directory: no more than {MAX_LEFT} memberships are asked about: the end of {memberships} others, of \
                 open sessions, is not noticed"
            )),
            (1.., 0) => {
                log("directory: all memberships of open sessions are asked about again");
            }
            _ => {}
        }
    }

    /// Publishes who is active, for views.
    pub(super) fn publish_active(&self) {
        let mut filter = Filter::new();
        let is_active = |known: &standing::Known| known.standing == standing::Standing::Active;
        self.roll.iter().filter(|(_, record)| is_active(&record.known)).for_each(|(id, _)| filter.add(id));
        filter.publish();
    }

    /// Writes the snapshot if what belongs in it has changed.
    pub(super) fn keep(&mut self) {
        let Some(tenant) = self.tenant else { return };
        let now = clock::unix_now();
        let principals: Vec<_> = self
            .published
            .iter()
            .filter(|(_, known)| known.matters(now))
            .map(|(id, known)| (*id, *known))
            .collect();
        let memberships: Vec<_> =
            self.memberships.ended(now).iter().map(|left| (left.pair, left.ended_at)).collect();
        let kept = (principals, memberships);
        if self.kept.as_ref().unwrap_or(&(Vec::new(), Vec::new())) == &kept {
            return;
        }
        let snapshot = EndedSnapshot {
            tenant,
            written_at: now,
            principals: kept.0.clone(),
            memberships: kept.1.clone(),
        };
        match snapshot::write(&snapshot) {
            Ok(()) => {
                self.log_of_snapshot = LogOnce::default();
                self.kept = Some(kept);
            }
            Err(fault) => self.log_snapshot(&format!(
                "cannot be written: {fault}; after a restart it is not known who is out until the \
                 directory has answered"
            )),
        }
    }
}
