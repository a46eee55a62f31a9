//! Whether what processes take grows.
//!
//! In its first minute a process fills its caches. Memory is compared by medians, because it goes
//! up and down by a page or two. Descriptors and threads have grown if a process has at rest, the
//! least in its last half minute, more than it ever had in its first minute. Everything happens
//! every few seconds, so a leak soon exceeds that. A connection that is kept does not, and nor does
//! a descriptor that is closed for a moment, such as that of a wait (WaitLatchOrSocket).

use std::time::Duration;

use crate::samples::{Life, Sample};

/// When a process has filled its caches.
const WARM: Duration = Duration::from_mins(1);

/// The time at the end of the first minute, and at the end of a life, that is looked at.
const WINDOW: Duration = Duration::from_secs(30);

/// The least growth of memory that is one, in KiB.
const GROWTH: u32 = 2_048;

/// What a process takes in half a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Level {
    memory: u32,
    descriptors: u32,
    threads: u32,
}

impl Level {
    /// Returns what it usually has.
    fn usual(samples: &[Sample]) -> Self {
        let median = |what: fn(&Sample) -> u32| {
            let mut values: Vec<_> = samples.iter().map(what).collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        Self {
            memory: median(|sample| sample.memory),
            descriptors: median(|sample| sample.descriptors),
            threads: median(|sample| sample.threads),
        }
    }

    /// Returns what it has at rest.
    fn at_rest(samples: &[Sample]) -> Self {
        let least = |what: fn(&Sample) -> u32| samples.iter().map(what).min().unwrap_or_default();
        Self {
            memory: Self::usual(samples).memory,
            descriptors: least(|sample| sample.descriptors),
            threads: least(|sample| sample.threads),
        }
    }

    fn most(samples: &[Sample]) -> Self {
        let most = |what: fn(&Sample) -> u32| samples.iter().map(what).max().unwrap_or_default();
        Self {
            memory: most(|sample| sample.memory),
            descriptors: most(|sample| sample.descriptors),
            threads: most(|sample| sample.threads),
        }
    }
}

/// A row of the table: a life that was long enough.
pub(crate) struct Row {
    name: &'static str,
    length: Duration,
    first: Level,
    /// The most in its first minute.
    first_most: Level,
    last: Level,
    most: Level,
}

impl Row {
    /// Returns the row of a life; none if it was too short to say anything.
    pub(crate) fn of(life: &Life) -> Option<Self> {
        let length = life.samples.last()?.age;
        if length < WARM + WINDOW {
            return None;
        }
        let between = |from: Duration, to: Duration| -> Vec<Sample> {
            life.samples.iter().filter(|sample| (from..=to).contains(&sample.age)).copied().collect()
        };
        Some(Self {
            name: life.name,
            length,
            first: Level::usual(&between(WARM.saturating_sub(WINDOW), WARM)),
            first_most: Level::most(&between(Duration::ZERO, WARM)),
            last: Level::at_rest(&between(length.saturating_sub(WINDOW), length)),
            most: Level::most(&life.samples),
        })
    }

    /// Returns the name of the process.
    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns what has grown.
    pub(crate) fn growth(&self) -> Vec<String> {
        let bound = self.first.memory + GROWTH.max(self.first.memory / 20);
        [
            ("memory in KiB", self.first.memory, self.last.memory, bound),
            ("descriptors", self.first.descriptors, self.last.descriptors, self.first_most.descriptors),
            ("threads", self.first.threads, self.last.threads, self.first_most.threads),
        ]
        .into_iter()
        .filter(|(.., last, bound)| last > bound)
        .map(|(what, first, last, bound)| {
            format!("{}: {what}: {first} after a minute, {last} at the end, more than {bound}", self.name)
        })
        .collect()
    }

    fn print(&self) {
        let Self { name, first, last, most, .. } = self;
        let mebibytes = |level: &Level| format!("{:.2}", f64::from(level.memory) / 1_024.0);
        println!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            self.length.as_secs(),
            mebibytes(first),
            mebibytes(last),
            mebibytes(most),
            first.descriptors,
            last.descriptors,
            most.descriptors,
            first.threads,
            last.threads,
            most.threads,
            if self.growth().is_empty() { "flat" } else { "GROWN" }
        );
    }
}

/// Prints the table.
pub(crate) fn print(rows: &[Row]) {
    println!(
        "\nWhat each process takes: in the second half of its first minute, in the last half minute, and \
         the most\n"
    );
    println!(
        "| process | lived, s | memory, MiB | last | most | descriptors | last | most | threads | last | most | |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    rows.iter().for_each(Row::print);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the growth of a life with a sample each second.
    fn growth(seconds: u64, at: impl Fn(u32) -> (u32, u32, u32)) -> Option<Vec<String>> {
        let sample = |second: u64| {
            let (memory, descriptors, threads) = at(u32::try_from(second).expect("a number"));
            Sample { age: Duration::from_secs(second), memory, descriptors, threads }
        };
        let life = Life::of("a process", (0..=seconds).map(sample).collect());
        Row::of(&life).map(|row| row.growth())
    }

    #[test]
    fn what_stays_as_it_is_has_not_grown() {
        assert_eq!(growth(120, |_| (9_000, 12, 2)), Some(vec![]));
        // Caches fill in the first half minute, a connection is open now and then.
        assert_eq!(growth(120, |at| (at.min(29) * 1_000, 12 + at % 3, 2)), Some(vec![]));
        assert_eq!(growth(120, |at| (9_000 + at * 20, 12, 2)), Some(vec![]));
        // A connection that is usually there was closed once.
        assert_eq!(growth(120, |at| (9_000, 13 - u32::from(at == 40), 2)), Some(vec![]));
        // A connection that is there now and then is kept.
        assert_eq!(growth(120, |at| (9_000, 12 + u32::from(at == 40 || at > 70), 2)), Some(vec![]));
    }

    #[test]
    fn what_goes_on_growing_is_found() {
        let found = |at: fn(u32) -> (u32, u32, u32)| growth(150, at).expect("long enough");
        assert_eq!(
            found(|at| (9_000 + at * 50, 12, 2)),
            ["a process: memory in KiB: 11250 after a minute, 15750 at the end, more than 13298"]
        );
        assert_eq!(
            found(|at| (9_000, 12 + at / 61, 2)),
            ["a process: descriptors: 12 after a minute, 13 at the end, more than 12"]
        );
        assert_eq!(
            found(|at| (9_000, 12, 2 + at / 100)),
            ["a process: threads: 2 after a minute, 3 at the end, more than 2"]
        );
        // Of much memory, a twentieth more.
        assert!(found(|at| (100_000 + at * 30, 12, 2)).is_empty());
        assert!(!found(|at| (100_000 + at * 70, 12, 2)).is_empty());
    }

    #[test]
    fn a_short_life_says_nothing() {
        assert_eq!(growth(80, |at| (at * 1_000, at, at)), None);
    }
}
