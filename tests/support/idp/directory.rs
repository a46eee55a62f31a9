//! A tenant's directory in memory, which a test changes while it runs: Microsoft Graph, the token
//! endpoint of its applications, and the endpoints of a machine's identity.
//!
//! It answers as Entra and Graph do. What a test wants to be different it says by the methods of
//! [`Directory`]: `scenery.rs` has those that change what there is, `observe.rs` those that tell
//! what has arrived.

mod assertion;
mod batch;
mod credentials;
mod filter;
mod graph;
mod identity;
mod lag;
mod membership;
mod objects;
mod observe;
mod paging;
mod permissions;
mod query;
mod record;
mod reply;
mod scenery;
mod store;
mod time;
mod token;
mod trouble;
mod units;

use std::sync::{Arc, Mutex};
use std::thread;

use aws_lc_rs::rand;

use super::Request;
use crate::issuer::{b64, unix_now};
use crate::mutex::lock;
use credentials::Credentials;
use graph::{Graph, Options, kind_of};
use lag::Replication;
use permissions::Permissions;
use query::Question;
use record::Record;
use reply::Answer;
use store::Store;
use token::{Endpoint, TOKEN_PATH, Tokens};
use trouble::Faults;

pub use credentials::{ClientCertificate, Federation, SERVER_CLIENT, SERVER_PRINCIPAL, SERVER_SECRET};
pub use identity::IdentityEndpoint;
pub use lag::Lag;
pub use objects::{Object, ObjectType};
pub use permissions::RECOMMENDED;
pub use record::Kind;
pub use reply::REQUEST_ID;
pub(super) use reply::Reply;
pub use time::rfc3339;
pub use trouble::{Place, STRANGER, Trouble};

/// The directory of a provider. Copies are handles of the same directory.
#[derive(Clone)]
pub struct Directory {
    data: Arc<Mutex<Data>>,
    port: u16,
}

struct Data {
    replication: Replication,
    permissions: Permissions,
    options: Options,
    credentials: Credentials,
    tokens: Tokens,
    faults: Faults,
    record: Record,
    /// The path of each root of Graph.
    roots: Vec<String>,
    clock_ahead: i64,
}

/// Where a request goes.
enum Destination {
    Token,
    /// To Graph: the address of its root, and the question.
    Graph(String, Box<Question>),
    /// To another part of the provider.
    Other,
}

impl Directory {
    /// Makes the directory of a provider: it holds the server's application, with a secret and
    /// the permissions that docs/directory.md recommends.
    pub(super) fn new(port: u16) -> Self {
        let mut store = Store::default();
        store.add(Object::service_principal(SERVER_PRINCIPAL, SERVER_CLIENT, "database server"));
        let secrets = vec![(SERVER_SECRET.to_owned(), false)];
        let mut record = Record::default();
        record.credential(SERVER_SECRET);
        let data = Data {
            replication: Replication::new(store),
            permissions: Permissions::of(&RECOMMENDED),
            options: Options::default(),
            credentials: Credentials { secrets, ..Credentials::default() },
            tokens: Tokens::default(),
            faults: Faults::default(),
            record,
            roots: vec![String::new(), "/graph".to_owned()],
            clock_ahead: 0,
        };
        Self { data: Arc::new(Mutex::new(data)), port }
    }

    /// Answers a request if it is for a token of the server's own, or for Graph.
    pub(super) fn answer(&self, request: &Request) -> Option<Reply> {
        match self.destination(request) {
            Destination::Other => {
                lock(&self.data).record.note(Kind::Other, request);
                None
            }
            Destination::Token => {
                let places = [Place::Only(Kind::Token), Place::Token];
                Some(self.reply(Kind::Token, request, &places, |_| self.token(request)))
            }
            Destination::Graph(root, question) => {
                let kind = kind_of(&question);
                let places = [Place::Only(kind), Place::Graph];
                let right = |trouble: Option<&Trouble>| self.graph(request, &root, &question, trouble);
                Some(self.reply(kind, request, &places, right))
            }
        }
    }

    fn destination(&self, request: &Request) -> Destination {
        let path = request.path();
        let grant = request.field("grant_type").unwrap_or_default();
        let by_password = grant == "password" && request.field("username").is_some();
        let by_user = by_password || grant == "authorization_code" || grant.ends_with(":device_code");
        if path.ends_with(TOKEN_PATH) && !by_user {
            return Destination::Token;
        }
        let Some((root, rest)) = request.target.split_once("/v1.0/") else { return Destination::Other };
        let known = lock(&self.data).roots.iter().any(|known| known == root);
        if !known {
            return Destination::Other;
        }
        let host = request.header("host").unwrap_or_default();
        let eventual = request.header("consistencylevel") == Some("eventual");
        let body = serde_json::from_str(&request.body).unwrap_or_default();
        let question = Question::new(&request.method, &format!("/{rest}"), eventual, body);
        Destination::Graph(format!("https://{host}{root}"), Box::new(question))
    }

    /// Notes a request and answers it: rightly, or as a fault at one of these places wants it.
    fn reply(
        &self,
        kind: Kind,
        request: &Request,
        places: &[Place],
        right: impl FnOnce(Option<&Trouble>) -> Answer,
    ) -> Reply {
        let (found, now) = {
            let mut data = lock(&self.data);
            data.record.note(kind, request);
            (data.faults.next(places), unix_now() + data.clock_ahead)
        };
        let Some((trouble, fault)) = found else { return Reply::Whole(right(None).bytes(now)) };
        if let Trouble::Slow(delay) = &trouble {
            thread::sleep(*delay);
        }
        let own = places.last().copied().unwrap_or(Place::Graph);
        if let Some(refusal) = trouble.refusal(own) {
            return Reply::Whole(refusal.bytes(now));
        }
        trouble.reply(&right(Some(&trouble)), fault, now)
    }

    fn token(&self, request: &Request) -> Answer {
        let mut data = lock(&self.data);
        let now = unix_now() + data.clock_ahead;
        let Data { replication, credentials, tokens, permissions, roots, record, .. } = &mut *data;
        let store = replication.seen();
        let port = self.port;
        let mut endpoint = Endpoint { store, credentials, tokens, permissions, roots, port, now };
        let answer = endpoint.answer(request);
        if let Some(token) = answer.body["access_token"].as_str() {
            record.token(token);
        }
        answer
    }

    fn graph(&self, request: &Request, root: &str, question: &Question, trouble: Option<&Trouble>) -> Answer {
        let mut data = lock(&self.data);
        let Data { replication, tokens, permissions, options, faults, record, .. } = &mut *data;
        let permissions = match tokens.check(request, root, permissions) {
            Ok(permissions) => permissions,
            Err(refusal) => return refusal,
        };
        let base = format!("{root}/v1.0");
        let graph = Graph {
            store: replication.next(),
            permissions: &permissions,
            options,
            own_id: SERVER_PRINCIPAL,
            base: &base,
            trouble,
        };
        let kind = kind_of(question);
        if kind != Kind::Batch {
            record.note_units(units::cost(kind, question));
            return graph.answer(question);
        }
        let items = match batch::items(&question.body) {
            Ok(items) if question.method == "POST" => items,
            Ok(_) => return query::bad("A batch is posted."),
            Err(refusal) => return refusal,
        };
        let answers = items.into_iter().map(|batch::Item { id, question }| {
            let answer = question.map(|question| answer_item(&graph, &question, faults, record));
            (id, answer.unwrap_or_else(|refusal| refusal))
        });
        batch::answer(answers.collect(), trouble)
    }

    /// Returns whether a fault has not been mended yet.
    pub(super) fn still_suffers_from(&self, fault: u64) -> bool {
        lock(&self.data).faults.contain(fault)
    }

    pub(super) fn set_clock_ahead(&self, seconds: i64) {
        lock(&self.data).clock_ahead = seconds;
    }

    /// Returns what a resource is called in tokens, if tokens are issued for it.
    fn audience(&self, resource: &str) -> Option<String> {
        let data = lock(&self.data);
        data.tokens.audience(resource, &data.roots, self.port)
    }

    /// Issues a token to a machine. Returns it, and how many seconds it lives.
    fn issue(&self, audience: &str, usual: i64) -> (String, i64) {
        let mut data = lock(&self.data);
        let Data { tokens, permissions, record, .. } = &mut *data;
        let (token, lifetime) = tokens.issue(audience, usual, permissions);
        record.token(&token);
        (token, lifetime)
    }

    /// Returns for how many more seconds a token lives; none if it has expired.
    fn life_left(&self, token: &str) -> Option<i64> {
        lock(&self.data).tokens.life_left(token)
    }

    /// Notes what the answer to a challenge will be.
    fn expect_challenge(&self, text: &str) {
        lock(&self.data).record.challenge(text);
    }
}

/// Answers an item of a batch. A fault of its own kind comes before that of the whole batch.
fn answer_item(graph: &Graph<'_>, question: &Question, faults: &mut Faults, record: &mut Record) -> Answer {
    let kind = kind_of(question);
    record.note_question(kind);
    record.note_units(units::cost(kind, question));
    let own = faults.next(&[Place::Only(kind)]).map(|(trouble, _)| trouble);
    let Some(trouble) = own else { return graph.answer(question) };
    let refusal = trouble.refusal(Place::Graph);
    refusal.unwrap_or_else(|| Graph { trouble: Some(&trouble), ..*graph }.answer(question))
}

/// Returns a text that nobody can guess.
pub(super) fn random_text() -> String {
    let mut random = [0; 32];
    rand::fill(&mut random).expect("random bytes");
    b64(random)
}
