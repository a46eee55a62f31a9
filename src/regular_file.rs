//! Reading files that somebody else may have put there: bounded, and without waiting.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Reads at most `limit` bytes of a regular file. `flags` are further ones of open(2).
pub(crate) fn read(path: impl AsRef<Path>, limit: u64, flags: i32) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for someone to write to it.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut content = Vec::new();
    file.take(limit).read_to_end(&mut content)?;
    Ok(content)
}
