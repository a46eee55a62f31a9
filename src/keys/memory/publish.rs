//! What the worker does to key memory.

use std::time::Duration;

use entra::{KeySet, Millis, Remembered, Snapshot, State, Timing};
use pgrx::prelude::*;

use crate::keys::memory::layout::{MEMORY, Slot, news};
use crate::pg::bytes::Bytes;
use crate::pg::clock;

/// What the worker must know to decide what to do next.
#[derive(Clone, Copy)]
pub(in crate::keys) struct Outlook {
    /// A fetch is to start now.
    pub(in crate::keys) due: bool,
    /// Nothing is due for so long, unless someone asks.
    pub(in crate::keys) idle_for: Duration,
}

/// Looks what is to be done, and leaves a sign that the worker did.
pub(in crate::keys) fn look() -> Outlook {
    let (now, wall) = (clock::monotonic(), clock::unix_now());
    let freshness = {
        let mut memory = MEMORY.exclusive();
        memory.worker.heartbeat = wall;
        memory.freshness
    };
    Outlook { due: freshness.due(now), idle_for: Duration::from_millis(freshness.idle_for(now)) }
}

/// A worker has come. What one before it left running is nobody's.
#[expect(unsafe_code, reason = "registers an exit callback")]
pub(in crate::keys) fn worker_started() {
    // SAFETY: MyProc belongs to this process while it lives; the callback runs while shared memory is still attached.
    let (latch, pid) = unsafe {
        pg_sys::before_shmem_exit(Some(on_worker_exit), pg_sys::Datum::from(0));
        (&raw mut (*pg_sys::MyProc).procLatch, pg_sys::MyProcPid)
    };
    let mut memory = MEMORY.exclusive();
    memory.worker.latch = latch;
    memory.worker.pid = pid;
    memory.freshness.abandon();
}

/// The worker goes. A fetch it was running will not end.
#[pg_guard]
#[expect(unsafe_code, reason = "the signature of an exit callback")]
unsafe extern "C-unwind" fn on_worker_exit(_code: i32, _argument: pg_sys::Datum) {
    let mut memory = MEMORY.exclusive();
    memory.worker.latch = std::ptr::null_mut();
    memory.worker.pid = 0;
    memory.freshness.abandon();
}

/// Settings were read. Keys of another origin are dropped; a fetch is wanted either way. What runs goes on, unless it was
/// `dropped`: keys of one origin may be fetched in other ways now.
pub(in crate::keys) fn origin_is(fingerprint: &str, dropped: bool, unknown_setting: Option<&str>) {
    let fingerprint = Bytes::new(fingerprint.as_bytes()).unwrap_or(Bytes::EMPTY);
    let unknown_setting = unknown_setting.map_or(Bytes::EMPTY, Bytes::cut);
    let mut memory = MEMORY.exclusive();
    memory.unknown_setting = unknown_setting;
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

pub(in crate::keys) fn begin() {
    let (now, wall) = (clock::monotonic(), clock::unix_now());
    let mut memory = MEMORY.exclusive();
    memory.freshness.begin(now);
    memory.tally.begun += 1;
    memory.tally.begun_at = wall;
}

/// A fetch brought keys: they replace all that were there. Logins go on at once; that the fetch has ended is said by
/// [`note_success`].
pub(in crate::keys) fn publish(keys: &KeySet, clock_ahead: Option<i64>, timing: &Timing) {
    let fetched_at = clock::unix_now();
    // Nobody but us changes keys, so they may be read before the lock that changes them is taken.
    let known = MEMORY.share().slots().to_vec();
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
    announce();
}

/// What a fetch brought is published and kept: whoever waits for its end need not wait any longer.
pub(in crate::keys) fn note_success() {
    MEMORY.exclusive().tally.note_end();
    announce();
}

/// Whether there are no keys of this origin, be they too old.
pub(in crate::keys) fn is_empty() -> bool {
    MEMORY.share().slots().is_empty()
}

/// Keys of an earlier life of the server, fetched `age` ago, for the origin they are of.
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
    announce();
}

/// What a later life of the server is to find.
pub(in crate::keys) fn snapshot() -> Snapshot {
    let (origin, fetched_at, slots) = {
        let memory = MEMORY.share();
        (memory.fingerprint.text(), memory.fetched_at, memory.slots().to_vec())
    };
    Snapshot { origin, fetched_at, keys: slots.iter().filter_map(Slot::remembered).collect() }
}

/// The same, once every fetch that has begun has come to its end, which it has when its keys have been kept.
pub(in crate::keys) fn settled_snapshot() -> Option<Snapshot> {
    let is_settled = {
        let memory = MEMORY.share();
        memory.tally.begun == memory.tally.last_ended
    };
    is_settled.then(snapshot)
}

/// A fetch failed: what is there stays.
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
    announce();
}

/// What is to be said about the keys.
pub(in crate::keys) fn state(timing: &Timing) -> State {
    MEMORY.share().freshness.state(clock::monotonic(), timing)
}

/// Wakes whoever waits.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn announce() {
    // SAFETY: initialised in shared memory.
    unsafe { pg_sys::ConditionVariableBroadcast(news()) }
}
