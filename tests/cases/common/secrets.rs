//! Looking for secrets, whole or in pieces, wherever they could have come to lie.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use testbed::scratch::server_ids;

/// The length of a piece. Any twice as long a part of a secret holds one.
const LENGTH: usize = 16;

/// The pieces of secrets.
pub(crate) struct Pieces(HashSet<Vec<u8>>);

impl Pieces {
    /// Takes secrets apart: as they are, and as a form has them.
    pub(crate) fn of<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Self {
        let mut pieces = HashSet::new();
        for secret in secrets {
            for form in [secret.to_owned(), encoded(secret)] {
                // Lines of a key are words of their own.
                for word in form.split_whitespace().map(str::as_bytes) {
                    let starts = (0..=word.len().saturating_sub(LENGTH)).step_by(LENGTH / 2);
                    pieces.extend(starts.filter_map(|at| Some(word.get(at..at + LENGTH)?.to_vec())));
                }
            }
        }
        // Of what every key and certificate in this form begins with.
        pieces.retain(|piece| !piece.starts_with(b"-----") && !piece.ends_with(b"-----"));
        assert!(!pieces.is_empty());
        Self(pieces)
    }

    /// Returns the pieces that lie somewhere.
    pub(crate) fn found_in(&self, place: &[u8]) -> Vec<String> {
        let is_part = |byte: &u8| byte.is_ascii_graphic() && *byte != b'"';
        let words = place.split(|byte| !is_part(byte)).filter(|word| word.len() >= LENGTH);
        let found: HashSet<&[u8]> =
            words.flat_map(|word| word.windows(LENGTH)).filter(|piece| self.0.contains(*piece)).collect();
        found.into_iter().map(|piece| String::from_utf8_lossy(piece).into_owned()).collect()
    }
}

/// Encodes a text as a form has it.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |text, byte| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'.' | b'~' => {
            text + &char::from(byte).to_string()
        }
        _ => text + &format!("%{byte:02X}"),
    })
}

/// Returns the content of all files in a folder and below.
pub(crate) fn files_in(folder: &Path) -> Vec<u8> {
    let mut content = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        // A file may go while the folder is read.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => content.extend(files_in(&entry.path())),
            Ok(kind) if kind.is_file() => content.extend(fs::read(entry.path()).unwrap_or_default()),
            _ => {}
        }
        content.push(b'\n');
    }
    content
}

/// Returns what lies in the memory of a process that is shared with others, or in all other memory
/// that it can write.
pub(crate) fn memory_of(pid: i32, is_shared: bool) -> Vec<u8> {
    let maps = output(&["cat", &format!("/proc/{pid}/maps")]);
    let mut content = Vec::new();
    for line in String::from_utf8_lossy(&maps).lines() {
        let mut fields = line.split_whitespace();
        let (Some(range), Some(mode)) = (fields.next(), fields.next()) else { continue };
        if mode.get(..2) != Some("rw") || mode.ends_with('s') != is_shared {
            continue;
        }
        let ends = range.split_once('-');
        let number = |text: &str| u64::from_str_radix(text, 16).expect("an address");
        let (from, to) = ends.map(|(from, to)| (number(from), number(to))).expect("a range");
        let options = [
            "dd".to_owned(),
            format!("if=/proc/{pid}/mem"),
            "bs=64K".to_owned(),
            "iflag=skip_bytes,count_bytes".to_owned(),
            format!("skip={from}"),
            format!("count={}", to - from),
            "status=none".to_owned(),
        ];
        content.extend(output(&options.each_ref().map(String::as_str)));
        content.push(b'\n');
    }
    content
}

/// Runs a command as root. Returns what it prints: another process's memory is only root's to read.
fn output(command: &[&str]) -> Vec<u8> {
    let mut all = Command::new(if server_ids().is_some() { "env" } else { "sudo" });
    all.args(command).output().expect("a command").stdout
}
