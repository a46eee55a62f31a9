//! What to do when Graph, a token endpoint or an identity endpoint does not answer.

use crate::freshness::Millis;

/// Longest wait that a service may ask for, as for keys: more would let one bad answer stop
/// everything.
const MAX_WAIT: Millis = 600_000;

/// First wait of our own after a failure.
const FIRST_WAIT: Millis = 1_000;

/// Longest wait of our own.
const LAST_WAIT: Millis = 300_000;

/// A request that failed for a reason of its own is not repeated unchanged before this: what
/// Microsoft's own libraries keep to.
pub const UNCHANGED: Millis = 60_000;

/// What a status means for the request ("Microsoft Graph error responses", Microsoft).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is answered.
    Answered,
    /// The token is no longer accepted: get a new one and repeat once.
    Renew,
    /// A permission is missing: this kind of question is not answered until it is granted.
    Forbidden,
    /// There is no such object, or not yet: evidence, but no proof.
    NotFound,
    /// The service is busy or down: repeat later.
    Later,
    /// The request itself is at fault: repeating it is of no use.
    Refused,
}

/// Returns what a status of HTTP means.
#[must_use]
pub const fn outcome(status: u16) -> Outcome {
    match status {
        200..=299 => Outcome::Answered,
        401 => Outcome::Renew,
        403 => Outcome::Forbidden,
        404 => Outcome::NotFound,
        408 | 429 | 500..=599 => Outcome::Later,
        _ => Outcome::Refused,
    }
}

/// Returns how long to wait after so many failures running, counted from 1. `asked`: what the
/// service asks for (Retry-After). `jitter`: a random number, so that many servers do not come back
/// at once.
#[must_use]
pub const fn wait(failures: u32, asked: Option<Millis>, jitter: u32) -> Millis {
    let doublings = if failures > 12 { 12 } else { failures.saturating_sub(1) };
    let own = FIRST_WAIT << doublings;
    let own = if own > LAST_WAIT { LAST_WAIT } else { own };
    // Up to half as much again.
    let own = own + own / 2 * (jitter as Millis % 1_000) / 1_000;
    match asked {
        Some(asked) if asked > MAX_WAIT => MAX_WAIT,
        Some(asked) if asked > own => asked,
        _ => own,
    }
}

/// Returns how long to wait before an identity endpoint of a machine is asked again ("How to use
/// managed identities", Microsoft); none: asking again is of no use. `failures`: so far, from 1.
#[must_use]
pub const fn identity_wait(status: u16, failures: u32) -> Option<Millis> {
    match status {
        // The endpoint is being updated; it is back within 70 seconds.
        410 if failures <= 7 => Some(10_000),
        404 | 429 | 500..=599 if failures <= 5 => Some(FIRST_WAIT << (failures.saturating_sub(1))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_one_meaning() {
        for (status, meaning) in [
            (200, Outcome::Answered),
            (204, Outcome::Answered),
            (301, Outcome::Refused),
            (400, Outcome::Refused),
            (401, Outcome::Renew),
            (403, Outcome::Forbidden),
            (404, Outcome::NotFound),
            (410, Outcome::Refused),
            (429, Outcome::Later),
            (500, Outcome::Later),
            (503, Outcome::Later),
            (504, Outcome::Later),
            (509, Outcome::Later),
        ] {
            assert_eq!(outcome(status), meaning, "{status}");
        }
    }

    #[test]
    fn waits_grow_and_end() {
        assert_eq!(wait(1, None, 0), 1_000);
        assert_eq!(wait(1, None, 999), 1_499);
        assert_eq!(wait(2, None, 0), 2_000);
        assert_eq!(wait(u32::MAX, None, 0), LAST_WAIT);
        assert_eq!(wait(1, Some(120_000), 0), 120_000);
        assert_eq!(wait(1, Some(0), 0), 1_000);
        assert_eq!(wait(1, Some(Millis::MAX), 0), MAX_WAIT);
        let mut last = 0;
        for failures in 1..40 {
            assert!(wait(failures, None, 0) >= last);
            last = wait(failures, None, 0);
        }
    }

    #[test]
    fn an_identity_endpoint_is_asked_again_as_documented() {
        assert_eq!([1, 2, 3].map(|n| identity_wait(503, n)), [Some(1_000), Some(2_000), Some(4_000)]);
        assert_eq!(identity_wait(410, 7), Some(10_000));
        assert_eq!(identity_wait(410, 8), None);
        assert_eq!(identity_wait(400, 1), None);
        assert_eq!(identity_wait(404, 6), None);
    }
}
