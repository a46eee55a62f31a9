//! The state of key memory, as an administrator sees it.

use entra::{State, Timing};

use crate::keys::memory::layout::{MEMORY, Slot};
use crate::pg::clock;

/// A key at hand.
pub(crate) struct KeyRow {
    /// `kid`.
    pub(crate) key_id: String,
    /// `issuer`, where the document has it.
    pub(crate) issuer: Option<String>,
    /// When the last successful fetch brought it, Unix seconds.
    pub(crate) fetched_at: i64,
    /// When a fetch brought it first, Unix seconds.
    pub(crate) first_seen: i64,
}

/// Returns the keys at hand, whether they may still be used or not.
pub(in crate::keys) fn rows() -> Vec<KeyRow> {
    let memory = MEMORY.share();
    let row = |slot: &Slot| {
        let (key_id, issuer) = slot.names();
        KeyRow { key_id, issuer, fetched_at: memory.fetched_at, first_seen: slot.first_seen }
    };
    memory.keys().iter().map(row).collect()
}

/// How fetching goes. Times are Unix seconds.
pub(crate) struct Status {
    /// The state of the keys.
    pub(crate) state: State,
    /// A fetch is running.
    pub(crate) fetching: bool,
    /// Keys at hand, whether they may still be used or not.
    pub(crate) keys: usize,
    /// When the keys at hand were fetched.
    pub(crate) last_success: Option<i64>,
    /// When the last fetch began.
    pub(crate) last_attempt: Option<i64>,
    /// The last fault; none after a success.
    pub(crate) last_error: Option<String>,
    /// When the next fetch is due; none while one is running.
    pub(crate) next_attempt: Option<i64>,
    /// Fetches that have ended since the server started.
    pub(crate) fetches: u64,
    /// Those of them that failed.
    pub(crate) failures: u64,
    /// Fetches caused by logins with unknown keys.
    pub(crate) on_demand: u64,
    /// The worker, while there is one.
    pub(crate) worker_pid: Option<i32>,
    /// When a worker last went round its loop.
    pub(crate) heartbeat: Option<i64>,
    /// By how many seconds the provider's clock was ahead of this machine's at the last successful
    /// fetch, where the provider said what time it was.
    pub(crate) clock_ahead: Option<i64>,
}

/// Returns how fetching goes.
pub(in crate::keys) fn status(timing: &Timing) -> Status {
    let (now, wall) = (clock::monotonic(), clock::unix_now());
    let at = |seconds: i64| (seconds > 0).then_some(seconds);
    let memory = MEMORY.share();
    let fetching = memory.freshness.is_running();
    let wait = i64::try_from(memory.freshness.idle_for(now).div_ceil(1_000)).unwrap_or(i64::MAX);
    Status {
        state: memory.freshness.state(now, timing),
        fetching,
        keys: memory.keys().len(),
        last_success: memory.freshness.age(now).and_then(|_| at(memory.fetched_at)),
        last_attempt: at(memory.tally.begun_at),
        last_error: (!memory.fault.is_empty()).then(|| memory.fault.text()),
        next_attempt: (!fetching).then(|| wall.saturating_add(wait)),
        fetches: memory.tally.ended,
        failures: memory.tally.failed,
        on_demand: memory.tally.on_demand,
        worker_pid: (memory.worker.pid != 0).then_some(memory.worker.pid),
        heartbeat: at(memory.worker.heartbeat),
        clock_ahead: memory.clock_ahead,
    }
}
