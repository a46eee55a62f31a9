//! The worker's part in the synchronisation of groups: it asks for the members of the linked
//! groups, and has another worker change the roles.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use entra::Millis;
use entra::directory::request::Kind;
use pgrx::bgworkers::BackgroundWorker;

use crate::directory::graph::Graph;
use crate::directory::members::{self, Listed, Plan};
use crate::directory::memory::{people, publish, rosters};
use crate::directory::polled::{Linked, Polled};
use crate::directory::worker::threads::Leash;
use crate::directory::worker::{DirectoryWorker, Done, LONGEST_LOOK, LONGEST_SLEEP, jitter, log};
use crate::directory::{roster, terms};
use crate::pg::utility::in_recovery;
use crate::pg::{clock, worker};
use crate::report::log_once::LogOnce;
use crate::settings;

/// A run of questions about members.
pub(super) struct Listing {
    pub(super) run: u64,
    leash: Leash,
    /// It is one of the schedule: roles are to be changed after it.
    pub(super) is_scheduled: bool,
}

impl<P: Polled> DirectoryWorker<P> {
    /// Begins to ask for members, if that is due and the service demands no pause. Who waits for it
    /// is told of the pause.
    pub(super) fn list_if_due(&mut self, graph: &Arc<Graph>) {
        if self.listing.is_some() || !rosters::schedule(interval()).is_due {
            return;
        }
        match pause() {
            None => self.list(graph),
            Some(pause) if rosters::is_demanded() => {
                let text = format!("Microsoft Graph demands a pause of {} s", pause.as_secs() + 1);
                rosters::begin();
                self.list_failed(false, &text);
            }
            Some(_) => {}
        }
    }

    /// Returns how long no run is due.
    pub(super) fn until_list(&self) -> Duration {
        match self.listing {
            None => rosters::schedule(interval()).idle_for.max(pause().unwrap_or_default()),
            Some(_) => LONGEST_SLEEP,
        }
    }

    fn list(&mut self, graph: &Arc<Graph>) {
        let is_scheduled = !rosters::begin();
        let Some(tenant) = settings::tenant() else {
            return rosters::failed("the tenant is not set", interval(), jitter(self.run));
        };
        self.run += 1;
        let Linked { objects, administrators } =
            BackgroundWorker::transaction(std::panic::AssertUnwindSafe(P::linked));
        let of = |kind: Kind| {
            let found = objects.iter().filter(move |object| object.kind == Some(kind));
            found.map(|object| object.id)
        };
        let groups = of(Kind::Group).filter(|group| !administrators.contains(group)).collect();
        let by_client_id =
            of(Kind::Application).filter_map(|id| Some((self.known.memory.application_of(id)?, id)));
        let client_ids: BTreeMap<_, _> = by_client_id.collect();
        let applications: BTreeSet<_> =
            of(Kind::Application).map(|id| self.known.memory.application_of(id).unwrap_or(id)).collect();
        let applications = applications.into_iter().collect();
        let asked_at = clock::unix_now();
        let plan = Plan { tenant, run: self.run, asked_at, groups, applications, client_ids };
        let graph = Arc::clone(graph);
        let leash = Leash::new(LONGEST_LOOK);
        let limit = leash.limit();
        match self.mailbox.start(self.run, move || Done::Lists(Box::new(members::ask(&graph, &plan, limit))))
        {
            Ok(()) => self.listing = Some(Listing { run: self.run, leash, is_scheduled }),
            Err(fault) => self.list_failed(is_scheduled, &format!("it cannot be started: {fault}")),
        }
    }

    /// Takes in what has come.
    pub(super) fn listed(&mut self, listing: &Listing, listed: Listed) {
        let Listed { roster, notes } = listed;
        let (problem, pause) = (notes.problem.clone(), notes.pause);
        self.note(notes, false);
        if let Some(pause) = pause {
            publish::pause(pause);
        }
        let Some(roster) = roster else {
            let problem = problem.unwrap_or_else(|| "there was no answer".to_owned());
            return self.list_failed(listing.is_scheduled, &problem);
        };
        if let Err(fault) = roster::write(&roster) {
            return self.list_failed(listing.is_scheduled, &fault);
        }
        rosters::succeeded(interval().filter(|_| listing.is_scheduled));
        if listing.is_scheduled && interval().is_some() && !worker::start(roster::SYNC_WORKER) {
            let text = "groups cannot be synchronised: no background worker is free; max_worker_processes \
                        may be too small";
            if self.log_of_lists.add(text) {
                log(text);
            }
        } else {
            self.log_of_lists = LogOnce::default();
        }
    }

    /// Gives up a run that takes too long.
    pub(super) fn give_up_list_if_lost(&mut self) {
        if let Some(listing) = self.listing.take_if(|listing| listing.leash.is_lost()) {
            self.list_failed(listing.is_scheduled, "it has not come to an end");
        }
    }

    /// Gives up what is being asked: it was asked under other settings.
    pub(super) fn drop_list(&mut self) {
        self.listing = None;
        rosters::abandon();
    }

    pub(super) fn list_failed(&mut self, is_scheduled: bool, problem: &str) {
        rosters::failed(problem, interval().filter(|_| is_scheduled), jitter(self.run));
        let text = format!("asking for the members of groups failed: {problem}; no role was changed");
        if self.log_of_lists.add_ignoring_numbers(&text) {
            log(&text);
        }
    }
}

/// Returns how long the service does not want to be asked; none: it may be.
fn pause() -> Option<Duration> {
    let now = clock::monotonic();
    let until = people::read(|people| people.pace.paused_until(now))?;
    Some(Duration::from_millis(until.saturating_sub(now)))
}

/// Returns the time between two rounds of synchronisation; none while there are none: it is off, or
/// this is a standby.
pub(super) fn interval() -> Option<Millis> {
    (settings::group_sync() && !in_recovery()).then(terms::group_sync_interval)
}
