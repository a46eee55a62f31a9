//! The background worker that asks the directory.
//!
//! - How it is started, woken and ended: see [`crate::pg::worker`]. It reads which roles are linked
//!   as a login may, and is connected to no database.
//! - At its start it takes over who is known to be out: from shared memory if an earlier worker has
//!   ended, otherwise from the snapshot. While the directory is off it sleeps.
//! - Its latch is set when a statement or a login has a question, or an administrator wants a look,
//!   and its mailbox wakes it when a thread has ended. SIGTERM ends it also in the middle of one.
//! - After SIGHUP it reads the settings. What was learnt under another credential, tenant, cloud or
//!   address is dropped, but who is known to be out of the same tenant stays out.
//!
//! Questions and looks are asked in threads beside the main loop. When the worker leaves while a
//! thread lives, the process ends without running destructors that the thread might still use.

mod lists;
mod looks;
mod outcome;
mod state;
mod threads;

use std::hash::{BuildHasher, RandomState};
use std::marker::PhantomData;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::directory::answers::{Answered, answer};
use crate::directory::graph::Graph;
use crate::directory::look::Looked;
use crate::directory::members::Listed;
use crate::directory::memory::slots::{self, Lane};
use crate::directory::memory::{people, publish, rosters};
use crate::directory::polled::Polled;
use crate::directory::question::{self, Refusal};
use crate::directory::terms;
use crate::directory::worker::lists::Listing;
use crate::directory::worker::state::Known;
use crate::directory::worker::threads::{Asking, Leash, Looking};
use crate::net::background::Mailbox;
use crate::pg::worker::{self, Connection, Task, Worker};
use crate::pg::{clock, environment, process};
use crate::report::log_once::LogOnce;
use crate::settings;

/// A look that takes longer brings what has been answered until then: each request has a limit of
/// its own, and there may be some hundred.
const LONGEST_LOOK: Duration = Duration::from_mins(9);

/// Longest sleep: the clock that wakes the worker and the one that its schedule is by may differ.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// Questions are asked again so much later if no thread can be started.
const WITHOUT_THREAD: u64 = 1_000;

/// Returns its row in the table of workers.
pub(crate) const fn worker<P: Polled>() -> Worker {
    Worker {
        name: "azure_ad_auth directory",
        connection: Connection::Shared,
        is_resident: true,
        run: run::<P>,
    }
}

fn run<P: Polled>() {
    process::end_without_destructors();
    // The libraries for HTTP and TLS do not wipe the buffers that secrets pass through.
    if let Err(fault) = process::keep_memory_private() {
        log(&format!("core dumps of the directory worker cannot be prevented: {fault}"));
    }
    environment::remove(&["SSL_CERT_FILE", "SSL_CERT_DIR"]);
    publish::worker_started();
    slots::release();
    match DirectoryWorker::<P>::new() {
        Ok(mut task) => worker::run(&mut task),
        Err(fault) => log(&format!("the directory worker cannot start: {fault}")),
    }
}

/// The result of a thread.
enum Done {
    Look(Box<Looked>),
    Answers(Answered),
    Lists(Box<Listed>),
}

struct DirectoryWorker<P> {
    /// None while the directory is off or cannot be asked.
    graph: Option<Arc<Graph>>,
    known: Known,
    mailbox: Mailbox<Done>,
    /// The number of the thread that was started last.
    run: u64,
    looking: Option<Looking>,
    asking: Vec<Asking>,
    listing: Option<Listing>,
    /// The texts about settings and looks that are in the log.
    log_of_looks: LogOnce,
    /// The texts about questions that are in the log.
    log_of_questions: LogOnce,
    /// When the last of them was logged.
    question_logged: Instant,
    /// The texts about the credential that are in the log.
    log_of_warnings: LogOnce,
    /// The texts about the members of groups that are in the log.
    log_of_lists: LogOnce,
    /// How often a token was fetched, and how often that has failed, as far as it was counted.
    tokens: (u64, u64),
    polled: PhantomData<P>,
}

impl<P: Polled> Task for DirectoryWorker<P> {
    fn work(&mut self) -> Duration {
        self.take_results();
        self.give_up_if_lost();
        let Some(graph) = self.graph.clone() else { return LONGEST_SLEEP };
        publish::note_heartbeat();
        let demanded = publish::take_demands();
        if demanded.is_wanted {
            graph.demand(demanded.insists);
        }
        if demanded.is_believed {
            self.known.roll.believe();
        }
        for lane in Lane::ALL {
            self.ask(&graph, lane);
        }
        let interval = terms::interval();
        if self.looking.is_none() && publish::schedule(interval).is_due {
            self.look(&graph);
        }
        self.list_if_due(&graph);
        let until_look = publish::schedule(interval).idle_for;
        let until_list = self.until_list();
        let free = Lane::ALL.into_iter().filter(|lane| !self.is_asking(*lane));
        let until_question = free.filter_map(slots::next_due).min();
        let until_question = until_question.map_or(LONGEST_SLEEP, Duration::from_millis);
        until_look.min(until_question).min(until_list).min(LONGEST_SLEEP)
    }

    fn reload(&mut self) {
        settings::reload();
        self.read_settings();
    }

    fn wake_fd(&self) -> Option<RawFd> {
        Some(self.mailbox.wake_fd())
    }
}

impl<P: Polled> DirectoryWorker<P> {
    fn new() -> std::io::Result<Self> {
        let mut worker = Self {
            graph: None,
            known: Known::default(),
            mailbox: Mailbox::new()?,
            run: 0,
            looking: None,
            asking: Vec::new(),
            listing: None,
            log_of_looks: LogOnce::default(),
            log_of_questions: LogOnce::default(),
            question_logged: Instant::now(),
            log_of_warnings: LogOnce::default(),
            log_of_lists: LogOnce::default(),
            tokens: (0, 0),
            polled: PhantomData,
        };
        worker.read_settings();
        Ok(worker)
    }

    /// Takes over the settings as they are.
    fn read_settings(&mut self) {
        let settings = settings::directory();
        if matches!(settings, Ok(None)) {
            self.switch_off();
            return;
        }
        let fingerprint = terms::fingerprint();
        if let Some(tenant) = settings::tenant() {
            self.known.take_over(tenant, fingerprint);
        }
        if publish::fingerprint() != fingerprint {
            self.known.restart();
            self.drop_threads();
            publish::restart(fingerprint);
            self.log_of_looks = LogOnce::default();
        }
        match settings {
            Ok(Some(settings)) => {
                if self.graph.as_ref().is_none_or(|graph| *graph.settings() != *settings) {
                    self.drop_threads();
                    self.graph = Some(Arc::new(Graph::new((*settings).clone())));
                    self.tokens = (0, 0);
                }
                publish::reschedule(terms::interval());
                if let Some(interval) = lists::interval() {
                    rosters::reschedule(interval);
                }
            }
            Err(fault) => {
                self.drop_threads();
                self.graph = None;
                let text = format!("the directory cannot be asked: {fault}");
                publish::note_fault(&text);
                if self.log_of_looks.add(&text) {
                    log(&text);
                }
            }
            Ok(None) => {}
        }
    }

    /// Stops asking. Who is known to be out stays known, and counts when the directory is switched
    /// on again.
    fn switch_off(&mut self) {
        if self.graph.take().is_some() {
            self.drop_threads();
            self.known.restart();
            publish::restart(0);
        }
    }

    /// Gives up what is being asked: it was asked under other settings. Questions are asked again.
    fn drop_threads(&mut self) {
        self.looking = None;
        self.asking.clear();
        self.drop_list();
        publish::abandon();
        slots::release();
    }

    fn is_asking(&self, lane: Lane) -> bool {
        self.asking.iter().any(|asking| asking.lane == lane)
    }

    /// Asks the questions of a lane that are due, unless the service demands a pause. Questions
    /// that come while others of their lane are asked wait, and are then asked together.
    fn ask(&mut self, graph: &Arc<Graph>, lane: Lane) {
        if self.is_asking(lane) || slots::next_due(lane) != Some(0) {
            return;
        }
        let asked = slots::take_due(lane);
        if asked.is_empty() {
            return;
        }
        let now = clock::monotonic();
        let pause = people::read(|people| people.pace.paused_until(now));
        if let Some(until) = pause {
            let seconds = until.saturating_sub(now).div_ceil(1_000);
            let refusal = Refusal::new("58000", "the directory cannot be asked at the moment")
                .detail(format!("Microsoft Graph demands a pause of {seconds} s."))
                .hint("Try again later, or give the object id.");
            return refuse(asked, refusal);
        }
        let (graph, questions) = (Arc::clone(graph), asked.clone());
        let longest = asked.iter().map(|asked| asked.left).max().unwrap_or_default();
        let leash = Leash::new(Duration::from_millis(longest));
        let limit = leash.limit();
        self.run += 1;
        match self.mailbox.start(self.run, move || Done::Answers(answer(&graph, questions, limit))) {
            Ok(()) => self.asking.push(Asking { run: self.run, lane, leash, asked }),
            Err(_) => asked.iter().for_each(|asked| slots::postpone(asked, WITHOUT_THREAD)),
        }
    }

    fn take_results(&mut self) {
        while let Some(delivery) = self.mailbox.take() {
            if self.looking.as_ref().is_some_and(|looking| looking.run == delivery.run) {
                let Some(looking) = self.looking.take() else { continue };
                match delivery.result {
                    Some(Done::Look(looked)) => self.looked(&looking, *looked),
                    _ => self.failed("a fault while looking", None),
                }
            } else if let Some(place) = self.asking.iter().position(|asking| asking.run == delivery.run) {
                let asking = self.asking.swap_remove(place);
                match delivery.result {
                    Some(Done::Answers(answered)) => self.answered(answered),
                    _ => refuse(asking.asked, Refusal::new("58000", "a fault while asking the directory")),
                }
            } else if let Some(listing) = self.listing.take_if(|listing| listing.run == delivery.run) {
                match delivery.result {
                    Some(Done::Lists(listed)) => self.listed(&listing, *listed),
                    _ => self.list_failed(listing.is_scheduled, "a fault while asking"),
                }
            }
        }
    }

    /// Gives up threads that take too long. They may live on; their results are dropped.
    fn give_up_if_lost(&mut self) {
        if self.looking.as_ref().is_some_and(|looking| looking.leash.is_lost()) {
            self.looking = None;
            self.failed("a look has not come to an end", None);
        }
        self.give_up_list_if_lost();
        let is_lost = |asking: &mut Asking| asking.leash.is_lost();
        for lost in self.asking.extract_if(.., is_lost) {
            refuse(lost.asked, Refusal::new("58000", "the directory did not answer in time"));
        }
    }

    /// Notes that a look was not answered whole. `asked`: the pause that the service demands.
    fn failed(&mut self, problem: &str, asked: Option<entra::Millis>) {
        publish::note_failure(problem, terms::interval(), asked, jitter(self.run));
        let text = format!("looking at the directory failed: {problem}; who is known to be out stays out");
        // Numbers in the text of a library may be times, which are no news.
        if self.log_of_looks.add_ignoring_numbers(&text) {
            log(&text);
        }
    }
}

/// Answers questions with an error.
fn refuse(asked: Vec<slots::Asked>, refusal: Refusal) {
    let text = question::written(&Err(refusal));
    let answers: Vec<_> = asked.into_iter().map(|asked| (asked, text.clone())).collect();
    slots::answer(&answers);
}

fn jitter(run: u64) -> u32 {
    u32::try_from(RandomState::new().hash_one(run) % 1_000).unwrap_or_default()
}

fn log(text: &str) {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
        format!("azure_ad_auth: {text}"),
        "worker",
    )
    .report(PgLogLevel::LOG);
}
