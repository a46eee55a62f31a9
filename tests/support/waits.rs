//! Waiting for what happens soon.

use std::thread::sleep;
use std::time::Duration;

/// Waits until a condition holds. Returns false if it does not within a minute.
pub fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    for _ in 0..1_200 {
        if condition() {
            return true;
        }
        sleep(Duration::from_millis(50));
    }
    false
}

/// Does the same, and returns false only if the condition does not hold within five minutes: for
/// what other programs do in their own time.
pub fn patiently(mut condition: impl FnMut() -> bool) -> bool {
    (0..5).any(|_| eventually(&mut condition))
}
