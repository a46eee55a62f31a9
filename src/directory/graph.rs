//! Asks Microsoft Graph. Knows no PostgreSQL and no shared memory: requests are made in threads of
//! their own, which share one [`Graph`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use entra::Millis;
use entra::directory::answer::{self, Problem};
use entra::directory::hosts;
use entra::directory::request::Request;
use entra::directory::retry::{MAX_WAIT, Outcome};
use entra::limits::MAX_DIRECTORY_ANSWER_BYTES;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::directory::token::{NoToken, Token, TokenReport, Tokens};
use crate::net::https::{Client, Exchange, Failure, Reply};
use crate::settings::DirectorySettings;

/// How long connections, and the certificate authorities that were read for them, are used.
const CLIENT_AGE: Duration = Duration::from_mins(10);

/// Graph as the settings name it, with connections to it and the server's token.
pub(crate) struct Graph {
    settings: DirectorySettings,
    tokens: Tokens,
    client: Mutex<Option<(Instant, Arc<Client>)>>,
    tally: Mutex<Tally>,
}

/// How many requests were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// Requests to Graph.
    pub(crate) requests: u64,
    /// Those of them without an answer, for whatever reason but that there is no such object.
    pub(crate) failures: u64,
    /// Those of them for which the service was busy or down.
    pub(crate) throttled: u64,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoAnswer {
    /// What kind of reason it is.
    pub(crate) why: Why,
    /// In words, fit for the log.
    pub(crate) problem: String,
    /// How long to wait before asking again, where that is known.
    pub(crate) retry_after: Option<Millis>,
}

/// A kind of reason for having no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// The server has no token: nothing was asked.
    NoToken,
    /// Nothing came, or nothing that could be read as HTTP.
    Unreachable,
    /// Graph, or a proxy in between, says something else.
    Said(Problem),
}

impl NoAnswer {
    /// Says what this means for the request.
    pub(crate) fn outcome(&self) -> Outcome {
        match &self.why {
            Why::NoToken | Why::Unreachable => Outcome::Later,
            Why::Said(problem) => problem.outcome(),
        }
    }
}

impl From<NoToken> for NoAnswer {
    fn from(fault: NoToken) -> Self {
        Self { why: Why::NoToken, problem: fault.problem, retry_after: fault.retry_after }
    }
}

impl From<Failure> for NoAnswer {
    fn from(failure: Failure) -> Self {
        Self { why: Why::Unreachable, problem: failure.problem, retry_after: None }
    }
}

impl Graph {
    /// Asks as the settings say. A change of them calls for another one.
    pub(crate) fn new(settings: DirectorySettings) -> Self {
        Self { settings, tokens: Tokens::default(), client: Mutex::default(), tally: Mutex::default() }
    }

    /// Returns the settings that it was made from.
    pub(crate) const fn settings(&self) -> &DirectorySettings {
        &self.settings
    }

    /// Sends a request and returns the body of its answer. `is_polling`: it gives way to others.
    /// `deadline`: nothing is waited for any longer.
    ///
    /// A token that Graph rejects is dropped; with a new one the request is repeated once.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) fn send(
        &self,
        request: &Request,
        is_polling: bool,
        deadline: Instant,
    ) -> Result<Zeroizing<Vec<u8>>, NoAnswer> {
        self.send_unless(request, is_polling, deadline, |_| false)
    }

    /// Does the same. `rejects`: whether the body of an answer says that the token is rejected.
    ///
    /// # Errors
    /// As for [`Self::send`].
    pub(crate) fn send_unless(
        &self,
        request: &Request,
        is_polling: bool,
        deadline: Instant,
        rejects: impl Fn(&[u8]) -> bool,
    ) -> Result<Zeroizing<Vec<u8>>, NoAnswer> {
        let is_answered = |reply: &Reply| (200..=299).contains(&reply.status);
        let is_rejected = |reply: &Reply| reply.status == 401 || (is_answered(reply) && rejects(&reply.body));
        let mut token = self.tokens.current(&self.settings, deadline)?;
        let mut reply = self.exchange(request, is_polling, deadline, &token)?;
        let mut rejected = is_rejected(&reply);
        if rejected && self.tokens.is_repeated_after_rejection(&token) {
            token = self.tokens.current(&self.settings, deadline)?;
            reply = self.exchange(request, is_polling, deadline, &token)?;
            rejected = is_rejected(&reply);
            if rejected {
                self.tokens.is_repeated_after_rejection(&token);
            }
        }
        if !rejected {
            self.tokens.accepted(&token);
        }
        if is_answered(&reply) { Ok(reply.body) } else { Err(self.no_answer(request, &reply)) }
    }

    /// Returns what is known about the server's token.
    pub(crate) fn token(&self) -> TokenReport {
        self.tokens.report()
    }

    /// Called when an administrator demands an answer: pauses of this server's own do not count.
    /// `insists`: those that the service demands do not either.
    pub(crate) fn demand(&self, insists: bool) {
        self.tokens.demand(insists);
    }

    /// Returns how many requests were made since the last call.
    pub(crate) fn take_tally(&self) -> Tally {
        std::mem::take(&mut *self.tally.lock())
    }

    fn exchange(
        &self,
        request: &Request,
        is_polling: bool,
        deadline: Instant,
        token: &Token,
    ) -> Result<Reply, NoAnswer> {
        let client = self.client()?;
        let url = [&self.settings.graph, hosts::VERSION, &request.path].concat();
        let authorization = Zeroizing::new(["Bearer ", token.text()].concat());
        let mut headers = vec![("Authorization", authorization.as_str())];
        for (name, value) in request.headers(is_polling) {
            headers.push((name, value));
        }
        let exchange = Exchange {
            url: &url,
            body: request.body.as_deref().map(str::as_bytes),
            headers: &headers,
            max_bytes: MAX_DIRECTORY_ANSWER_BYTES as u64,
        };
        let reply = client.exchange_within(&exchange, deadline.saturating_duration_since(Instant::now()));
        self.count(reply.as_ref().ok().map(|reply| reply.status));
        reply.map_err(|failure| {
            // The next request reads the certificate authorities anew.
            *self.client.lock() = None;
            failure.into()
        })
    }

    fn client(&self) -> Result<Arc<Client>, Failure> {
        let mut kept = self.client.lock();
        if let Some((since, client)) = &*kept
            && since.elapsed() < CLIENT_AGE
        {
            return Ok(Arc::clone(client));
        }
        let DirectorySettings { graph, ca_file, proxy, .. } = &self.settings;
        let client = Arc::new(Client::for_address(graph, ca_file.as_deref(), proxy.as_deref())?);
        *kept = Some((Instant::now(), Arc::clone(&client)));
        Ok(client)
    }

    fn count(&self, status: Option<u16>) {
        let mut tally = self.tally.lock();
        tally.requests += 1;
        tally.failures += u64::from(!status.is_some_and(|status| matches!(status, 200..=299 | 404)));
        tally.throttled += u64::from(matches!(status, Some(429 | 503 | 504 | 509)));
    }

    fn no_answer(&self, request: &Request, reply: &Reply) -> NoAnswer {
        let problem = answer::parse_problem(reply.status, &reply.body);
        // What stands behind the question mark may be somebody's name.
        let path = request.path.split('?').next().unwrap_or_default();
        NoAnswer {
            problem: format!("{}{}{path}: {problem}", self.settings.graph, hosts::VERSION),
            retry_after: reply
                .retry_after
                .map(|wait| Millis::try_from(wait.as_millis()).unwrap_or(MAX_WAIT).min(MAX_WAIT)),
            why: Why::Said(problem),
        }
    }
}
