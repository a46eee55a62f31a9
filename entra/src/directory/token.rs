//! When the server fetches a token of its own: before the old one ends, after one was rejected, and
//! not in a loop. Plain data, without a clock; the token itself is the worker's.

use super::credential::{AccessToken, TokenProblem};
use super::retry::{self, UNCHANGED};
use crate::freshness::Millis;

/// Time before Entra is asked again after it said that this server asks in a loop, in milliseconds.
const AFTER_LOOP: Millis = 300_000;

/// The state of the server's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenState {
    held: Option<Held>,
    failures: u32,
    /// No token is fetched before this time, for reasons of this server's own.
    not_before: Millis,
    /// The service demands that no token is fetched before this time.
    paused_until: Millis,
    /// A token was rejected, and none has been accepted since.
    was_rejected: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    renew_at: Millis,
    ends_at: Millis,
}

/// What to do for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Send it with the present token.
    Use,
    /// Fetch a token first. If that fails and [`TokenState::is_usable`], the present one still
    /// does.
    Fetch,
    /// There is no token, and none is fetched before this time.
    Wait(Millis),
}

/// What to do after Graph has answered 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterRejection {
    /// Fetch a new token and repeat the request once.
    Repeat,
    /// The new token was rejected too: there is no answer, and no token is fetched for a while.
    GiveUp,
}

impl TokenState {
    /// Returns what to do for a request.
    #[must_use]
    pub const fn step(&self, now: Millis) -> Step {
        let may_fetch = self.may_fetch_at();
        match self.held {
            Some(held) if now < held.renew_at => Step::Use,
            Some(held) if now < may_fetch && now < held.ends_at => Step::Use,
            _ if now < may_fetch => Step::Wait(may_fetch),
            _ => Step::Fetch,
        }
    }

    const fn may_fetch_at(&self) -> Millis {
        if self.not_before > self.paused_until { self.not_before } else { self.paused_until }
    }

    /// Returns whether there is a token that has not ended.
    #[must_use]
    pub fn is_usable(&self, now: Millis) -> bool {
        self.held.is_some_and(|held| now < held.ends_at)
    }

    /// Returns when the token ends.
    #[must_use]
    pub fn ends_at(&self) -> Option<Millis> {
        self.held.map(|held| held.ends_at)
    }

    /// Called when a token was fetched.
    pub fn fetched(&mut self, now: Millis, token: &AccessToken) {
        (self.not_before, self.paused_until) = (0, 0);
        if !self.was_rejected {
            self.failures = 0;
        }
        self.held = Some(Held {
            renew_at: now.saturating_add(token.renew_after()),
            ends_at: now.saturating_add(token.lifetime),
        });
    }

    /// Called when no token came. `problem`: what the endpoint said; none: there was no answer.
    /// `asked`: the pause that it demands; `jitter`: a random number.
    ///
    /// One that the service is to blame for is fetched again soon, and then ever more slowly. A
    /// request that is itself at fault is not repeated for a minute.
    pub fn failed(
        &mut self,
        now: Millis,
        problem: Option<&TokenProblem>,
        asked: Option<Millis>,
        jitter: u32,
    ) {
        self.failures = self.failures.saturating_add(1);
        let own = retry::wait(self.failures, None, jitter);
        let own = match problem {
            Some(problem) if problem.is_loop() => own.max(AFTER_LOOP),
            Some(problem) if !problem.is_transient() => own.max(UNCHANGED),
            _ => own,
        };
        self.not_before = now.saturating_add(own);
        self.paused_until = now.saturating_add(asked.unwrap_or(0).min(retry::MAX_WAIT));
    }

    /// Called when Graph has answered a request that was sent with the present token.
    pub const fn accepted(&mut self) {
        (self.was_rejected, self.failures) = (false, 0);
    }

    /// Called when Graph has rejected the present token (401). It is dropped.
    pub fn rejected(&mut self, now: Millis, jitter: u32) -> AfterRejection {
        self.held = None;
        if !self.was_rejected {
            self.was_rejected = true;
            return AfterRejection::Repeat;
        }
        self.failures = self.failures.saturating_add(1);
        let own = retry::wait(self.failures, None, jitter).max(UNCHANGED);
        self.not_before = now.saturating_add(own);
        AfterRejection::GiveUp
    }

    /// Called when an administrator demands a look: pauses of this server's own do not count, and
    /// if the administrator insists, those that the service demands do not either.
    pub const fn demand(&mut self, insists: bool) {
        (self.not_before, self.was_rejected) = (0, false);
        if insists {
            self.paused_until = 0;
        }
    }
}
