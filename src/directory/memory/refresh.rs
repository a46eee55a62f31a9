//! The administrator's part of the memory: refresh_directory() has the worker look, and waits.

use std::time::Instant;

use entra::Millis;
use entra::directory::pace;

use crate::directory::memory::people::{self, Demand, PEOPLE};
use crate::directory::memory::{NEWS, wake_worker};
use crate::pg::clock;

/// Two demands within this time mean that the administrator believes what the look before the first
/// has said, in milliseconds.
const TWICE_WITHIN: Millis = 60_000;

/// Why there was no look.
pub(in crate::directory) enum NoLook {
    /// The service does not want to be asked for so many milliseconds.
    Paused(Millis),
    /// None ended in time.
    TooLate,
    /// It was not answered whole. In words.
    Failed(String),
}

/// Has the worker begin a look and waits until it has ended and what it has brought is published.
/// Returns how many objects it has seen.
///
/// # Errors
/// There was no look.
pub(in crate::directory) fn refresh(deadline: Instant) -> Result<u64, NoLook> {
    let now = clock::monotonic();
    // The number of the last look that may have begun too early.
    let begun = {
        let mut people = PEOPLE.exclusive();
        let Demand { at, held, held_then, .. } = people.demand;
        let insists = at > 0 && now.saturating_sub(at) <= TWICE_WITHIN;
        (people.demand.at, people.demand.held_then) = (now, held);
        if let pace::Demanded::ServicePauses(until) = people.pace.demand(now) {
            return Err(NoLook::Paused(until.saturating_sub(now)));
        }
        // What only the look between them has said is not what the administrator has seen.
        people.demand.is_believed = insists && held_then > 0 && held > 0;
        (people.demand.is_wanted, people.demand.insists) = (true, insists);
        people.tally.begun
    };
    wake_worker();
    if !NEWS.wait_until(deadline, || PEOPLE.share().tally.last_ended > begun) {
        return Err(NoLook::TooLate);
    }
    // Copied under the lock, under which nothing is allocated.
    let (seen, fault, has_failed) =
        people::read(|people| (people.tally.seen, people.fault, people.pace.has_failed()));
    if has_failed { Err(NoLook::Failed(fault.text())) } else { Ok(seen) }
}
