//! The last good keys as a file, so that a server that starts during an outage has some.
//!
//! Written by the worker after every successful fetch, on standbys too; read by it when there are no keys in memory. It lies
//! in the data directory, which is where the server's processes work: who can write there owns the server anyway. What of
//! it may be used is decided by `entra`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use entra::{Snapshot, limits};

/// The file, in the data directory.
pub(super) const FILE: &str = "azure_ad_auth.keys";

/// What it is called until it is whole.
const UNFINISHED: &str = "azure_ad_auth.keys.tmp";

/// What is there; none: nothing.
///
/// # Errors
/// Why it cannot be used, in words.
pub(super) fn read() -> Result<Option<Snapshot>, String> {
    match content() {
        Ok(content) => Snapshot::parse(&content).map(Some).map_err(|fault| fault.to_string()),
        Err(fault) if fault.kind() == ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(fault.to_string()),
    }
}

fn content() -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for someone to write to it.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(FILE)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut content = Vec::new();
    file.take(limits::MAX_SNAPSHOT_BYTES as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

/// Replaces what is there: a crash at any moment leaves the old file or the new one, whole.
///
/// What cannot be replaced is removed, because it may have a key that has been withdrawn since.
///
/// # Errors
/// What went wrong, in words.
pub(super) fn write(snapshot: &Snapshot) -> Result<(), String> {
    replace(&snapshot.to_bytes()).map_err(|fault| {
        // If this fails too, what is left ages as it would have.
        let _ = fs::remove_file(FILE);
        fault.to_string()
    })
}

fn replace(content: &[u8]) -> io::Result<()> {
    match fs::remove_file(UNFINISHED) {
        Err(fault) if fault.kind() != ErrorKind::NotFound => return Err(fault),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(UNFINISHED)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(UNFINISHED, FILE)?;
    File::open(".")?.sync_all()
}
