//! The signing keys: fetched by a background worker, kept in shared memory, read by logins.

mod api;
mod cache;
mod fetch;
mod worker;

use std::time::{Duration, Instant};

use entra::Key;

pub(crate) use cache::{KeyRow, init_shared_memory, unknown_setting};
pub(crate) use worker::{azure_ad_auth_worker_main as worker_main, register as register_worker};

use crate::settings;

/// What was found for a key id.
pub(crate) enum Found {
    /// The key.
    Key(Key),
    /// The keys are at hand, and none has this id.
    Unknown,
    /// There are no keys that may be used; with the reasons, for the log.
    Unavailable(Vec<(&'static str, String)>),
}

/// Looks a key up, among keys of the origin with this fingerprint only.
pub(crate) fn find(key_id: &str, fingerprint: &str) -> Found {
    cache::find(key_id, fingerprint, &settings::timing())
}

/// Asks for a fetch, or joins one that runs, and waits for its end. False: none may start, or the time is up.
pub(crate) fn await_fetch(deadline: Instant) -> bool {
    cache::ask(&settings::timing()).is_some_and(|seen| cache::await_attempt(seen, deadline))
}

/// Fetches now and waits for it, up to `patience`.
///
/// # Errors
/// What went wrong, in words.
pub(crate) fn refresh(patience: Duration) -> Result<usize, String> {
    let seen = cache::force();
    if cache::await_attempt(seen, Instant::now() + patience) {
        cache::outcome()
    } else {
        Err("no fetch ended in time; see the server log".to_owned())
    }
}

/// The keys at hand, whether they may still be used or not.
pub(crate) fn rows() -> Vec<KeyRow> {
    cache::rows()
}
