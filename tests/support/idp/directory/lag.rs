//! When a change of the directory can be seen: at once, later, or by every other request.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::store::Store;

/// How long a change of the directory stays unseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    /// It is seen at once.
    None,
    /// It is not seen by this many further requests to Graph. A batch is one request; requests that
    /// a fault refuses do not count.
    Requests(usize),
    /// It is not seen for a time.
    Time(Duration),
    /// Every other request, the next one included, is answered by a replica that sees no change
    /// from now on: answers go back in time.
    OldReplica,
}

pub(super) type Change = Box<dyn FnOnce(&mut Store) + Send>;

enum Due {
    AfterRequest(usize),
    At(Instant),
}

/// The directory as it is seen, and the changes that are not seen yet.
pub(super) struct Replication {
    lag: Lag,
    seen: Store,
    /// What the replica sees that is never told of changes.
    old_replica: Option<Store>,
    /// Whether that replica answers the next request.
    old_replica_is_next: bool,
    pending: VecDeque<(Due, Change)>,
    /// How many requests have been answered.
    answered: usize,
}

impl Replication {
    pub(super) fn new(seen: Store) -> Self {
        Self {
            lag: Lag::None,
            seen,
            old_replica: None,
            old_replica_is_next: true,
            pending: VecDeque::new(),
            answered: 0,
        }
    }

    /// Changes the lag of later changes. Without lag, earlier changes are seen at once too.
    pub(super) fn set_lag(&mut self, lag: Lag) {
        self.lag = lag;
        if lag == Lag::None {
            for (_, change) in std::mem::take(&mut self.pending) {
                change(&mut self.seen);
            }
        }
        self.old_replica = (lag == Lag::OldReplica).then(|| self.seen.clone());
        self.old_replica_is_next = true;
    }

    pub(super) fn apply(&mut self, change: Change) {
        let due = match self.lag {
            // What was changed earlier is seen earlier.
            Lag::None | Lag::OldReplica if self.pending.is_empty() => return change(&mut self.seen),
            Lag::None | Lag::OldReplica => Due::AfterRequest(self.answered),
            Lag::Requests(number) => Due::AfterRequest(self.answered + number),
            Lag::Time(time) => Due::At(Instant::now() + time),
        };
        self.pending.push_back((due, change));
    }

    /// Returns what is seen now by what is no request to Graph.
    pub(super) const fn seen(&self) -> &Store {
        &self.seen
    }

    /// Returns what the next request sees.
    pub(super) fn next(&mut self) -> &Store {
        while let Some((due, change)) = self.pending.pop_front() {
            let is_due = match due {
                Due::AfterRequest(number) => self.answered >= number,
                Due::At(time) => Instant::now() >= time,
            };
            if !is_due {
                self.pending.push_front((due, change));
                break;
            }
            change(&mut self.seen);
        }
        self.answered += 1;
        let by_replica = self.old_replica_is_next;
        self.old_replica_is_next = !by_replica;
        self.old_replica.as_ref().filter(|_| by_replica).unwrap_or(&self.seen)
    }
}
