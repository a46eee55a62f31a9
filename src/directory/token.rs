//! The server's own token: fetched before the old one ends, and after one was rejected. It is in
//! the memory of this process only, and wiped when it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use entra::Millis;
use entra::directory::credential::AccessToken;
use entra::directory::token::{AfterRejection, Step, TokenState};
use parking_lot::Mutex;

use crate::directory::credential::{self, NotGiven};
use crate::pg::clock;
use crate::settings::DirectorySettings;

/// A token that a request is sent with.
#[derive(Clone)]
pub(crate) struct Token(Arc<AccessToken>);

impl Token {
    /// Returns what is sent as `Authorization: Bearer`.
    pub(super) fn text(&self) -> &str {
        &self.0.text
    }
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoToken {
    /// In words, fit for the log.
    pub(crate) problem: String,
    /// How long none is fetched.
    pub(crate) retry_after: Option<Millis>,
}

/// What is known about the token, and about what it is fetched by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TokenReport {
    /// When it ends, in Unix seconds; none: there is no token.
    pub(crate) expires_at: Option<i64>,
    /// When the certificate ends that proves who the server is, in Unix seconds.
    pub(crate) certificate_expires_at: Option<i64>,
    /// What an administrator should mend although it works.
    pub(crate) warning: Option<String>,
    /// Why the last fetch has failed; none: it has not.
    pub(crate) problem: Option<String>,
    /// By how many seconds the token endpoint's clock is ahead of this machine's.
    pub(crate) clock_ahead: Option<i64>,
    /// How often a token was fetched.
    pub(crate) fetches: u64,
    /// How often that has failed.
    pub(crate) failures: u64,
}

/// The token and what is known about it.
#[derive(Default)]
pub(crate) struct Tokens {
    /// Locked while a token is fetched, so that whoever else needs one waits for the same fetch.
    kept: Mutex<Kept>,
    /// Locked for moments only: the worker's main loop reads it.
    report: Mutex<TokenReport>,
    /// Whether an administrator demands an answer.
    is_demanded: AtomicBool,
    /// Whether the administrator insists.
    is_insisted: AtomicBool,
}

struct Kept {
    /// Times are milliseconds since this one.
    since: Instant,
    state: TokenState,
    token: Option<Token>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { since: Instant::now(), state: TokenState::default(), token: None }
    }
}

impl Tokens {
    /// Returns a token, fetched now if need be. `deadline`: what another one fetches is waited for
    /// no longer.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn current(&self, settings: &DirectorySettings, deadline: Instant) -> Result<Token, NoToken> {
        let Some(mut kept) = self.kept.try_lock_until(deadline) else {
            let problem = "the server's access token did not come in time".to_owned();
            return Err(NoToken { problem, retry_after: None });
        };
        if self.is_demanded.swap(false, Ordering::Acquire) {
            kept.state.demand(self.is_insisted.swap(false, Ordering::Relaxed));
        }
        if kept.state.step(kept.now()) == Step::Fetch {
            self.fetch(&mut kept, settings);
        }
        let now = kept.now();
        if let Some(token) = &kept.token
            && kept.state.is_usable(now)
        {
            return Ok(token.clone());
        }
        let problem = self.report.lock().problem.clone();
        Err(NoToken {
            problem: problem.unwrap_or_else(|| "the server has no access token of its own".to_owned()),
            retry_after: match kept.state.step(now) {
                Step::Wait(until) => Some(until.saturating_sub(now)),
                Step::Use | Step::Fetch => None,
            },
        })
    }

    /// Called when Graph has answered a request that was sent with this token.
    pub(crate) fn accepted(&self, token: &Token) {
        let mut kept = self.kept.lock();
        if kept.is_present(token) {
            kept.state.accepted();
        }
    }

    /// Called when Graph has rejected this token. Returns whether to repeat the request with
    /// another one.
    pub(crate) fn is_repeated_after_rejection(&self, token: &Token) -> bool {
        let mut kept = self.kept.lock();
        if !kept.is_present(token) {
            // Another request has had it replaced meanwhile.
            return true;
        }
        let now = kept.now();
        let next = kept.state.rejected(now, credential::random());
        kept.token = None;
        let mut report = self.report.lock();
        report.expires_at = None;
        if next == AfterRejection::GiveUp {
            report.problem = Some("Microsoft Graph rejects a token that was just issued".to_owned());
        }
        next == AfterRejection::Repeat
    }

    /// Called when an administrator demands an answer: the next request does not wait out a pause
    /// of this server's own. `insists`: nor one that the service demands.
    pub(crate) fn demand(&self, insists: bool) {
        self.is_insisted.fetch_or(insists, Ordering::Relaxed);
        self.is_demanded.store(true, Ordering::Release);
    }

    /// Returns what is known. Does not wait for a fetch.
    pub(crate) fn report(&self) -> TokenReport {
        self.report.lock().clone()
    }

    fn fetch(&self, kept: &mut Kept, settings: &DirectorySettings) {
        let asked = credential::ask(settings, clock::unix_now());
        let now = kept.now();
        let mut report = self.report.lock();
        report.fetches += 1;
        report.certificate_expires_at = asked.certificate_expires_at;
        report.warning = asked.warning;
        report.clock_ahead = asked.clock_ahead.or(report.clock_ahead);
        match asked.outcome {
            Ok(token) => {
                kept.state.fetched(now, &token);
                let lifetime = i64::try_from(token.lifetime / 1_000).unwrap_or(i64::MAX);
                report.expires_at = Some(clock::unix_now().saturating_add(lifetime));
                report.problem = None;
                kept.token = Some(Token(Arc::new(token)));
            }
            Err(NotGiven { text, problem, retry_after }) => {
                kept.state.failed(now, problem.as_ref(), retry_after, credential::random());
                report.failures += 1;
                report.problem = Some(text);
            }
        }
    }
}

impl Kept {
    fn now(&self) -> Millis {
        Millis::try_from(self.since.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    fn is_present(&self, token: &Token) -> bool {
        self.token.as_ref().is_some_and(|present| Arc::ptr_eq(&present.0, &token.0))
    }
}
