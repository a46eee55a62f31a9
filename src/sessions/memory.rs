//! The list of sessions: the only file that touches its memory.
//!
//! One slot for each process of the server that there can be, under one lightweight lock. A backend
//! fills its own slot once, when it has been let in, and empties it when it ends; the reaper marks
//! a slot whose session it has asked to end; every other process copies slots out. Nothing is
//! allocated, raised or waited for under the lock.
//!
//! A process that is killed makes PostgreSQL make shared memory anew, so no slot outlives its
//! backend.

use std::cell::Cell;

use entra::Millis;

use crate::pg::latch::Latch;
use crate::pg::shmem::{Locked, shareable};
use crate::pg::{clock, process};
use crate::sessions::Session;

/// A session that has been asked to end is asked again after so long.
const PATIENCE: Millis = 5_000;

/// Room for a session.
#[derive(Clone, Copy)]
struct Slot {
    session: Option<Session>,
    /// When it was last asked to end, by the monotonic clock; 0 if it never was.
    asked_at: Millis,
}
shareable!(Slot { session, asked_at });

impl Slot {
    const EMPTY: Self = Self { session: None, asked_at: 0 };

    /// Returns whether its session may be asked to end now.
    const fn is_due(&self, now: Millis) -> bool {
        self.asked_at == 0 || now.saturating_sub(self.asked_at) >= PATIENCE
    }
}

/// The reaper, as other processes see it.
struct Reaper {
    /// The latch to set when a session comes; none unless the reaper sleeps until then.
    latch: Latch,
    /// The latch to set when it should look at once; none while there is no reaper.
    own: Latch,
    /// Its process; 0 while there is none.
    pid: i32,
}
shareable!(Reaper { latch, own, pid });

impl Reaper {
    const fn none() -> Self {
        Self { latch: Latch::NONE, own: Latch::NONE, pid: 0 }
    }
}

static LIST: Locked<Reaper, Slot> =
    Locked::with_slots(c"azure_ad_auth_sessions", Reaper::none, process::max_backends, || Slot::EMPTY);

thread_local! {
    /// The session that this backend has put on the list.
    static OWN: Cell<Option<Session>> = const { Cell::new(None) };
}

/// Requests the memory. In the postmaster only, while it loads its libraries.
pub(crate) fn init_shared_memory() {
    LIST.request();
}

/// Copies the slots with a session that `wanted` accepts. There are none where there is no list: in
/// a copy of the library that the postmaster has not loaded.
fn copies(wanted: impl Fn(&Slot) -> bool) -> Vec<(Session, Millis)> {
    // Before the lock, under which nothing is allocated. bounded: by the number of processes.
    let mut taken = Vec::with_capacity(LIST.slot_count());
    if LIST.is_there() {
        let list = LIST.share();
        let sessions = list.slots().iter().filter(|slot| wanted(slot));
        taken.extend(sessions.filter_map(|slot| Some((slot.session?, slot.asked_at))));
    }
    taken
}

/// Changes slots and what is known of the reaper, under the lock. Returns none where there is no
/// list.
fn change<T>(act: impl FnOnce(&mut Reaper, &mut [Slot]) -> T) -> Option<T> {
    if !LIST.is_there() {
        return None;
    }
    let mut list = LIST.exclusive();
    let (reaper, slots) = list.parts();
    Some(act(reaper, slots))
}

/// Puts this backend's session on the list, from which it goes when the process ends.
pub(super) fn enter(session: &Session) {
    let Some(own) = process::number() else { return };
    // This comes first, because it may fail.
    process::before_exit(leave);
    let latch = change(|reaper, slots| {
        if let Some(slot) = slots.get_mut(own) {
            *slot = Slot { session: Some(*session), asked_at: 0 };
        }
        std::mem::replace(&mut reaper.latch, Latch::NONE)
    });
    OWN.set(Some(*session));
    latch.unwrap_or(Latch::NONE).wake();
}

/// Called when this backend ends.
fn leave() {
    let Some(own) = process::number() else { return };
    change(|_, slots| {
        if let Some(slot) = slots.get_mut(own) {
            slot.session = None;
        }
    });
}

/// Returns all sessions.
pub(super) fn sessions() -> Vec<Session> {
    copies(|_| true).into_iter().map(|(session, _)| session).collect()
}

/// Returns those that may be asked to end now, and whether they have been before.
pub(super) fn due() -> Vec<(Session, bool)> {
    let now = clock::monotonic();
    copies(|slot| slot.is_due(now)).into_iter().map(|(session, asked_at)| (session, asked_at != 0)).collect()
}

/// Returns this backend's own session, without the lock.
pub(super) fn own_session() -> Option<Session> {
    OWN.get()
}

/// The result of asking a session to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// It was asked for the first time.
    First,
    /// It was asked again: one of its processes does not end.
    Again,
    /// It is not there any more.
    Gone,
}

/// Asks a session to end, as pg_terminate_backend() does: with all processes it has started.
///
/// It does so under the lock, without which a backend does not leave the list: so the process is
/// still the session's.
pub(super) fn end(session: &Session) -> Asked {
    let now = clock::monotonic();
    let asked = change(|_, slots| {
        let slot = slots.iter_mut().find(|slot| slot.session.is_some_and(|found| found.is(session)));
        let Some(slot) = slot.filter(|slot| slot.is_due(now)) else { return Asked::Gone };
        let before = std::mem::replace(&mut slot.asked_at, now);
        process::terminate(session.pid);
        if before == 0 { Asked::First } else { Asked::Again }
    });
    asked.unwrap_or(Asked::Gone)
}

/// Registers this process as the reaper, until it ends.
pub(super) fn register_reaper() {
    process::before_exit(deregister_reaper);
    let (own, pid) = (Latch::own(), std::process::id().cast_signed());
    change(|reaper, _| (reaper.own, reaper.pid) = (own, pid));
}

/// Has the reaper look at once.
pub(super) fn wake_reaper() {
    change(|reaper, _| reaper.own).unwrap_or(Latch::NONE).wake();
}

/// Clears the reaper's pid and latches. Called when it ends.
fn deregister_reaper() {
    change(|reaper, _| *reaper = Reaper::none());
}

/// Returns the pid of the reaper; none while there is no reaper.
pub(super) fn reaper_pid() -> Option<i32> {
    change(|reaper, _| reaper.pid).filter(|pid| *pid != 0)
}

/// Asks for a wake-up at the next login. Returns false if there is a session already.
pub(super) fn sleep_if_empty() -> bool {
    let own = Latch::own();
    let is_empty = change(|reaper, slots| {
        let is_empty = slots.iter().all(|slot| slot.session.is_none());
        if is_empty {
            reaper.latch = own;
        }
        is_empty
    });
    is_empty.unwrap_or(true)
}
