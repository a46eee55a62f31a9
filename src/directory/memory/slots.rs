//! The questions of statements and logins, and the worker's answers.
//!
//! A question takes a slot, or joins the one in which the same question waits for its answer. The
//! worker takes what is due, all at once, and puts the answers into the slots. Nobody has to clear
//! one: a slot is free once nobody can be waiting for its answer any more, and one with an answer
//! is free for others, the oldest first. A process whose answer was overwritten asks again.

use std::time::Instant;

use entra::Millis;

use crate::directory::memory::{NEWS, wake_worker};
use crate::pg::bytes::Bytes;
use crate::pg::clock;
use crate::pg::shmem::{Locked, shareable};

/// Number of questions at a time.
pub(in crate::directory) const COUNT: usize = 32;

/// Number of questions of statements for which logins leave room.
const OF_STATEMENTS: usize = 8;

/// What questions are about. Those of either are asked together, and hold up none of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::directory) enum Lane {
    /// Memberships: logins ask.
    Memberships,
    /// Names and ids: statements ask.
    Names,
}

impl Lane {
    /// Both.
    pub(in crate::directory) const ALL: [Self; 2] = [Self::Memberships, Self::Names];

    /// Returns how many questions may wait when another one comes.
    const fn room(self, slots: usize) -> usize {
        match self {
            Self::Memberships => slots.saturating_sub(OF_STATEMENTS),
            Self::Names => slots,
        }
    }
}

/// Longest question: a name of 256 characters, and what is asked about it.
pub(in crate::directory) const MAX_QUESTION_BYTES: usize = 1_072;

/// Longest answer.
pub(in crate::directory) const MAX_ANSWER_BYTES: usize = 2_400;

/// A question as it is kept.
pub(in crate::directory) type Question = Bytes<MAX_QUESTION_BYTES>;

/// What the slots take.
pub(super) const BYTES: usize = COUNT * size_of::<Slot>();

/// Room for a question and its answer.
#[derive(Clone, Copy)]
pub(in crate::directory) struct Slot {
    /// The number of the question; 0: the slot was never used.
    number: u64,
    /// It is about a membership, otherwise about a name or an id.
    is_membership: bool,
    /// The worker is asking.
    is_taken: bool,
    is_answered: bool,
    question: Bytes<MAX_QUESTION_BYTES>,
    answer: Bytes<MAX_ANSWER_BYTES>,
    /// The directory has been asked so often.
    tries: u32,
    /// It is not asked before this time.
    due_at: Millis,
    /// From this time on nobody waits.
    ends_at: Millis,
    /// What is left of the life of the token that it is asked for; the most, if there are several.
    token_left: Millis,
    /// When the answer came.
    answered_at: Millis,
}
shareable!(Slot {
    number,
    is_membership,
    is_taken,
    is_answered,
    question,
    answer,
    tries,
    due_at,
    ends_at,
    token_left,
    answered_at,
});

impl Slot {
    const EMPTY: Self = Self {
        number: 0,
        is_membership: false,
        is_taken: false,
        is_answered: false,
        question: Bytes::EMPTY,
        answer: Bytes::EMPTY,
        tries: 0,
        due_at: 0,
        ends_at: 0,
        token_left: 0,
        answered_at: 0,
    };

    /// Returns whether the answer is waited for.
    const fn is_open(&self, now: Millis) -> bool {
        self.number > 0 && !self.is_answered && now < self.ends_at
    }

    fn is_waiting(&self, lane: Lane, now: Millis) -> bool {
        self.is_open(now) && !self.is_taken && self.is_membership == (lane == Lane::Memberships)
    }
}

/// The number of the last question.
pub(super) struct Last {
    number: u64,
}
shareable!(Last { number });

pub(super) static SLOTS: Locked<Last, Slot> =
    Locked::with_slots(c"azure_ad_auth_directory_questions", || Last { number: 0 }, || COUNT, || Slot::EMPTY);

/// A question, for the process that has asked it.
#[derive(Debug, Clone, Copy)]
pub(in crate::directory) struct Ticket {
    place: usize,
    number: u64,
}

/// What has become of a question.
pub(in crate::directory) enum Outcome {
    /// The worker has not answered yet.
    Open,
    /// This is the answer.
    Answered(String),
    /// Another question has taken its place.
    Lost,
}

/// Puts a question about a membership, or joins the same one. Returns none if it is too long, or
/// there is no room.
pub(in crate::directory) fn put(question: &str, wait: Millis, token_left: Millis) -> Option<Ticket> {
    put_into(Lane::Memberships, &[Bytes::new(question.as_bytes())?], wait, token_left).pop()
}

/// Puts several questions about names and ids at once, so that the worker asks them together.
/// Returns the tickets of the first of them: of as many as have found room.
pub(in crate::directory) fn put_all(questions: &[Question], wait: Millis) -> Vec<Ticket> {
    put_into(Lane::Names, questions, wait, Millis::MAX)
}

fn put_into(lane: Lane, questions: &[Question], wait: Millis, token_left: Millis) -> Vec<Ticket> {
    let now = clock::monotonic();
    let ends_at = now.saturating_add(wait);
    let mut tickets = Vec::with_capacity(questions.len().min(COUNT));
    {
        let mut slots = SLOTS.exclusive();
        let (last, slots) = slots.parts();
        for question in questions.iter().take(COUNT) {
            let Some(ticket) = place(last, slots, lane, question, (now, ends_at), token_left) else { break };
            tickets.push(ticket);
        }
    }
    if !tickets.is_empty() {
        wake_worker();
    }
    tickets
}

fn place(
    last: &mut Last,
    slots: &mut [Slot],
    lane: Lane,
    question: &Bytes<MAX_QUESTION_BYTES>,
    (now, ends_at): (Millis, Millis),
    token_left: Millis,
) -> Option<Ticket> {
    let same = |slot: &Slot| slot.is_open(now) && slot.question.get() == question.get();
    if let Some((place, slot)) = slots.iter_mut().enumerate().find(|(_, slot)| same(slot)) {
        slot.ends_at = slot.ends_at.max(ends_at);
        slot.token_left = slot.token_left.max(token_left);
        return Some(Ticket { place, number: slot.number });
    }
    if slots.iter().filter(|slot| slot.is_open(now)).count() >= lane.room(slots.len()) {
        return None;
    }
    // Slots that were never used, or that nobody waits for, have been answered at time 0.
    let free = |slot: &Slot| if slot.is_answered { slot.answered_at } else { 0 };
    let found = slots.iter_mut().enumerate().filter(|(_, slot)| !slot.is_open(now));
    let (place, slot) = found.min_by_key(|(_, slot)| free(slot))?;
    last.number += 1;
    *slot = Slot {
        number: last.number,
        is_membership: lane == Lane::Memberships,
        question: *question,
        due_at: now,
        ends_at,
        token_left,
        ..Slot::EMPTY
    };
    Some(Ticket { place, number: last.number })
}

/// Returns what has become of a question.
pub(in crate::directory) fn outcome(ticket: Ticket) -> Outcome {
    let slot = SLOTS.share().slots().get(ticket.place).copied();
    match slot.filter(|slot| slot.number == ticket.number) {
        None => Outcome::Lost,
        Some(slot) if slot.is_answered => Outcome::Answered(slot.answer.text()),
        Some(_) => Outcome::Open,
    }
}

/// Waits until none of these questions is open. Returns false if the deadline has passed before.
pub(in crate::directory) fn await_answers(tickets: &[Ticket], deadline: Instant) -> bool {
    NEWS.wait_until(deadline, || {
        let slots = SLOTS.share();
        let is_open = |ticket: &Ticket| {
            let slot = slots.slots().get(ticket.place);
            slot.is_some_and(|slot| slot.number == ticket.number && !slot.is_answered)
        };
        !tickets.iter().any(is_open)
    })
}

/// A question, for the worker.
#[derive(Debug, Clone)]
pub(in crate::directory) struct Asked {
    ticket: Ticket,
    pub(in crate::directory) question: String,
    pub(in crate::directory) tries: u32,
    pub(in crate::directory) token_left: Millis,
    /// What is left of the wait.
    pub(in crate::directory) left: Millis,
}

/// Takes all questions of a lane that are due.
pub(in crate::directory) fn take_due(lane: Lane) -> Vec<Asked> {
    let now = clock::monotonic();
    let mut taken: Vec<(usize, Slot)> = Vec::with_capacity(COUNT);
    {
        let mut slots = SLOTS.exclusive();
        let (_, slots) = slots.parts();
        let is_due = |slot: &Slot| slot.is_waiting(lane, now) && now >= slot.due_at;
        for (place, slot) in slots.iter_mut().enumerate().filter(|(_, slot)| is_due(slot)).take(COUNT) {
            slot.is_taken = true;
            slot.tries += 1;
            taken.push((place, *slot));
        }
    }
    let asked = taken.into_iter().map(|(place, slot)| Asked {
        ticket: Ticket { place, number: slot.number },
        question: slot.question.text(),
        tries: slot.tries,
        token_left: slot.token_left,
        left: slot.ends_at.saturating_sub(now),
    });
    asked.collect()
}

/// Returns the time until a question of a lane is due, 0 if one is now; none: there is none.
pub(in crate::directory) fn next_due(lane: Lane) -> Option<Millis> {
    let now = clock::monotonic();
    let slots = SLOTS.share();
    let waiting = slots.slots().iter().filter(|slot| slot.is_waiting(lane, now));
    waiting.map(|slot| slot.due_at.saturating_sub(now)).min()
}

/// Gives answers. One to a question that is no longer there is dropped, and one that is too long is
/// cut: it is no answer then.
pub(in crate::directory) fn answer(answers: &[(Asked, String)]) {
    let now = clock::monotonic();
    let answers: Vec<_> = answers.iter().map(|(asked, text)| (asked.ticket, Bytes::cut(text))).collect();
    {
        let mut slots = SLOTS.exclusive();
        let (_, slots) = slots.parts();
        for (ticket, answer) in answers {
            if let Some(slot) = slots.get_mut(ticket.place).filter(|slot| slot.number == ticket.number) {
                (slot.is_answered, slot.answered_at, slot.answer) = (true, now, answer);
            }
        }
    }
    NEWS.broadcast();
}

/// Puts a question back that is to be asked again after a while.
pub(in crate::directory) fn postpone(asked: &Asked, wait: Millis) {
    let now = clock::monotonic();
    let mut slots = SLOTS.exclusive();
    let (_, slots) = slots.parts();
    if let Some(slot) = slots.get_mut(asked.ticket.place).filter(|slot| slot.number == asked.ticket.number) {
        (slot.is_taken, slot.due_at) = (false, now.saturating_add(wait));
    }
}

/// Has questions asked again that an earlier worker has taken and not answered.
pub(in crate::directory) fn release() {
    let mut slots = SLOTS.exclusive();
    let (_, slots) = slots.parts();
    for slot in slots {
        slot.is_taken = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(last: &mut Last, slots: &mut [Slot], question: &str, now: Millis) -> Option<Ticket> {
        let question = Bytes::new(question.as_bytes()).expect("a short question");
        place(last, slots, Lane::Names, &question, (now, now + 10), 1_000 - now)
    }

    #[test]
    fn the_same_question_is_asked_once_while_it_waits() {
        let (mut last, mut slots) = (Last { number: 0 }, vec![Slot::EMPTY; 2]);
        let first = put(&mut last, &mut slots, "who", 1).expect("a slot");
        let second = put(&mut last, &mut slots, "who", 5).expect("a slot");
        assert_eq!((first.place, first.number), (second.place, second.number));
        assert_eq!((slots[0].ends_at, slots[0].token_left), (15, 999));
        slots[0].is_answered = true;
        slots[0].answered_at = 6;
        // An answer that came before it was asked is not taken for a new one.
        let third = put(&mut last, &mut slots, "who", 7).expect("a slot");
        assert_eq!((third.place, third.number), (1, 2));
    }

    #[test]
    fn slots_are_free_when_they_are_answered_or_nobody_waits() {
        let (mut last, mut slots) = (Last { number: 0 }, vec![Slot::EMPTY; 2]);
        put(&mut last, &mut slots, "one", 1).expect("a slot");
        put(&mut last, &mut slots, "two", 2).expect("a slot");
        assert!(put(&mut last, &mut slots, "three", 3).is_none(), "all are taken");
        slots[1].is_answered = true;
        slots[1].answered_at = 4;
        assert_eq!(put(&mut last, &mut slots, "three", 5).map(|ticket| ticket.place), Some(1));
        // Nobody waits for the first any more.
        assert_eq!(put(&mut last, &mut slots, "four", 11).map(|ticket| ticket.place), Some(0));
    }

    #[test]
    fn logins_leave_room_for_statements() {
        let (mut last, mut slots) = (Last { number: 0 }, vec![Slot::EMPTY; COUNT]);
        let mut put = |lane, text: String| {
            let question = Bytes::new(text.as_bytes()).expect("a short question");
            place(&mut last, &mut slots, lane, &question, (1, 10), 0).is_some()
        };
        let logins = (0..COUNT).filter(|number| put(Lane::Memberships, format!("member {number}"))).count();
        assert_eq!(logins, COUNT - OF_STATEMENTS);
        assert!(put(Lane::Memberships, "member 0".to_owned()), "the same question");
        let statements = (0..COUNT).filter(|number| put(Lane::Names, format!("name {number}"))).count();
        assert_eq!(statements, OF_STATEMENTS);
    }
}
