//! Reading files that other users may have put there: bounded, and without waiting. Replacing a
//! file of the server's own.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The byte order mark with which a text in UTF-8 may begin, as programs of Windows write it.
const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Opens a regular file for reading. `flags` are further ones of open(2). What the second value
/// says is true of the file that was opened, whatever has happened to its name since.
pub(crate) fn open(path: impl AsRef<Path>, flags: i32) -> io::Result<(File, Metadata)> {
    // Without O_NONBLOCK, opening a pipe would wait until another process writes to it.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | flags).open(path)?;
    let about = file.metadata()?;
    if about.is_file() { Ok((file, about)) } else { Err(io::Error::other("not a regular file")) }
}

/// Reads at most `limit` bytes of a regular file. `flags` are further ones of open(2).
pub(crate) fn read(path: impl AsRef<Path>, limit: u64, flags: i32) -> io::Result<Vec<u8>> {
    let (file, _) = open(path, flags)?;
    let mut content = Vec::new();
    file.take(limit).read_to_end(&mut content)?;
    Ok(content)
}

/// Replaces a file in the data directory: a crash at any moment leaves the old file or the new one,
/// whole. `unfinished`: its name while it is being written.
pub(crate) fn replace(file: &str, unfinished: &str, content: &[u8]) -> io::Result<()> {
    match fs::remove_file(unfinished) {
        Err(fault) if fault.kind() != ErrorKind::NotFound => return Err(fault),
        _ => {}
    }
    // The mode of all files of the server: its umask takes the group's part away, unless initdb was
    // told that the group may read.
    let mut written = OpenOptions::new().write(true).create_new(true).mode(0o640).open(unfinished)?;
    written.write_all(content)?;
    written.sync_all()?;
    fs::rename(unfinished, file)?;
    match File::open(".")?.sync_all() {
        // Some file systems cannot do that for a folder, which PostgreSQL accepts, too (fd.c).
        Err(fault) if matches!(fault.raw_os_error(), Some(libc::EBADF | libc::EINVAL)) => Ok(()),
        synced => synced,
    }
}

/// Returns whether two paths lead to one file, as PostgreSQL and the dynamic linker decide it.
pub(crate) fn is_same_file(one: &str, other: &str) -> bool {
    let identity = |path: &str| Path::new(path).metadata().ok().map(|file| (file.dev(), file.ino()));
    identity(one).is_some_and(|found| Some(found) == identity(other))
}

/// Returns whether PostgreSQL, asked for a library by this path, loads the file `library`. It adds
/// the suffix if there is no such file (`expand_dynamic_library_name`, dfmgr.c).
pub(crate) fn leads_to_library(path: &str, library: &str) -> bool {
    let with_suffix = format!("{path}.so");
    let found = if Path::new(path).is_file() { path } else { &with_suffix };
    path.starts_with('/') && (found == library || is_same_file(found, library))
}

/// Returns a text without its byte order mark, which means nothing in UTF-8.
///
/// # Errors
/// The text is in UTF-16, which programs of Windows write unless told otherwise. Its mark says so,
/// or a zero in its first character.
pub(crate) fn without_mark(text: &[u8]) -> Result<&[u8], &'static str> {
    match text {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, _, ..] | [_, 0, ..] => {
            Err("it is in UTF-16, and must be in UTF-8")
        }
        _ => Ok(text.strip_prefix(UTF8_MARK).unwrap_or(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::without_mark;

    #[test]
    fn a_mark_is_taken_off_and_another_encoding_is_named() {
        for (text, expected) in [
            (&b""[..], Ok(&b""[..])),
            (b"{", Ok(b"{")),
            (b"{}", Ok(b"{}")),
            (b"\xEF\xBB\xBF{}", Ok(b"{}")),
            (b"\xEF\xBB\xBF", Ok(b"")),
            (b"\xEF\xBB", Ok(b"\xEF\xBB")),
            // A second mark is part of the text.
            (b"\xEF\xBB\xBF\xEF\xBB\xBF{}", Ok(b"\xEF\xBB\xBF{}")),
        ] {
            assert_eq!(without_mark(text), expected);
        }
        for text in [&b"\xFF\xFE{\0}\0"[..], b"\xFE\xFF\0{\0}", b"{\0}\0", b"\0{\0}", b"\xFF\xFE\0\0{\0\0\0"]
        {
            assert!(without_mark(text).is_err(), "{text:?}");
        }
    }
}
