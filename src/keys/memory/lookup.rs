//! What a login does with key memory: it looks a key up, and if there is none it may ask for a
//! fetch and wait.

use std::time::Instant;

use entra::{Answer, Timing};

use crate::keys::memory::layout::{MEMORY, NEWS, Slot, wake_worker};
use crate::keys::{Found, Lookup};
use crate::pg::clock;

/// Looks a key up, among keys of the origin with this fingerprint only.
pub(in crate::keys) fn find(key_id: &str, fingerprint: &str, timing: &Timing) -> Lookup {
    let now = clock::monotonic();
    let memory = MEMORY.share();
    let found = if !memory.is_of(fingerprint) {
        Found::Unavailable(vec![("problem", "no keys of the configured origin yet".to_owned())])
    } else if memory.freshness.usable(now, timing) {
        let slot = memory.keys().iter().find(|slot| slot.has_id(key_id));
        slot.and_then(Slot::key).map_or(Found::Unknown, Found::Key)
    } else {
        let state = memory.freshness.state(now, timing).as_str().to_owned();
        Found::Unavailable(vec![("keys", state), ("problem", memory.fault.text())])
    };
    Lookup { found, generation: memory.generation }
}

/// Asks for a fetch, for a login that lacked a key in the generation `seen`. Returns whether there
/// is something to wait for.
pub(in crate::keys) fn ask(seen: u64, fingerprint: &str, timing: &Timing) -> bool {
    let now = clock::monotonic();
    let answer = {
        let mut memory = MEMORY.exclusive();
        // Either there has been news between looking and asking, or the worker has yet to read
        // these settings, and will fetch.
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

/// Waits for a generation after `seen`. Returns false if the deadline has passed before.
pub(in crate::keys) fn await_news(seen: u64, deadline: Instant) -> bool {
    NEWS.wait_until(deadline, || MEMORY.share().generation > seen)
}
