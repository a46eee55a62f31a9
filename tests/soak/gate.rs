//! When the run ends, and when the server is down because a process of it has been killed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Shared by all threads of a run.
pub(crate) struct Gate {
    /// Odd while the server restarts after a crash.
    count: AtomicU64,
    end: Instant,
}

impl Gate {
    pub(crate) fn new(run: Duration) -> Self {
        Self { count: AtomicU64::new(0), end: Instant::now() + run }
    }

    /// Returns whether the run goes on.
    pub(crate) fn goes_on(&self) -> bool {
        Instant::now() < self.end
    }

    /// Returns how much of the run is left.
    pub(crate) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Waits until the server is up. Returns the number of this time of its being up.
    pub(crate) fn pass(&self) -> u64 {
        loop {
            if let Some(count) = self.open() {
                return count;
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// Returns the number of this time of the server's being up; none if it is down.
    pub(crate) fn open(&self) -> Option<u64> {
        let count = self.count.load(Ordering::SeqCst);
        count.is_multiple_of(2).then_some(count)
    }

    /// Returns whether the server has been up ever since [`Gate::pass`] returned that number.
    pub(crate) fn was_open_since(&self, count: u64) -> bool {
        self.open() == Some(count)
    }

    /// Says that the server is about to crash.
    pub(crate) fn close(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// Says that the server is up again.
    pub(crate) fn reopen(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }
}
