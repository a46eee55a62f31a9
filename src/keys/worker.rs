//! The background worker that keeps key memory fresh.
//!
//! - Starts from consistent recovery on, so on a standby too; connects to no database.
//! - At its start: keys that are in memory stay in use; if there are none, those of the snapshot are taken; then it fetches.
//! - SIGHUP: reads the settings, drops keys of another origin, fetches.
//! - SIGTERM: leaves with exit code 1 at once, also in the middle of a fetch; the postmaster starts it again a second later,
//!   or not at all when it is itself shutting down. Exit code 0 would mean "never again".
//! - The environment's certificate authorities are forgotten: it is the postmaster's, and nobody looks there.
//! - Its latch: a login or an administrator wants a fetch, or a fetch has ended.
//! - The postmaster dies: so does it, at once.
//! - Server in binary upgrade mode: it is not registered.
//!
//! The fetch runs beside the main loop, in a thread of its own. When the worker leaves while the thread lives, the process
//! ends without running destructors that the thread might still use.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use entra::{Snapshot, State};
use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, BgWorkerStartTime, SignalWakeFlags};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::keys::fetch::{FetchFault, Fetched};
use crate::keys::{memory, snapshot};
use crate::net::background::Handover;
use crate::pg::{clock, library};
use crate::report;
use crate::report::log_once::Said;
use crate::settings::{self, KeyOrigin};

/// A fetch that takes longer has been lost: each request has a limit of its own, but a file may lie on a disk that is gone.
const LONGEST_FETCH: Duration = Duration::from_mins(1);

/// Longest sleep: the clock that wakes us and the one that ages keys may differ.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// Registers the worker. In the postmaster only, while it loads its libraries.
pub(crate) fn register() {
    BackgroundWorkerBuilder::new("azure_ad_auth key refresh")
        .set_type("azure_ad_auth key refresh")
        .set_library("azure_ad_auth")
        .set_function("azure_ad_auth_worker_main")
        .set_start_time(BgWorkerStartTime::ConsistentState)
        .set_restart_time(Some(Duration::from_secs(1)))
        .enable_shmem_access(None)
        .load();
}

/// Where the postmaster sends the worker.
#[pg_guard]
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "called by the postmaster by name")]
pub extern "C-unwind" fn azure_ad_auth_worker_main(argument: pg_sys::Datum) {
    if let Some(main) = library::worker_of_another_file() {
        return library::hand_over(main, argument);
    }
    // SAFETY: this process runs nothing else; callbacks registered later run earlier.
    unsafe { pg_sys::on_proc_exit(Some(leave), pg_sys::Datum::from(0)) };
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        // SAFETY: there is no other thread yet.
        unsafe { std::env::remove_var(name) };
    }
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    memory::worker_started();
    match Worker::new() {
        Ok(mut worker) => worker.run(),
        Err(fault) => log(&format!("the key worker cannot start: {fault}")),
    }
    // SAFETY: runs the exit callbacks and does not come back.
    unsafe { pg_sys::proc_exit(1) }
}

/// The last exit callback: the process ends here, before the C library's destructors and those of other libraries, which
/// a fetch that is still running might trip over.
#[pg_guard]
#[expect(unsafe_code, reason = "the signature of an exit callback")]
unsafe extern "C-unwind" fn leave(code: i32, _argument: pg_sys::Datum) {
    // SAFETY: shared memory has been left, which is what exit callbacks are for; the rest is the kernel's.
    unsafe { libc::_exit(code) }
}

struct Worker {
    origin: Option<KeyOrigin>,
    handover: Handover,
    /// The number of the running fetch.
    run: u64,
    running_since: Option<Instant>,
    /// What was last said in the log about fetching.
    said: Said,
    /// What was last said in the log about the snapshot.
    said_of_snapshot: Said,
}

impl Worker {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            origin: None,
            handover: Handover::new()?,
            run: 0,
            running_since: None,
            said: Said::default(),
            said_of_snapshot: Said::default(),
        })
    }

    fn run(&mut self) {
        self.read_settings();
        loop {
            self.take_outcome();
            self.give_up_if_lost();
            report::log_left_out();
            let outlook = memory::look();
            if let (Some(origin), true, None) = (&self.origin, outlook.due, self.running_since) {
                self.start(origin.clone());
            }
            // What was due has begun, or has failed to; without an origin it stays due.
            let idle_for = if self.origin.is_some() { memory::look().idle_for } else { LONGEST_SLEEP };
            self.wait(idle_for.min(LONGEST_SLEEP));
            if BackgroundWorker::sigterm_received() {
                return;
            }
            if BackgroundWorker::sighup_received() {
                settings::reload();
                self.read_settings();
            }
        }
    }

    /// Takes the settings as they are. What is being fetched from elsewhere counts for nothing from now on.
    fn read_settings(&mut self) {
        let unknown = settings::unknown_name();
        if let Some(unknown) = &unknown {
            log(&format!("every Azure AD login is refused while there is an unknown setting: {unknown}"));
        }
        let origin = settings::key_origin();
        if let Err(fault) = &origin {
            log(&format!("no keys are fetched: {fault}"));
        }
        let origin = origin.ok();
        let dropped = self.origin != origin;
        if dropped {
            self.running_since = None;
            self.run += 1;
            self.said = Said::default();
        }
        let fingerprint = origin.as_ref().map(|origin| origin.fingerprint.as_str()).unwrap_or_default();
        memory::origin_is(fingerprint, dropped, unknown.as_deref());
        if origin.is_some() && memory::is_empty() {
            self.restore(fingerprint);
        }
        self.origin = origin;
    }

    /// Takes the keys of an earlier life of the server, if they are of this origin and young enough.
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
            Err(fault) => self.say_of_snapshot(&format!("is not used: {fault}")),
        }
    }

    /// Keeps the keys for the next life of the server.
    fn keep(&mut self) {
        match snapshot::write(&memory::snapshot()) {
            Ok(()) => self.said_of_snapshot = Said::default(),
            Err(fault) => self.say_of_snapshot(&format!(
                "cannot be written: {fault}; a server that starts during an outage may have no keys"
            )),
        }
    }

    fn say_of_snapshot(&mut self, text: &str) {
        if self.said_of_snapshot.adds(text) {
            log(&format!("{} {text}", snapshot::FILE));
        }
    }

    fn start(&mut self, origin: KeyOrigin) {
        self.run += 1;
        memory::begin();
        match self.handover.start(self.run, origin) {
            Ok(()) => self.running_since = Some(Instant::now()),
            Err(fault) => self.failed(&FetchFault::from(format!("a fetch cannot be started: {fault}"))),
        }
    }

    fn take_outcome(&mut self) {
        let Some(outcome) = self.handover.take() else { return };
        if outcome.run != self.run || self.running_since.take().is_none() {
            return;
        }
        match outcome.fetched {
            Ok(fetched) => self.succeeded(&fetched),
            Err(fault) => self.failed(&fault),
        }
    }

    /// Its thread may live on; what it brings one day counts for nothing.
    fn give_up_if_lost(&mut self) {
        if self.running_since.is_some_and(|since| since.elapsed() > LONGEST_FETCH) {
            self.running_since = None;
            self.run += 1;
            self.failed(&FetchFault::from("a fetch has not come to an end".to_owned()));
        }
    }

    fn succeeded(&mut self, fetched: &Fetched) {
        let keys = &fetched.keys;
        memory::publish(keys, fetched.clock_ahead, &settings::timing());
        let mut text = format!("{} signing keys are at hand", keys.iter().len());
        if keys.dropped() > 0 {
            text = format!(
                "{text}; {} entries of the key documents are not usable and were left out",
                keys.dropped()
            );
        }
        if self.said.turn(&text) {
            log(&text);
        }
        // Before whoever asked for these keys is told that they are there: a key they have withdrawn must not come back.
        self.keep();
        memory::note_success();
    }

    fn failed(&mut self, fault: &FetchFault) {
        let timing = settings::timing();
        let jitter = RandomState::new().hash_one(self.run) % 1_000;
        memory::note_failure(&fault.problem, fault.retry_after, jitter, &timing);
        let consequence = match memory::state(&timing) {
            State::Empty | State::TooOld => "no Azure AD login is possible until it succeeds",
            State::Fresh | State::Due | State::InFlight | State::Failing => {
                "logins go on with the keys at hand"
            }
        };
        let text = format!("fetching the signing keys failed: {}; {consequence}", fault.problem);
        // Numbers in what a library says may be times. A status is not.
        let news = match fault.status {
            Some(_) => self.said.adds_exactly(&text),
            None => self.said.adds(&text),
        };
        if news {
            log(&text);
        }
    }

    /// The one place that waits: for the latch, the bell, the time, or the postmaster's death.
    #[expect(unsafe_code, reason = "pgrx waits for a latch only")]
    fn wait(&self, timeout: Duration) {
        let events = pg_sys::WL_LATCH_SET
            | pg_sys::WL_SOCKET_READABLE
            | pg_sys::WL_TIMEOUT
            | pg_sys::WL_EXIT_ON_PM_DEATH;
        // SAFETY: the latch is this process's own and the socket is open.
        unsafe {
            pg_sys::WaitLatchOrSocket(
                pg_sys::MyLatch,
                events.cast_signed(),
                self.handover.bell(),
                i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX),
                pg_sys::PG_WAIT_EXTENSION,
            );
            pg_sys::ResetLatch(pg_sys::MyLatch);
            pg_sys::check_for_interrupts!();
        }
    }
}

fn log(text: &str) {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
        format!("azure_ad_auth: {text}"),
        "worker",
    )
    .report(PgLogLevel::LOG);
}
