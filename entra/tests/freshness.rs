//! Simulated days of the keys: a driver does what the worker does, while events happen.

use entra::{Answer, Freshness, Millis, State, Timing};
use proptest::prelude::*;

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;

const USUAL: Timing =
    Timing { refresh_interval: HOUR, max_age: 24 * HOUR, cooldown: 5 * MINUTE, wait: 2 * SECOND };

/// The answers of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Provider {
    Good,
    Down,
    /// Asks for this much patience.
    Busy(Millis),
    /// Never answers: the request is given up after this time.
    Hangs(Millis),
}

/// The worker, the provider, and the fetches so far.
struct Day {
    now: Millis,
    timing: Timing,
    freshness: Freshness,
    provider: Provider,
    /// The time at which the running fetch ends.
    ends_at: Option<Millis>,
    /// The times at which fetches began.
    begun: Vec<Millis>,
    on_demand: u64,
    jitter: u64,
}

impl Day {
    fn new(timing: Timing) -> Self {
        Self {
            now: HOUR,
            timing,
            freshness: Freshness::new(),
            provider: Provider::Good,
            ends_at: None,
            begun: vec![],
            on_demand: 0,
            jitter: 0,
        }
    }

    fn state(&self) -> State {
        self.freshness.state(self.now, &self.timing)
    }

    /// Does what the worker does when it looks at the keys.
    fn look(&mut self) {
        if self.ends_at.is_some_and(|end| end <= self.now) {
            self.ends_at = None;
            self.jitter = self.jitter.wrapping_mul(31).wrapping_add(7) % 1_000;
            match self.provider {
                Provider::Good => self.freshness.succeeded(self.now, &self.timing),
                Provider::Busy(patience) => {
                    self.freshness.failed(self.now, &self.timing, Some(patience), self.jitter);
                }
                Provider::Down | Provider::Hangs(_) => {
                    self.freshness.failed(self.now, &self.timing, None, self.jitter);
                }
            }
        }
        if self.freshness.due(self.now) {
            assert!(!self.freshness.is_running() && self.ends_at.is_none(), "one fetch at a time");
            self.freshness.begin(self.now);
            self.begun.push(self.now);
            let takes = if let Provider::Hangs(limit) = self.provider { limit } else { 50 };
            self.ends_at = Some(self.now + takes);
        }
    }

    /// Lets time pass until `end`, waking up whenever the worker would.
    fn until(&mut self, end: Millis) {
        while self.now < end {
            self.look();
            let idle = self.freshness.idle_for(self.now).clamp(1, MINUTE);
            let next = self.ends_at.unwrap_or(Millis::MAX).min(self.now + idle).min(end);
            self.now = next.max(self.now + 1);
            self.check();
        }
        self.look();
    }

    fn check(&self) {
        let usable = self.freshness.usable(self.now, &self.timing);
        let age = self.freshness.age(self.now);
        assert_eq!(usable, age.is_some_and(|age| age <= self.timing.max_age));
        assert_eq!(usable, !matches!(self.state(), State::Empty | State::TooOld));
    }

    fn ask(&mut self) -> Answer {
        let answer = self.freshness.ask(self.now, &self.timing);
        self.on_demand += u64::from(answer == Answer::Start);
        answer
    }

    /// Changes the provider from now on. A fetch that is running keeps its end.
    const fn becomes(&mut self, provider: Provider) {
        self.provider = provider;
    }

    const fn worker_goes(&mut self) {
        self.freshness.abandon();
        self.ends_at = None;
    }
}

#[test]
fn keys_never_grow_too_old_while_the_provider_is_well() {
    let times = [SECOND, 3 * SECOND, MINUTE, HOUR, 24 * HOUR];
    for refresh_interval in times {
        for max_age in times {
            let mut day = Day::new(Timing { refresh_interval, max_age, ..USUAL });
            day.until(HOUR + SECOND);
            let end = day.now + 50 * max_age.min(24 * HOUR);
            while day.now < end {
                day.until(day.now + max_age / 7);
                assert!(!matches!(day.state(), State::Empty | State::TooOld), "{:?}", day.timing);
            }
        }
    }
}

#[test]
fn a_provider_that_asks_for_patience_for_a_day_is_asked_when_it_wishes() {
    let mut day = Day::new(USUAL);
    day.until(2 * HOUR);
    day.becomes(Provider::Busy(10 * MINUTE));
    let before = day.begun.len();
    for _ in 0..23 * 60 {
        day.until(day.now + MINUTE);
        // Logins with unknown keys and reloads change nothing.
        assert_ne!(day.ask(), Answer::Start);
        day.freshness.want();
    }
    assert_eq!(day.state(), State::Failing);
    let asked = day.begun.len() - before;
    assert!((23 * 6 - 3..=23 * 6 + 3).contains(&asked), "{asked}");
    // An administrator is not held up, and neither are logins that have no usable keys.
    day.freshness.force();
    assert!(day.freshness.due(day.now));
    day.until(day.now + 2 * HOUR);
    assert_eq!(day.state(), State::TooOld);
    let started = (0..60).any(|_| {
        day.until(day.now + SECOND);
        day.ask() == Answer::Start
    });
    assert!(started && day.freshness.due(day.now));
}

/// An event at a time, the answer to a login that lacks a key then (none: no login comes), and the
/// state after it.
type Step = (Millis, fn(&mut Freshness, Millis), Option<Answer>, bool, Millis, State);

const NOTHING: fn(&mut Freshness, Millis) = |_, _| {};
const BEGIN: fn(&mut Freshness, Millis) = |freshness, now| freshness.begin(now);
const SUCCEED: fn(&mut Freshness, Millis) = |freshness, now| freshness.succeeded(now, &USUAL);
const FAIL: fn(&mut Freshness, Millis) = |freshness, now| freshness.failed(now, &USUAL, None, 0);
const BUSY: fn(&mut Freshness, Millis) = |freshness, now| freshness.failed(now, &USUAL, Some(8 * MINUTE), 0);
const WANT: fn(&mut Freshness, Millis) = |freshness, _| freshness.want();
const FORCE: fn(&mut Freshness, Millis) = |freshness, _| freshness.force();
const ABANDON: fn(&mut Freshness, Millis) = |freshness, _| freshness.abandon();

#[test]
fn each_event_leads_to_its_state() {
    use Answer::{Refuse, Start, Wait};
    use State::{Due, Empty, Failing, Fresh, InFlight, TooOld};
    const RUNNING: Millis = Millis::MAX;
    let steps: &[Step] = &[
        (0, NOTHING, None, true, 0, Empty),
        (0, BEGIN, Some(Wait), false, RUNNING, Empty),
        // The first retry comes within the time that a login waits; the one after it does not.
        (0, FAIL, Some(Wait), false, SECOND, Empty),
        (SECOND, BEGIN, Some(Wait), false, RUNNING, Empty),
        (SECOND, FAIL, Some(Start), true, 0, Empty),
        (SECOND, BEGIN, Some(Wait), false, RUNNING, Empty),
        (SECOND, FAIL, Some(Refuse), false, 4 * SECOND, Empty),
        (5 * SECOND, BEGIN, None, false, RUNNING, Empty),
        (5 * SECOND, SUCCEED, Some(Refuse), false, HOUR, Fresh),
        // After the cooldown: one fetch, shared while it is young.
        (6 * MINUTE, NOTHING, Some(Start), true, 0, Due),
        (6 * MINUTE, BEGIN, Some(Wait), false, RUNNING, InFlight),
        (6 * MINUTE + 1_999, NOTHING, Some(Wait), false, RUNNING, InFlight),
        (6 * MINUTE + 2_000, NOTHING, Some(Refuse), false, RUNNING, InFlight),
        // The fetch is given up, as by a worker that ends: another is due, and logins may wait for
        // it.
        (6 * MINUTE + 3_000, ABANDON, Some(Wait), true, 0, Due),
        (6 * MINUTE + 4_000, BEGIN, None, false, RUNNING, InFlight),
        // An administrator's wish outlives the fetch that is running.
        (6 * MINUTE + 4_000, FORCE, None, false, RUNNING, InFlight),
        (6 * MINUTE + 4_000, BUSY, None, true, 0, Failing),
        (6 * MINUTE + 4_000, BEGIN, None, false, RUNNING, Failing),
        (7 * MINUTE, BUSY, Some(Refuse), false, 8 * MINUTE, Failing),
        // The provider has asked for patience: neither a reload, nor a login after the cooldown,
        // nor a new worker causes a request.
        (12 * MINUTE, WANT, Some(Refuse), false, 3 * MINUTE, Failing),
        (13 * MINUTE, ABANDON, Some(Refuse), false, 2 * MINUTE, Failing),
        (15 * MINUTE, NOTHING, Some(Wait), true, 0, Failing),
        (15 * MINUTE, BEGIN, None, false, RUNNING, Failing),
        (15 * MINUTE, FAIL, None, false, 4 * SECOND, Failing),
        // The keys are too old: a login without usable keys need not be patient.
        (25 * HOUR, BEGIN, Some(Wait), false, RUNNING, TooOld),
        (25 * HOUR, BUSY, Some(Start), true, 0, TooOld),
        (25 * HOUR, BEGIN, None, false, RUNNING, TooOld),
        (25 * HOUR, SUCCEED, Some(Refuse), false, HOUR, Fresh),
    ];
    let mut freshness = Freshness::new();
    for (step, (now, happens, answer, due, idle_for, state)) in steps.iter().enumerate() {
        happens(&mut freshness, *now);
        if let Some(answer) = answer {
            assert_eq!(freshness.ask(*now, &USUAL), *answer, "step {step}");
        }
        let seen = (freshness.due(*now), freshness.idle_for(*now), freshness.state(*now, &USUAL));
        assert_eq!(seen, (*due, *idle_for, *state), "step {step}");
    }
}

/// The events that may happen.
#[derive(Debug, Clone, Copy)]
enum Event {
    Becomes(Provider),
    Storm(u8),
    Reload,
    NewSource,
    AnotherTiming(Timing),
    Administrator,
    WorkerGoes,
}

fn timing() -> impl Strategy<Value = Timing> {
    (1..=86_400_u64, 1..=172_800_u64, 1..=3_600_u64, 0..=30_000_u64).prop_map(
        |(interval, age, cooldown, wait)| Timing {
            refresh_interval: interval * SECOND,
            max_age: age * SECOND,
            cooldown: cooldown * SECOND,
            wait,
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Becomes(Provider::Good)),
        1 => Just(Event::Becomes(Provider::Down)),
        1 => (1..20 * MINUTE).prop_map(|patience| Event::Becomes(Provider::Busy(patience))),
        1 => (SECOND..10 * SECOND).prop_map(|limit| Event::Becomes(Provider::Hangs(limit))),
        4 => any::<u8>().prop_map(Event::Storm),
        1 => Just(Event::Reload),
        1 => Just(Event::NewSource),
        1 => timing().prop_map(Event::AnotherTiming),
        1 => Just(Event::Administrator),
        1 => Just(Event::WorkerGoes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn keys_survive_any_events_in_three_days(
        // Shorter times would make a day long to simulate.
        mut timing in timing().prop_map(|timing| Timing {
            refresh_interval: timing.refresh_interval.max(MINUTE), max_age: timing.max_age.max(MINUTE), ..timing
        }),
        events in prop::collection::vec((1..2 * HOUR, event()), 72),
    ) {
        let mut day = Day::new(timing);
        let mut allowed = 0;
        let mut since = day.now;
        for (after, event) in events {
            day.until(day.now + after);
            match event {
                Event::Becomes(provider) => day.becomes(provider),
                Event::Storm(count) => for _ in 0..count {
                    let _ = day.ask();
                    day.until(day.now + 300);
                },
                Event::Reload => day.freshness.want(),
                Event::NewSource => {
                    day.freshness = day.freshness.restarted();
                    day.ends_at = None;
                }
                Event::AnotherTiming(other) => {
                    // The number that is allowed by now; the rest follows the new timing.
                    allowed += 1 + (day.now - since) / timing.cooldown;
                    since = day.now;
                    timing = Timing {
                        refresh_interval: other.refresh_interval.max(MINUTE),
                        max_age: other.max_age.max(MINUTE),
                        ..other
                    };
                    day.timing = timing;
                    day.freshness.want();
                }
                Event::Administrator => day.freshness.force(),
                Event::WorkerGoes => day.worker_goes(),
            }
        }
        let allowed = allowed + 1 + (day.now - since) / timing.cooldown;
        prop_assert!(day.on_demand <= allowed, "{} > {allowed}", day.on_demand);
        // The outage is over: keys come within a minute and a half, or after the wait that the
        // provider asked for.
        day.becomes(Provider::Good);
        day.until(day.now + 10 * MINUTE + 90 * SECOND + 10 * SECOND);
        prop_assert!(!matches!(day.state(), State::Empty | State::TooOld), "{:?}", day.state());
    }
}
