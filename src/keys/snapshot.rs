//! The last good keys as a file, so that a server that starts during an outage has some.
//!
//! The worker writes it after every successful fetch, on standbys too, and reads it when there are
//! no keys in memory. It lies in the data directory, which is where the server's processes work: an
//! attacker who can write there owns the server anyway. `entra` decides what of it may be used.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;

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
    replace(&snapshot.to_bytes()).map_err(|fault| {
        if !read().is_ok_and(|there| there.is_some_and(|there| there.is_within(snapshot))) {
            // If this fails too, the keys in the file age as they would have.
            let _ = fs::remove_file(FILE);
        }
        fault.to_string()
    })
}

fn replace(content: &[u8]) -> io::Result<()> {
    match fs::remove_file(UNFINISHED) {
        Err(fault) if fault.kind() != ErrorKind::NotFound => return Err(fault),
        _ => {}
    }
    // The mode of all files of the server: its umask takes the group's part away, unless initdb was
    // told that the group may read.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(UNFINISHED)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(UNFINISHED, FILE)?;
    match File::open(".")?.sync_all() {
        // Some file systems cannot do that for a folder, which PostgreSQL accepts, too (fd.c).
        Err(fault) if matches!(fault.raw_os_error(), Some(libc::EBADF | libc::EINVAL)) => Ok(()),
        synced => synced,
    }
}
