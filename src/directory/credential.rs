//! How the server proves to Entra who it is, and gets a token for it.
//!
//! Files are read at each use: a secret that was replaced, or a federated token that was renewed,
//! counts from the next request on. What was read is wiped, and is in no text that is returned. A
//! client of its own makes the request, so that no connection keeps what was sent.

mod certificate;
mod federated;
mod file;
mod identity;
mod pem;

#[cfg(test)]
mod tests;

use std::time::Duration;

use aws_lc_rs::rand;
use entra::directory::credential::{
    AccessToken, Proof, TokenProblem, parse_token, parse_token_problem, token_request,
};
use entra::directory::hosts;
use entra::directory::identity::ARC_FOLDER;
use entra::directory::retry::MAX_WAIT;
use entra::limits::MAX_TOKEN_ANSWER_BYTES;
use entra::{Millis, Uuid};

use crate::net::https::{Client, Exchange, Failure, Reply};
use crate::settings::{Credential, DirectorySettings};

/// Clocks that differ by less are no reason why an assertion is refused, in seconds.
const USUAL_SKEW: i64 = 120;

/// Why no token was given.
pub(super) struct NotGiven {
    /// In words, fit for the log.
    pub(super) text: String,
    /// What the token endpoint says; none: it was not asked, or has not answered.
    pub(super) problem: Option<TokenProblem>,
    /// How long it asks to wait.
    pub(super) retry_after: Option<Millis>,
}

impl From<String> for NotGiven {
    fn from(text: String) -> Self {
        Self { text, problem: None, retry_after: None }
    }
}

impl From<Failure> for NotGiven {
    fn from(failure: Failure) -> Self {
        Self { text: failure.problem, problem: None, retry_after: failure.retry_after.map(millis) }
    }
}

/// What an attempt to get a token has come to.
pub(super) struct Asked {
    /// The token, or why there is none.
    pub(super) outcome: Result<AccessToken, NotGiven>,
    /// When the certificate ends, in Unix seconds, if one was read.
    pub(super) certificate_expires_at: Option<i64>,
    /// By how many seconds the endpoint's clock is ahead of this machine's.
    pub(super) clock_ahead: Option<i64>,
    /// What an administrator should mend although it works.
    pub(super) warning: Option<String>,
}

/// What is learnt on the way to a token.
#[derive(Default)]
struct Notes {
    certificate_expires_at: Option<i64>,
    clock_ahead: Option<i64>,
    warning: Option<String>,
}

/// Asks for a token. `now`: Unix seconds.
pub(super) fn ask(settings: &DirectorySettings, now: i64) -> Asked {
    let mut notes = Notes::default();
    let outcome = token(settings, now, &mut notes);
    let Notes { certificate_expires_at, clock_ahead, warning } = notes;
    Asked { outcome, certificate_expires_at, clock_ahead, warning }
}

fn token(settings: &DirectorySettings, now: i64, notes: &mut Notes) -> Result<AccessToken, NotGiven> {
    match &settings.credential {
        Credential::ManagedIdentity { client_id, url } => {
            identity::of_machine(url, &settings.graph, *client_id)
        }
        Credential::Arc { client_id, url } => identity::of_arc(url, &settings.graph, *client_id, ARC_FOLDER),
        Credential::ClientSecret { client_id, file } => {
            let secret = file::secret(file)?;
            exchange(settings, *client_id, &Proof::Secret(&secret), notes)
        }
        Credential::Certificate { client_id, certificate, key } => {
            let signer = certificate::Signer::read(certificate, key)?;
            notes.certificate_expires_at = Some(signer.expires_at);
            let assertion = signer.assertion(*client_id, &settings.token_url, now)?;
            exchange(settings, *client_id, &Proof::Assertion(&assertion), notes)
                .map_err(|fault| signer.explain(fault))
        }
        Credential::FederatedToken { client_id, file } => {
            let token = file::token(file)?;
            notes.warning = token.warning;
            exchange(settings, *client_id, &Proof::Assertion(&token.text), notes)
                .map_err(|fault| federated::explain(fault, &token.text, settings.federated_audience, now))
        }
    }
}

/// Asks the token endpoint.
fn exchange(
    settings: &DirectorySettings,
    client_id: Uuid,
    proof: &Proof<'_>,
    notes: &mut Notes,
) -> Result<AccessToken, NotGiven> {
    let DirectorySettings { token_url, ca_file, proxy, .. } = settings;
    let body = token_request(client_id, &hosts::scope(&settings.graph), proof);
    let client = Client::for_address(token_url, ca_file.as_deref(), proxy.as_deref())?;
    let reply = client.exchange(&Exchange {
        url: token_url,
        body: Some(body.as_bytes()),
        headers: &[("Content-Type", "application/x-www-form-urlencoded")],
        max_bytes: MAX_TOKEN_ANSWER_BYTES as u64,
    })?;
    notes.clock_ahead = reply.clock_ahead;
    if is_answered(&reply) {
        return Ok(parse_token(&reply.body).map_err(|fault| format!("{token_url}: {fault}"))?);
    }
    let problem = parse_token_problem(reply.status, &reply.body).without_echo(proof);
    let clock = match reply.clock_ahead {
        Some(ahead) if ahead.abs() > USUAL_SKEW => {
            let direction = if ahead > 0 { "ahead of" } else { "behind" };
            format!(" (its clock is {} seconds {direction} this server's)", ahead.abs())
        }
        _ => String::new(),
    };
    Err(NotGiven {
        text: format!("{token_url}: {problem}{clock}"),
        problem: Some(problem),
        retry_after: reply.retry_after.map(millis),
    })
}

fn is_answered(reply: &Reply) -> bool {
    (200..=299).contains(&reply.status)
}

/// Returns a wait, limited to the longest that a service may ask for.
fn millis(wait: Duration) -> Millis {
    Millis::try_from(wait.as_millis()).unwrap_or(MAX_WAIT).min(MAX_WAIT)
}

/// Returns a random number; 0 where there is no randomness.
pub(super) fn random() -> u32 {
    let mut bytes = [0; 4];
    let _ = rand::fill(&mut bytes);
    u32::from_ne_bytes(bytes)
}
