//! Many requests in few: sends batches, and keeps what their answers show on the way.
//!
//! Runs in a thread beside the worker's main loop. Knows no PostgreSQL and no shared memory.

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
    pub(super) notes: Notes,
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
}

impl<'a> Asker<'a> {
    pub(super) fn new(graph: &'a Graph, is_polling: bool) -> Self {
        Self { graph, is_polling, notes: Notes::default() }
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
        let answer = self.graph.send(request, self.is_polling);
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
        self.notes.problem = Some(fault.problem.clone());
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
        let items: Vec<_> = requests.iter().map(|(_, request)| request.clone()).collect();
        let body = match self.graph.send(&request::batch(&items), self.is_polling) {
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
        self.notes.problem = Some(format!("{}{path}: {said}", self.root()));
        if outcome == Outcome::Later {
            let text = part.and_then(|part| part.retry_after.as_deref());
            let asked = text.and_then(|text| retry::parse_retry_after(text, clock::unix_now()));
            self.notes.pause = self.notes.pause.max(asked);
        }
    }
}
