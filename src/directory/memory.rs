//! The directory's shared memory: the only files that touch it are this one and those below it.
//!
//! Four pieces of fixed size, each under a lightweight lock of its own:
//!
//! - `people`: who is known to be out, which memberships have ended, answers about memberships, and
//!   how asking goes. The worker writes it; logins and the reaper read it.
//! - `seen`: a filter of the ids that the last look has found active, for views.
//! - `slots`: the questions of statements and logins, and the worker's answers.
//! - `rosters`: when the members of groups are asked for, and which changes of groups are held
//!   back.
//!
//! Each change is made whole under the exclusive lock, by copying bytes prepared before. Nothing is
//! allocated, raised or waited for meanwhile. One condition announces every change that a process
//! may wait for.

pub(super) mod people;
pub(super) mod publish;
pub(super) mod refresh;
pub(super) mod rosters;
pub(super) mod seen;
pub(super) mod slots;

use crate::pg::condition::Condition;

/// The budget of the four pieces: with all others they stay below 1 MiB.
const BUDGET: usize = 563 * 1024;

const _: () = assert!(
    size_of::<people::People>() + seen::BYTES + slots::BYTES + rosters::BYTES <= BUDGET,
    "the budget for shared memory is 1 MiB in all"
);

/// Announces that something in the memory has changed that a process may wait for.
static NEWS: Condition = Condition::new(c"azure_ad_auth_directory_news");

/// Requests the memory. In the postmaster only, while it loads its libraries.
pub(crate) fn init_shared_memory() {
    people::PEOPLE.request();
    seen::SEEN.request();
    slots::SLOTS.request();
    rosters::ROSTERS.request();
    NEWS.request();
}

/// Wakes the worker, if there is one. A worker that starts looks without being woken.
pub(super) fn wake_worker() {
    let latch = people::PEOPLE.share().worker.latch;
    latch.wake();
}
