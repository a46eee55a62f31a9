//! What has been done, and what has failed.

use std::collections::BTreeMap;
use std::sync::Mutex;

use testbed::mutex::lock;

/// The most failures that are shown.
const MOST: usize = 20;

/// How often something was done.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    done: usize,
    /// Broken off by a crash of the server.
    interrupted: usize,
    failed: usize,
}

/// Counts of everything that is done.
#[derive(Default)]
pub(crate) struct Tally {
    counts: Mutex<BTreeMap<&'static str, Count>>,
    failures: Mutex<Vec<String>>,
}

impl Tally {
    pub(crate) fn done(&self, what: &'static str) {
        lock(&self.counts).entry(what).or_default().done += 1;
    }

    pub(crate) fn interrupted(&self, what: &'static str) {
        lock(&self.counts).entry(what).or_default().interrupted += 1;
    }

    pub(crate) fn failed(&self, what: &'static str, how: &str) {
        lock(&self.counts).entry(what).or_default().failed += 1;
        let mut failures = lock(&self.failures);
        if failures.len() < MOST {
            failures.push(format!("{what}: {how}"));
        }
    }

    /// Returns how often something was done.
    pub(crate) fn of(&self, what: &str) -> usize {
        lock(&self.counts).get(what).map_or(0, |count| count.done)
    }

    /// Returns the failures, and the names of what was never done.
    pub(crate) fn complaints(&self, wanted: &[&str]) -> Vec<String> {
        let counts = lock(&self.counts);
        let never = wanted.iter().filter(|what| counts.get(**what).is_none_or(|count| count.done == 0));
        let never = never.map(|what| format!("{what}: never done"));
        lock(&self.failures).iter().cloned().chain(never).collect()
    }

    pub(crate) fn print(&self) {
        println!("\n| | done | broken off by a crash | failed |");
        println!("| --- | --- | --- | --- |");
        for (what, Count { done, interrupted, failed }) in &*lock(&self.counts) {
            println!("| {what} | {done} | {interrupted} | {failed} |");
        }
    }
}
