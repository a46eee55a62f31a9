//! What looks leave to the next one: the applications of client ids, and where each kind of
//! question has ended.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

/// An id that was no client id is asked about again after so many looks.
pub(super) const CLIENT_AGAIN: u32 = 12;

/// What is kept from one look to the next.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// The service principals of client ids that roles are linked to.
    pub(super) clients: BTreeMap<Uuid, Uuid>,
    /// Ids that are no client ids, and after how many looks each is asked about again.
    pub(super) no_clients: BTreeMap<Uuid, u32>,
    /// The last ids, with sessions and without, that were asked about singly: the next look goes on
    /// after them.
    pub(super) last_single: [Uuid; 2],
    /// The last users, with sessions and without, who were asked about in lists of users.
    pub(super) last_users: [Uuid; 2],
    /// The last principal whose memberships were asked about.
    pub(super) last_member: Uuid,
}

/// Returns at most so many of the ids, in order, beginning after the one at which the look before
/// ended, and notes where this one ends.
pub(super) fn go_on(ids: impl IntoIterator<Item = Uuid>, last: &mut Uuid, most: usize) -> Vec<Uuid> {
    let (before, mut ids): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| *id <= *last);
    ids.extend(before);
    ids.truncate(most);
    *last = ids.last().copied().unwrap_or(*last);
    ids
}

impl Memory {
    /// Returns the application of a client id that was polled.
    #[must_use]
    pub fn application_of(&self, client_id: Uuid) -> Option<Uuid> {
        self.clients.get(&client_id).copied()
    }

    /// Returns at most so many of the principals, for the look's questions about memberships,
    /// beginning after the one at which the look before ended.
    pub fn next_members(&mut self, members: impl Iterator<Item = Uuid>, most: usize) -> BTreeSet<Uuid> {
        let members: BTreeSet<_> = members.collect();
        go_on(members, &mut self.last_member, most).into_iter().collect()
    }

    /// Forgets client ids that are not polled any more, and for how long others are none.
    pub(super) fn forget(&mut self, is_polled: impl Fn(Uuid) -> bool) {
        self.clients.retain(|id, _| is_polled(*id));
        self.no_clients.retain(|id, looks| {
            *looks -= 1;
            *looks > 0 && is_polled(*id)
        });
    }
}
