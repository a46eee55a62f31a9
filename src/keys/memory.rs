//! Key memory: the only files that touch it are this one and those below it.
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

mod layout;
mod publish;
mod status;

use std::time::Instant;

use entra::{Answer, Timing};
use pgrx::prelude::*;

pub(crate) use crate::keys::memory::layout::init_shared_memory;
use crate::keys::memory::layout::{KeyMemory, MEMORY, Slot, news};
pub(super) use crate::keys::memory::publish::begin;
pub(super) use crate::keys::memory::publish::is_empty;
pub(super) use crate::keys::memory::publish::look;
pub(super) use crate::keys::memory::publish::note_failure;
pub(super) use crate::keys::memory::publish::note_success;
pub(super) use crate::keys::memory::publish::origin_is;
pub(super) use crate::keys::memory::publish::publish;
pub(super) use crate::keys::memory::publish::restore;
pub(super) use crate::keys::memory::publish::settled_snapshot;
pub(super) use crate::keys::memory::publish::snapshot;
pub(super) use crate::keys::memory::publish::state;
pub(super) use crate::keys::memory::publish::worker_started;
pub(crate) use crate::keys::memory::status::KeyRow;
pub(crate) use crate::keys::memory::status::Status;
pub(super) use crate::keys::memory::status::rows;
pub(super) use crate::keys::memory::status::status;

use crate::keys::{Found, Lookup};
use crate::pg::clock;

pub(super) fn find(key_id: &str, fingerprint: &str, timing: &Timing) -> Lookup {
    let now = clock::monotonic();
    let memory = MEMORY.share();
    let found = if !memory.is_of(fingerprint) {
        Found::Unavailable(vec![("problem", "no keys of the configured origin yet".to_owned())])
    } else if memory.freshness.usable(now, timing) {
        let slot = memory.slots().iter().find(|slot| slot.has_id(key_id));
        slot.and_then(Slot::key).map_or(Found::Unknown, Found::Key)
    } else {
        let state = memory.freshness.state(now, timing).as_str().to_owned();
        Found::Unavailable(vec![("keys", state), ("problem", memory.fault.text())])
    };
    Lookup { found, generation: memory.generation }
}

/// A login lacked a key in the generation `seen`. False: there is nothing to wait for.
pub(super) fn ask(seen: u64, fingerprint: &str, timing: &Timing) -> bool {
    let now = clock::monotonic();
    let answer = {
        let mut memory = MEMORY.exclusive();
        // Something came between looking and asking; or the worker has yet to read these settings, and will fetch.
        let answer = if memory.generation > seen || !memory.is_of(fingerprint) {
            Answer::Wait
        } else {
            memory.freshness.ask(now, timing)
        };
        memory.tally.on_demand += u64::from(answer == Answer::Start);
        answer
    };
    if answer != Answer::Refuse {
        wake_worker();
    }
    answer != Answer::Refuse
}

/// Waits for a generation after `seen`. False: the time was up.
pub(super) fn await_news(seen: u64, deadline: Instant) -> bool {
    wait(deadline, |memory| memory.generation > seen)
}

/// An administrator wants a fetch that starts after now. The number of the last one that may have begun too early.
pub(super) fn force() -> u64 {
    let begun = {
        let mut memory = MEMORY.exclusive();
        memory.freshness.force();
        memory.tally.begun
    };
    wake_worker();
    begun
}

/// Waits until a fetch that was begun after that one has ended. False: the time was up.
pub(super) fn await_end(begun: u64, deadline: Instant) -> bool {
    wait(deadline, |memory| memory.tally.last_ended > begun)
}

/// How the last fetch ended: the number of keys, or what went wrong.
pub(super) fn outcome() -> Result<usize, String> {
    let memory = MEMORY.share();
    if memory.fault.is_empty() { Ok(memory.slots().len()) } else { Err(memory.fault.text()) }
}

/// The first unknown name under our prefix in a configuration file, once the worker has looked.
pub(crate) fn unknown_setting() -> Option<String> {
    let note = MEMORY.share().unknown_setting;
    (!note.is_empty()).then(|| note.text())
}

/// Waits for something to be seen in key memory. False: the time was up.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn wait(deadline: Instant, seen: impl Fn(&KeyMemory) -> bool) -> bool {
    let condition = news();
    // SAFETY: initialised in shared memory; interrupts are served while asleep, so that timeouts and shutdown are not
    // held up; an error on the way takes us off the list as any error does.
    unsafe { pg_sys::ConditionVariablePrepareToSleep(condition) };
    let seen = loop {
        if seen(&MEMORY.share()) {
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
    seen
}

/// Wakes the worker, if there is one; one that starts looks anyway.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn wake_worker() {
    let latch = MEMORY.share().worker.latch;
    if !latch.is_null() {
        // SAFETY: a latch in shared memory, where it stays; if the worker has just ended, another process that was given
        // its place is woken once in vain.
        unsafe { pg_sys::SetLatch(latch) }
    }
}
