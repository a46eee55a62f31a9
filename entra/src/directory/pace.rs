//! When the directory is asked: the schedule of looks at everybody, and the pauses that the service
//! demands. A state machine like that of the keys ([`crate::Freshness`]): plain data, without a
//! clock.

use super::retry;
use crate::freshness::Millis;

/// Two demands of an administrator within this time override what the service demands, in
/// milliseconds.
const TWICE_WITHIN: Millis = 60_000;

/// Without a success for so many intervals, what is known is too old.
const TOO_OLD: u64 = 3;

/// The state of the directory, for views and checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The directory is off.
    Off,
    /// No look has succeeded yet.
    Empty,
    /// The last look succeeded, and the next is not due.
    Fresh,
    /// A look is due.
    Due,
    /// A look is being made after one that succeeded.
    InFlight,
    /// The last look failed.
    Failing,
    /// No look has succeeded for three intervals.
    TooOld,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Off, Self::Empty, Self::Fresh, Self::Due, Self::InFlight, Self::Failing, Self::TooOld];

    /// Returns the word that views have for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Empty => "empty",
            Self::Fresh => "fresh",
            Self::Due => "due",
            Self::InFlight => "in flight",
            Self::Failing => "failing",
            Self::TooOld => "too old",
        }
    }
}

/// What an administrator's demand for a look leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demanded {
    /// A look starts now, or after the one that is being made.
    Now,
    /// The service does not want to be asked before this time. A second demand within a minute
    /// overrides that.
    ServicePauses(Millis),
}

/// When looks were made and will be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Pace {
    succeeded_at: Option<Millis>,
    running_since: Option<Millis>,
    due_at: Millis,
    failures: u32,
    /// The service does not want to be asked before this time.
    not_before: Millis,
    demanded_at: Option<Millis>,
    is_demanded: bool,
}

impl Pace {
    /// Returns the state before the first look, which is due at once.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            succeeded_at: None,
            running_since: None,
            due_at: 0,
            failures: 0,
            not_before: 0,
            demanded_at: None,
            is_demanded: false,
        }
    }

    /// Returns the state for views. `interval`: time between two looks; 0: none are scheduled.
    #[must_use]
    pub fn state(&self, is_on: bool, now: Millis, interval: Millis) -> State {
        let Some(succeeded_at) = self.succeeded_at.filter(|_| is_on) else {
            return if is_on { State::Empty } else { State::Off };
        };
        let age = now.saturating_sub(succeeded_at);
        if interval > 0 && age > interval.saturating_mul(TOO_OLD) {
            State::TooOld
        } else if self.failures > 0 {
            State::Failing
        } else if self.running_since.is_some() {
            State::InFlight
        } else if self.is_due(now, interval) {
            State::Due
        } else {
            State::Fresh
        }
    }

    /// Returns whether a question may be asked: the service has not demanded a pause.
    #[must_use]
    pub const fn may_ask(&self, now: Millis) -> bool {
        now >= self.not_before
    }

    /// Returns until when the service does not want to be asked, if that lies ahead.
    #[must_use]
    pub fn paused_until(&self, now: Millis) -> Option<Millis> {
        Some(self.not_before).filter(|until| *until > now)
    }

    /// Returns whether a look should start now.
    #[must_use]
    pub const fn is_due(&self, now: Millis, interval: Millis) -> bool {
        let is_scheduled = interval > 0 && now >= self.due_at && self.may_ask(now);
        self.running_since.is_none() && (self.is_demanded || is_scheduled)
    }

    /// Returns the time until a look is due, if none is demanded before.
    #[must_use]
    pub fn idle_for(&self, now: Millis, interval: Millis) -> Millis {
        if self.running_since.is_some() {
            Millis::MAX
        } else if self.is_demanded {
            0
        } else if interval == 0 {
            Millis::MAX
        } else {
            self.due_at.max(self.not_before).saturating_sub(now)
        }
    }

    /// Returns whether the last look was not answered whole.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Called when a look starts.
    pub const fn begin(&mut self, now: Millis) {
        self.running_since = Some(now);
        self.is_demanded = false;
    }

    /// Called when the look has been answered whole.
    pub const fn succeeded(&mut self, now: Millis, interval: Millis) {
        (self.running_since, self.succeeded_at, self.failures) = (None, Some(now), 0);
        self.due_at = now.saturating_add(interval);
    }

    /// Called when the look was not answered whole. `asked`: the pause that the service demands;
    /// `jitter`: a random number. After a failure the look is repeated earlier than the interval
    /// says, and ever more slowly.
    pub fn failed(&mut self, now: Millis, interval: Millis, asked: Option<Millis>, jitter: u32) {
        self.running_since = None;
        self.failures = self.failures.saturating_add(1);
        let own = retry::wait(self.failures, None, jitter);
        let own = if interval > 0 { own.min(interval) } else { own };
        self.due_at = now.saturating_add(own);
        self.pause(now, asked);
    }

    /// Called when the service demands a pause in answer to any question.
    pub fn pause(&mut self, now: Millis, asked: Option<Millis>) {
        let until = now.saturating_add(asked.unwrap_or(0).min(retry::MAX_WAIT));
        self.not_before = self.not_before.max(until);
    }

    /// Called when a look is given up, because it was begun under other settings.
    pub const fn abandon(&mut self) {
        (self.running_since, self.due_at) = (None, 0);
    }

    /// Called when the worker ends. It may be of the look that it was making: the next one is made
    /// after a pause.
    pub fn died(&mut self, now: Millis) {
        if self.running_since.take().is_some() {
            self.failures = self.failures.saturating_add(1);
            self.due_at = now.saturating_add(retry::wait(self.failures, None, 0));
        }
    }

    /// Called when the interval has become shorter, so that a look is not later than it says.
    pub fn reschedule(&mut self, now: Millis, interval: Millis) {
        self.due_at = self.due_at.min(now.saturating_add(interval));
    }

    /// Called when an administrator demands a look. Pauses that this server makes by itself do not
    /// count. What the service demands does, unless the administrator insists within a minute.
    pub fn demand(&mut self, now: Millis) -> Demanded {
        let insists = self.demanded_at.is_some_and(|at| now.saturating_sub(at) <= TWICE_WITHIN);
        self.demanded_at = Some(now);
        if !self.may_ask(now) {
            if !insists {
                return Demanded::ServicePauses(self.not_before);
            }
            self.not_before = 0;
        }
        self.is_demanded = true;
        Demanded::Now
    }
}
