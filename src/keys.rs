//! The signing keys: fetched by a background worker, kept in shared memory, read by logins.

mod api;
mod cache;
mod fetch;
mod handover;
mod said;
mod snapshot;
mod worker;

use std::time::{Duration, Instant};

use entra::Key;

pub(crate) use cache::{KeyRow, Status, init_shared_memory, unknown_setting};
pub(crate) use worker::{azure_ad_auth_worker_main as worker_main, register as register_worker};

use crate::settings;
use crate::stat;

/// What was found for a key id.
pub(crate) enum Found {
    /// The key.
    Key(Key),
    /// The keys are at hand, and none has this id.
    Unknown,
    /// There are no keys that may be used; with the reasons, for the log.
    Unavailable(Vec<(&'static str, String)>),
}

/// What a look into key memory gave.
pub(crate) struct Lookup {
    /// What was found.
    pub(crate) found: Found,
    /// The generation it was found in.
    generation: u64,
}

/// Looks a key up, among keys of the origin with this fingerprint only.
pub(crate) fn find(key_id: &str, fingerprint: &str) -> Lookup {
    cache::find(key_id, fingerprint, &settings::timing())
}

/// How fetching goes.
pub(crate) fn status() -> Status {
    cache::status(&settings::timing())
}

/// The keys at hand.
pub(crate) fn rows() -> Vec<KeyRow> {
    cache::rows()
}

impl Lookup {
    /// Asks for a fetch, or joins one that runs, and waits until it is worth looking again. False: no fetch may start, or
    /// the time is up.
    pub(crate) fn await_another(&self, fingerprint: &str, deadline: Instant) -> bool {
        cache::ask(self.generation, fingerprint, &settings::timing())
            && stat::count_wait(|| cache::await_news(self.generation, deadline))
    }
}

/// Fetches now and waits for it, up to `patience`.
///
/// # Errors
/// What went wrong, in words.
fn refresh(patience: Duration) -> Result<usize, String> {
    let begun = cache::force();
    if cache::await_end(begun, Instant::now() + patience) {
        cache::outcome()
    } else {
        Err("no fetch ended in time; see the server log".to_owned())
    }
}
