//! When the directory is asked, when a token is fetched, and what is known about features.

#![allow(missing_docs, reason = "a test's name says what it pins")]

use entra::directory::credential::{AccessToken, TokenProblem, parse_token, parse_token_problem};
use entra::directory::features::{Evidence, Feature, Features};
use entra::directory::pace::{Demanded, Pace, State};
use entra::directory::request::Kind;
use entra::directory::token::{AfterRejection, Step, TokenState};

const MINUTE: u64 = 60_000;
const INTERVAL: u64 = 5 * MINUTE;

fn token(seconds: u32) -> AccessToken {
    parse_token(format!(r#"{{"access_token":"a","expires_in":{seconds}}}"#).as_bytes()).expect("a token")
}

fn problem(number: u32) -> TokenProblem {
    parse_token_problem(400, format!(r#"{{"error_codes":[{number}]}}"#).as_bytes())
}

#[test]
fn a_day_of_looks_has_one_every_interval() {
    let (mut pace, mut looks, mut now) = (Pace::new(), 0, 0);
    while now < 24 * 60 * MINUTE {
        now += pace.idle_for(now, INTERVAL);
        assert!(pace.is_due(now, INTERVAL));
        pace.begin(now);
        assert!(!pace.is_due(now + INTERVAL, INTERVAL));
        now += 1_500;
        pace.succeeded(now, INTERVAL);
        looks += 1;
    }
    assert_eq!(looks, 288);
}

#[test]
fn the_word_for_each_state() {
    let mut pace = Pace::new();
    let state = |pace: &Pace, now| pace.state(true, now, INTERVAL);
    assert_eq!((pace.state(false, 0, INTERVAL), state(&pace, 0)), (State::Off, State::Empty));
    pace.begin(0);
    assert_eq!(state(&pace, 0), State::Empty);
    pace.succeeded(1_000, INTERVAL);
    assert_eq!((state(&pace, 1_000), state(&pace, 1_000 + INTERVAL)), (State::Fresh, State::Due));
    pace.begin(1_000 + INTERVAL);
    assert_eq!(state(&pace, 1_000 + INTERVAL), State::InFlight);
    pace.failed(2_000 + INTERVAL, INTERVAL, None, 0);
    assert_eq!(state(&pace, 2_000 + INTERVAL), State::Failing);
    assert_eq!(
        (state(&pace, 1_000 + 3 * INTERVAL), state(&pace, 1_001 + 3 * INTERVAL)),
        (State::Failing, State::TooOld)
    );
    assert_eq!(pace.state(true, u64::MAX, 0), State::Failing, "without an interval nothing is too old");
    assert_eq!(pace.state(false, 0, INTERVAL), State::Off);
    let mut names: Vec<_> = State::ALL.iter().map(|state| state.as_str()).collect();
    names.dedup();
    assert_eq!(names, ["off", "empty", "fresh", "due", "in flight", "failing", "too old"]);
}

#[test]
fn failures_are_repeated_ever_more_slowly_and_never_later_than_the_interval() {
    for (interval, waits) in [(INTERVAL, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]), (1_000, [1; 11])] {
        let (mut pace, mut now) = (Pace::new(), 0);
        for wait in waits {
            pace.begin(now);
            pace.failed(now, interval, None, 0);
            assert_eq!(pace.idle_for(now, interval), wait * 1_000);
            assert!(pace.may_ask(now), "questions of logins and statements go on");
            now += wait * 1_000;
        }
    }
}

#[test]
fn what_the_service_demands_stops_every_question() {
    let mut pace = Pace::new();
    pace.begin(0);
    pace.failed(0, 1_000, Some(120_000), 0);
    assert!(!pace.may_ask(119_999) && pace.may_ask(120_000));
    assert_eq!((pace.paused_until(0), pace.paused_until(120_000)), (Some(120_000), None));
    assert_eq!(pace.idle_for(0, 1_000), 120_000);
    assert!(!pace.is_due(119_999, 1_000) && pace.is_due(120_000, 1_000));
    pace.pause(0, Some(u64::MAX));
    assert_eq!(pace.paused_until(0), Some(600_000), "no service stops everything for longer");
}

#[test]
fn an_administrator_is_held_up_by_the_service_only_and_not_twice() {
    let mut pace = Pace::new();
    pace.begin(0);
    pace.failed(0, INTERVAL, None, 0);
    assert_eq!(pace.demand(1), Demanded::Now);
    assert!(pace.is_due(1, INTERVAL) && pace.idle_for(1, INTERVAL) == 0);
    pace.begin(1);
    pace.failed(1, INTERVAL, Some(500_000), 0);
    let mut insisting = pace;
    assert_eq!(insisting.demand(60_001), Demanded::Now, "the second time within a minute");
    assert!(insisting.is_due(60_001, INTERVAL));
    assert_eq!(pace.demand(60_002), Demanded::ServicePauses(500_001));
    assert!(!pace.is_due(60_002, INTERVAL));
    assert_eq!(pace.demand(120_002), Demanded::Now);
}

#[test]
fn a_worker_that_dies_of_a_look_does_not_look_without_end() {
    let (mut pace, mut looks, mut now) = (Pace::new(), 0, 0);
    while now < 60 * MINUTE {
        now += pace.idle_for(now, INTERVAL).max(1);
        pace.begin(now);
        pace.died(now);
        assert!(pace.idle_for(now, INTERVAL) > 0);
        looks += 1;
    }
    assert!(looks < 30, "{looks}");
    // One that dies without looking is none the worse.
    let mut pace = Pace::new();
    pace.begin(0);
    pace.succeeded(0, INTERVAL);
    let before = pace;
    pace.died(5);
    assert_eq!(pace, before);
}

#[test]
fn without_an_interval_looks_are_made_on_demand_only() {
    let mut pace = Pace::new();
    assert!(!pace.is_due(u64::MAX, 0) && pace.idle_for(0, 0) == u64::MAX);
    assert_eq!(pace.demand(5), Demanded::Now);
    assert!(pace.is_due(5, 0));
    pace.begin(5);
    pace.failed(6, 0, None, 0);
    assert!(!pace.is_due(u64::MAX, 0));
    pace.reschedule(10, MINUTE);
    assert!(pace.is_due(10 + MINUTE, MINUTE));
}

#[test]
fn a_token_is_renewed_before_its_end_and_kept_if_that_fails() {
    let mut state = TokenState::default();
    assert_eq!(state.step(0), Step::Fetch);
    state.fetched(0, &token(3_600));
    assert_eq!((state.step(55 * MINUTE - 1), state.step(55 * MINUTE)), (Step::Use, Step::Fetch));
    state.failed(55 * MINUTE, None, None, 0);
    assert!(state.is_usable(55 * MINUTE));
    assert_eq!((state.step(55 * MINUTE), state.step(55 * MINUTE + 1_000)), (Step::Use, Step::Fetch));
    state.failed(60 * MINUTE - 1, None, Some(5_000), 0);
    assert_eq!(state.step(60 * MINUTE), Step::Wait(60 * MINUTE + 4_999));
    assert_eq!(state.ends_at(), Some(60 * MINUTE));
    assert!(!state.is_usable(60 * MINUTE));
}

#[test]
fn tokens_of_minutes_and_of_days() {
    for (seconds, renewed) in [(60, 30), (599, 299), (900, 600), (7_200, 6_900), (86_400, 43_200)] {
        let after = token(seconds).renew_after();
        assert!(after.abs_diff(renewed * 1_000) <= 500, "{seconds}: {after}");
    }
    let advised =
        parse_token(br#"{"access_token":"a","expires_in":86400,"refresh_in":"3600"}"#).expect("a token");
    assert_eq!(advised.renew_after(), 3_600_000);
}

#[test]
fn a_rejected_token_leads_to_one_new_token_and_one_repeat() {
    let mut state = TokenState::default();
    state.fetched(0, &token(3_600));
    assert_eq!(state.rejected(1_000, 0), AfterRejection::Repeat);
    assert_eq!(state.step(1_000), Step::Fetch);
    state.fetched(1_000, &token(3_600));
    state.accepted();
    assert_eq!(state.rejected(2_000, 0), AfterRejection::Repeat, "the new one was accepted in between");
    // A day in which every token is rejected.
    let (mut now, mut fetches) = (2_000, 0);
    while now < 24 * 60 * MINUTE {
        match state.step(now) {
            Step::Fetch => {
                state.fetched(now, &token(3_600));
                fetches += 1;
                assert_eq!(state.rejected(now, 0), AfterRejection::GiveUp);
            }
            Step::Wait(until) => now = until,
            Step::Use => unreachable!("it was rejected"),
        }
    }
    assert!(fetches < 300, "{fetches}");
}

#[test]
fn a_request_at_fault_is_not_repeated_for_a_minute_and_a_loop_for_five() {
    for (failure, wait) in [
        (Some(problem(7_000_215)), MINUTE),
        (Some(problem(90_033)), 1_000),
        (None, 1_000),
        (Some(problem(50_196)), 5 * MINUTE),
    ] {
        let mut state = TokenState::default();
        state.failed(0, failure.as_ref(), None, 0);
        assert_eq!(state.step(0), Step::Wait(wait), "{failure:?}");
        assert_eq!(state.step(wait), Step::Fetch);
        state.demand(false);
        assert_eq!(state.step(0), Step::Fetch, "an administrator does not wait");
    }
    let mut state = TokenState::default();
    state.failed(0, None, Some(120_000), 0);
    state.demand(false);
    assert_eq!(state.step(0), Step::Wait(120_000), "but for the service");
    state.demand(true);
    assert_eq!(state.step(0), Step::Fetch, "and not twice");
}

#[test]
fn features_are_what_answers_show() {
    let mut features = Features::default();
    let now = 1_795_000_000;
    assert_eq!(features.get(Feature::GroupNames).available, None);
    assert!(!features.note(Feature::GroupNames, Evidence::Nothing, now));
    assert!(features.note(Feature::GroupNames, Evidence::Refused, now));
    assert!(!features.note(Feature::GroupNames, Evidence::Refused, now + 1), "logged once");
    assert_eq!(features.get(Feature::GroupNames).available, Some(false));
    assert_eq!(
        features.get(Feature::GroupNames).problem(),
        Some("Microsoft Graph refuses the request (403)")
    );
    assert!(!features.note(Feature::UserNames, Evidence::Works, now), "nothing was wrong before");
    assert!(features.note(Feature::AccountStates, Evidence::Unreadable, now));
    assert!(features.get(Feature::AccountStates).problem().is_some_and(|text| text.contains("not readable")));
    assert!(!features.note(Feature::AccountStates, Evidence::Nothing, now), "no answer changes nothing");
    assert_eq!(features.get(Feature::AccountStates).available, Some(false));
    assert_eq!(features.get(Feature::GroupSync).available, Some(false));
    assert!(features.note(Feature::GroupNames, Evidence::Works, now + 2));
    assert!(features.note(Feature::AccountStates, Evidence::Works, now + 2));
    assert_eq!(features.get(Feature::GroupSync).available, None);
    features.note(Feature::ApplicationStates, Evidence::Works, now + 2);
    assert_eq!(features.get(Feature::GroupSync).available, Some(true));
    for kind in Kind::ALL {
        assert_eq!(Feature::names_of(kind).permissions(), kind.permission());
    }
    assert_eq!(Feature::states_of(Kind::Group), None);
}
