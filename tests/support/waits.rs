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
