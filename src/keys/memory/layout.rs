//! How key memory is laid out, and how it comes to be.

use entra::{Freshness, Key, Remembered, limits};

use crate::pg::bytes::Bytes;
use crate::pg::condition::Condition;
use crate::pg::latch::Latch;
use crate::pg::shmem::{Locked, shareable};

/// Longest text about what went wrong.
const MAX_FAULT_BYTES: usize = 512;

/// A key.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    id: Bytes<{ limits::MAX_KEY_ID_BYTES }>,
    modulus: Bytes<{ limits::MAX_MODULUS_BITS / 8 }>,
    exponent: Bytes<8>,
    /// Empty if the key names no issuer.
    issuer: Bytes<{ limits::MAX_ISSUER_BYTES }>,
    /// Unix seconds, for people.
    pub(super) first_seen: i64,
}
shareable!(Slot { id, modulus, exponent, issuer, first_seen });

impl Slot {
    const EMPTY: Self = Self {
        id: Bytes::EMPTY,
        modulus: Bytes::EMPTY,
        exponent: Bytes::EMPTY,
        issuer: Bytes::EMPTY,
        first_seen: 0,
    };

    /// Returns none if the key does not fit; every key that `entra` gives does.
    pub(super) fn new(key: &Key, first_seen: i64) -> Option<Self> {
        Some(Self {
            id: Bytes::new(key.id().as_bytes())?,
            modulus: Bytes::new(key.modulus())?,
            exponent: Bytes::new(key.exponent())?,
            issuer: Bytes::new(key.issuer().unwrap_or_default().as_bytes())?,
            first_seen,
        })
    }

    pub(super) fn has_id(&self, id: &str) -> bool {
        self.id.get() == id.as_bytes()
    }

    /// Returns whether this is that key. The issuers may differ.
    pub(super) fn is(&self, key: &Key) -> bool {
        self.has_id(key.id()) && self.modulus.get() == key.modulus() && self.exponent.get() == key.exponent()
    }

    /// Returns the id, and the issuer where the key names one.
    pub(super) fn names(&self) -> (String, Option<String>) {
        (self.id.text(), (!self.issuer.is_empty()).then(|| self.issuer.text()))
    }

    pub(super) fn remembered(&self) -> Option<Remembered> {
        self.key().map(|key| Remembered { key, first_seen: self.first_seen })
    }

    pub(super) fn key(&self) -> Option<Key> {
        let issuer = Some(std::str::from_utf8(self.issuer.get()).ok()?).filter(|issuer| !issuer.is_empty());
        Key::new(std::str::from_utf8(self.id.get()).ok()?, self.modulus.get(), self.exponent.get(), issuer)
    }
}

pub(super) struct KeyMemory {
    /// Identifies the origin that the keys belong to.
    pub(super) fingerprint: Bytes<{ limits::MAX_ORIGIN_BYTES }>,
    keys: [Slot; limits::MAX_KEYS],
    key_count: usize,
    /// When the keys were fetched, Unix seconds, for people. Their age is counted in `freshness`.
    pub(super) fetched_at: i64,
    /// By how many seconds the provider's clock was ahead of this machine's then.
    pub(super) clock_ahead: Option<i64>,
    pub(super) freshness: Freshness,
    /// Grows whenever something happens that a login may wait for: a fetch ends, or keys of a
    /// snapshot are there.
    pub(super) generation: u64,
    pub(super) tally: Tally,
    /// The last fault; empty after a success.
    pub(super) fault: Bytes<MAX_FAULT_BYTES>,
    pub(super) worker: Presence,
}
shareable!(KeyMemory {
    fingerprint,
    keys,
    key_count,
    fetched_at,
    clock_ahead,
    freshness,
    generation,
    tally,
    fault,
    worker,
});

/// Events since the server started.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    /// Fetches that were begun. The last of them may be running, or may have been given up.
    pub(super) begun: u64,
    /// The number, among those begun, of the last that has ended.
    pub(super) last_ended: u64,
    /// Fetches that have ended, well or not.
    pub(super) ended: u64,
    /// Those of them that failed.
    pub(super) failed: u64,
    /// Fetches caused by logins with unknown keys.
    pub(super) on_demand: u64,
    /// When the last one began, Unix seconds; 0 if none did.
    pub(super) begun_at: i64,
}
shareable!(Tally { begun, last_ended, ended, failed, on_demand, begun_at });

impl Tally {
    /// Counts that the fetch begun last has ended.
    pub(super) const fn note_end(&mut self) {
        self.ended += 1;
        self.last_ended = self.begun;
    }
}

/// The worker, as other processes see it.
#[derive(Clone, Copy)]
pub(super) struct Presence {
    /// None while there is no worker.
    pub(super) latch: Latch,
    /// 0 while there is no worker.
    pub(super) pid: i32,
    /// When a worker last went round its loop, Unix seconds; 0 if none ever did.
    pub(super) heartbeat: i64,
}
shareable!(Presence { latch, pid, heartbeat });

const _: () = assert!(size_of::<KeyMemory>() <= 512 * 1024, "the budget for shared memory is 1 MiB in all");

impl KeyMemory {
    #[expect(clippy::large_stack_arrays, reason = "made once, at server start, and moved to shared memory")]
    fn new() -> Self {
        Self {
            fingerprint: Bytes::EMPTY,
            keys: [Slot::EMPTY; limits::MAX_KEYS],
            key_count: 0,
            fetched_at: 0,
            clock_ahead: None,
            freshness: Freshness::new(),
            generation: 0,
            tally: Tally::default(),
            fault: Bytes::EMPTY,
            worker: Presence { latch: Latch::NONE, pid: 0, heartbeat: 0 },
        }
    }

    pub(super) fn keys(&self) -> &[Slot] {
        self.keys.get(..self.key_count).unwrap_or_default()
    }

    /// Replaces all keys. At most [`limits::MAX_KEYS`] are taken, which is the most `entra` gives.
    pub(super) fn replace(&mut self, slots: &[Slot]) {
        for (place, slot) in self.keys.iter_mut().zip(slots) {
            *place = *slot;
        }
        self.key_count = slots.len().min(limits::MAX_KEYS);
    }

    pub(super) fn is_of(&self, fingerprint: &str) -> bool {
        self.fingerprint.get() == fingerprint.as_bytes()
    }
}

pub(super) static MEMORY: Locked<KeyMemory> = Locked::new(c"azure_ad_auth_keys", KeyMemory::new);

/// Announces that something in the memory has changed that a process may wait for.
pub(super) static NEWS: Condition = Condition::new(c"azure_ad_auth_keys_news");

/// Requests the memory. In the postmaster only, while it loads its libraries.
pub(crate) fn init_shared_memory() {
    MEMORY.request();
    NEWS.request();
}

/// Wakes the worker, if there is one. A worker that starts looks without being woken.
pub(super) fn wake_worker() {
    let latch = MEMORY.share().worker.latch;
    latch.wake();
}
