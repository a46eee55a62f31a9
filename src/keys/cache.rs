//! Key memory: the only file that touches it.
//!
//! One segment of fixed size in shared memory, under one lightweight lock.
//!
//! - Who writes: the worker publishes keys and the course of fetches; a login that lacks a key asks for a fetch; each change
//!   is made whole under the exclusive lock, by copying bytes prepared before. Nothing is allocated, raised or waited for
//!   meanwhile, so the lock is held for microseconds, and a process that dies does not die half way (by SIGKILL it does,
//!   and PostgreSQL then starts shared memory afresh).
//! - Who reads: logins look one key up under the shared lock and copy that key out.
//! - What a reader sees before anything was published: no keys; every login waits or is refused.
//! - Keys belong to the origin they were fetched from. A reader whose settings name another origin finds none.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use entra::{Answer, Freshness, Key, KeySet, Millis, State, Timing, limits};
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init};

use super::Found;

/// Longest fingerprint of an origin: a tenant and up to two addresses and a path of a thousand bytes each.
const MAX_FINGERPRINT_BYTES: usize = 4_096;

/// Longest text about what went wrong.
const MAX_NOTE_BYTES: usize = 512;

/// Bytes of at most `N`, in place.
#[derive(Clone, Copy)]
#[repr(C)]
struct Bytes<const N: usize> {
    length: u16,
    bytes: [u8; N],
}

impl<const N: usize> Bytes<N> {
    const EMPTY: Self = Self { length: 0, bytes: [0; N] };

    /// None if it does not fit.
    fn new(source: &[u8]) -> Option<Self> {
        let mut copy = Self { length: u16::try_from(source.len()).ok()?, ..Self::EMPTY };
        copy.bytes.get_mut(..source.len())?.copy_from_slice(source);
        Some(copy)
    }

    /// As much as fits, cut between characters.
    fn cut(text: &str) -> Self {
        let mut end = text.len().min(N);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.get(..end).and_then(|text| Self::new(text.as_bytes())).unwrap_or(Self::EMPTY)
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.get()).into_owned()
    }
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Slot {
    id: Bytes<{ limits::MAX_KEY_ID_BYTES }>,
    modulus: Bytes<{ limits::MAX_MODULUS_BITS / 8 }>,
    exponent: Bytes<8>,
    /// Empty: the key names no issuer.
    issuer: Bytes<{ limits::MAX_ISSUER_BYTES }>,
}

impl Slot {
    const EMPTY: Self =
        Self { id: Bytes::EMPTY, modulus: Bytes::EMPTY, exponent: Bytes::EMPTY, issuer: Bytes::EMPTY };

    fn new(key: &Key) -> Option<Self> {
        Some(Self {
            id: Bytes::new(key.id().as_bytes())?,
            modulus: Bytes::new(key.modulus())?,
            exponent: Bytes::new(key.exponent())?,
            issuer: Bytes::new(key.issuer().unwrap_or_default().as_bytes())?,
        })
    }

    fn key(&self) -> Option<Key> {
        let issuer = Some(std::str::from_utf8(self.issuer.get()).ok()?).filter(|issuer| !issuer.is_empty());
        Key::new(std::str::from_utf8(self.id.get()).ok()?, self.modulus.get(), self.exponent.get(), issuer)
    }
}

#[repr(C)]
struct KeyMemory {
    fingerprint: Bytes<MAX_FINGERPRINT_BYTES>,
    keys: [Slot; limits::MAX_KEYS],
    key_count: usize,
    /// When the keys were fetched, Unix seconds, for people; what ages is `freshness`.
    fetched_at: i64,
    freshness: Freshness,
    /// Fetches that have ended, well or not.
    attempts: u64,
    /// What went wrong last; empty after a success.
    fault: Bytes<MAX_NOTE_BYTES>,
    /// A name under our prefix in a configuration file that is no setting; empty: none.
    unknown_setting: Bytes<MAX_NOTE_BYTES>,
    /// The worker's latch, within shared memory; null while there is no worker.
    worker_latch: *mut pg_sys::Latch,
    worker_pid: i32,
    /// Waits for the end of a fetch.
    attempt_ended: pg_sys::ConditionVariable,
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
            freshness: Freshness::new(),
            attempts: 0,
            fault: Bytes::EMPTY,
            unknown_setting: Bytes::EMPTY,
            worker_latch: std::ptr::null_mut(),
            worker_pid: 0,
            attempt_ended: pg_sys::ConditionVariable::default(),
        }
    }
}

#[expect(unsafe_code, reason = "a promise to pgrx")]
// SAFETY: plain bytes and numbers; the pointer leads into shared memory, which every process maps at the same address.
unsafe impl PGRXSharedMemory for KeyMemory {}

#[expect(unsafe_code, reason = "a promise to pgrx")]
// SAFETY: no other lock has this name.
static MEMORY: PgLwLock<KeyMemory> = unsafe { PgLwLock::new(c"azure_ad_auth_keys") };

thread_local! {
    static PREVIOUS_STARTUP: std::cell::Cell<pg_sys::shmem_startup_hook_type> = const { std::cell::Cell::new(None) };
}

/// Requests the segment and sees to its initialisation. In the postmaster only, while it loads its libraries.
#[expect(unsafe_code, reason = "the macro's own unsafe, and a hook after it")]
pub(crate) fn init_shared_memory() {
    pg_shmem_init!(MEMORY);
    // SAFETY: runs once, in the postmaster; our hook calls the one pgrx has just installed.
    unsafe {
        PREVIOUS_STARTUP.set(pg_sys::shmem_startup_hook);
        pg_sys::shmem_startup_hook = Some(initialise_condition);
    }
}

/// A condition variable must be initialised where it lies.
#[pg_guard]
#[expect(unsafe_code, ffi_unwind_calls, reason = "chains a hook, inside pg_guard_ffi_boundary")]
unsafe extern "C-unwind" fn initialise_condition() {
    // SAFETY: the previous hook creates the segment; nobody uses it before the postmaster is done with its start.
    unsafe {
        if let Some(previous) = PREVIOUS_STARTUP.get() {
            pg_sys::ffi::pg_guard_ffi_boundary(|| previous());
        }
        if !pg_sys::IsUnderPostmaster {
            pg_sys::ConditionVariableInit(attempt_ended());
        }
    }
}

/// The place of the condition variable, which is used without the lock: it has its own.
fn attempt_ended() -> *mut pg_sys::ConditionVariable {
    (&raw const MEMORY.share().attempt_ended).cast_mut()
}

/// Milliseconds of a clock that never goes back, is the same in every process, and counts the time a machine sleeps.
#[expect(unsafe_code, reason = "std's clock cannot be shared between processes")]
fn monotonic_now() -> Millis {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills the structure it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    time.tv_sec.unsigned_abs() * 1_000 + time.tv_nsec.unsigned_abs() / 1_000_000
}

// For logins.

pub(super) fn find(key_id: &str, fingerprint: &str, timing: &Timing) -> Found {
    let now = monotonic_now();
    let memory = MEMORY.share();
    if memory.fingerprint.get() != fingerprint.as_bytes() {
        return Found::Unavailable(vec![("problem", "no keys of the configured origin yet".to_owned())]);
    }
    if !memory.freshness.usable(now, timing) {
        let state = memory.freshness.state(now, timing).as_str().to_owned();
        return Found::Unavailable(vec![("keys", state), ("problem", memory.fault.text())]);
    }
    memory
        .slots()
        .find(|slot| slot.id.get() == key_id.as_bytes())
        .and_then(Slot::key)
        .map_or(Found::Unknown, Found::Key)
}

/// A login lacks a key. Some: the number of ended fetches, one more than which is to be waited for.
pub(super) fn ask(timing: &Timing) -> Option<u64> {
    let now = monotonic_now();
    let (answer, seen) = {
        let mut memory = MEMORY.exclusive();
        (memory.freshness.ask(now, timing), memory.attempts)
    };
    if answer == Answer::Refuse {
        return None;
    }
    wake_worker();
    Some(seen)
}

/// An administrator wants a fetch that starts after now. The number of ended fetches to be exceeded.
pub(super) fn force() -> u64 {
    let seen = {
        let mut memory = MEMORY.exclusive();
        memory.freshness.force();
        // One that runs now may have begun too early: its end does not count.
        memory.attempts + u64::from(memory.freshness.is_running())
    };
    wake_worker();
    seen
}

/// Waits until more fetches have ended than `seen`. False: the time was up.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(super) fn await_attempt(seen: u64, deadline: Instant) -> bool {
    let condition = attempt_ended();
    // SAFETY: initialised in shared memory; interrupts are served while asleep, so that timeouts and shutdown are not
    // held up; an error on the way takes us off the list as any error does.
    unsafe { pg_sys::ConditionVariablePrepareToSleep(condition) };
    let ended = loop {
        if MEMORY.share().attempts > seen {
            break true;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break false;
        }
        let millis = i64::try_from(left.as_millis()).unwrap_or(i64::MAX).saturating_add(1);
        // SAFETY: as above.
        unsafe { pg_sys::ConditionVariableTimedSleep(condition, millis, pg_sys::PG_WAIT_EXTENSION) };
    };
    // SAFETY: as above.
    unsafe { pg_sys::ConditionVariableCancelSleep() };
    ended
}

/// How the last fetch ended: the number of keys, or what went wrong.
pub(super) fn outcome() -> Result<usize, String> {
    let memory = MEMORY.share();
    if memory.fault.length == 0 { Ok(memory.key_count) } else { Err(memory.fault.text()) }
}

/// The first unknown name under our prefix in a configuration file, once the worker has looked.
pub(crate) fn unknown_setting() -> Option<String> {
    let note = MEMORY.share().unknown_setting;
    (note.length > 0).then(|| note.text())
}

/// A key at hand, for the view.
pub(crate) struct KeyRow {
    /// `kid`.
    pub(crate) key_id: String,
    /// `issuer`, where the document has it.
    pub(crate) issuer: Option<String>,
    /// Unix seconds.
    pub(crate) fetched_at: i64,
}

pub(super) fn rows() -> Vec<KeyRow> {
    let memory = MEMORY.share();
    let row = |slot: &Slot| KeyRow {
        key_id: slot.id.text(),
        issuer: (slot.issuer.length > 0).then(|| slot.issuer.text()),
        fetched_at: memory.fetched_at,
    };
    memory.slots().map(row).collect()
}

/// Wakes the worker, if there is one; one that starts looks anyway.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn wake_worker() {
    let latch = MEMORY.share().worker_latch;
    if !latch.is_null() {
        // SAFETY: a latch in shared memory, where it stays; if the worker has just ended, another process that was given
        // its place is woken once in vain.
        unsafe { pg_sys::SetLatch(latch) }
    }
}

impl KeyMemory {
    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.keys.iter().take(self.key_count)
    }
}

// For the worker.

/// What the worker must know to decide what to do next.
#[derive(Clone, Copy)]
pub(super) struct Outlook {
    /// A fetch is to start now.
    pub(super) due: bool,
    /// Nothing is due for so long, unless someone asks.
    pub(super) idle_for: Duration,
}

pub(super) fn outlook() -> Outlook {
    let now = monotonic_now();
    let freshness = MEMORY.share().freshness;
    Outlook { due: freshness.due(now), idle_for: Duration::from_millis(freshness.idle_for(now)) }
}

/// A worker has come. What one before it left running is nobody's.
#[expect(unsafe_code, reason = "registers an exit callback")]
pub(super) fn worker_started() {
    // SAFETY: MyProc belongs to this process while it lives; the callback runs while shared memory is still attached.
    let (latch, pid) = unsafe {
        pg_sys::before_shmem_exit(Some(on_worker_exit), pg_sys::Datum::from(0));
        (&raw mut (*pg_sys::MyProc).procLatch, pg_sys::MyProcPid)
    };
    let mut memory = MEMORY.exclusive();
    memory.worker_latch = latch;
    memory.worker_pid = pid;
    memory.freshness.abandon();
}

/// The worker goes. A fetch it was running will not end.
#[pg_guard]
#[expect(unsafe_code, reason = "the signature of an exit callback")]
unsafe extern "C-unwind" fn on_worker_exit(_code: i32, _argument: pg_sys::Datum) {
    let mut memory = MEMORY.exclusive();
    memory.worker_latch = std::ptr::null_mut();
    memory.worker_pid = 0;
    memory.freshness.abandon();
}

/// Settings were read. Keys of another origin are dropped; a fetch is wanted either way. What runs goes on, unless it was
/// `dropped`: keys of one origin may be fetched in other ways now.
pub(super) fn origin_is(fingerprint: &str, dropped: bool, unknown_setting: Option<&str>) {
    let fingerprint = Bytes::new(fingerprint.as_bytes()).unwrap_or(Bytes::EMPTY);
    let unknown_setting = unknown_setting.map_or(Bytes::EMPTY, Bytes::cut);
    let mut memory = MEMORY.exclusive();
    memory.unknown_setting = unknown_setting;
    if memory.fingerprint.get() == fingerprint.get() {
        if dropped {
            memory.freshness.abandon();
        }
        memory.freshness.force();
        return;
    }
    memory.freshness = memory.freshness.restarted();
    memory.fingerprint = fingerprint;
    memory.key_count = 0;
    memory.fault = Bytes::EMPTY;
}

pub(super) fn begin() {
    let now = monotonic_now();
    MEMORY.exclusive().freshness.begin(now);
}

/// A fetch brought keys: they replace all that were there.
pub(super) fn publish(keys: &KeySet, timing: &Timing) {
    let slots: Vec<Slot> = keys.iter().filter_map(Slot::new).take(limits::MAX_KEYS).collect();
    let fetched_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = monotonic_now();
    {
        let mut memory = MEMORY.exclusive();
        for (place, slot) in memory.keys.iter_mut().zip(&slots) {
            *place = *slot;
        }
        memory.key_count = slots.len();
        memory.fetched_at = i64::try_from(fetched_at).unwrap_or(i64::MAX);
        memory.fault = Bytes::EMPTY;
        memory.attempts += 1;
        memory.freshness.succeeded(now, timing);
    }
    announce();
}

/// A fetch failed: what is there stays.
pub(super) fn note_failure(fault: &str, retry_after: Option<Duration>, jitter: u64, timing: &Timing) {
    let fault = Bytes::cut(fault);
    let retry_after = retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    let now = monotonic_now();
    {
        let mut memory = MEMORY.exclusive();
        memory.fault = fault;
        memory.attempts += 1;
        memory.freshness.failed(now, timing, retry_after, jitter);
    }
    announce();
}

/// Whether keys are at hand that may be used.
pub(super) fn state(timing: &Timing) -> State {
    MEMORY.share().freshness.state(monotonic_now(), timing)
}

#[expect(unsafe_code, reason = "no safe wrapper")]
fn announce() {
    // SAFETY: initialised in shared memory.
    unsafe { pg_sys::ConditionVariableBroadcast(attempt_ended()) }
}
