//! What processes take, by /proc (proc(5)).

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::run::Run;
use crate::stories::{WORKERS, process};

/// What a process takes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Since it was first seen.
    pub(crate) age: Duration,
    /// Memory of its own in KiB: what it shares with no other process, and what it has locked.
    pub(crate) memory: u32,
    /// Open files, without those of tables.
    pub(crate) descriptors: u32,
    pub(crate) threads: u32,
}

/// A process from when it was first seen until it was last seen.
pub(crate) struct Life {
    pub(crate) name: &'static str,
    pub(crate) pid: i32,
    begin: Instant,
    pub(crate) samples: Vec<Sample>,
}

impl Life {
    fn new(name: &'static str, pid: i32) -> Self {
        Self { name, pid, begin: Instant::now(), samples: Vec::new() }
    }

    /// Makes a life of samples.
    #[cfg(test)]
    pub(crate) fn of(name: &'static str, samples: Vec<Sample>) -> Self {
        Self { samples, ..Self::new(name, 0) }
    }

    /// Takes a sample, if the process is still there.
    fn sample(&mut self) {
        self.samples.extend(sample(self.pid, self.begin.elapsed()));
    }
}

fn sample(pid: i32, age: Duration) -> Option<Sample> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let number = |name: &str| -> Option<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    };
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
    let descriptors =
        descriptors.filter(|entry| !is_of_tables(&fs::read_link(entry.path()).unwrap_or_default())).count();
    Some(Sample {
        age,
        memory: number("RssAnon:")? + number("VmLck:")?,
        descriptors: u32::try_from(descriptors).ok()?,
        threads: number("Threads:")?,
    })
}

/// Returns whether a file is one of those that PostgreSQL opens when it first reads a table or
/// writes to the log of changes, keeps open, and closes by itself (max_files_per_process).
fn is_of_tables(path: &Path) -> bool {
    let text = path.to_string_lossy();
    ["/data/base/", "/data/global/", "/data/pg_wal/"].iter().any(|folder| text.contains(folder))
}

/// All processes that are looked at.
pub(crate) struct Samples {
    postmaster: Life,
    /// The number of the time for which the workers are known.
    known: Option<u64>,
    lives: Vec<Life>,
    ended: Vec<Life>,
}

impl Samples {
    pub(crate) fn new(run: &Run) -> Self {
        let postmaster = Life::new("postmaster", run.cluster().pid());
        Self { postmaster, known: None, lives: Vec::new(), ended: Vec::new() }
    }

    /// Takes a sample of each process, unless the server is restarting.
    pub(crate) fn take(&mut self, run: &Run) {
        self.postmaster.sample();
        let Some(count) = run.gate.open() else { return };
        if self.known != Some(count) {
            self.ended.append(&mut self.lives);
            let found =
                WORKERS.iter().filter_map(|(name, query)| Some(Life::new(name, process(run, query)?)));
            self.lives = found.collect();
            // Tried again, should one be missing.
            self.known = (self.lives.len() == WORKERS.len()).then_some(count);
        }
        self.find_resident(run);
        for life in &mut self.lives {
            life.sample();
        }
    }

    fn find_resident(&mut self, run: &Run) {
        const NAME: &str = "a long session";
        let pid = run.resident.load(Ordering::SeqCst);
        if pid != 0 && !self.lives.iter().any(|life| life.pid == pid) {
            self.lives.push(Life::new(NAME, pid));
        }
    }

    /// Returns the lives of all processes that there have been.
    pub(crate) fn finish(mut self) -> Vec<Life> {
        self.ended.append(&mut self.lives);
        self.ended.insert(0, self.postmaster);
        self.ended
    }
}
