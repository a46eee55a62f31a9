//! Who is known to be out, as a file, so that a restart of the server lets nobody in again.
//!
//! The worker writes it when that has changed, on standbys too, and reads it when it starts and
//! nothing is in memory. It lies in the data directory, like the keys' file. `entra` decides what
//! of it counts.

use std::io::ErrorKind;

use entra::directory::snapshot::EndedSnapshot;
use entra::limits::MAX_ENDED_SNAPSHOT_BYTES;

use crate::pg::file;

/// The file, in the data directory.
pub(crate) const FILE: &str = "azure_ad_auth.directory";

/// Its name while it is being written.
const UNFINISHED: &str = "azure_ad_auth.directory.tmp";

/// Returns the snapshot; none if there is no file.
///
/// # Errors
/// Why it cannot be used, in words.
pub(super) fn read() -> Result<Option<EndedSnapshot>, String> {
    match file::read(FILE, MAX_ENDED_SNAPSHOT_BYTES as u64 + 1, libc::O_NOFOLLOW) {
        Ok(content) => EndedSnapshot::parse(&content).map(Some).map_err(|fault| fault.to_string()),
        Err(fault) if fault.kind() == ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(fault.to_string()),
    }
}

/// Replaces the file. One that cannot be replaced stays: whom it names stays out after a restart,
/// until the first look says otherwise.
///
/// # Errors
/// The fault, in words.
pub(super) fn write(snapshot: &EndedSnapshot) -> Result<(), String> {
    file::replace(FILE, UNFINISHED, &snapshot.to_bytes()).map_err(|fault| fault.to_string())
}
