//! The background worker that keeps key memory fresh.
//!
//! - How it is started, woken and ended: see [`crate::pg::worker`]. It reads no catalogs.
//! - At its start: keys that are in memory stay in use; if there are none, those of the snapshot
//!   are taken; then it fetches.
//! - After SIGHUP it reads the settings, drops keys of another origin, and fetches.
//! - Its latch is set when a login or an administrator wants a fetch, and its mailbox wakes it when
//!   a fetch has ended. SIGTERM ends it also in the middle of a fetch.
//! - It removes the variables that name certificate authorities from its environment, which is the
//!   postmaster's: an administrator does not look for authorities there.
//! - While pg_upgrade runs the server it is not registered.
//!
//! The fetch runs beside the main loop, in a thread of its own. When the worker leaves while the
//! thread lives, the process ends without running destructors that the thread might still use.

use std::hash::{BuildHasher, RandomState};
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use entra::{KeySet, Snapshot, State};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::keys::fetch::{Fetched, fetch};
use crate::keys::{housekeeping, memory, snapshot};
use crate::net::background::Mailbox;
use crate::net::https::Failure;
use crate::pg::worker::{self, Connection, Task, Worker};
use crate::pg::{clock, environment, process};
use crate::report::log_once::LogOnce;
use crate::settings::{self, KeyOrigin};

/// A fetch that takes longer is given up: each request has a limit of its own, but a file may lie
/// on a disk that no longer answers.
const LONGEST_FETCH: Duration = Duration::from_mins(1);

/// Longest sleep: the clock that wakes the worker and the one that ages keys may differ.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// Its row in the table of workers.
pub(crate) const WORKER: Worker =
    Worker { name: "azure_ad_auth key refresh", connection: Connection::None, is_resident: true, run };

fn run() {
    process::end_without_destructors();
    environment::remove(&["SSL_CERT_FILE", "SSL_CERT_DIR"]);
    memory::worker_started();
    match KeyWorker::new() {
        Ok(mut task) => worker::run(&mut task),
        Err(fault) => log(&format!("the key worker cannot start: {fault}")),
    }
}

struct KeyWorker {
    origin: Option<KeyOrigin>,
    mailbox: Mailbox<Result<Fetched, Failure>>,
    /// The number of the running fetch. A result with another number is dropped.
    run: u64,
    running_since: Option<Instant>,
    /// The texts about fetching that are in the log.
    log_of_fetches: LogOnce,
    /// The texts about the snapshot that are in the log.
    log_of_snapshot: LogOnce,
}

impl Task for KeyWorker {
    fn work(&mut self) -> Duration {
        self.take_outcome();
        self.give_up_if_lost();
        housekeeping::each_round();
        memory::note_heartbeat();
        if let (Some(origin), true, None) = (&self.origin, memory::schedule().due, self.running_since) {
            self.start(origin.clone());
        }
        // What was due has begun, or has failed to; without an origin it stays due.
        let idle_for = if self.origin.is_some() { memory::schedule().idle_for } else { LONGEST_SLEEP };
        idle_for.min(LONGEST_SLEEP)
    }

    fn reload(&mut self) {
        settings::reload();
        self.read_settings();
    }

    fn wake_fd(&self) -> Option<RawFd> {
        Some(self.mailbox.wake_fd())
    }
}

impl KeyWorker {
    fn new() -> std::io::Result<Self> {
        let mut worker = Self {
            origin: None,
            mailbox: Mailbox::new()?,
            run: 0,
            running_since: None,
            log_of_fetches: LogOnce::default(),
            log_of_snapshot: LogOnce::default(),
        };
        worker.read_settings();
        Ok(worker)
    }

    /// Takes over the settings as they are. From now on the result of a fetch from another origin
    /// is dropped.
    fn read_settings(&mut self) {
        housekeeping::at_reload();
        let origin = settings::key_origin();
        if let Err(fault) = &origin {
            log(&format!("no keys are fetched: {fault}"));
        }
        let origin = origin.ok();
        let dropped = self.origin != origin;
        if dropped {
            self.running_since = None;
            self.run += 1;
            self.log_of_fetches = LogOnce::default();
        }
        let fingerprint = origin.as_ref().map(|origin| origin.fingerprint.as_str()).unwrap_or_default();
        memory::origin_is(fingerprint, dropped);
        if origin.is_some() && memory::is_empty() {
            self.restore(fingerprint);
        }
        self.origin = origin;
    }

    /// Takes the keys that the server had before it was restarted, if they are of this origin and
    /// young enough.
    fn restore(&mut self, fingerprint: &str) {
        let usable = |snapshot: Snapshot| {
            let age = snapshot.age(fingerprint, clock::unix_now(), settings::timing().max_age);
            age.map(|age| (snapshot, age)).map_err(|fault| fault.to_string())
        };
        match snapshot::read().and_then(|found| found.map(usable).transpose()) {
            Ok(None) => {}
            Ok(Some((snapshot, age))) => {
                memory::restore(&snapshot, age);
                let (count, age) = (snapshot.keys.len(), age / 1_000);
                log(&format!("{count} signing keys, fetched {age} s ago, were found in {}", snapshot::FILE));
            }
            Err(fault) => log_of_snapshot(&mut self.log_of_snapshot, &format!("is not used: {fault}")),
        }
    }

    fn start(&mut self, origin: KeyOrigin) {
        self.run += 1;
        memory::begin();
        match self.mailbox.start(self.run, move || fetch(&origin)) {
            Ok(()) => self.running_since = Some(Instant::now()),
            Err(fault) => self.failed(&Failure::from(format!("a fetch cannot be started: {fault}"))),
        }
    }

    fn take_outcome(&mut self) {
        while let Some(delivery) = self.mailbox.take() {
            if delivery.run != self.run || self.running_since.take().is_none() {
                continue;
            }
            match delivery.result {
                Some(Ok(fetched)) => self.succeeded(&fetched),
                Some(Err(fault)) => self.failed(&fault),
                None => self.failed(&Failure::from("a fault while fetching".to_owned())),
            }
        }
    }

    /// Gives up a fetch that takes too long. Its thread may live on; its result is dropped.
    fn give_up_if_lost(&mut self) {
        if self.running_since.is_some_and(|since| since.elapsed() > LONGEST_FETCH) {
            self.running_since = None;
            self.run += 1;
            self.failed(&Failure::from("a fetch has not come to an end".to_owned()));
        }
    }

    fn succeeded(&mut self, fetched: &Fetched) {
        let Self { log_of_fetches, log_of_snapshot, .. } = self;
        memory::publish(&fetched.keys, fetched.clock_ahead, &settings::timing(), |snapshot| {
            log_keys(log_of_fetches, &fetched.keys);
            keep(log_of_snapshot, snapshot);
        });
    }

    fn failed(&mut self, failure: &Failure) {
        let timing = settings::timing();
        let jitter = RandomState::new().hash_one(self.run) % 1_000;
        memory::note_failure(&failure.problem, failure.retry_after, jitter, &timing);
        let consequence = match memory::state(&timing) {
            State::Empty | State::TooOld => "no Azure AD login is possible until it succeeds",
            State::Fresh | State::Due | State::InFlight | State::Failing => {
                "logins go on with the keys at hand"
            }
        };
        let text = format!("fetching the signing keys failed: {}; {consequence}", failure.problem);
        // Numbers in the text of a library may be times, which are no news. A status is news.
        let is_news = match failure.status {
            Some(_) => self.log_of_fetches.add(&text),
            None => self.log_of_fetches.add_ignoring_numbers(&text),
        };
        if is_news {
            log(&text);
        }
    }
}

fn log_keys(log_of_fetches: &mut LogOnce, keys: &KeySet) {
    let mut text = format!("{} signing keys are at hand", keys.iter().len());
    if keys.dropped() > 0 {
        text = format!(
            "{text}; {} entries of the key documents are not usable and were left out",
            keys.dropped()
        );
    }
    if log_of_fetches.start_over(&text) {
        log(&text);
    }
}

/// Writes the snapshot, for a restart of the server.
fn keep(log: &mut LogOnce, snapshot: &Snapshot) {
    match snapshot::write(snapshot) {
        Ok(()) => *log = LogOnce::default(),
        Err(fault) => log_of_snapshot(
            log,
            &format!("cannot be written: {fault}; a server that starts during an outage may have no keys"),
        ),
    }
}

fn log_of_snapshot(said: &mut LogOnce, text: &str) {
    if said.add_ignoring_numbers(text) {
        log(&format!("{} {text}", snapshot::FILE));
    }
}

pub(super) fn log(text: &str) {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
        format!("azure_ad_auth: {text}"),
        "worker",
    )
    .report(PgLogLevel::LOG);
}
