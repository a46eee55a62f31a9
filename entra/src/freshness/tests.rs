//! Events, and the state they lead to.

use super::*;

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;
const TIMING: Timing =
    Timing { refresh_interval: HOUR, max_age: 24 * HOUR, cooldown: 5 * MINUTE, wait: 2 * SECOND };

fn fetched(at: Millis) -> Freshness {
    let mut freshness = Freshness::new();
    freshness.begin(at);
    freshness.succeeded(at, &TIMING);
    freshness
}

#[test]
fn a_new_cache_is_empty_and_due() {
    let freshness = Freshness::new();
    assert!(freshness.due(0));
    assert!(!freshness.usable(0, &TIMING));
    assert_eq!(freshness.state(0, &TIMING), State::Empty);
}

#[test]
fn keys_are_usable_to_the_last_millisecond_of_their_age() {
    let freshness = fetched(HOUR);
    assert!(freshness.usable(25 * HOUR, &TIMING));
    assert!(!freshness.usable(25 * HOUR + 1, &TIMING));
    assert_eq!(freshness.state(25 * HOUR + 1, &TIMING), State::TooOld);
}

#[test]
fn a_fetch_is_due_once_per_interval_and_not_while_one_runs() {
    let mut freshness = fetched(0);
    assert!(!freshness.due(HOUR - 1));
    assert_eq!(freshness.idle_for(HOUR - 1), 1);
    assert!(freshness.due(HOUR));
    freshness.begin(HOUR);
    assert!(!freshness.due(2 * HOUR));
    assert_eq!(freshness.idle_for(2 * HOUR), u64::MAX, "its end is announced, not waited for");
    freshness.succeeded(2 * HOUR, &TIMING);
    assert_eq!(freshness.idle_for(2 * HOUR), HOUR);
}

#[test]
fn failures_back_off_to_a_minute_and_keep_the_keys() {
    let mut freshness = fetched(0);
    let mut now = HOUR;
    let mut delays = Vec::new();
    for _ in 0..9 {
        freshness.begin(now);
        freshness.failed(now, &TIMING, None, 0);
        delays.push(freshness.idle_for(now) / SECOND);
        now += freshness.idle_for(now);
    }
    assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert_eq!(freshness.state(now, &TIMING), State::Failing);
    assert!(freshness.usable(now, &TIMING));
    freshness.begin(now);
    freshness.succeeded(now, &TIMING);
    assert_eq!(freshness.state(now, &TIMING), State::Fresh);
}

#[test]
fn jitter_and_retry_after_only_lengthen_a_delay() {
    let delay = |retry_after, jitter| {
        let mut freshness = fetched(0);
        freshness.begin(HOUR);
        freshness.failed(HOUR, &TIMING, retry_after, jitter);
        freshness.idle_for(HOUR)
    };
    assert_eq!(delay(None, 0), SECOND);
    assert_eq!(delay(None, 1_000_000), SECOND + 499);
    assert_eq!(delay(Some(30 * SECOND), 0), 30 * SECOND);
    assert_eq!(delay(Some(HOUR), 0), MAX_RETRY_AFTER);
}

#[test]
fn retries_are_no_rarer_than_the_interval() {
    let timing = Timing { refresh_interval: SECOND, ..TIMING };
    let mut freshness = Freshness::new();
    for _ in 0..40 {
        freshness.begin(0);
        freshness.failed(0, &timing, None, 0);
    }
    assert_eq!(freshness.idle_for(0), SECOND);
}

#[test]
fn an_unknown_key_causes_one_fetch_per_cooldown() {
    let mut freshness = fetched(0);
    assert_eq!(freshness.ask(MINUTE, &TIMING), Answer::Start);
    assert!(freshness.due(MINUTE), "the fetch is wanted");
    assert_eq!(freshness.ask(MINUTE, &TIMING), Answer::Wait, "shared before it starts");
    freshness.begin(MINUTE);
    assert_eq!(freshness.ask(MINUTE, &TIMING), Answer::Wait, "shared while it runs");
    freshness.succeeded(MINUTE, &TIMING);
    assert_eq!(freshness.ask(MINUTE, &TIMING), Answer::Refuse);
    assert_eq!(freshness.ask(6 * MINUTE - 1, &TIMING), Answer::Refuse);
    assert!(!freshness.due(6 * MINUTE - 1));
    assert_eq!(freshness.ask(6 * MINUTE, &TIMING), Answer::Start);
}

#[test]
fn a_storm_over_a_day_costs_no_more_than_the_cooldown_allows() {
    let mut freshness = fetched(0);
    let mut on_demand = 0;
    for now in (0..24 * HOUR).step_by(7_000) {
        let scheduled = freshness.due(now);
        let _ = freshness.ask(now, &TIMING);
        if freshness.due(now) {
            on_demand += u32::from(!scheduled);
            freshness.begin(now);
            freshness.succeeded(now, &TIMING);
        }
    }
    assert!(on_demand <= 24 * 12, "{on_demand}");
    assert!(on_demand >= 24 * 11, "{on_demand}");
}

#[test]
fn an_administrator_is_not_held_up() {
    let mut freshness = fetched(0);
    let _ = freshness.ask(0, &TIMING);
    freshness.begin(0);
    freshness.force();
    freshness.succeeded(0, &TIMING);
    assert!(freshness.due(0), "what was wanted during a fetch starts after it");
}

#[test]
fn a_new_source_starts_over_but_not_the_cooldown() {
    let mut freshness = fetched(0);
    let _ = freshness.ask(0, &TIMING);
    let mut freshness = freshness.restarted();
    assert!(freshness.due(0));
    assert!(!freshness.usable(0, &TIMING));
    freshness.begin(0);
    freshness.succeeded(0, &TIMING);
    assert_eq!(freshness.ask(0, &TIMING), Answer::Refuse);
}

#[test]
fn an_abandoned_fetch_is_due_again() {
    let mut freshness = fetched(0);
    freshness.begin(HOUR);
    freshness.abandon();
    assert!(freshness.due(HOUR));
    assert!(freshness.usable(HOUR, &TIMING));
}

#[test]
fn restored_keys_have_the_age_they_had() {
    let mut freshness = Freshness::new();
    freshness.restored(100 * HOUR, 23 * HOUR);
    assert_eq!(freshness.state(100 * HOUR, &TIMING), State::Due, "and are fetched anew at once");
    assert!(freshness.usable(101 * HOUR, &TIMING));
    assert!(!freshness.usable(101 * HOUR + 1, &TIMING));
    // The clock of a machine that has just started does not reach back so far.
    let mut freshness = Freshness::new();
    freshness.restored(HOUR, HOUR + 1);
    assert_eq!(freshness.state(HOUR, &TIMING), State::Empty);
}

/// An event at a minute of the day, and the state after it.
type Event = (Millis, fn(&mut Freshness, Millis), State);

const NOTHING: fn(&mut Freshness, Millis) = |_, _| {};
const BEGIN: fn(&mut Freshness, Millis) = |freshness, now| freshness.begin(now);
const SUCCEED: fn(&mut Freshness, Millis) = |freshness, now| freshness.succeeded(now, &TIMING);
const FAIL: fn(&mut Freshness, Millis) = |freshness, now| freshness.failed(now, &TIMING, None, 500);
const ASK: fn(&mut Freshness, Millis) = |freshness, now| {
    let _ = freshness.ask(now, &TIMING);
};

#[test]
fn a_start_a_rotation_an_outage_of_two_days_and_its_end() {
    let day: [Event; 22] = [
        (0, NOTHING, State::Empty),
        (0, BEGIN, State::Empty),
        (0, FAIL, State::Empty),
        (1, BEGIN, State::Empty),
        (1, SUCCEED, State::Fresh),
        (60, NOTHING, State::Fresh),
        (61, NOTHING, State::Due),
        (61, BEGIN, State::InFlight),
        (62, SUCCEED, State::Fresh),
        // A token of a new key: one fetch for it, and none for the next.
        (90, ASK, State::Due),
        (90, BEGIN, State::InFlight),
        (90, ASK, State::InFlight),
        (90, SUCCEED, State::Fresh),
        (91, ASK, State::Fresh),
        (150, BEGIN, State::InFlight),
        (150, FAIL, State::Failing),
        (152, BEGIN, State::Failing),
        (152, FAIL, State::Failing),
        (90 + 24 * 60, NOTHING, State::Failing),
        (91 + 24 * 60, NOTHING, State::TooOld),
        (49 * 60, BEGIN, State::TooOld),
        (49 * 60, SUCCEED, State::Fresh),
    ];
    let mut freshness = Freshness::new();
    for (step, (minute, happens, expected)) in day.into_iter().enumerate() {
        happens(&mut freshness, minute * MINUTE);
        assert_eq!(freshness.state(minute * MINUTE, &TIMING), expected, "step {step}, minute {minute}");
    }
}
