//! When the members of groups are asked for, who waits for that, and what the synchronisation of
//! groups keeps from one round to the next.

use std::time::{Duration, Instant};

use entra::directory::retry;
use entra::{Millis, Uuid};

use crate::directory::memory::people::MAX_FAULT_BYTES;
use crate::directory::memory::{NEWS, wake_worker};
use crate::pg::bytes::Bytes;
use crate::pg::clock;
use crate::pg::shmem::{Locked, shareable};

/// Most groups whose changes are held back from one round to the next. Changes of further groups
/// are held back for as many rounds more as it takes.
const MAX_HELD: usize = 128;

/// After a run that was given up, the next one begins so much later, in milliseconds.
const AFTER_LOSS: Millis = 60_000;

/// The state of asking for members. The numbers of runs begin with 1.
pub(super) struct Rosters {
    /// The last run that was begun.
    begun: u64,
    /// The last run that has ended.
    last_ended: u64,
    is_running: bool,
    /// A run is wanted that no schedule asks for.
    is_demanded: bool,
    /// Failures one after the other.
    failures: u32,
    /// When the next run of the schedule is due.
    due_at: Millis,
    /// Why the last run has brought nothing; empty after one that did.
    fault: Bytes<MAX_FAULT_BYTES>,
    held: [Uuid; MAX_HELD],
    held_count: usize,
    /// What the last round has left undone.
    undone: u64,
}
shareable!(Rosters {
    begun,
    last_ended,
    is_running,
    is_demanded,
    failures,
    due_at,
    fault,
    held,
    held_count,
    undone
});

impl Rosters {
    /// Notes that the run has ended, with the fault that it has ended with.
    fn end(&mut self, fault: &Bytes<MAX_FAULT_BYTES>) {
        self.last_ended = self.begun;
        self.is_running = false;
        self.fault = *fault;
    }
}

/// What they take.
pub(super) const BYTES: usize = size_of::<Rosters>();

pub(super) static ROSTERS: Locked<Rosters> = Locked::new(c"azure_ad_auth_directory_rosters", || Rosters {
    begun: 0,
    last_ended: 0,
    is_running: false,
    is_demanded: false,
    failures: 0,
    due_at: 0,
    fault: Bytes::EMPTY,
    held: [Uuid::nil(); MAX_HELD],
    held_count: 0,
    undone: 0,
});

/// When members are to be asked for.
#[derive(Debug, Clone, Copy)]
pub(in crate::directory) struct Due {
    /// A run is to begin now.
    pub(in crate::directory) is_due: bool,
    /// None is due for so long, unless it is demanded.
    pub(in crate::directory) idle_for: Duration,
}

/// Returns when members are to be asked for. `interval`: time between two runs; none: there is no
/// schedule.
pub(in crate::directory) fn schedule(interval: Option<Millis>) -> Due {
    let now = clock::monotonic();
    let rosters = ROSTERS.share();
    let idle = interval.map_or(Millis::MAX, |_| rosters.due_at.saturating_sub(now));
    let idle = if rosters.is_demanded { 0 } else { idle };
    Due { is_due: !rosters.is_running && idle == 0, idle_for: Duration::from_millis(idle) }
}

/// Returns whether a run is wanted that no schedule asks for.
pub(in crate::directory) fn is_demanded() -> bool {
    ROSTERS.share().is_demanded
}

/// Notes that a run begins. Returns whether it was demanded: then it is not one of the schedule.
pub(in crate::directory) fn begin() -> bool {
    let mut rosters = ROSTERS.exclusive();
    rosters.begun += 1;
    rosters.is_running = true;
    std::mem::take(&mut rosters.is_demanded)
}

/// Notes that the run has ended. `next`: when the next one of the schedule is due; none: that stays
/// as it is.
fn end(fault: &str, next: Option<Millis>, has_failed: bool) {
    let fault = Bytes::cut(fault);
    {
        let mut rosters = ROSTERS.exclusive();
        rosters.end(&fault);
        rosters.failures = if has_failed { rosters.failures.saturating_add(1) } else { 0 };
        rosters.due_at = next.unwrap_or(rosters.due_at);
    }
    NEWS.broadcast();
}

/// Notes that the file with the members is there. `interval`: until the next run of the schedule;
/// none if this was none.
pub(in crate::directory) fn succeeded(interval: Option<Millis>) {
    let now = clock::monotonic();
    end("", interval.map(|interval| now.saturating_add(interval)), false);
}

/// Notes that there are no members. The next run comes earlier than the interval says, and after
/// each failure later.
pub(in crate::directory) fn failed(fault: &str, interval: Option<Millis>, jitter: u32) {
    let now = clock::monotonic();
    let failures = ROSTERS.share().failures.saturating_add(1);
    let wait = |interval: Millis| retry::wait(failures, None, jitter).min(interval);
    end(fault, interval.map(|interval| now.saturating_add(wait(interval))), true);
}

/// Notes that a run that may be running will not end: who waits for it waits no longer. The next
/// one is due in a while: what has ended the worker may end it again.
pub(in crate::directory) fn abandon() {
    let next = clock::monotonic().saturating_add(AFTER_LOSS);
    let fault = Bytes::cut("asking was given up: the settings have changed, or the worker has ended");
    {
        let mut rosters = ROSTERS.exclusive();
        if !rosters.is_running {
            return;
        }
        rosters.end(&fault);
        rosters.due_at = next;
    }
    NEWS.broadcast();
}

/// Takes over the time between two runs: the next one is not later than it says.
pub(in crate::directory) fn reschedule(interval: Millis) {
    let latest = clock::monotonic().saturating_add(interval);
    let mut rosters = ROSTERS.exclusive();
    rosters.due_at = rosters.due_at.min(latest);
}

/// Why there are no members.
pub(in crate::directory) enum NoRoster {
    /// No run ended in time.
    TooLate,
    /// The directory has not answered. In words.
    Failed(String),
}

/// Has the worker ask for the members of all groups and waits until they are in the file.
///
/// # Errors
/// They are not.
pub(in crate::directory) fn demand(deadline: Instant) -> Result<(), NoRoster> {
    // The number of the last run that may have begun too early.
    let begun = {
        let mut rosters = ROSTERS.exclusive();
        rosters.is_demanded = true;
        rosters.begun
    };
    wake_worker();
    if !NEWS.wait_until(deadline, || ROSTERS.share().last_ended > begun) {
        return Err(NoRoster::TooLate);
    }
    let fault = ROSTERS.share().fault;
    if fault.is_empty() { Ok(()) } else { Err(NoRoster::Failed(fault.text())) }
}

/// Returns the groups whose changes the last round has held back.
pub(crate) fn held() -> Vec<Uuid> {
    let mut held = Vec::with_capacity(MAX_HELD);
    let rosters = ROSTERS.share();
    held.extend_from_slice(rosters.held.get(..rosters.held_count).unwrap_or_default());
    held
}

/// Notes the groups whose changes a round holds back.
pub(crate) fn note_held(groups: &[Uuid]) {
    let mut rosters = ROSTERS.exclusive();
    rosters.held.iter_mut().zip(groups).for_each(|(place, group)| *place = *group);
    rosters.held_count = groups.len().min(MAX_HELD);
}

/// Notes what a round has left undone, as a fingerprint. Returns whether the last one has left
/// something else.
pub(crate) fn are_news(undone: u64) -> bool {
    std::mem::replace(&mut ROSTERS.exclusive().undone, undone) != undone
}
