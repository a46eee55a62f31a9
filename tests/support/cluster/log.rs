//! The log of a server.

use std::fs;
use std::path::PathBuf;

use super::Cluster;
use crate::waits::eventually;

impl Cluster {
    pub(super) fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Returns the whole log.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    /// Returns the log after a mark.
    pub fn log_since(&self, mark: usize) -> String {
        self.log().get(mark..).unwrap_or_default().to_owned()
    }

    /// Returns a mark at the present end of the log.
    pub fn log_mark(&self) -> usize {
        self.log().len()
    }

    /// Returns the last lines of the log without the debugging ones.
    pub(super) fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().filter(|line| !line.contains("DEBUG:")).collect();
        lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n")
    }

    /// Waits until the log after a mark contains a text.
    pub fn await_log(&self, mark: usize, text: &str) {
        let found = eventually(|| self.log_since(mark).contains(text));
        assert!(found, "the log does not contain {text:?}:\n{}", self.log_tail());
    }
}
