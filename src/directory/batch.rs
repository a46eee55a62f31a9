//! Many requests in few: sends batches, and keeps what their answers show on the way.
//!
//! Runs in a thread beside the worker's main loop. Knows no PostgreSQL and no shared memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use entra::Millis;
use entra::directory::answer::{self, Part};
use entra::directory::features::{Evidence, Feature};
use entra::directory::request::{self, MAX_BATCH, Request};
use entra::directory::retry::{self, Outcome};
use zeroize::Zeroizing;

use crate::directory::graph::{Graph, NoAnswer, Why};
use crate::pg::clock;
use crate::stat::Asked;

/// What a thread asks by, and what it notes for the main loop.
pub(super) struct Asker<'a> {
    graph: &'a Graph,
    is_polling: bool,
    limit: Limit,
    /// So many requests have been sent.
    pub(super) requests: usize,
    pub(super) notes: Notes,
}

/// How long a thread asks.
#[derive(Debug, Clone)]
pub(super) struct Limit {
    /// After this time nobody waits for the answer.
    pub(super) deadline: Instant,
    /// The main loop has given the thread up.
    pub(super) is_given_up: Arc<AtomicBool>,
}

impl Limit {
    /// Returns whether nobody waits for the answer any more.
    pub(super) fn is_reached(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed) || Instant::now() >= self.deadline
    }
}

/// What a thread has noted.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// What answers show about features.
    pub(super) evidence: Vec<(Feature, Evidence)>,
    /// The longest pause that the service demands.
    pub(super) pause: Option<Millis>,
    /// The questions that were asked, by kind and outcome.
    pub(super) asked: Vec<(Asked, Outcome)>,
    /// The last reason for having no answer, in words.
    pub(super) problem: Option<String>,
    /// The last of these reasons that passes by itself, in words.
    pub(super) unanswered: Option<String>,
}

impl<'a> Asker<'a> {
    pub(super) fn new(graph: &'a Graph, is_polling: bool, limit: Limit) -> Self {
        Self { graph, is_polling, limit, requests: 0, notes: Notes::default() }
    }

    /// Returns whether nobody waits for an answer any more.
    pub(super) fn is_late(&self) -> bool {
        self.limit.is_reached()
    }

    /// Returns whether another request may be sent.
    fn may_go_on(&mut self) -> bool {
        if self.is_late() {
            self.note_unanswered("not all answers came in time".to_owned());
            return false;
        }
        self.requests += 1;
        true
    }

    /// Returns the root that answers are read by.
    pub(super) fn root(&self) -> &str {
        &self.graph.settings().graph
    }

    /// Sends a request.
    ///
    /// # Errors
    /// What it means that there is no answer.
    pub(super) fn send(&mut self, kind: Asked, request: &Request) -> Result<Zeroizing<Vec<u8>>, Outcome> {
        if !self.may_go_on() {
            return Err(Outcome::Later);
        }
        let answer = self.graph.send(request, self.is_polling, self.limit.deadline);
        let outcome = answer.as_ref().map_or_else(NoAnswer::outcome, |_| Outcome::Answered);
        self.notes.asked.push((kind, outcome));
        answer.map_err(|fault| {
            self.note_fault(&fault);
            outcome
        })
    }

    fn note_fault(&mut self, fault: &NoAnswer) {
        // Pauses of this server's own are kept with the state of the token.
        if matches!(fault.why, Why::Said(_)) {
            self.notes.pause = self.notes.pause.max(fault.retry_after);
        }
        if fault.outcome() == Outcome::Later {
            self.note_unanswered(fault.problem.clone());
        } else {
            self.notes.problem = Some(fault.problem.clone());
        }
    }

    /// Notes that an answer is missing for a reason that passes by itself.
    fn note_unanswered(&mut self, problem: String) {
        self.notes.unanswered = Some(problem.clone());
        self.notes.problem = Some(problem);
    }

    /// Notes that what came is no answer.
    pub(super) fn note_unreadable(&mut self, problem: &impl ToString) {
        self.notes.problem = Some(problem.to_string());
    }

    /// Notes what an answer shows about a feature.
    pub(super) fn note_evidence(&mut self, feature: Feature, evidence: Evidence) {
        if !self.notes.evidence.contains(&(feature, evidence)) {
            self.notes.evidence.push((feature, evidence));
        }
    }

    /// Sends requests in batches. Returns the answer to each; none: it was not answered. After a
    /// batch that brought nothing, the others are not sent.
    pub(super) fn parts(&mut self, requests: &[(Asked, Request)]) -> Vec<Option<Part>> {
        let mut answers = Vec::with_capacity(requests.len());
        for chunk in requests.chunks(MAX_BATCH) {
            match self.batch(chunk) {
                Some(mut parts) => answers.append(&mut parts),
                None => break,
            }
        }
        answers.resize(requests.len(), None);
        answers
    }

    fn batch(&mut self, requests: &[(Asked, Request)]) -> Option<Vec<Option<Part>>> {
        if !self.may_go_on() {
            return None;
        }
        let items: Vec<_> = requests.iter().map(|(_, request)| request.clone()).collect();
        let batch = request::batch(&items);
        let is_rejected = |part: &Part| part.problem().outcome() == Outcome::Renew;
        // The service may accept the token for the batch and reject it for what is in it.
        let rejects =
            |body: &[u8]| answer::parse_batch(body).is_ok_and(|parts| parts.values().any(is_rejected));
        let body = match self.graph.send_unless(&batch, self.is_polling, self.limit.deadline, rejects) {
            Ok(body) => body,
            Err(fault) => {
                let outcome = fault.outcome();
                self.notes.asked.extend(requests.iter().map(|(kind, _)| (*kind, outcome)));
                self.note_fault(&fault);
                return None;
            }
        };
        let mut parts = match answer::parse_batch(&body) {
            Ok(parts) => parts,
            Err(fault) => {
                self.notes.asked.extend(requests.iter().map(|(kind, _)| (*kind, Outcome::Refused)));
                self.note_unreadable(&format!("{}: {fault}", self.root()));
                return None;
            }
        };
        let mut answers = Vec::with_capacity(requests.len());
        for (number, (kind, request)) in requests.iter().enumerate() {
            let part = parts.remove(&number);
            self.note_part(*kind, request, part.as_ref());
            answers.push(part);
        }
        Some(answers)
    }

    fn note_part(&mut self, kind: Asked, request: &Request, part: Option<&Part>) {
        let outcome = part.map_or(Outcome::Later, |part| part.problem().outcome());
        self.notes.asked.push((kind, outcome));
        if matches!(outcome, Outcome::Answered | Outcome::NotFound) {
            return;
        }
        // What stands behind the question mark may be somebody's name.
        let path = request.path.split('?').next().unwrap_or_default();
        let said = part.map_or_else(|| "not answered".to_owned(), |part| part.problem().to_string());
        let problem = format!("{}{path}: {said}", self.root());
        if outcome == Outcome::Later {
            self.note_unanswered(problem);
            let text = part.and_then(|part| part.retry_after.as_deref());
            let asked = text.and_then(|text| retry::parse_retry_after(text, clock::unix_now()));
            self.notes.pause = self.notes.pause.max(asked);
        } else {
            self.notes.problem = Some(problem);
        }
    }
}
