//! What has arrived: how often, the last request of each kind, and secrets at wrong places.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::idp::Request;
use crate::idp::http::{decoded, decoded_path};

/// The kinds of request that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The server's own token, at the token endpoint.
    Token,
    /// The server's own token, at an endpoint of the machine's identity.
    Identity,
    /// Objects by id or by filter.
    Lookup,
    /// Several ids at once.
    GetByIds,
    /// Whether an object is in groups, and in which.
    Membership,
    /// The members of a group.
    Members,
    /// A batch.
    Batch,
    /// Deleted objects.
    Deleted,
    /// Any other request, also for keys and by device flows.
    Other,
}

/// How many of the last requests are kept.
const KEPT: usize = 1_000;

#[derive(Default)]
pub(super) struct Record {
    /// Requests by kind.
    requests: BTreeMap<Kind, usize>,
    /// Requests and items of batches by kind.
    questions: BTreeMap<Kind, usize>,
    last: BTreeMap<Kind, Request>,
    kept: VecDeque<(Kind, Request)>,
    units: usize,
    secrets: Secrets,
    leaks: Vec<String>,
}

/// The texts that may stand at one place only.
#[derive(Default)]
struct Secrets {
    /// Client secrets and assertions: in the body of a request for a token.
    credentials: BTreeSet<String>,
    /// Tokens for Graph: in the header `Authorization` of a request to Graph.
    tokens: BTreeSet<String>,
    /// Arc's challenges: in the header `Authorization` of a request for the machine's identity.
    challenges: BTreeSet<String>,
}

impl Record {
    /// Notes a request.
    pub(super) fn note(&mut self, kind: Kind, request: &Request) {
        if kind == Kind::Token {
            let fields = ["client_assertion", "client_secret"].map(|name| request.field(name));
            let given = fields.into_iter().flatten().filter(|text| !text.is_empty());
            self.secrets.credentials.extend(given);
        }
        self.leaks.extend(self.secrets.misplaced(kind, request));
        *self.requests.entry(kind).or_default() += 1;
        self.note_question(kind);
        self.last.insert(kind, request.clone());
        self.kept.push_back((kind, request.clone()));
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    /// Notes what a request or an item of a batch asks.
    pub(super) fn note_question(&mut self, kind: Kind) {
        *self.questions.entry(kind).or_default() += 1;
    }

    /// Adds to the resource units by which Graph throttles.
    pub(super) const fn note_units(&mut self, units: usize) {
        self.units += units;
    }

    pub(super) fn credential(&mut self, text: &str) {
        self.secrets.credentials.insert(text.to_owned());
    }

    pub(super) fn token(&mut self, text: &str) {
        self.secrets.tokens.insert(text.to_owned());
    }

    pub(super) fn challenge(&mut self, text: &str) {
        self.secrets.challenges.insert(text.to_owned());
    }

    /// Forgets all requests and misplaced secrets, but not which texts are secret.
    pub(super) fn forget(&mut self) {
        *self = Self { secrets: std::mem::take(&mut self.secrets), ..Self::default() };
    }

    pub(super) fn requests(&self, kind: Kind) -> usize {
        self.requests.get(&kind).copied().unwrap_or(0)
    }

    pub(super) fn questions(&self, kind: Kind) -> usize {
        self.questions.get(&kind).copied().unwrap_or(0)
    }

    pub(super) const fn units(&self) -> usize {
        self.units
    }

    pub(super) fn last(&self, kind: Kind) -> Option<Request> {
        self.last.get(&kind).cloned()
    }

    pub(super) fn kept(&self) -> Vec<(Kind, Request)> {
        self.kept.iter().cloned().collect()
    }

    pub(super) fn leaks(&self) -> Vec<String> {
        self.leaks.clone()
    }

    pub(super) fn secrets(&self) -> Vec<String> {
        let Secrets { credentials, tokens, challenges } = &self.secrets;
        credentials.iter().chain(tokens).chain(challenges).cloned().collect()
    }
}

impl Secrets {
    /// Says which secrets stand at a wrong place in a request, without the secrets.
    fn misplaced(&self, kind: Kind, request: &Request) -> Vec<String> {
        let is_graph = !matches!(kind, Kind::Token | Kind::Identity | Kind::Other);
        // As it came, and as each place would decode it.
        let forms = |text: &str| [text.to_owned(), decoded(text), decoded_path(text)].join("\n");
        let (authorization, others): (Vec<&str>, Vec<&str>) =
            request.head.lines().partition(|line| line.to_ascii_lowercase().starts_with("authorization:"));
        let places = [
            ("the head", forms(&others.join("\n"))),
            ("the header Authorization", forms(&authorization.join("\n"))),
            ("the body", forms(&request.body)),
        ];
        let allowed = |what: &str, place: &str| match what {
            "a credential" => kind == Kind::Token && place == "the body",
            "a token" => is_graph && place == "the header Authorization",
            _ => kind == Kind::Identity && place == "the header Authorization",
        };
        let secrets = [
            ("a credential", &self.credentials),
            ("a token", &self.tokens),
            ("a challenge", &self.challenges),
        ];
        let mut found = Vec::new();
        for (place, text) in &places {
            for (what, texts) in secrets {
                if !allowed(what, place) && texts.iter().any(|secret| text.contains(secret.as_str())) {
                    found.push(format!("{what} in {place} of {} {}", request.method, request.path()));
                }
            }
            if !allowed("a credential", place)
                && ["client_secret=", "client_assertion="].iter().any(|name| text.contains(name))
            {
                found.push(format!(
                    "a field for a credential in {place} of {} {}",
                    request.method,
                    request.path()
                ));
            }
        }
        found
    }
}
