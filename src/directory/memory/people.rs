//! What is known about people and applications, and how asking goes: layout and reading.

use std::cell::Cell;
use std::time::{Duration, Instant};

use entra::directory::features::Features;
use entra::directory::login::{Answered, Pair};
use entra::directory::pace::Pace;
use entra::directory::standing::{Known, Standing};
use entra::{Millis, Uuid, limits};

use crate::directory::memory::NEWS;
use crate::pg::bytes::Bytes;
use crate::pg::latch::Latch;
use crate::pg::process;
use crate::pg::shmem::{Locked, shareable};

/// Time within which a worker starts.
const START: Duration = Duration::from_secs(3);

/// Longest text about what went wrong.
pub(super) const MAX_FAULT_BYTES: usize = 512;

/// Most memberships that are known to have ended.
pub(in crate::directory) const MAX_LEFT: usize = 2_048;

/// Answers about memberships are kept in sets of so many.
const WAYS: usize = 8;

/// Number of these sets: with their ways, 2,048 answers.
const SETS: usize = 256;

/// A principal that is known to be out, or whose sessions were revoked. There are thousands, so
/// that each is kept small.
#[derive(Clone, Copy)]
pub(in crate::directory) struct Ended {
    pub(in crate::directory) id: Uuid,
    /// The place of its standing in the list of all.
    standing: u32,
    /// Unix seconds, which fit until 2106; 0: none.
    out_since: u32,
    revoked_at: u32,
}
shareable!(Ended { id, standing, out_since, revoked_at });

impl Ended {
    const NONE: Self = Self { id: Uuid::nil(), standing: 0, out_since: 0, revoked_at: 0 };

    pub(in crate::directory) fn new(id: Uuid, known: Known) -> Self {
        let standing = Standing::ALL.iter().position(|standing| *standing == known.standing);
        let seconds =
            |time: Option<i64>| time.map_or(0, |time| u32::try_from(time.max(1)).unwrap_or(u32::MAX));
        Self {
            id,
            standing: standing.and_then(|place| u32::try_from(place).ok()).unwrap_or_default(),
            out_since: seconds(known.out_since),
            revoked_at: seconds(known.revoked_at),
        }
    }

    pub(in crate::directory) fn known(&self) -> Known {
        let standing = usize::try_from(self.standing).ok().and_then(|place| Standing::ALL.get(place));
        let time = |seconds: u32| (seconds > 0).then(|| i64::from(seconds));
        Known {
            standing: standing.copied().unwrap_or_default(),
            out_since: time(self.out_since),
            revoked_at: time(self.revoked_at),
        }
    }
}

/// A membership that has ended.
#[derive(Clone, Copy)]
pub(in crate::directory) struct Left {
    pub(in crate::directory) pair: Pair,
    /// When that was seen, Unix seconds.
    pub(in crate::directory) ended_at: i64,
}
shareable!(Left { pair, ended_at });

/// An answer to the question whether a principal is in a group.
#[derive(Clone, Copy)]
struct Answer {
    pair: Pair,
    answered: Answered,
}
shareable!(Answer { pair, answered });

const NOBODY: Pair = Pair { person: Uuid::nil(), group: Uuid::nil() };

impl Answer {
    const NONE: Self = Self { pair: NOBODY, answered: Answered { is_member: false, until: 0 } };
}

/// Everything but the filter of active ids and the questions.
///
/// What every login reads comes first, so that it lies in few pages: a process that has just begun
/// pays for each page that it touches. The long lists come last, and a login touches them only if
/// there is something in them.
#[repr(C)]
pub(in crate::directory) struct People {
    /// Identifies the credential, tenant, cloud and addresses that all this was learnt under; 0
    /// before the worker has read any.
    pub(in crate::directory) fingerprint: u64,
    pub(in crate::directory) pace: Pace,
    ended_count: usize,
    left_count: usize,
    pub(in crate::directory) features: Features,
    pub(in crate::directory) tally: Tally,
    /// The last fault; empty after a look that was answered in all its parts.
    pub(in crate::directory) fault: Bytes<MAX_FAULT_BYTES>,
    pub(in crate::directory) demand: Demand,
    pub(in crate::directory) worker: Presence,
    answers: [[Answer; WAYS]; SETS],
    ended: [Ended; limits::MAX_ENDED],
    left: [Left; MAX_LEFT],
}
shareable!(People {
    fingerprint,
    ended,
    ended_count,
    left,
    left_count,
    answers,
    pace,
    features,
    tally,
    fault,
    demand,
    worker,
});

/// Events since the server started. Times are Unix seconds; 0 stands for never.
#[derive(Clone, Copy, Default)]
pub(in crate::directory) struct Tally {
    /// Looks that were begun. The last of them may be running, or may have been given up.
    pub(in crate::directory) begun: u64,
    /// The number, among those begun, of the last that has ended.
    pub(in crate::directory) last_ended: u64,
    /// When the last look began.
    pub(in crate::directory) begun_at: i64,
    /// When the last look succeeded.
    pub(in crate::directory) succeeded_at: i64,
    /// The objects that the last look has asked about.
    pub(in crate::directory) checked: u64,
    /// The objects that it has seen.
    pub(in crate::directory) seen: u64,
    /// Principals that are out and have found no room.
    pub(in crate::directory) unpublished: u64,
    /// Memberships of open sessions that have found no room.
    pub(in crate::directory) unwatched: u64,
    /// Requests that were sent.
    pub(in crate::directory) requests: u64,
    /// Those of them that were not answered.
    pub(in crate::directory) failures: u64,
    /// When the server's token ends.
    pub(in crate::directory) token_ends_at: i64,
    /// When the server's certificate ends.
    pub(in crate::directory) certificate_ends_at: i64,
}
shareable!(Tally {
    begun,
    last_ended,
    begun_at,
    succeeded_at,
    checked,
    seen,
    unpublished,
    unwatched,
    requests,
    failures,
    token_ends_at,
    certificate_ends_at,
});

/// What administrators have demanded that the worker has not seen to yet.
#[derive(Clone, Copy)]
pub(in crate::directory) struct Demand {
    /// A look: pauses of this server's own do not count.
    pub(in crate::directory) is_wanted: bool,
    /// It is the second within a minute: pauses that the service demands do not count either.
    pub(in crate::directory) insists: bool,
    /// Believing that as many are missing as the last look said.
    pub(in crate::directory) is_believed: bool,
    /// When a look was last demanded, by the clock that never goes back; 0 if it never was.
    pub(in crate::directory) at: Millis,
    /// So many are missing that nobody is put out for it; 0: there is no such doubt.
    pub(in crate::directory) held: u64,
    /// The same, when a look was last demanded.
    pub(in crate::directory) held_then: u64,
}
shareable!(Demand { is_wanted, insists, is_believed, at, held, held_then });

/// The worker, as other processes see it.
#[derive(Clone, Copy)]
pub(in crate::directory) struct Presence {
    /// None while there is no worker.
    pub(in crate::directory) latch: Latch,
    /// 0 while there is no worker.
    pub(in crate::directory) pid: i32,
    /// When a worker last went round its loop, Unix seconds; 0 if none ever did.
    pub(in crate::directory) heartbeat: i64,
}
shareable!(Presence { latch, pid, heartbeat });

impl People {
    #[expect(clippy::large_stack_arrays, reason = "made once, at server start, and moved to shared memory")]
    fn new() -> Self {
        Self {
            fingerprint: 0,
            ended: [Ended::NONE; limits::MAX_ENDED],
            ended_count: 0,
            left: [Left { pair: NOBODY, ended_at: 0 }; MAX_LEFT],
            left_count: 0,
            answers: [[Answer::NONE; WAYS]; SETS],
            pace: Pace::new(),
            features: Features::default(),
            tally: Tally::default(),
            fault: Bytes::EMPTY,
            demand: Demand {
                is_wanted: false,
                insists: false,
                is_believed: false,
                at: 0,
                held: 0,
                held_then: 0,
            },
            worker: Presence { latch: Latch::NONE, pid: 0, heartbeat: 0 },
        }
    }

    /// Returns the principals that are out, by id.
    pub(in crate::directory) fn ended(&self) -> &[Ended] {
        self.ended.get(..self.ended_count).unwrap_or_default()
    }

    /// Returns the memberships that have ended, by person and group.
    pub(in crate::directory) fn left(&self) -> &[Left] {
        self.left.get(..self.left_count).unwrap_or_default()
    }

    /// Returns how many principals are out and how many memberships have ended. Those whose
    /// sessions began anew do not count: every recent account is one of them.
    pub(in crate::directory) fn count_out(&self) -> usize {
        let out = self.ended().iter().filter(|entry| entry.known().standing.is_out());
        out.count() + self.left_count
    }

    /// Replaces them. Both are sorted; what does not fit is left out.
    pub(super) fn replace(&mut self, ended: &[Ended], left: &[Left]) {
        self.ended.iter_mut().zip(ended).for_each(|(place, entry)| *place = *entry);
        self.ended_count = ended.len().min(limits::MAX_ENDED);
        self.left.iter_mut().zip(left).for_each(|(place, entry)| *place = *entry);
        self.left_count = left.len().min(MAX_LEFT);
    }

    /// Returns what is known about a principal that is out.
    pub(in crate::directory) fn known(&self, id: Uuid) -> Option<Known> {
        let ended = self.ended();
        ended.binary_search_by_key(&id, |entry| entry.id).ok().and_then(|n| ended.get(n)).map(Ended::known)
    }

    /// Returns when a membership was seen to have ended.
    pub(in crate::directory) fn left_at(&self, pair: Pair) -> Option<i64> {
        let left = self.left();
        left.binary_search_by_key(&pair, |entry| entry.pair)
            .ok()
            .and_then(|n| left.get(n))
            .map(|e| e.ended_at)
    }

    /// Returns the answer to the question whether a principal is in a group, if it still counts.
    pub(in crate::directory) fn is_member(&self, pair: Pair, now: Millis) -> Option<bool> {
        let mut set = self.answers.get(set_of(pair))?.iter();
        set.find(|answer| answer.pair == pair).and_then(|answer| answer.answered.counts(now))
    }

    /// Notes an answer, in the place of the same pair's last one, or of the one that ends first.
    pub(super) fn note_member(&mut self, pair: Pair, answered: Answered) {
        let Some(set) = self.answers.get_mut(set_of(pair)) else { return };
        let first_to_end = |answer: &&mut Answer| (answer.pair != pair, answer.answered.until);
        if let Some(place) = set.iter_mut().min_by_key(first_to_end) {
            *place = Answer { pair, answered };
        }
    }

    /// Forgets all answers about memberships.
    pub(super) fn forget_members(&mut self) {
        self.answers.iter_mut().flatten().for_each(|answer| *answer = Answer::NONE);
    }
}

/// Returns the set that a pair belongs to. Ids are random.
fn set_of(pair: Pair) -> usize {
    let (person, group) = (pair.person.as_u128(), pair.group.as_u128());
    let mixed = (person ^ person >> 64 ^ group.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    usize::try_from(mixed >> 40 & 0xFFFF).unwrap_or_default() % SETS
}

pub(super) static PEOPLE: Locked<People> = Locked::new(c"azure_ad_auth_directory", People::new);

/// Returns whether this process has the memory.
pub(in crate::directory) fn is_there() -> bool {
    PEOPLE.is_there()
}

thread_local! {
    /// This process has waited for the worker to start. Never set in the postmaster.
    static HAS_AWAITED: Cell<bool> = const { Cell::new(false) };
}

/// Has a client's process wait, once, until the worker has taken over who is known to be out, after
/// a start of the server or after the directory was switched on: a moment, and no longer than
/// [`START`]. Other processes do not wait: the one that ends sessions has more to do.
pub(in crate::directory) fn await_worker() {
    let is_ready = || PEOPLE.share().fingerprint != 0;
    if !is_ready() && process::has_client() && !HAS_AWAITED.replace(true) {
        NEWS.wait_until(Instant::now() + START, is_ready);
    }
}

/// Reads it, under the shared lock. `read` allocates nothing and raises nothing.
pub(in crate::directory) fn read<T>(read: impl FnOnce(&People) -> T) -> T {
    read(&PEOPLE.share())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(number: u128) -> Pair {
        Pair { person: Uuid::from_u128(number * 7_919), group: Uuid::from_u128(number) }
    }

    #[test]
    fn an_answer_is_found_until_it_ends_and_the_oldest_makes_room() {
        let mut people = Box::new(People::new());
        assert_eq!(people.is_member(pair(1), 0), None);
        people.note_member(pair(1), Answered { is_member: true, until: 100 });
        assert_eq!((people.is_member(pair(1), 99), people.is_member(pair(1), 100)), (Some(true), None));
        people.note_member(pair(1), Answered { is_member: false, until: 300 });
        assert_eq!(people.is_member(pair(1), 99), Some(false));
        for number in 2..20_000 {
            people.note_member(pair(number), Answered { is_member: true, until: 1_000 + 1 });
        }
        let kept = (1..20_000).filter(|number| people.is_member(pair(*number), 200).is_some()).count();
        assert!((1_900..=WAYS * SETS).contains(&kept), "{kept} are kept");
        people.forget_members();
        assert!((1..20_000).all(|number| people.is_member(pair(number), 0).is_none()));
    }

    #[test]
    fn who_is_out_is_found_by_id() {
        let mut people = Box::new(People::new());
        let known = Known { out_since: Some(7), ..Known::default() };
        let ended: Vec<_> = (0..5_000).map(|n| Ended::new(Uuid::from_u128(n * 2), known)).collect();
        people.replace(&ended, &[Left { pair: pair(3), ended_at: 9 }]);
        assert_eq!(people.ended().len(), limits::MAX_ENDED);
        assert_eq!(people.known(Uuid::from_u128(4_000)), Some(known));
        assert_eq!(people.known(Uuid::from_u128(4_001)), None);
        assert_eq!((people.left_at(pair(3)), people.left_at(pair(4))), (Some(9), None));
    }
}
