//! How key memory is laid out, and how it comes to be.

use entra::{Freshness, Key, Remembered, limits};
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init};

use crate::pg::bytes::Bytes;
use crate::pg::hook::{Chain, ShmemStartup};

/// Longest text about what went wrong.
const MAX_NOTE_BYTES: usize = 512;

#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Slot {
    id: Bytes<{ limits::MAX_KEY_ID_BYTES }>,
    modulus: Bytes<{ limits::MAX_MODULUS_BITS / 8 }>,
    exponent: Bytes<8>,
    /// Empty: the key names no issuer.
    issuer: Bytes<{ limits::MAX_ISSUER_BYTES }>,
    /// Unix seconds, for people.
    pub(super) first_seen: i64,
}

impl Slot {
    const EMPTY: Self = Self {
        id: Bytes::EMPTY,
        modulus: Bytes::EMPTY,
        exponent: Bytes::EMPTY,
        issuer: Bytes::EMPTY,
        first_seen: 0,
    };

    /// None if it does not fit, as any key that `entra` gives does.
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

    /// Whether this is that key, whatever its issuer.
    pub(super) fn is(&self, key: &Key) -> bool {
        self.has_id(key.id()) && self.modulus.get() == key.modulus() && self.exponent.get() == key.exponent()
    }

    /// The id, and the issuer where the key names one.
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

#[repr(C)]
pub(super) struct KeyMemory {
    /// Whose keys these are.
    pub(super) fingerprint: Bytes<{ limits::MAX_ORIGIN_BYTES }>,
    keys: [Slot; limits::MAX_KEYS],
    key_count: usize,
    /// When the keys were fetched, Unix seconds, for people; what ages is `freshness`.
    pub(super) fetched_at: i64,
    /// By how many seconds the provider's clock was ahead of ours then.
    pub(super) clock_ahead: Option<i64>,
    pub(super) freshness: Freshness,
    /// Grows with whatever a login may have waited for: the end of a fetch, keys of a snapshot.
    pub(super) generation: u64,
    pub(super) tally: Tally,
    /// What went wrong last; empty after a success.
    pub(super) fault: Bytes<MAX_NOTE_BYTES>,
    /// A name under our prefix in a configuration file that is no setting; empty: none.
    pub(super) unknown_setting: Bytes<MAX_NOTE_BYTES>,
    pub(super) worker: Presence,
    /// Waits for a generation.
    news: pg_sys::ConditionVariable,
}

/// What has happened since the server started.
#[derive(Clone, Copy, Default)]
#[repr(C)]
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
    /// When the last one began, Unix seconds; 0: none did.
    pub(super) begun_at: i64,
}

impl Tally {
    /// The fetch begun last has ended.
    pub(super) const fn note_end(&mut self) {
        self.ended += 1;
        self.last_ended = self.begun;
    }
}

/// The worker, as others see it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Presence {
    /// Its latch, within shared memory; null while there is no worker.
    pub(super) latch: *mut pg_sys::Latch,
    /// 0 while there is no worker.
    pub(super) pid: i32,
    /// When one last went round its loop, Unix seconds; 0: never.
    pub(super) heartbeat: i64,
}

const _: () = assert!(size_of::<KeyMemory>() <= 512 * 1024, "the budget for shared memory is 1 MiB in all");

#[expect(clippy::large_stack_arrays, reason = "made once, at server start, and moved to shared memory")]
impl Default for KeyMemory {
    fn default() -> Self {
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
            unknown_setting: Bytes::EMPTY,
            worker: Presence { latch: std::ptr::null_mut(), pid: 0, heartbeat: 0 },
            news: pg_sys::ConditionVariable::default(),
        }
    }
}

impl KeyMemory {
    pub(super) fn slots(&self) -> &[Slot] {
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

#[expect(unsafe_code, reason = "a promise to pgrx")]
// SAFETY: plain bytes and numbers; the pointer leads into shared memory, which every process maps at the same address.
unsafe impl PGRXSharedMemory for KeyMemory {}

#[expect(unsafe_code, reason = "a promise to pgrx")]
// SAFETY: no other lock has this name.
pub(super) static MEMORY: PgLwLock<KeyMemory> = unsafe { PgLwLock::new(c"azure_ad_auth_keys") };

static STARTUP: Chain<ShmemStartup> = Chain::new();

/// Requests the segment and sees to its initialisation. In the postmaster only, while it loads its libraries.
pub(crate) fn init_shared_memory() {
    pg_shmem_init!(MEMORY);
    // It calls the hook that pgrx has just installed.
    STARTUP.install(Some(initialise_condition));
}

/// A condition variable must be initialised where it lies.
#[pg_guard]
#[expect(unsafe_code, ffi_unwind_calls, reason = "chains a hook, inside pg_guard_ffi_boundary")]
unsafe extern "C-unwind" fn initialise_condition() {
    // SAFETY: the previous hook creates the segment; nobody uses it before the postmaster is done with its start.
    unsafe {
        if let Some(previous) = STARTUP.previous() {
            pg_sys::ffi::pg_guard_ffi_boundary(|| previous());
        }
        if !pg_sys::IsUnderPostmaster {
            pg_sys::ConditionVariableInit(news());
        }
    }
}

/// The place of the condition variable, which is used without the lock: it has its own.
pub(super) fn news() -> *mut pg_sys::ConditionVariable {
    (&raw const MEMORY.share().news).cast_mut()
}
