//! The signing keys: fetched by a background worker, kept in shared memory, read by logins.

pub(crate) mod fetch;
mod memory;
mod snapshot;
mod sql;
mod worker;

use std::time::{Duration, Instant};

use entra::{Key, KeySource};

pub(crate) use crate::keys::memory::KeyRow;
pub(crate) use crate::keys::memory::Status;
pub(crate) use crate::keys::memory::init_shared_memory;
pub(crate) use crate::keys::memory::unknown_setting;
pub(crate) use crate::keys::worker::azure_ad_auth_worker_main as worker_main;
pub(crate) use crate::keys::worker::register as register_worker;

use crate::pg::clock;
use crate::{settings, stat};

/// By how many seconds the snapshot may be older than the keys in memory, after which it was written: it takes no more than the
/// disk does.
const LATEST_SNAPSHOT: i64 = 60;

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
    memory::find(key_id, fingerprint, &settings::timing())
}

/// How fetching goes.
pub(crate) fn status() -> Status {
    memory::status(&settings::timing())
}

/// The keys at hand.
pub(crate) fn rows() -> Vec<KeyRow> {
    memory::rows()
}

/// Whether the next life of the server would have keys if it started now; why not. None: there is nothing to say, because there
/// are none at hand, or a fetch is under way.
pub(crate) fn kept() -> Option<Result<(), String>> {
    let known = memory::settled_snapshot().filter(|known| !known.keys.is_empty())?;
    Some(snapshot::read().and_then(|found| {
        let found = found.ok_or_else(|| "it is not there".to_owned())?;
        let age = found.age(&known.origin, clock::unix_now(), settings::timing().max_age);
        let behind = known.fetched_at.saturating_sub(found.fetched_at);
        match age {
            Err(fault) => Err(fault.to_string()),
            Ok(_) if behind > LATEST_SNAPSHOT => Err(format!("it is {behind} s older than the keys at hand")),
            Ok(_) => Ok(()),
        }
    }))
}

/// The file that the keys are kept in, in the data directory.
pub(crate) const SNAPSHOT: &str = snapshot::FILE;

/// What is wrong with the file that the keys are read from; none: nothing, or they come from elsewhere.
pub(crate) fn problem_of_key_file() -> Option<String> {
    match settings::key_origin().ok()?.source {
        KeySource::File(path) => fetch::keys_in_file(&path).err().map(|fault| format!("{path}: {fault}")),
        KeySource::Urls(_) => None,
    }
}

impl Lookup {
    /// Asks for a fetch, or joins one that runs, and waits until it is worth looking again. False: no fetch may start, or
    /// the time is up.
    pub(crate) fn await_another(&self, fingerprint: &str, deadline: Instant) -> bool {
        memory::ask(self.generation, fingerprint, &settings::timing())
            && stat::count_wait(|| memory::await_news(self.generation, deadline))
    }
}

/// Fetches now and waits for it, up to `patience`.
///
/// # Errors
/// What went wrong, in words.
fn refresh(patience: Duration) -> Result<usize, String> {
    let begun = memory::force();
    if memory::await_end(begun, Instant::now() + patience) {
        memory::outcome()
    } else {
        Err("no fetch ended in time; see the server log".to_owned())
    }
}
