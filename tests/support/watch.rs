//! Reads a server's log as it grows, and finds what must never be in it: pieces of tokens, faults
//! of the library's own, and ends of processes that nobody has asked for.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::cluster::Cluster;

/// How many characters of a token must not stand together in the log.
pub(crate) const LENGTH: usize = 24;

/// The most findings that are kept.
const MOST: usize = 20;

/// What no line may contain, whatever clients do.
const FAULTS: [&str; 5] =
    ["code=internal", "PANIC:", "panicked at", "errstart was not called", "terminated by exception"];

/// What the log says of a process that has been ended by a signal.
const SIGNALLED: &str = "was terminated by signal ";

/// SIGKILL, as the log names it.
const KILLED: &str = "was terminated by signal 9:";

/// Pieces of tokens.
#[derive(Debug, Default)]
pub struct Pieces(HashSet<[u8; LENGTH]>);

impl Pieces {
    /// Adds a token, or another text that a client sends as one. Only parts that are as long as a
    /// piece and look like base64url can be found.
    pub fn add(&mut self, token: &str) {
        for part in words(token) {
            // Every text of one and a half lengths has one of these pieces.
            self.0.extend(part.as_bytes().windows(LENGTH).step_by(LENGTH / 2).map(piece));
        }
    }

    /// Returns where in a text the first piece begins.
    pub fn first_in(&self, text: &str) -> Option<usize> {
        words(text).find_map(|word| {
            let at = word.as_bytes().windows(LENGTH).position(|window| self.0.contains(&piece(window)))?;
            Some(word.as_ptr() as usize - text.as_ptr() as usize + at)
        })
    }
}

fn piece(window: &[u8]) -> [u8; LENGTH] {
    window.try_into().expect("a window of that length")
}

/// Returns whether a character is one of base64url.
pub(crate) fn encodes(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_".contains(c)
}

/// Returns the parts of a text that are long enough to contain a piece.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !encodes(c)).filter(|word| word.len() >= LENGTH)
}

/// The reader of one log.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    read: u64,
    lines: usize,
    killed: usize,
    findings: Vec<String>,
}

impl Watch {
    /// Begins at the beginning of a server's log.
    pub fn of(cluster: &Cluster) -> Self {
        Self { path: cluster.path("log"), read: 0, lines: 0, killed: 0, findings: Vec::new() }
    }

    /// Reads the lines that have come since the last call.
    pub fn read_on(&mut self, pieces: &Pieces) {
        let mut bytes = Vec::new();
        let mut log = File::open(&self.path).expect("a log");
        log.seek(SeekFrom::Start(self.read)).expect("a position");
        log.read_to_end(&mut bytes).expect("the log");
        // The last line may not be whole yet.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        bytes.truncate(whole);
        self.read += u64::try_from(whole).expect("a length");
        for line in String::from_utf8_lossy(&bytes).lines() {
            self.look_at(line, pieces);
        }
    }

    /// Returns how many processes have been killed.
    pub const fn killed(&self) -> usize {
        self.killed
    }

    /// Returns how many lines there were.
    pub const fn lines(&self) -> usize {
        self.lines
    }

    /// Returns what was found that must not be there. No finding shows a token.
    pub fn findings(&self) -> &[String] {
        &self.findings
    }

    fn look_at(&mut self, line: &str, pieces: &Pieces) {
        self.lines += 1;
        if line.contains(KILLED) {
            self.killed += 1;
        } else if FAULTS.iter().any(|fault| line.contains(fault)) || line.contains(SIGNALLED) {
            let shown = pieces.first_in(line).map_or(line, |at| line.get(..at).unwrap_or_default());
            self.note(shown.to_owned());
        }
        if let Some(at) = pieces.first_in(line) {
            let before = line.get(..at).unwrap_or_default();
            self.note(format!("a piece of a token is in line {} of the log, after: {before}", self.lines));
        }
    }

    fn note(&mut self, finding: String) {
        if self.findings.len() < MOST {
            self.findings.push(finding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJhcGk6Ly9wb3N0Z3JlcyJ9.c2lnbmF0dXJl";

    fn findings(line: &str) -> Vec<String> {
        let mut pieces = Pieces::default();
        pieces.add(TOKEN);
        let mut watch = Watch { path: PathBuf::new(), read: 0, lines: 0, killed: 0, findings: Vec::new() };
        watch.look_at(line, &pieces);
        watch.findings
    }

    #[test]
    fn a_piece_of_a_token_is_found_and_not_shown() {
        let found = findings("LOG:  the token was \"J0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJ\", it seems");
        assert_eq!(
            found,
            ["a piece of a token is in line 1 of the log, after: LOG:  the token was \"J0eXAiOiJK"]
        );
        let found = findings("refused code=internal token=eyJhdWQiOiJhcGk6Ly9wb3N0Z3JlcyJ9");
        assert!(found.len() == 2 && found.iter().all(|finding| !finding.contains("eyJhdWQi")), "{found:?}");
    }

    #[test]
    fn faults_and_signals_are_found() {
        for line in [
            "LOG:  azure_ad_auth: refused code=internal role=ann",
            "PANIC:  could not write",
            "thread 'main' panicked at src/lib.rs",
            "LOG:  server process (PID 7) was terminated by signal 11: Segmentation fault",
        ] {
            assert_eq!(findings(line), [line]);
        }
    }

    #[test]
    fn what_is_usual_is_not_found() {
        for line in [
            "LOG:  azure_ad_auth: refused code=expired role=ann oid=22222222-aaaa-bbbb-cccc-000000000002",
            "LOG:  server process (PID 7) was terminated by signal 9: Killed",
        ] {
            assert_eq!(findings(line), [""; 0]);
        }
    }
}
