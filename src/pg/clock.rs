//! The two clocks: one that never goes back, for ages and intervals, and the time of day.

use std::time::{SystemTime, UNIX_EPOCH};

use entra::Millis;
use entra::limits::MAX_UNIX_SECONDS;

/// Added to the machine's clock, so that keys that are restored after a restart of the machine may
/// be older than its uptime: more than the longest `key_max_age`.
const BEFORE_BOOT: Millis = 100 * 86_400_000;

/// Returns the milliseconds of a clock that never goes back, is the same in every process, and
/// counts the time that the machine sleeps.
#[expect(unsafe_code, reason = "std's clock cannot be shared between processes")]
pub(crate) fn monotonic() -> Millis {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills the structure it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    BEFORE_BOOT + time.tv_sec.unsigned_abs() * 1_000 + time.tv_nsec.unsigned_abs() / 1_000_000
}

/// Returns the time of day, in Unix seconds. A clock before 1970 makes every token not valid yet.
pub(crate) fn unix_now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or_default()
}

/// Returns Unix seconds as to_timestamp() takes them, limited to the years 1970 to 9999: no time in
/// a token or a label makes a view fail.
#[expect(clippy::cast_precision_loss, reason = "these seconds are exact in a double")]
pub(crate) fn seconds(unix_seconds: i64) -> f64 {
    unix_seconds.clamp(0, MAX_UNIX_SECONDS) as f64
}
