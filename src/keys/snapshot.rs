//! The last good keys as a file, so that a server that starts during an outage has some.
//!
//! The worker writes it after every successful fetch, on standbys too, and reads it when there are
//! no keys in memory. It lies in the data directory, which is where the server's processes work: an
//! attacker who can write there owns the server anyway. `entra` decides what of it may be used.

use std::fs;
use std::io::ErrorKind;

use entra::{Snapshot, limits};

use crate::pg::file;

/// The file, in the data directory.
pub(super) const FILE: &str = "azure_ad_auth.keys";

/// Its name while it is being written.
const UNFINISHED: &str = "azure_ad_auth.keys.tmp";

/// Returns the snapshot; none if there is no file.
///
/// # Errors
/// Why it cannot be used, in words.
pub(super) fn read() -> Result<Option<Snapshot>, String> {
    match file::read(FILE, limits::MAX_SNAPSHOT_BYTES as u64 + 1, libc::O_NOFOLLOW) {
        Ok(content) => Snapshot::parse(&content).map(Some).map_err(|fault| fault.to_string()),
        Err(fault) if fault.kind() == ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(fault.to_string()),
    }
}

/// Replaces the file: a crash at any moment leaves the old file or the new one, whole.
///
/// A file that cannot be replaced is removed, unless it has no key that has been withdrawn since.
///
/// # Errors
/// The fault, in words.
pub(super) fn write(snapshot: &Snapshot) -> Result<(), String> {
    file::replace(FILE, UNFINISHED, &snapshot.to_bytes()).map_err(|fault| {
        if !read().is_ok_and(|there| there.is_some_and(|there| there.is_within(snapshot))) {
            // If this fails too, the keys in the file age as they would have.
            let _ = fs::remove_file(FILE);
        }
        fault.to_string()
    })
}
