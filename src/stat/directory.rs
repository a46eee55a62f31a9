//! The counters of the directory: what it was asked, who waited for it, and which answers were
//! there already.

use std::sync::atomic::{AtomicU64, Ordering};

use entra::directory::retry::Outcome;
use linkage::sync::Action;

use crate::pg::shmem::shareable;
use crate::stat::counters::{COUNTERS, Metric, add};

/// What the directory is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The states of all linked objects.
    Look,
    /// Names and ids, for statements.
    Name,
    /// Memberships.
    Membership,
    /// A token of the server's own.
    Token,
}

impl Asked {
    /// Every one, and its name in the view.
    const ALL: [(Self, &str); 4] = [
        (Self::Look, "look"),
        (Self::Name, "name"),
        (Self::Membership, "membership"),
        (Self::Token, "token"),
    ];
}

/// Every outcome of a request to the directory, and its name in the view.
const OUTCOMES: [(Outcome, &str); 6] = [
    (Outcome::Answered, "answered"),
    (Outcome::NotFound, "not_found"),
    (Outcome::Forbidden, "forbidden"),
    (Outcome::Renew, "token_rejected"),
    (Outcome::Later, "unavailable"),
    (Outcome::Refused, "failed"),
];

/// Who waits for the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    Statement,
    Login,
}

impl Waiting {
    /// Each, by the name in the view.
    const NAMES: [&str; 2] = ["statement", "login"];
}

/// What the directory was asked, and who waited for it.
#[derive(Default)]
pub(super) struct Directory {
    requests: [[AtomicU64; OUTCOMES.len()]; Asked::ALL.len()],
    waits: [AtomicU64; Waiting::NAMES.len()],
    wait_millis: [AtomicU64; Waiting::NAMES.len()],
    cache_hits: AtomicU64,
    group_sync: [AtomicU64; Action::ALL.len()],
}
shareable!(Directory { requests, waits, wait_millis, cache_hits, group_sync });

impl Directory {
    /// Returns every number.
    pub(super) fn rows(&self) -> Vec<Metric> {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut rows = Vec::new();
        for ((_, kind), outcomes) in Asked::ALL.iter().zip(&self.requests) {
            rows.extend(OUTCOMES.iter().zip(outcomes).map(|((_, outcome), count)| Metric {
                name: "directory_requests",
                kind: Some(kind),
                code: Some(outcome),
                value: value(count),
                ..Metric::default()
            }));
        }
        for (name, counts) in
            [("directory_waits", &self.waits), ("directory_wait_milliseconds", &self.wait_millis)]
        {
            rows.extend(Waiting::NAMES.iter().zip(counts).map(|(kind, count)| Metric {
                name,
                kind: Some(kind),
                value: value(count),
                ..Metric::default()
            }));
        }
        let name = "directory_cache_hits";
        rows.push(Metric { name, value: value(&self.cache_hits), ..Metric::default() });
        rows.extend(Action::ALL.iter().zip(&self.group_sync).map(|(action, count)| Metric {
            name: "group_sync",
            code: Some(action.as_str()),
            value: value(count),
            ..Metric::default()
        }));
        rows
    }

    /// Returns every counter.
    pub(super) fn all(&self) -> impl Iterator<Item = &AtomicU64> {
        let waits = self.waits.iter().chain(&self.wait_millis);
        self.requests.iter().flatten().chain(waits).chain([&self.cache_hits]).chain(&self.group_sync)
    }
}

/// Counts what a round of the synchronisation of groups has done, or left undone.
pub(crate) fn count_group_sync(action: Action) {
    let place = Action::ALL.iter().position(|known| *known == action);
    add(place.and_then(|place| COUNTERS.get().directory.group_sync.get(place)), 1);
}

/// Counts requests to the directory, by what was asked and how it ended.
pub(crate) fn count_directory_requests(asked: Asked, outcome: Outcome, count: u64) {
    let kind = Asked::ALL.iter().position(|(known, _)| *known == asked);
    let outcome = OUTCOMES.iter().position(|(known, _)| *known == outcome);
    let outcomes = kind.and_then(|kind| COUNTERS.get().directory.requests.get(kind));
    add(outcomes.zip(outcome).and_then(|(outcomes, outcome)| outcomes.get(outcome)), count);
}

/// Counts a wait for the directory and how long it is.
pub(crate) fn count_directory_wait<T>(waiting: Waiting, wait: impl FnOnce() -> T) -> T {
    let directory = &COUNTERS.get().directory;
    add(directory.waits.get(waiting as usize), 1);
    let began = std::time::Instant::now();
    let outcome = wait();
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    add(directory.wait_millis.get(waiting as usize), took);
    outcome
}

/// Counts a login for which the answer about a membership was there already.
pub(crate) fn count_directory_cache_hit() {
    add(Some(&COUNTERS.get().directory.cache_hits), 1);
}
