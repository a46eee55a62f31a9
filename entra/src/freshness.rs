//! When to fetch keys, and how long they may be used: a state machine without a clock, a lock or a network.
//!
//! The algorithm is Microsoft's ("Signing key rollover in the Microsoft identity platform"): fetch at start and ahead of
//! need, keep the last good set through an outage up to an age limit, and let an unknown key id cause at most one fetch
//! per cooldown. Times are milliseconds of any clock that never goes back; the state is plain data that can live in shared
//! memory.

/// A point in time, in milliseconds of a monotonic clock.
pub type Millis = u64;

/// Least time until a failed fetch is tried again.
const FIRST_RETRY: Millis = 1_000;

/// Most time until a failed fetch is tried again, unless the provider asks for more: an outage ends unannounced.
const LAST_RETRY: Millis = 60_000;

/// Most a provider may ask us to wait (Retry-After): more would let one bad answer outlast the keys.
const MAX_RETRY_AFTER: Millis = 600_000;

/// The settings that time depends on, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Between two fetches.
    pub refresh_interval: Millis,
    /// Keys older than this are not used.
    pub max_age: Millis,
    /// Between two fetches caused by unknown key ids.
    pub cooldown: Millis,
    /// How long a login waits for a fetch.
    pub wait: Millis,
}

impl Timing {
    /// From a fetch that succeeded to the next: ahead of expiry, whatever the interval.
    const fn ahead(&self) -> Millis {
        let half = self.max_age / 2;
        if half < self.refresh_interval { half } else { self.refresh_interval }
    }
}

/// The one thing to say about the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing was ever fetched from this source.
    Empty,
    /// Usable, the last fetch succeeded, and the next is not due.
    Fresh,
    /// Usable, and a fetch is to start now.
    Due,
    /// Usable, and a fetch is running after one that succeeded.
    InFlight,
    /// Usable, but fetching fails, and is tried again ever more slowly.
    Failing,
    /// Not usable: no fetch succeeded for too long.
    TooOld,
}

impl State {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::Empty, Self::Fresh, Self::Due, Self::InFlight, Self::Failing, Self::TooOld];

    /// A word for views.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Fresh => "fresh",
            Self::Due => "due",
            Self::InFlight => "in flight",
            Self::Failing => "failing",
            Self::TooOld => "too old",
        }
    }
}

/// What a login that lacks a key is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A fetch is running or due: wait for its end.
    Wait,
    /// A fetch will start because of this login: wait for its end.
    Start,
    /// No fetch may start yet: be refused.
    Refuse,
}

/// When keys were fetched, and when they will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Freshness {
    /// When the keys at hand were fetched; none: never.
    succeeded_at: Option<Millis>,
    /// Since when a fetch is running.
    running_since: Option<Millis>,
    /// When the next scheduled fetch is due.
    due_at: Millis,
    /// From when an unknown key id may cause a fetch.
    on_demand_from: Millis,
    /// Failures since the last success.
    failures: u32,
    /// Before this the provider does not want to be asked again.
    not_before: Millis,
    /// A fetch is wanted now, whatever the schedule says.
    wanted: bool,
    /// And whatever the provider says.
    urgent: bool,
}

impl Freshness {
    /// Nothing fetched, and a fetch due at once.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            succeeded_at: None,
            running_since: None,
            due_at: 0,
            on_demand_from: 0,
            failures: 0,
            not_before: 0,
            wanted: false,
            urgent: false,
        }
    }

    /// The source has changed: what was fetched counts for nothing. A cooldown goes on, lest a reload lift it.
    #[must_use]
    pub const fn restarted(self) -> Self {
        Self { on_demand_from: self.on_demand_from, ..Self::new() }
    }

    /// Whether the keys at hand may be used.
    #[must_use]
    pub fn usable(&self, now: Millis, timing: &Timing) -> bool {
        self.age(now).is_some_and(|age| age <= timing.max_age)
    }

    /// Since when the keys at hand have been here; none: there are none.
    #[must_use]
    pub fn age(&self, now: Millis) -> Option<Millis> {
        self.succeeded_at.map(|at| now.saturating_sub(at))
    }

    /// What is to be said about the keys.
    #[must_use]
    pub fn state(&self, now: Millis, timing: &Timing) -> State {
        match self.succeeded_at {
            None => State::Empty,
            Some(_) if !self.usable(now, timing) => State::TooOld,
            Some(_) if self.failures > 0 => State::Failing,
            Some(_) if self.is_running() => State::InFlight,
            Some(_) if self.due(now) => State::Due,
            Some(_) => State::Fresh,
        }
    }

    /// Whether a fetch is to start now.
    #[must_use]
    pub const fn due(&self, now: Millis) -> bool {
        self.running_since.is_none()
            && (self.urgent || (now >= self.not_before && (self.wanted || now >= self.due_at)))
    }

    /// How long nothing is due, unless someone asks.
    #[must_use]
    pub const fn idle_for(&self, now: Millis) -> Millis {
        if self.running_since.is_some() {
            Millis::MAX
        } else if self.urgent {
            0
        } else if self.wanted || self.due_at < self.not_before {
            self.not_before.saturating_sub(now)
        } else {
            self.due_at.saturating_sub(now)
        }
    }

    /// Whether a fetch is running.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.running_since.is_some()
    }

    /// Keys of an earlier life of the server are at hand, fetched `age` ago. A fetch is due as before.
    ///
    /// They are not taken if the clock does not reach back so far: they would count as younger than they are.
    pub const fn restored(&mut self, now: Millis, age: Millis) {
        self.succeeded_at = now.checked_sub(age);
    }

    /// A fetch starts.
    pub const fn begin(&mut self, now: Millis) {
        self.running_since = Some(now);
        self.wanted = false;
        self.urgent = false;
        // Past, or overridden: whatever comes of this fetch, the provider may say so again.
        self.not_before = 0;
    }

    /// The running fetch brought keys.
    pub const fn succeeded(&mut self, now: Millis, timing: &Timing) {
        self.running_since = None;
        self.succeeded_at = Some(now);
        self.failures = 0;
        self.due_at = now.saturating_add(timing.ahead());
    }

    /// The running fetch failed. `retry_after` is what the provider asked for; `jitter`, 0 to 999, spreads servers that
    /// failed together over half the delay.
    pub fn failed(&mut self, now: Millis, timing: &Timing, retry_after: Option<Millis>, jitter: u64) {
        self.running_since = None;
        let doubled = FIRST_RETRY << self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        let delay = doubled.min(LAST_RETRY).min(timing.ahead());
        let delay = delay + delay * jitter.min(999) / 2_000;
        let asked = retry_after.unwrap_or(0).min(MAX_RETRY_AFTER);
        self.due_at = now.saturating_add(delay.max(asked));
        self.not_before = now.saturating_add(asked);
    }

    /// The running fetch is given up, as by a worker that ends: another may start at once, unless the provider minds.
    pub const fn abandon(&mut self) {
        self.running_since = None;
        self.due_at = 0;
    }

    /// A login lacks a key, and its token would pass with it.
    ///
    /// Shares a fetch that runs or is about to; otherwise starts one, at most one per cooldown. In the cooldown a fetch
    /// that runs for longer than anybody waits is not shared: whoever sends unknown keys while a provider hangs would
    /// keep as many processes waiting. Without usable keys nobody gets in but by waiting, and waits.
    pub fn ask(&mut self, now: Millis, timing: &Timing) -> Answer {
        let (usable, cooling) = (self.usable(now, timing), now < self.on_demand_from);
        if let Some(since) = self.running_since {
            let shared = !usable || !cooling || now.saturating_sub(since) < timing.wait;
            return if shared { Answer::Wait } else { Answer::Refuse };
        }
        if self.due(now) || (!usable && self.idle_for(now) < timing.wait) {
            return Answer::Wait;
        }
        if cooling || (usable && now < self.not_before) {
            return Answer::Refuse;
        }
        self.on_demand_from = now.saturating_add(timing.cooldown);
        self.wanted = true;
        self.urgent |= !usable;
        Answer::Start
    }

    /// A fetch is wanted that starts after now, as settings were read again.
    pub const fn want(&mut self) {
        self.wanted = true;
    }

    /// The same for an administrator, whatever the cooldown and the provider say.
    pub const fn force(&mut self) {
        self.urgent = true;
    }

    /// Failures since the last success.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
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
        // A machine that has just started does not know a time so long ago.
        let mut freshness = Freshness::new();
        freshness.restored(HOUR, HOUR + 1);
        assert_eq!(freshness.state(HOUR, &TIMING), State::Empty);
    }

    /// What happens at a minute of the day, and what is to be seen then.
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
}
