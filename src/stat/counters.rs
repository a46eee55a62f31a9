//! The counters of the whole server.
//!
//! They are in shared memory without a lock, and each counter changes by itself. So a reader of
//! several may, while logins go on, find one that the others do not agree with yet.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use entra::{Code, TokenKind};

use crate::pg::clock;
use crate::pg::shmem::{Atomics, shareable};
use crate::stat::directory::Directory;

/// The doors, as the log calls them, and after them the seal, which only refuses.
const PLACES: [&str; 4] = ["password", "pam", "oauth", "seal"];
const DOORS: usize = 3;

/// The kinds of tokens, as the views call them.
const KINDS: [(TokenKind, &str); 2] =
    [(TokenKind::User, TokenKind::User.as_str()), (TokenKind::Service, TokenKind::Service.as_str())];

/// Upper bounds of the histogram, in microseconds; what took longer has a bucket of its own.
const BOUNDS: [u32; 7] = [50, 100, 250, 1_000, 10_000, 100_000, 1_000_000];

/// How long tokens took from arrival to decision.
#[derive(Default)]
struct Histogram {
    /// The number of times in each bucket, without those in smaller ones.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    /// Microseconds.
    sum: AtomicU64,
}
shareable!(Histogram { buckets, sum });

impl Histogram {
    fn add(&self, took: Duration) {
        let within = |bound: &u32| took <= Duration::from_micros(u64::from(*bound));
        let bucket = BOUNDS.iter().position(within).unwrap_or(BOUNDS.len());
        add(self.buckets.get(bucket), 1);
        add(Some(&self.sum), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// Returns the bounds in seconds, each with the number of times that are not above it; the last
    /// bound is infinite and counts all of them.
    fn cumulated(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.iter().map(|bound| f64::from(*bound) / 1e6).chain([f64::INFINITY]);
        let mut total = 0;
        let reached = self.buckets.iter().map(|bucket| {
            total += bucket.load(Ordering::Relaxed);
            total
        });
        bounds.zip(reached).collect()
    }
}

pub(super) struct Counters {
    /// When all counters began at zero, by the server's start or by a reset, Unix seconds.
    since: AtomicI64,
    admitted: [[AtomicU64; KINDS.len()]; DOORS],
    refused: [[AtomicU64; Code::ALL.len()]; PLACES.len()],
    key_waits: AtomicU64,
    key_wait_millis: AtomicU64,
    pub(super) directory: Directory,
    times: [Histogram; DOORS],
}
shareable!(Counters { since, admitted, refused, key_waits, key_wait_millis, directory, times });

impl Default for Counters {
    fn default() -> Self {
        Self {
            since: AtomicI64::new(clock::unix_now()),
            admitted: Default::default(),
            refused: Default::default(),
            key_waits: AtomicU64::new(0),
            key_wait_millis: AtomicU64::new(0),
            directory: Directory::default(),
            times: Default::default(),
        }
    }
}

pub(super) static COUNTERS: Atomics<Counters> = Atomics::new(c"azure_ad_auth_stat", Counters::default);

/// Requests the counters. In the postmaster only, while it loads its libraries.
pub(super) fn init_shared_memory() {
    COUNTERS.request();
}

/// Adds to a counter, if there is one.
pub(super) fn add(counter: Option<&AtomicU64>, count: u64) {
    if let Some(counter) = counter {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

fn place_of(door: &str) -> Option<usize> {
    PLACES.iter().position(|place| *place == door)
}

pub(super) fn count_admission(door: &str, kind: TokenKind, took: Duration) {
    let counters = COUNTERS.get();
    let Some(door) = place_of(door) else { return };
    let kind = KINDS.iter().position(|(known, _)| *known == kind);
    let admitted = counters.admitted.get(door);
    add(admitted.zip(kind).and_then(|(kinds, kind)| kinds.get(kind)), 1);
    if let Some(times) = counters.times.get(door) {
        times.add(took);
    }
}

pub(super) fn count_refusal(door: &str, code: Code) {
    let refused = place_of(door).and_then(|place| COUNTERS.get().refused.get(place));
    let code = Code::ALL.iter().position(|known| *known == code);
    add(refused.zip(code).and_then(|(codes, code)| codes.get(code)), 1);
}

/// Counts a wait for keys and how long it is. A wait that the server's own timeout ends counts,
/// too, with no time.
pub(crate) fn count_wait<T>(wait: impl FnOnce() -> T) -> T {
    let counters = COUNTERS.get();
    add(Some(&counters.key_waits), 1);
    let began = std::time::Instant::now();
    let outcome = wait();
    add(Some(&counters.key_wait_millis), u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
    outcome
}

/// A row of the view: a number, and what it counts.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) door: Option<&'static str>,
    pub(super) kind: Option<&'static str>,
    pub(super) code: Option<&'static str>,
    /// Seconds.
    pub(super) bound: Option<f64>,
    pub(super) value: u64,
}

/// Returns since when the server counts, in Unix seconds, and every number: always the same rows,
/// so that curves drawn from them begin at zero.
pub(super) fn rows() -> (i64, Vec<Metric>) {
    let counters = COUNTERS.get();
    (counters.since.load(Ordering::Relaxed), counters.rows())
}

/// Sets everything to zero. A login that is counted at the same time may be counted before or
/// after.
pub(super) fn reset() {
    COUNTERS.get().reset();
}

impl Counters {
    fn rows(&self) -> Vec<Metric> {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut rows = Vec::new();
        for (door, kinds) in PLACES.iter().zip(&self.admitted) {
            rows.extend(KINDS.iter().zip(kinds).map(|((_, kind), count)| Metric {
                name: "admitted",
                door: Some(door),
                kind: Some(kind),
                value: value(count),
                ..Metric::default()
            }));
        }
        for (door, codes) in PLACES.iter().zip(&self.refused) {
            rows.extend(Code::ALL.iter().zip(codes).map(|(code, count)| Metric {
                name: "refused",
                door: Some(door),
                code: Some(code.as_str()),
                value: value(count),
                ..Metric::default()
            }));
        }
        let waits = [("key_waits", &self.key_waits), ("key_wait_milliseconds", &self.key_wait_millis)];
        rows.extend(waits.map(|(name, count)| Metric { name, value: value(count), ..Metric::default() }));
        rows.extend(self.directory.rows());
        for (door, times) in PLACES.iter().zip(&self.times) {
            let row =
                |name, bound, value| Metric { name, door: Some(door), bound, value, ..Metric::default() };
            let cumulated = times.cumulated();
            let count = cumulated.last().map_or(0, |(_, count)| *count);
            rows.extend(
                cumulated.into_iter().map(|(bound, count)| row("admission_time_bucket", Some(bound), count)),
            );
            rows.push(row("admission_time_count", None, count));
            rows.push(row("admission_time_microseconds", None, value(&times.sum)));
        }
        rows
    }

    fn reset(&self) {
        let times = self.times.iter().flat_map(|times| times.buckets.iter().chain([&times.sum]));
        let all = self.admitted.iter().flatten().chain(self.refused.iter().flatten()).chain(times);
        for counter in all.chain([&self.key_waits, &self.key_wait_millis]).chain(self.directory.all()) {
            counter.store(0, Ordering::Relaxed);
        }
        self.since.store(clock::unix_now(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::{BOUNDS, Counters, Histogram, Metric};

    #[test]
    fn a_time_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        for (nanos, bucket) in [
            (0, 0),
            (50_000, 0),
            (50_001, 1),
            (100_000, 1),
            (100_001, 2),
            (250_000, 2),
            (1_000_000, 3),
            (1_000_001, 4),
            (10_000_000, 4),
            (100_000_000, 5),
            (1_000_000_000, 6),
            (1_000_000_001, 7),
            (u64::MAX, 7),
        ] {
            let times = Histogram::default();
            times.add(Duration::from_nanos(nanos));
            let found: Vec<_> = times.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
            let expected: Vec<_> = (0..=BOUNDS.len()).map(|place| u64::from(place == bucket)).collect();
            assert_eq!(found, expected, "{nanos} ns");
        }
    }

    #[test]
    fn buckets_are_shown_cumulated() {
        let times = Histogram::default();
        for micros in [20, 40, 60, 200, 200, 5_000_000] {
            times.add(Duration::from_micros(micros));
        }
        let expected = [
            (0.000_05, 2),
            (0.000_1, 3),
            (0.000_25, 5),
            (0.001, 5),
            (0.01, 5),
            (0.1, 5),
            (1.0, 5),
            (f64::INFINITY, 6),
        ];
        assert_eq!(times.cumulated(), expected);
        assert_eq!(times.sum.load(Ordering::Relaxed), 5_000_520);
    }

    #[test]
    fn a_reset_leaves_nothing() {
        let counters = Counters::default();
        counters.key_waits.fetch_add(3, Ordering::Relaxed);
        for counter in counters.directory.all() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        for times in &counters.times {
            times.add(Duration::from_secs(2));
        }
        for counter in counters.admitted.iter().flatten().chain(counters.refused.iter().flatten()) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let sum = |rows: Vec<Metric>| rows.iter().map(|row| row.value).sum::<u64>();
        assert_eq!(sum(counters.rows()), 3 + (4 * 6 + 2 + 2 + 1 + 8) + 3 * 2_000_002 + 6 + 120);
        counters.reset();
        assert_eq!(sum(counters.rows()), 0);
    }
}
