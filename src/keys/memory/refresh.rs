//! The administrator's part of key memory: refresh_keys() has the worker fetch, and waits.

use std::time::Instant;

use crate::keys::memory::layout::{MEMORY, NEWS, wake_worker};

/// Has the worker begin a fetch and waits until it has ended and its keys are kept.
///
/// # Errors
/// What went wrong, in words; or the deadline has passed before.
pub(in crate::keys) fn refresh(deadline: Instant) -> Result<usize, String> {
    // The number of the last fetch that may have begun too early.
    let begun = {
        let mut memory = MEMORY.exclusive();
        memory.freshness.force();
        memory.tally.begun
    };
    wake_worker();
    if !NEWS.wait_until(deadline, || MEMORY.share().tally.last_ended > begun) {
        return Err("no fetch ended in time; see the server log".to_owned());
    }
    let memory = MEMORY.share();
    if memory.fault.is_empty() { Ok(memory.keys().len()) } else { Err(memory.fault.text()) }
}
