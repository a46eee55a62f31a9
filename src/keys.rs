//! The signing keys: fetched by a background worker, kept in shared memory, read by logins.

mod fetch;
mod housekeeping;
mod memory;
mod snapshot;
mod sql;
mod worker;

use std::time::{Duration, Instant};

use entra::{Key, KeySource};

pub(crate) use crate::keys::memory::{KeyRow, Status, init_shared_memory};
pub(crate) use crate::keys::worker::WORKER;

use crate::pg::clock;
use crate::{settings, stat};

/// By how many seconds the snapshot may be older than the keys in memory. It is written after these
/// are published, which takes no longer than the disk needs.
const LATEST_SNAPSHOT: i64 = 60;

/// The result of looking a key id up.
pub(crate) enum Found {
    /// The key.
    Key(Key),
    /// The keys are at hand, and none has this id.
    Unknown,
    /// There are no keys that may be used. The reasons are for the log.
    Unavailable(Vec<(&'static str, String)>),
}

/// The result of a look into key memory.
pub(crate) struct Lookup {
    /// The key, or why there is none.
    pub(crate) found: Found,
    /// The generation it was found in.
    generation: u64,
}

/// Looks a key up, among keys of the origin with this fingerprint only.
pub(crate) fn find(key_id: &str, fingerprint: &str) -> Lookup {
    memory::find(key_id, fingerprint, &settings::timing())
}

/// Returns how fetching goes.
pub(crate) fn status() -> Status {
    memory::status(&settings::timing())
}

/// Returns the keys at hand.
pub(crate) fn rows() -> Vec<KeyRow> {
    memory::rows()
}

/// Returns whether the server would have keys after a restart, or why not; none if that cannot be
/// said, because there are no keys at hand or a fetch is under way.
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

/// Returns what is wrong with the file that the keys are read from; none if nothing is, or if they
/// do not come from a file.
pub(crate) fn problem_of_key_file() -> Option<String> {
    match settings::key_origin().ok()?.source {
        KeySource::File(path) => fetch::keys_in_file(&path).err().map(|fault| format!("{path}: {fault}")),
        KeySource::Urls(_) => None,
    }
}

impl Lookup {
    /// Asks for a fetch, or joins one that runs, and waits until it is worth looking again. Returns
    /// false if no fetch may start, or the deadline has passed.
    pub(crate) fn await_another(&self, fingerprint: &str, deadline: Instant) -> bool {
        memory::ask(self.generation, fingerprint, &settings::timing())
            && stat::count_wait(|| memory::await_news(self.generation, deadline))
    }
}

/// Fetches now and waits for it, up to `patience`. Returns the number of keys.
///
/// # Errors
/// What went wrong, in words.
fn refresh(patience: Duration) -> Result<usize, String> {
    memory::refresh(Instant::now() + patience)
}
