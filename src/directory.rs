//! The tenant's directory (Microsoft Graph): asked by a background worker, for statements, for
//! logins, and for the states of all linked objects. What is learnt is kept in shared memory.

mod answers;
mod ask;
mod batch;
mod credential;
mod graph;
mod look;
mod members;
mod memory;
mod polled;
mod question;
mod refusals;
pub(crate) mod roster;
mod snapshot;
mod sql;
mod terms;
#[cfg(test)]
mod tests;
mod token;
mod watch;
mod worker;

use std::time::Duration;

use entra::directory::features::{Availability, Feature};
use entra::directory::login::{Knowledge, Pair, membership_ended};
use entra::directory::pace::State;
use entra::directory::request::Kind;
use entra::{Millis, TokenKind, Uuid};

pub(crate) use crate::directory::memory::init_shared_memory;
pub(crate) use crate::directory::polled::{Linked, OpenSession, Polled};
pub(crate) use crate::directory::question::Found;
pub(crate) use crate::directory::worker::worker;

use crate::directory::memory::{people, seen};
use crate::pg::clock;
use crate::pg::error::Result;

/// What a statement asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// Which object a name means. `kind`: the only type that it may have.
    Name { text: String, kind: Option<Kind> },
    /// Whether there is an object of this id, and what it is.
    Id { id: Uuid, kind: Option<Kind> },
}

/// An object that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) id: Uuid,
    pub(crate) kind: Kind,
    /// The name by which the directory knows it.
    pub(crate) name: String,
    /// A sentence about it for the client.
    pub(crate) notice: String,
}

/// Returns whether the setting `directory` names a credential, and this process can ask the worker.
pub(crate) fn is_on() -> bool {
    terms::is_on() && people::is_there()
}

/// Asks the directory which objects these are, all in one batch, and waits for the answers up to
/// `directory_wait`. Interrupts are served meanwhile. Called before locks are taken and anything is
/// written.
///
/// # Errors
/// One of them is no object, or there is no answer, with SQLSTATE, detail and hint.
pub(crate) fn resolve(questions: &[Question]) -> Result<Vec<Resolved>> {
    ask::resolve(questions)
}

/// Asks the directory for everything that a text could mean. `kind`: the only type of interest.
///
/// # Errors
/// Nothing can have such a name, or there is no answer.
pub(crate) fn lookup(text: &str, kind: Option<Kind>) -> Result<Vec<Found>> {
    ask::lookup(text, kind)
}

/// Returns what is known when a token is shown. Reads shared memory only: no catalog, no file, no
/// network.
pub(crate) fn knowledge(person: Uuid, group: Option<Uuid>) -> Knowledge {
    if is_on() {
        people::await_worker();
    }
    let knowledge = knowledge_now(person, group);
    if knowledge.is_member.is_some() {
        ask::count_hit();
    }
    knowledge
}

/// Reads what [`knowledge`] reads, and waits for nothing.
fn knowledge_now(person: Uuid, group: Option<Uuid>) -> Knowledge {
    let is_on = is_on();
    let mut knowledge = Knowledge {
        is_on,
        may_ask: false,
        lookup: terms::group_lookup(),
        known: None,
        membership_ended: None,
        is_member: None,
    };
    if !is_on {
        return knowledge;
    }
    let is_usable = terms::problem().is_none();
    let (now, fingerprint) = (clock::monotonic(), terms::fingerprint());
    people::read(|people| {
        knowledge.may_ask = is_usable && people.pace.may_ask(now);
        knowledge.known = people.known(person);
        if let Some(group) = group {
            let pair = Pair { person, group };
            knowledge.membership_ended = membership_ended(people.left_at(pair), people.known(group));
            // An answer of another tenant or credential says nothing.
            knowledge.is_member =
                people.is_member(pair, now).filter(|_| people.fingerprint == fingerprint && is_usable);
        }
    });
    knowledge
}

/// Reads what a login will read, and drops it: a process that has just begun pays for code and
/// memory when it first uses them.
pub(crate) fn rehearse() {
    let _ = std::hint::black_box(knowledge_now(Uuid::nil(), Some(Uuid::nil())));
}

/// Asks whether somebody is in a group and waits up to `group_lookup_wait`; the answer is in
/// [`knowledge`] afterwards. However many ask, it is one question. `token_left`: what is left of
/// the life of the token that was shown.
pub(crate) fn ask_membership(pair: Pair, kind: TokenKind, token_left: Millis) {
    ask::membership(pair, kind, token_left);
}

/// Returns the state of a linked object for the view `principals`: active, disabled, deleted or
/// unknown, and when that was seen, in Unix seconds.
pub(crate) fn state_of(id: Uuid) -> (&'static str, Option<i64>) {
    if !is_on() {
        return ("unknown", None);
    }
    let (known, looked_at) = people::read(|people| (people.known(id), people.tally.succeeded_at));
    let looked_at = (looked_at > 0).then_some(looked_at);
    match known {
        Some(known) => (known.standing.as_str(), looked_at.or(known.out_since)),
        None if seen::has(id) => ("active", looked_at),
        None => ("unknown", None),
    }
}

/// How asking the directory goes. Times are Unix seconds.
pub(crate) struct Status {
    /// How the server proves who it is: the value of the setting `directory`.
    pub(crate) mode: &'static str,
    pub(crate) state: State,
    /// When the last look at everybody succeeded.
    pub(crate) last_success: Option<i64>,
    /// When the last one began.
    pub(crate) last_attempt: Option<i64>,
    /// The last fault; none after a success.
    pub(crate) last_error: Option<String>,
    /// When the next look is due; none while one is running, and if none is scheduled.
    pub(crate) next_attempt: Option<i64>,
    /// When the server's own token ends.
    pub(crate) token_expires_at: Option<i64>,
    /// When the server's certificate ends.
    pub(crate) certificate_expires_at: Option<i64>,
    /// Objects that the last look has asked about.
    pub(crate) checked: u64,
    /// Principals that are known to be disabled or deleted, and memberships that are known to have
    /// ended.
    pub(crate) ended: u64,
    /// Requests since the server started.
    pub(crate) requests: u64,
    /// Those of them that were not answered.
    pub(crate) failures: u64,
    /// Until when the service does not want to be asked, if that lies ahead.
    pub(crate) throttled_until: Option<i64>,
    /// The worker, while there is one.
    pub(crate) worker_pid: Option<i32>,
    /// When a worker last went round its loop.
    pub(crate) heartbeat: Option<i64>,
    /// So many objects are missing at once that nobody is put out for it.
    pub(crate) held: Option<u64>,
    /// So many principals are out and can log in, because there is no room for them.
    pub(crate) unpublished: u64,
    /// The end of so many memberships of open sessions is not noticed, because there is no room.
    pub(crate) unwatched: u64,
}

/// Returns how asking the directory goes.
pub(crate) fn status() -> Status {
    let is_on = is_on();
    let (now, wall, interval) = (clock::monotonic(), clock::unix_now(), terms::interval());
    let at = |seconds: i64| (seconds > 0).then_some(seconds);
    let after = |wait: Millis| {
        let seconds = i64::try_from(wait.div_ceil(1_000)).unwrap_or(i64::MAX);
        wall.saturating_add(seconds)
    };
    let mut fault = None;
    let problem = if is_on { terms::problem() } else { None };
    let mut status = people::read(|people| {
        let idle_for = people.pace.idle_for(now, interval);
        fault = (!people.fault.is_empty()).then_some(people.fault);
        Status {
            mode: terms::mode(),
            state: people.pace.state(is_on, now, interval),
            last_success: at(people.tally.succeeded_at),
            last_attempt: at(people.tally.begun_at),
            last_error: None,
            next_attempt: (is_on && idle_for < Millis::MAX).then(|| after(idle_for)),
            token_expires_at: at(people.tally.token_ends_at),
            certificate_expires_at: at(people.tally.certificate_ends_at),
            checked: people.tally.checked,
            ended: u64::try_from(people.count_out()).unwrap_or(u64::MAX),
            requests: people.tally.requests,
            failures: people.tally.failures,
            throttled_until: people.pace.paused_until(now).map(|until| after(until.saturating_sub(now))),
            worker_pid: (people.worker.pid != 0).then_some(people.worker.pid),
            heartbeat: at(people.worker.heartbeat),
            held: (people.demand.held > 0).then_some(people.demand.held),
            unpublished: people.tally.unpublished,
            unwatched: people.tally.unwatched,
        }
    });
    status.last_error = problem.or_else(|| fault.filter(|_| is_on).map(|fault| fault.text()));
    status
}

/// A feature, and whether it works.
pub(crate) struct FeatureRow {
    pub(crate) feature: Feature,
    pub(crate) availability: Availability,
}

/// Returns every feature, and what is known about it.
pub(crate) fn features() -> Vec<FeatureRow> {
    let is_on = is_on();
    let features = people::read(|people| people.features);
    let row = |feature| {
        let availability = if is_on { features.get(feature) } else { Availability::default() };
        FeatureRow { feature, availability }
    };
    Feature::ALL.into_iter().map(row).collect()
}

/// Waits until the worker has taken over who is known to be out, if it has just started.
pub(crate) fn await_start() {
    if is_on() {
        people::await_worker();
    }
}

/// The file that keeps who is known to be out for the next start, in the data directory.
pub(crate) use crate::directory::snapshot::FILE as SNAPSHOT;

/// Returns whether that file can be read, or is not needed because nobody is known to be out.
///
/// # Errors
/// The fault, in words.
pub(crate) fn kept() -> std::result::Result<(), String> {
    // A principal that has been out for long has no valid token any more, and is not kept.
    let now = clock::unix_now();
    let is_needed = people::read(|people| {
        !people.left().is_empty() || people.ended().iter().any(|entry| entry.known().matters(now))
    });
    match snapshot::read()? {
        None if is_needed => Err("there is no such file".to_owned()),
        None | Some(_) => Ok(()),
    }
}

/// Has the worker look at everybody now and waits for it, up to `patience`. Returns how many
/// objects it has seen.
///
/// # Errors
/// There was no look.
fn refresh(patience: Duration) -> Result<u64, memory::refresh::NoLook> {
    memory::refresh::refresh(std::time::Instant::now() + patience)
}
