//! Clients that log in, write and read in a loop, by a token and by a password, and how long each
//! could not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use testbed::client::{Outcome, RawClient, ServerError};
use testbed::issuer::{PERSON, unix_now, user_v1, with};
use testbed::mutex::lock;
use testbed::scene::KEY;
use testbed::waits::patiently;

/// The password of the role `plain`.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// How long a client pauses between two rounds, so that eight of them leave the machine to others.
const PAUSE: Duration = Duration::from_millis(50);

/// How a client proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By a token, as `ann`.
    Token,
    /// By a password, as `plain`.
    Scram,
}

/// The longest times between two writes, of the clients of each kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gaps {
    pub(crate) token: Duration,
    pub(crate) scram: Duration,
}

impl Gaps {
    /// Whether clients by token have waited for as long as those by password, give or take what
    /// chance does: both find the new leader by trying one node after the other. Where nothing
    /// was down, what the machine does otherwise counts for more than the login.
    pub(crate) fn are_alike(self) -> bool {
        self.token * 2 <= self.scram.max(Duration::from_secs(1)) * 3
    }
}

/// What all clients share.
struct Shared {
    ports: Vec<u16>,
    tls: Arc<ClientConfig>,
    is_over: AtomicBool,
    /// How often each error was met: by kind, SQLSTATE and message.
    errors: Mutex<BTreeMap<String, usize>>,
}

/// What a client has done.
#[derive(Default)]
struct Record {
    writes: AtomicU64,
    reads: AtomicU64,
    /// The longest time between two writes since the present step began.
    longest: Mutex<Duration>,
}

struct Client {
    kind: Kind,
    database: String,
    shared: Arc<Shared>,
    record: Arc<Record>,
}

/// Clients at work. Ended when dropped.
pub(crate) struct Load {
    shared: Arc<Shared>,
    records: Vec<(Kind, Arc<Record>)>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts as many clients of each kind, spread over the databases.
    pub(crate) fn start(ports: Vec<u16>, tls: Arc<ClientConfig>, databases: &[&str], each: usize) -> Self {
        let shared =
            Arc::new(Shared { ports, tls, is_over: AtomicBool::new(false), errors: Mutex::default() });
        let mut load = Self { shared, records: Vec::new(), threads: Vec::new() };
        for (kind, database) in [Kind::Token, Kind::Scram]
            .into_iter()
            .flat_map(|kind| databases.iter().cycle().take(each).map(move |database| (kind, database)))
        {
            let record = Arc::new(Record::default());
            let client = Client {
                kind,
                database: (*database).to_owned(),
                shared: Arc::clone(&load.shared),
                record: Arc::clone(&record),
            };
            load.records.push((kind, record));
            load.threads.push(thread::spawn(move || client.work()));
        }
        load.await_writes();
        load
    }

    /// Runs a step to its end, and on until every client has written after it. Returns the gaps.
    pub(crate) fn during(&self, step: impl FnOnce()) -> Gaps {
        for (_, record) in &self.records {
            *lock(&record.longest) = Duration::ZERO;
        }
        step();
        self.await_writes();
        let longest = |wanted: Kind| {
            let records = self.records.iter().filter(|(kind, _)| *kind == wanted);
            let gaps = records.map(|(_, record)| *lock(&record.longest));
            gaps.max().unwrap_or_default()
        };
        Gaps { token: longest(Kind::Token), scram: longest(Kind::Scram) }
    }

    /// Waits until every client has written twice more: the first may have begun before.
    fn await_writes(&self) {
        let before: Vec<_> =
            self.records.iter().map(|(_, record)| record.writes.load(Ordering::SeqCst)).collect();
        let all = || {
            let mut pairs = self.records.iter().zip(&before);
            pairs.all(|((_, record), before)| record.writes.load(Ordering::SeqCst) >= before + 2)
        };
        assert!(patiently(all), "a client does not get to write:\n{}", self.errors().join("\n"));
    }

    /// Returns how often the clients of a kind have written and read, each time after a login.
    pub(crate) fn done(&self, wanted: Kind) -> (u64, u64) {
        let records = self.records.iter().filter(|(kind, _)| *kind == wanted);
        records.fold((0, 0), |(writes, reads), (_, record)| {
            (writes + record.writes.load(Ordering::SeqCst), reads + record.reads.load(Ordering::SeqCst))
        })
    }

    /// Returns the errors that clients have met, and how often.
    pub(crate) fn errors(&self) -> Vec<String> {
        let errors = lock(&self.shared.errors);
        errors.iter().map(|(error, count)| format!("{count} x {error}")).collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Client {
    /// Writes to the node that takes it and reads from the next one, until the load is over.
    fn work(&self) {
        let count = self.shared.ports.len();
        let (mut leader, mut reader, mut last) = (0, 0, Instant::now());
        while !self.shared.is_over.load(Ordering::SeqCst) {
            if self.round(leader, "INSERT INTO writes DEFAULT VALUES") {
                let now = Instant::now();
                let mut longest = lock(&self.record.longest);
                *longest = (*longest).max(now - last);
                drop(longest);
                last = now;
                self.record.writes.fetch_add(1, Ordering::SeqCst);
                reader = (reader + 1) % count;
                if self.round(reader, "SELECT count(*) FROM writes") {
                    self.record.reads.fetch_add(1, Ordering::SeqCst);
                }
            } else {
                leader = (leader + 1) % count;
            }
            thread::sleep(PAUSE);
        }
    }

    /// Logs in to a node and runs a statement. Returns whether it succeeded.
    fn round(&self, node: usize, statement: &str) -> bool {
        let Some(port) = self.shared.ports.get(node) else { return false };
        let Ok(mut client) = RawClient::tcp(*port, Some(Arc::clone(&self.shared.tls))) else { return false };
        match log_in(&mut client, self.kind, &self.database) {
            Outcome::Ready => {}
            Outcome::Refused(error) => {
                self.note(&error);
                return false;
            }
            Outcome::HungUp => return false,
        }
        match client.query(statement) {
            Ok(_) => {
                client.disconnect();
                true
            }
            Err(error) => {
                self.note(&error);
                false
            }
        }
    }

    fn note(&self, error: &ServerError) {
        let text = format!("{:?}: {} {}", self.kind, error.sqlstate, error.message);
        *lock(&self.shared.errors).entry(text).or_default() += 1;
    }
}

fn log_in(client: &mut RawClient, kind: Kind, database: &str) -> Outcome {
    let parameters = |role: &'static str| {
        [("user", role), ("database", database)].map(|(name, value)| (name, value.to_owned()))
    };
    match kind {
        Kind::Token => client.login(&parameters("ann"), &token(PERSON)),
        Kind::Scram => client.scram_login(&parameters("plain"), PASSWORD),
    }
}

/// Returns a valid token of an object.
pub(crate) fn token(object: &str) -> String {
    token_at(unix_now(), object)
}

/// Returns a token of an object that expired so many seconds ago.
pub(crate) fn expired_token(object: &str, seconds: i64) -> String {
    // It is valid for an hour.
    token_at(unix_now() - 3_600 - seconds, object)
}

fn token_at(time: i64, object: &str) -> String {
    KEY.token(&with(user_v1(time), "oid", object.into()))
}
