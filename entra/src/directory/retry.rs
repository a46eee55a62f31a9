//! What to do when Graph, a token endpoint or an identity endpoint does not answer.

use super::time;
use crate::freshness::Millis;

/// Longest wait that a service may ask for, as for keys: more would let one bad answer stop
/// everything.
pub const MAX_WAIT: Millis = 600_000;

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

/// Reads `Retry-After` (RFC 9110 section 10.2.3) into the wait that it asks for: seconds, or until
/// a point in time. `now`: Unix seconds. Whatever else stands there asks for nothing.
#[must_use]
pub fn parse_retry_after(text: &str, now: i64) -> Option<Millis> {
    let text = text.trim();
    let seconds = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse::<u64>().ok()
    } else {
        time::parse_http_date(text).map(|time| u64::try_from(time.saturating_sub(now)).unwrap_or(0))
    };
    seconds.map(|seconds| seconds.saturating_mul(1_000).min(MAX_WAIT))
}

/// Returns how long to wait before a new object is asked for once more, whose id or name was just
/// not found; none: what is `left` of the caller's wait is too short. Objects that were created
/// seconds ago are not known to every replica yet. `tries`: so far, from 1.
#[must_use]
pub const fn wait_for_new_object(tries: u32, left: Millis) -> Option<Millis> {
    let wait = if tries > 2 { 4 * FIRST_WAIT } else { FIRST_WAIT << tries.saturating_sub(1) };
    // An answer takes time too.
    if left > wait + FIRST_WAIT { Some(wait) } else { None }
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
    fn a_service_asks_for_seconds_or_a_date() {
        let now = 784_111_777;
        for (text, wait) in [
            ("120", Some(120_000)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:51:37 GMT", Some(120_000)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("99999999999", Some(MAX_WAIT)),
            ("99999999999999999999999", None),
            ("soon", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
        ] {
            assert_eq!(parse_retry_after(text, now), wait, "{text}");
        }
    }

    #[test]
    fn a_new_object_is_asked_for_again_within_the_wait() {
        let (mut left, mut tries) = (10_000, 1);
        while let Some(wait) = wait_for_new_object(tries, left) {
            left -= wait;
            tries += 1;
        }
        assert_eq!((tries, left), (4, 3_000));
        assert_eq!(wait_for_new_object(1, 2_000), None);
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
