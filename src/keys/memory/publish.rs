//! The worker's part of key memory: publishes keys and the course of fetches.

use std::time::Duration;

use entra::{KeySet, Millis, Remembered, Snapshot, State, Timing};

use crate::keys::memory::layout::{MEMORY, NEWS, Slot};
use crate::pg::bytes::Bytes;
use crate::pg::clock;
use crate::pg::latch::Latch;
use crate::pg::process;

/// When the worker has something to do next.
#[derive(Clone, Copy)]
pub(in crate::keys) struct Schedule {
    /// A fetch is to start now.
    pub(in crate::keys) due: bool,
    /// Nothing is due for so long, unless it is asked for.
    pub(in crate::keys) idle_for: Duration,
}

/// Returns when a fetch is due.
pub(in crate::keys) fn schedule() -> Schedule {
    let now = clock::monotonic();
    let freshness = MEMORY.share().freshness;
    Schedule { due: freshness.due(now), idle_for: Duration::from_millis(freshness.idle_for(now)) }
}

/// Notes that the worker goes round its loop.
pub(in crate::keys) fn note_heartbeat() {
    let now = clock::unix_now();
    MEMORY.exclusive().worker.heartbeat = now;
}

/// Registers this process as the worker, until it ends. A fetch that an earlier worker has left
/// running will not end.
pub(in crate::keys) fn worker_started() {
    process::before_exit(worker_ended);
    let (latch, pid) = (Latch::own(), std::process::id().cast_signed());
    let mut memory = MEMORY.exclusive();
    memory.worker.latch = latch;
    memory.worker.pid = pid;
    memory.freshness.abandon();
}

/// Called when the worker ends. A fetch that it has left running will not end.
fn worker_ended() {
    let mut memory = MEMORY.exclusive();
    memory.worker.latch = Latch::NONE;
    memory.worker.pid = 0;
    memory.freshness.abandon();
}

/// Takes over settings. Keys of another origin are dropped, and a fetch is wanted either way. A
/// fetch that runs goes on, unless it was `dropped`: keys of one origin may be fetched in another
/// way now.
pub(in crate::keys) fn origin_is(fingerprint: &str, dropped: bool) {
    let fingerprint = Bytes::new(fingerprint.as_bytes()).unwrap_or(Bytes::EMPTY);
    let mut memory = MEMORY.exclusive();
    if memory.fingerprint.get() == fingerprint.get() {
        if dropped {
            memory.freshness.abandon();
        }
        memory.freshness.want();
        return;
    }
    memory.freshness = memory.freshness.restarted();
    memory.fingerprint = fingerprint;
    memory.replace(&[]);
    memory.fault = Bytes::EMPTY;
}

/// Notes that a fetch begins.
pub(in crate::keys) fn begin() {
    let (now, wall) = (clock::monotonic(), clock::unix_now());
    let mut memory = MEMORY.exclusive();
    memory.freshness.begin(now);
    memory.tally.begun += 1;
    memory.tally.begun_at = wall;
}

/// Publishes the keys that a fetch has brought: they replace all keys that were there, and logins
/// go on at once. Then has them kept for a restart of the server, and ends the fetch last. So a
/// process that has waited for the end of a fetch knows that both are done, and that a key that was
/// withdrawn does not come back with a restart.
pub(in crate::keys) fn publish(
    keys: &KeySet,
    clock_ahead: Option<i64>,
    timing: &Timing,
    keep: impl FnOnce(&Snapshot),
) {
    let fetched_at = clock::unix_now();
    // Only this process changes keys, so they may be read before the lock that changes them is
    // taken.
    let known = MEMORY.share().keys().to_vec();
    let first_seen = |key| known.iter().find(|slot| slot.is(key)).map_or(fetched_at, |slot| slot.first_seen);
    let slots: Vec<_> = keys.iter().filter_map(|key| Slot::new(key, first_seen(key))).collect();
    let now = clock::monotonic();
    {
        let mut memory = MEMORY.exclusive();
        memory.replace(&slots);
        memory.fetched_at = fetched_at;
        memory.clock_ahead = clock_ahead;
        memory.fault = Bytes::EMPTY;
        memory.generation += 1;
        memory.freshness.succeeded(now, timing);
    }
    NEWS.broadcast();
    keep(&snapshot());
    MEMORY.exclusive().tally.note_end();
    NEWS.broadcast();
}

/// Returns whether there are no keys of this origin, not even old ones.
pub(in crate::keys) fn is_empty() -> bool {
    MEMORY.share().keys().is_empty()
}

/// Puts the keys of a snapshot, fetched `age` ago, into memory, unless the origin has changed.
pub(in crate::keys) fn restore(snapshot: &Snapshot, age: Millis) {
    let slot = |remembered: &Remembered| Slot::new(&remembered.key, remembered.first_seen);
    let slots: Vec<_> = snapshot.keys.iter().filter_map(slot).collect();
    let now = clock::monotonic();
    {
        let mut memory = MEMORY.exclusive();
        if !memory.is_of(&snapshot.origin) {
            return;
        }
        memory.replace(&slots);
        memory.fetched_at = snapshot.fetched_at;
        memory.generation += 1;
        memory.freshness.restored(now, age);
    }
    NEWS.broadcast();
}

/// Returns what the server is to find after a restart.
fn snapshot() -> Snapshot {
    let (origin, fetched_at, slots) = {
        let memory = MEMORY.share();
        (memory.fingerprint.text(), memory.fetched_at, memory.keys().to_vec())
    };
    Snapshot { origin, fetched_at, keys: slots.iter().filter_map(Slot::remembered).collect() }
}

/// Returns what the server should find after a restart; none while a fetch has begun and its keys
/// have not been kept.
pub(in crate::keys) fn settled_snapshot() -> Option<Snapshot> {
    let is_settled = {
        let memory = MEMORY.share();
        memory.tally.begun == memory.tally.last_ended
    };
    is_settled.then(snapshot)
}

/// Notes that a fetch has failed. The keys that are there stay.
pub(in crate::keys) fn note_failure(
    fault: &str,
    retry_after: Option<Duration>,
    jitter: u64,
    timing: &Timing,
) {
    let fault = Bytes::cut(fault);
    let retry_after = retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    let now = clock::monotonic();
    {
        let mut memory = MEMORY.exclusive();
        memory.fault = fault;
        memory.tally.note_end();
        memory.tally.failed += 1;
        memory.generation += 1;
        memory.freshness.failed(now, timing, retry_after, jitter);
    }
    NEWS.broadcast();
}

/// Returns the state of the keys.
pub(in crate::keys) fn state(timing: &Timing) -> State {
    MEMORY.share().freshness.state(clock::monotonic(), timing)
}
