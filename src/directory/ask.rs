//! How a statement or a login asks the directory: it puts its questions into shared memory, wakes
//! the worker, and waits for the answers.

use std::cell::Cell;
use std::time::{Duration, Instant};

use entra::directory::login::Pair;
use entra::directory::name::word;
use entra::directory::request::{Kind, NameFault};
use entra::{Millis, TokenKind};
use pgrx::prelude::*;

use crate::directory::memory::slots::{self, Outcome, Ticket};
use crate::directory::question::{self, Asking, Found};
use crate::directory::{Question, Resolved, is_on, terms};
use crate::pg::error::{Fault, Result, notice};
use crate::pg::{interrupts, process};
use crate::stat::{self, Waiting};

/// Most questions of one statement that wait at a time, so that others find room.
const MAX_AT_ONCE: usize = slots::COUNT / 2;

thread_local! {
    /// The login of this process has waited for an answer, or found one. Never set in the
    /// postmaster.
    static HAS_WAITED: Cell<bool> = const { Cell::new(false) };
}

/// Asks which objects these are.
///
/// # Errors
/// One of them is no object, or there is no answer.
pub(super) fn resolve(questions: &[Question]) -> Result<Vec<Resolved>> {
    let mut resolved = Vec::new();
    let deadline = begin()?;
    for questions in questions.chunks(MAX_AT_ONCE) {
        interrupts::check();
        let asking: Vec<_> = questions.iter().map(asking).collect::<Result<_>>()?;
        for answer in answers(&asking, deadline)? {
            let (mut found, _) = question::read(&answer)?;
            let found = found.pop().and_then(Resolved::of).ok_or_else(no_answer)?;
            resolved.push(found);
        }
    }
    Ok(resolved)
}

fn asking(question: &Question) -> Result<Asking> {
    Ok(match question {
        Question::Name { text, kind } => Asking::Name(question::checked(text).map_err(bad_name)?, *kind),
        Question::Id { id, kind } => Asking::Id(*id, *kind),
    })
}

impl Resolved {
    fn of(found: Found) -> Option<Self> {
        let kind = found.kind?;
        let mut notice =
            format!("found \"{}\" with id {} and type {} in the directory", found.name, found.id, word(kind));
        if found.is_enabled == Some(false) {
            notice.push_str("; it is disabled");
        }
        Some(Self { id: found.id, kind, name: found.name, notice })
    }
}

/// Asks for everything that a text could mean.
///
/// # Errors
/// Nothing can have such a name, or there is no answer.
pub(super) fn lookup(text: &str, kind: Option<Kind>) -> Result<Vec<Found>> {
    let deadline = begin()?;
    let text = question::checked(text).map_err(bad_name)?;
    let answers = answers(&[Asking::Lookup(text, kind)], deadline)?;
    let (found, more) = question::read(answers.first().map(String::as_str).unwrap_or_default())?;
    if more {
        notice("there are more objects than are shown", None);
    }
    Ok(found)
}

/// Returns until when a statement waits.
///
/// # Errors
/// The directory is off, or the settings do not suffice to ask it.
fn begin() -> Result<Instant> {
    if !is_on() {
        return Err(Fault::prerequisite("the directory is not set up")
            .hint("Set azure_ad_auth.directory, or give the object id."));
    }
    if let Some(problem) = terms::problem() {
        return Err(
            Fault::new(PgSqlErrorCode::ERRCODE_SYSTEM_ERROR, "the directory cannot be asked").detail(problem)
        );
    }
    Ok(Instant::now() + terms::wait())
}

fn bad_name(fault: NameFault) -> Fault {
    Fault::invalid("no object of the directory can have this name")
        .detail(format!("The name is not asked for: {fault}."))
}

fn no_answer() -> Fault {
    Fault::new(PgSqlErrorCode::ERRCODE_SYSTEM_ERROR, "the directory did not answer in time")
        .hint("See the view azure_ad_auth.directory_status.")
}

/// Puts questions and waits for all answers.
fn answers(asking: &[Asking], deadline: Instant) -> Result<Vec<String>> {
    let mut answers: Vec<Option<String>> = vec![None; asking.len()];
    loop {
        let open = asking.iter().zip(&mut answers).filter(|(_, answer)| answer.is_none());
        let (texts, open): (Vec<_>, Vec<_>) = open.map(|(asking, answer)| (asking.text(), answer)).unzip();
        let left = millis(deadline.saturating_duration_since(Instant::now()));
        if left == 0 && !open.is_empty() {
            return Err(no_answer());
        }
        let questions: Vec<_> =
            texts.iter().map_while(|text| slots::Question::new(text.as_bytes())).collect();
        let put = slots::put_all(&questions, left);
        let tickets: Vec<(Ticket, &mut Option<String>)> = put.into_iter().zip(open).collect();
        if tickets.is_empty() {
            return answers.into_iter().collect::<Option<_>>().ok_or_else(|| {
                let code = PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED;
                Fault::new(code, "too many questions are waiting for the directory")
            });
        }
        let waiting: Vec<_> = tickets.iter().map(|(ticket, _)| *ticket).collect();
        wait(Waiting::Statement, &waiting, deadline);
        for (ticket, answer) in tickets {
            match slots::outcome(ticket) {
                Outcome::Answered(text) => *answer = Some(text),
                Outcome::Lost => {}
                Outcome::Open => return Err(no_answer()),
            }
        }
    }
}

/// Asks whether a principal is in a group and waits. The answer is in the memory afterwards, if
/// there is one.
pub(super) fn membership(pair: Pair, kind: TokenKind, token_left: Millis) {
    let patience = terms::group_lookup_wait();
    if patience.is_zero() || !is_on() || terms::problem().is_some() {
        return;
    }
    let deadline = Instant::now() + patience;
    let text = Asking::Membership(pair, kind).text();
    if let Some(ticket) = slots::put(&text, millis(patience), token_left) {
        wait(Waiting::Login, &[ticket], deadline);
        HAS_WAITED.set(true);
    }
}

fn wait(waiting: Waiting, tickets: &[Ticket], deadline: Instant) {
    stat::count_directory_wait(waiting, || slots::await_answers(tickets, deadline));
}

/// Counts an answer about a membership that was there before the login of this process has asked.
pub(super) fn count_hit() {
    if process::has_client() && !HAS_WAITED.replace(true) {
        stat::count_directory_cache_hit();
    }
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
