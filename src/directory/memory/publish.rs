//! The worker's part of the memory: publishes what looks and questions have brought.

use std::time::Duration;

use entra::Millis;
use entra::directory::features::{Evidence, Feature, Features};
use entra::directory::login::{Answered, Pair};
use entra::directory::pace::Pace;

use crate::directory::memory::people::{Demand, Ended, Left, PEOPLE};
use crate::directory::memory::seen::Filter;
use crate::directory::memory::{NEWS, rosters};
use crate::pg::bytes::Bytes;
use crate::pg::latch::Latch;
use crate::pg::{clock, process};

/// Notes that the worker goes round its loop.
pub(in crate::directory) fn note_heartbeat() {
    let now = clock::unix_now();
    PEOPLE.exclusive().worker.heartbeat = now;
}

/// Registers this process as the worker, until it ends. A look that an earlier worker has left
/// running will not end.
pub(in crate::directory) fn worker_started() {
    process::before_exit(worker_ended);
    rosters::abandon();
    let (latch, pid) = (Latch::own(), std::process::id().cast_signed());
    let now = clock::monotonic();
    let mut people = PEOPLE.exclusive();
    people.worker.latch = latch;
    people.worker.pid = pid;
    people.pace.died(now);
}

/// Called when the worker ends. A look that it has left running will not end.
fn worker_ended() {
    rosters::abandon();
    let now = clock::monotonic();
    let mut people = PEOPLE.exclusive();
    people.worker.latch = Latch::NONE;
    people.worker.pid = 0;
    people.pace.died(now);
}

/// Returns what the memory belongs to; 0 if the worker has not read any settings yet.
pub(in crate::directory) fn fingerprint() -> u64 {
    PEOPLE.share().fingerprint
}

/// Takes over settings under which nothing has been learnt. Who is known to be out stays.
pub(in crate::directory) fn restart(fingerprint: u64) {
    {
        let mut people = PEOPLE.exclusive();
        people.fingerprint = fingerprint;
        people.forget_members();
        people.pace = Pace::new();
        people.features = Features::default();
        people.tally.succeeded_at = 0;
        (people.tally.checked, people.tally.seen) = (0, 0);
        (people.tally.token_ends_at, people.tally.certificate_ends_at) = (0, 0);
        people.fault = Bytes::EMPTY;
        (people.demand.held, people.demand.is_believed) = (0, false);
    }
    Filter::new().publish();
    NEWS.broadcast();
}

/// Takes over the time between two looks.
pub(in crate::directory) fn reschedule(interval: Millis) {
    let now = clock::monotonic();
    PEOPLE.exclusive().pace.reschedule(now, interval);
}

/// When a look is to be made.
#[derive(Debug, Clone, Copy)]
pub(in crate::directory) struct Schedule {
    /// One is to begin now.
    pub(in crate::directory) is_due: bool,
    /// None is due for so long, unless it is demanded.
    pub(in crate::directory) idle_for: Duration,
}

/// Returns when a look is due. `interval`: time between two looks; 0: none are scheduled.
pub(in crate::directory) fn schedule(interval: Millis) -> Schedule {
    let now = clock::monotonic();
    let pace = PEOPLE.share().pace;
    Schedule {
        is_due: pace.is_due(now, interval),
        idle_for: Duration::from_millis(pace.idle_for(now, interval)),
    }
}

/// What administrators have demanded.
#[derive(Debug, Clone, Copy)]
pub(in crate::directory) struct Demanded {
    /// A look, whatever pauses there are of this server's own.
    pub(in crate::directory) is_wanted: bool,
    /// A look, whatever pauses the service demands.
    pub(in crate::directory) insists: bool,
    /// Believing that so many are missing.
    pub(in crate::directory) is_believed: bool,
}

/// Returns what has been demanded since this was last called.
pub(in crate::directory) fn take_demands() -> Demanded {
    let mut people = PEOPLE.exclusive();
    let Demand { is_wanted, insists, is_believed, .. } = people.demand;
    (people.demand.is_wanted, people.demand.insists, people.demand.is_believed) = (false, false, false);
    Demanded { is_wanted, insists, is_believed }
}

/// Notes that the look that is being made will not end.
pub(in crate::directory) fn abandon() {
    PEOPLE.exclusive().pace.abandon();
}

/// Notes that a look begins.
pub(in crate::directory) fn begin() {
    let (now, wall) = (clock::monotonic(), clock::unix_now());
    let mut people = PEOPLE.exclusive();
    people.pace.begin(now);
    people.tally.begun += 1;
    people.tally.begun_at = wall;
}

/// How a look went.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::directory) struct Counts {
    /// The objects that it has asked about.
    pub(in crate::directory) checked: u64,
    /// Those that it has seen.
    pub(in crate::directory) seen: u64,
    /// So many are missing that nobody is put out for it; 0: there is no such doubt.
    pub(in crate::directory) held: u64,
}

/// For how many there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::directory) struct LeftOut {
    /// Principals that are out, or whose sessions were revoked.
    pub(in crate::directory) principals: usize,
    /// Memberships of open sessions.
    pub(in crate::directory) memberships: usize,
}

/// Publishes who is out, sorted by id, and which memberships have ended, sorted by pair.
pub(in crate::directory) fn publish(ended: &[Ended], left: &[Left], left_out: LeftOut) {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    {
        let mut people = PEOPLE.exclusive();
        people.replace(ended, left);
        people.tally.unpublished = count(left_out.principals);
        people.tally.unwatched = count(left_out.memberships);
    }
    NEWS.broadcast();
}

/// Notes that a look has asked about everybody. What it has brought is published. `fault`: why it
/// has not found out all that it asked more closely; empty if it has.
pub(in crate::directory) fn note_success(counts: Counts, interval: Millis, fault: &str) {
    let fault = Bytes::cut(fault);
    let (now, wall) = (clock::monotonic(), clock::unix_now());
    {
        let mut people = PEOPLE.exclusive();
        people.pace.succeeded(now, interval);
        people.tally.last_ended = people.tally.begun;
        people.tally.succeeded_at = wall;
        (people.tally.checked, people.tally.seen) = (counts.checked, counts.seen);
        people.demand.held = counts.held;
        people.fault = fault;
    }
    NEWS.broadcast();
}

/// Notes that a look was not answered whole. `asked`: the pause that the service demands.
pub(in crate::directory) fn note_failure(fault: &str, interval: Millis, asked: Option<Millis>, jitter: u32) {
    let fault = Bytes::cut(fault);
    let now = clock::monotonic();
    {
        let mut people = PEOPLE.exclusive();
        people.pace.failed(now, interval, asked, jitter);
        people.tally.last_ended = people.tally.begun;
        people.fault = fault;
    }
    NEWS.broadcast();
}

/// Notes why the directory cannot be asked; an empty text: it can.
pub(in crate::directory) fn note_fault(fault: &str) {
    let fault = Bytes::cut(fault);
    PEOPLE.exclusive().fault = fault;
}

/// Notes that the service demands a pause in answer to a question.
pub(in crate::directory) fn pause(asked: Millis) {
    let now = clock::monotonic();
    PEOPLE.exclusive().pace.pause(now, Some(asked));
}

/// Counts requests.
pub(in crate::directory) fn count_requests(sent: u64, failed: u64) {
    let mut people = PEOPLE.exclusive();
    people.tally.requests += sent;
    people.tally.failures += failed;
}

/// Notes until when the server's token and certificate last, in Unix seconds; 0: there is none.
pub(in crate::directory) fn note_ends(token: i64, certificate: i64) {
    let mut people = PEOPLE.exclusive();
    (people.tally.token_ends_at, people.tally.certificate_ends_at) = (token, certificate);
}

/// Notes what answers show about features. Returns those that have begun or ceased to work.
pub(in crate::directory) fn note_evidence(shown: &[(Feature, Evidence)]) -> Vec<Feature> {
    let now = clock::unix_now();
    let mut changed = Vec::with_capacity(shown.len());
    let mut people = PEOPLE.exclusive();
    for (feature, evidence) in shown {
        if people.features.note(*feature, *evidence, now) {
            changed.push(*feature);
        }
    }
    changed
}

/// Notes which principals are not in a group, where an answer that still counts says that they are.
pub(in crate::directory) fn correct_members(noes: &[Pair], cache: Millis) {
    let now = clock::monotonic();
    let mut people = PEOPLE.exclusive();
    for pair in noes {
        if people.is_member(*pair, now) == Some(true) {
            people.note_member(*pair, Answered::at(now, false, cache, 0));
        }
    }
}

/// Notes whether a principal is in a group.
pub(in crate::directory) fn note_member(pair: Pair, is_member: bool, cache: Millis, token_left: Millis) {
    let answered = Answered::at(clock::monotonic(), is_member, cache, token_left);
    PEOPLE.exclusive().note_member(pair, answered);
}
