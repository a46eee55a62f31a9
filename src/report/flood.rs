//! Keeps a flood of refusals from becoming a flood of log lines.
//!
//! Any client that reaches the port can cause the refusals of [`LIMITED`] as often as it likes:
//! they are made before a signature was verified, most of them before a token was asked for. Of
//! each such code so many lines are logged in each window of time, in all sessions together; the
//! rest are counted, and the count is logged with the next line of that code, or by the key worker.
//! All other refusals are always logged, and every client is answered the same way.
//!
//! The counters are in shared memory without a lock: each stands for itself.

use std::sync::atomic::{AtomicU64, Ordering};

use entra::Code;

use crate::pg::shmem::{Atomics, shareable};
use crate::pg::{clock, library};

/// Refusals made before a signature was verified. Some of them come from a mistake of an
/// administrator and concern every login; sixty lines are enough to show such a mistake.
const LIMITED: [Code; 10] = [
    Code::TlsRequired,
    Code::WrongMethod,
    Code::NotConfigured,
    Code::NoAdmin,
    Code::PrivilegedRole,
    Code::InvalidFormat,
    Code::UnsupportedAlgorithm,
    Code::KeysUnavailable,
    Code::UnknownKey,
    Code::BadSignature,
];

/// Lines of one code in one window.
const LINES: u64 = 60;

/// Milliseconds of a window.
const WINDOW: u64 = 30_000;

/// The counters of one code.
#[derive(Default)]
struct Meter {
    /// The number of the last window with a line, and in the lower half the number of lines in it.
    lines: AtomicU64,
    /// Lines left out since that was last said.
    left_out: AtomicU64,
}
shareable!(Meter { lines, left_out });

impl Meter {
    /// Returns whether one more line may be logged; if not, it is counted.
    fn admits(&self, window: u64) -> bool {
        let one_more = |seen: u64| {
            let (last, lines) = (seen >> 32, seen & u64::from(u32::MAX));
            // A session that read the clock earlier than another one counts with it.
            if last < window { Some(window << 32 | 1) } else { (lines < LINES).then_some(seen + 1) }
        };
        let admitted = self.lines.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok();
        if !admitted {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// Returns how many lines have been left out up to now, if their window is over, and forgets
    /// them.
    fn take_left_out(&self, window: u64) -> Option<u64> {
        let over = self.lines.load(Ordering::Relaxed) >> 32 < window;
        over.then(|| self.left_out.swap(0, Ordering::Relaxed)).filter(|count| *count > 0)
    }
}

static METERS: Atomics<[Meter; LIMITED.len()]> = Atomics::new(c"azure_ad_auth_refusals", Default::default);

/// Requests the counters. In the postmaster only, while it loads its libraries.
pub(crate) fn init_shared_memory() {
    METERS.request();
}

/// Returns whether a refusal is to be logged; and how many lines of its code were left out before
/// it, if the log is to say so now.
pub(super) fn admits(code: Code) -> (bool, Option<u64>) {
    let Some(place) = LIMITED.iter().position(|limited| *limited == code) else { return (true, None) };
    // A copy that the postmaster has not loaded refuses, too, and has no memory to count in.
    if !library::is_this_file() {
        return (true, None);
    }
    let Some(meter) = METERS.get().get(place) else { return (true, None) };
    let window = clock::monotonic() / WINDOW;
    let left_out = meter.take_left_out(window);
    (meter.admits(window), left_out)
}

/// Returns how many lines of which code were left out, where the log does not say so yet.
pub(super) fn unsaid() -> impl Iterator<Item = (Code, u64)> {
    let window = clock::monotonic() / WINDOW;
    let meters = LIMITED.into_iter().zip(METERS.get());
    meters.filter_map(move |(code, meter)| meter.take_left_out(window).map(|count| (code, count)))
}

#[cfg(test)]
mod tests {
    use super::{LINES, Meter};

    #[test]
    fn a_window_has_its_lines_and_the_next_says_what_was_left_out() {
        let meter = Meter::default();
        let logged = (0..1_000).filter(|_| meter.admits(7)).count();
        assert_eq!(u64::try_from(logged), Ok(LINES));
        assert_eq!(meter.take_left_out(7), None, "there may be more to come");
        assert!(!meter.admits(6), "a late session counts with the others");
        assert_eq!(meter.take_left_out(8), Some(1_001 - LINES));
        assert_eq!(meter.take_left_out(8), None, "it is said once");
        assert!(meter.admits(8));
    }
}
