//! The times at which keys are fetched and how long they may be used: a state machine without a
//! clock, a lock or a network.
//!
//! The algorithm is Microsoft's ("Signing key rollover in the Microsoft identity platform"): fetch
//! at start and ahead of need, keep the last good keys through an outage up to an age limit, and
//! let an unknown key id cause at most one fetch per cooldown. Times are milliseconds of a clock
//! that never goes back. The state is plain data that can be kept in shared memory.

/// A point in time, in milliseconds of a monotonic clock.
pub type Millis = u64;

/// Shortest time until a failed fetch is tried again.
const FIRST_RETRY: Millis = 1_000;

/// Longest time until a failed fetch is tried again, unless the provider asks for more: the end of
/// an outage is not announced.
const LAST_RETRY: Millis = 60_000;

/// Longest wait that a provider may ask for (Retry-After). With more, one bad answer could outlast
/// the keys.
const MAX_RETRY_AFTER: Millis = 600_000;

/// The settings that decide the times, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Time between two fetches.
    pub refresh_interval: Millis,
    /// Keys older than this are not used.
    pub max_age: Millis,
    /// Time between two fetches that unknown key ids cause.
    pub cooldown: Millis,
    /// Longest wait of a login for a fetch.
    pub wait: Millis,
}

impl Timing {
    /// Returns the time from a successful fetch to the next. It is at most half of the keys' age
    /// limit, so that they are renewed before they are too old, whatever the interval is.
    const fn ahead(&self) -> Millis {
        let half = self.max_age / 2;
        if half < self.refresh_interval { half } else { self.refresh_interval }
    }
}

/// The state of the keys, for views and checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No keys were ever fetched from this source.
    Empty,
    /// The keys are usable, the last fetch succeeded, and the next is not due.
    Fresh,
    /// The keys are usable, and a fetch is due now.
    Due,
    /// The keys are usable, and a fetch is running after one that succeeded.
    InFlight,
    /// The keys are usable, but fetching fails and is tried again ever more slowly.
    Failing,
    /// The keys are not usable, because no fetch succeeded for too long.
    TooOld,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Empty, Self::Fresh, Self::Due, Self::InFlight, Self::Failing, Self::TooOld];

    /// Returns the name that views have for this state.
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

/// The answer to a login that lacks a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A fetch is running or due, and the login should wait for its end.
    Wait,
    /// A fetch will start because of this login, which should wait for its end.
    Start,
    /// No fetch may start yet, so the login should be refused.
    Refuse,
}

/// The times at which keys were fetched and will be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Freshness {
    /// The time at which the present keys were fetched; none if there are no keys.
    succeeded_at: Option<Millis>,
    /// The time since which a fetch is running.
    running_since: Option<Millis>,
    /// The time at which the next scheduled fetch is due.
    due_at: Millis,
    /// The time from which on an unknown key id may cause a fetch.
    on_demand_from: Millis,
    /// Failures since the last success.
    failures: u32,
    /// The time before which the provider does not want another request.
    not_before: Millis,
    /// A fetch should start now, whatever the schedule says.
    wanted: bool,
    /// A fetch should start now, whatever the schedule and the provider say.
    urgent: bool,
}

impl Freshness {
    /// Returns the state before the first fetch, which is due at once.
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

    /// Returns the state after the source has changed: the keys are no longer usable. The cooldown
    /// goes on, so that a reload does not lift it.
    #[must_use]
    pub const fn restarted(self) -> Self {
        Self { on_demand_from: self.on_demand_from, ..Self::new() }
    }

    /// Returns whether the present keys may be used.
    #[must_use]
    pub fn usable(&self, now: Millis, timing: &Timing) -> bool {
        self.age(now).is_some_and(|age| age <= timing.max_age)
    }

    /// Returns the age of the present keys; none if there are none.
    #[must_use]
    pub fn age(&self, now: Millis) -> Option<Millis> {
        self.succeeded_at.map(|at| now.saturating_sub(at))
    }

    /// Returns the state of the keys.
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

    /// Returns whether a fetch should start now.
    #[must_use]
    pub const fn due(&self, now: Millis) -> bool {
        self.running_since.is_none()
            && (self.urgent || (now >= self.not_before && (self.wanted || now >= self.due_at)))
    }

    /// Returns the time until a fetch is due, if no login asks for one before.
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

    /// Returns whether a fetch is running.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.running_since.is_some()
    }

    /// Called when keys from before the server's start were read, which were fetched `age` ago. A
    /// fetch is due as before.
    ///
    /// The keys are not used if the clock began later than they were fetched, because their age
    /// could not be kept.
    pub const fn restored(&mut self, now: Millis, age: Millis) {
        self.succeeded_at = now.checked_sub(age);
    }

    /// Called when a fetch starts.
    pub const fn begin(&mut self, now: Millis) {
        self.running_since = Some(now);
        self.wanted = false;
        self.urgent = false;
        // The time is past or was overridden. After this fetch the provider may ask for patience
        // again.
        self.not_before = 0;
    }

    /// Called when the running fetch brought keys.
    pub const fn succeeded(&mut self, now: Millis, timing: &Timing) {
        self.running_since = None;
        self.succeeded_at = Some(now);
        self.failures = 0;
        self.due_at = now.saturating_add(timing.ahead());
    }

    /// Called when the running fetch failed. `retry_after` is the wait that the provider asked for;
    /// `jitter`, 0 to 999, spreads servers that failed at the same time over half the delay.
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

    /// Called when the running fetch is given up, for example because the worker ends. Another may
    /// start at once, unless the provider has asked for patience.
    pub const fn abandon(&mut self) {
        self.running_since = None;
        self.due_at = 0;
    }

    /// Called by a login that lacks a key, with a token that would be accepted if the key were
    /// known.
    ///
    /// The login shares a fetch that runs or is about to start. Otherwise it starts one, at most
    /// one per cooldown. During the cooldown, a fetch that has been running for longer than a login
    /// waits is not shared: while a provider hangs, a client that sends unknown key ids could keep
    /// any number of processes waiting. Without usable keys every login waits, because none can
    /// succeed otherwise.
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

    /// Asks for a fetch that starts after now, for example because settings were read again.
    pub const fn want(&mut self) {
        self.wanted = true;
    }

    /// Asks for a fetch on behalf of an administrator, whatever the cooldown and the provider say.
    pub const fn force(&mut self) {
        self.urgent = true;
    }
}

#[cfg(test)]
mod tests;
