//! What follows from the answers: who is out, which memberships have ended, what the log says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use entra::Uuid;
use entra::directory::features::Feature;
use entra::directory::login::Pair;
use entra::directory::retry::Outcome;
use entra::directory::roll::{Report, Round};
use entra::directory::standing::{self, Moment, Sight, Standing};

use crate::directory::answers::{Answered, Given};
use crate::directory::batch::Notes;
use crate::directory::look::Looked;
use crate::directory::memory::publish::{self, Counts};
use crate::directory::memory::{people, slots};
use crate::directory::polled::Polled;
use crate::directory::question;
use crate::directory::terms;
use crate::directory::worker::{DirectoryWorker, Looking, log};
use crate::pg::clock;
use crate::report::log_once::LogOnce;
use crate::report::timestamp;
use crate::stat;

/// Why a question is not answered is not logged twice within this time.
const QUIET: Duration = Duration::from_mins(5);

/// Most lines of one look about principals and memberships.
const MAX_LINES: usize = 20;

impl<P: Polled> DirectoryWorker<P> {
    /// Takes in a look.
    pub(super) fn looked(&mut self, looking: &Looking, looked: Looked) {
        let Looked { seen, own, memory, memberships, notes } = looked;
        (self.known.own, self.known.memory) = (own, memory);
        let (problem, pause) = (notes.problem.clone(), notes.pause);
        let unanswered = notes.unanswered.clone().unwrap_or_default();
        self.note(notes, false);
        if let Some(pause) = pause {
            publish::pause(pause);
        }
        let interval = terms::interval();
        let moment = Moment { interval, now: clock::monotonic(), unix_now: clock::unix_now() };
        let round = Round {
            sights: &seen.sights,
            moment,
            administrators: &looking.administrators,
            clients: &seen.clients,
        };
        let report = self.known.roll.note(&round);
        let ended = self.known.memberships.note(&memberships, moment.unix_now);
        let sights = &seen.sights;
        self.known.roll.forget(|id| sights.contains_key(&id), moment.unix_now);
        let noes = memberships.iter().filter(|(_, is_member)| **is_member == Some(false));
        let noes: Vec<_> = noes.map(|(pair, _)| *pair).collect();
        publish::correct_members(&noes, terms::group_lookup_cache());
        let before = self.known.publish();
        self.log_changes(&report, &ended, &before);
        if !report.changed.is_empty() || !ended.is_empty() {
            P::somebody_is_out();
        }
        self.known.publish_active();
        self.known.keep();
        if !seen.is_whole {
            let problem = problem.unwrap_or_else(|| "not all answers came".to_owned());
            return self.failed(&problem, pause);
        }
        self.known.has_looked = true;
        self.log_success(&report, seen.unbelieved);
        let is_there = |sight: &&Sight| matches!(sight, Sight::Present { .. });
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let counts = Counts {
            checked: count(sights.len()),
            seen: count(sights.values().filter(is_there).count()),
            held: count(report.held.unwrap_or_default()),
        };
        publish::note_success(counts, interval, &unanswered);
    }

    /// Takes in the answers to questions.
    pub(super) fn answered(&mut self, answered: Answered) {
        let Answered { given, notes } = answered;
        let pause = notes.pause;
        self.note(notes, true);
        if let Some(pause) = pause {
            publish::pause(pause);
        }
        let mut answers = Vec::with_capacity(given.len());
        for (asked, given) in given {
            match given {
                Given::Answer(text) => answers.push((asked, text)),
                Given::Again(wait) => slots::postpone(&asked, wait),
                Given::Member(pair, is_member) => {
                    if is_member {
                        self.is_member_again(pair);
                    }
                    publish::note_member(pair, is_member, terms::group_lookup_cache(), asked.token_left);
                    answers.push((asked, question::written(&Ok(Vec::new()))));
                }
            }
        }
        slots::answer(&answers);
    }

    /// Takes in that a principal is in a group, whatever looks have said.
    fn is_member_again(&mut self, pair: Pair) {
        if self.known.memberships.note_member(pair, clock::unix_now()) {
            let before = self.known.publish();
            self.log_changes(&Report::default(), &[(pair, false)], &before);
            self.known.keep();
        }
    }

    /// Takes in what a thread has noted on the way.
    pub(super) fn note(&mut self, notes: Notes, is_question: bool) {
        let Some(graph) = self.graph.clone() else { return };
        let tally = graph.take_tally();
        publish::count_requests(tally.requests, tally.failures);
        for (asked, outcome) in notes.asked {
            stat::count_directory_requests(asked, outcome, 1);
        }
        let token = graph.token();
        self.count_tokens(token.fetches, token.failures);
        publish::note_ends(
            token.expires_at.unwrap_or_default(),
            token.certificate_expires_at.unwrap_or_default(),
        );
        if let Some(warning) = token.warning
            && self.log_of_warnings.add(&warning)
        {
            log(&format!("the directory's credential: {warning}"));
        }
        for feature in publish::note_evidence(&notes.evidence) {
            log_feature(feature);
        }
        if is_question {
            self.log_question(notes.problem);
        }
    }

    /// Logs why questions have not been answered, each reason once, until some are answered.
    fn log_question(&mut self, problem: Option<String>) {
        match problem {
            Some(problem) if self.log_of_questions.add_ignoring_numbers(&problem) => {
                self.question_logged = Instant::now();
                log(&format!("the directory has not answered a question: {problem}"));
            }
            // Answers and others that are none may take turns.
            None if self.question_logged.elapsed() > QUIET => self.log_of_questions = LogOnce::default(),
            _ => {}
        }
    }

    /// Counts the requests for a token that were made since this was last called.
    fn count_tokens(&mut self, fetches: u64, failures: u64) {
        let (before, failed_before) = std::mem::replace(&mut self.tokens, (fetches, failures));
        let (fetches, failures) = (fetches.saturating_sub(before), failures.saturating_sub(failed_before));
        stat::count_directory_requests(
            stat::Asked::Token,
            Outcome::Answered,
            fetches.saturating_sub(failures),
        );
        stat::count_directory_requests(stat::Asked::Token, Outcome::Refused, failures);
        publish::count_requests(fetches, failures);
    }

    /// Logs what logins know that they did not know `before`.
    fn log_changes(
        &self,
        report: &Report,
        memberships: &[(Pair, bool)],
        before: &BTreeMap<Uuid, standing::Known>,
    ) {
        let mut lines = Vec::new();
        let mut revoked = 0;
        let (now, published) = (clock::unix_now(), self.known.published());
        // Some find room later.
        let new = published.keys().filter(|id| !before.contains_key(id));
        for id in report.changed.iter().chain(new).collect::<BTreeSet<_>>() {
            let after = self.known.roll.get(*id).map(|record| record.known).unwrap_or_default();
            if after.matters(now) && !published.contains_key(id) {
                continue;
            }
            let before = before.get(id).copied().unwrap_or_default();
            match change(*id, before, after) {
                // Every recent account has such a time: its creation.
                Some((_, true)) if !self.known.has_looked => revoked += 1,
                Some((line, _)) => lines.push(line),
                None => {}
            }
        }
        for (pair, has_ended) in memberships {
            let Pair { person, group } = pair;
            lines.push(if *has_ended {
                format!("{person} is no longer in group {group}: sessions by it end, and older tokens that list it are refused")
            } else {
                format!("{person} is in group {group} again")
            });
        }
        if revoked > 0 {
            lines.push(format!("the sign-in sessions of {revoked} accounts have begun anew within a day"));
        }
        let more = lines.len().saturating_sub(MAX_LINES);
        lines.iter().take(MAX_LINES).for_each(|line| log(&format!("directory: {line}")));
        if more > 0 {
            log(&format!("directory: {more} more principals and memberships have changed"));
        }
    }

    /// Logs what has changed in how looks go: nothing, if this one went as the last one.
    fn log_success(&mut self, report: &Report, unbelieved: usize) {
        let text = if let Some(held) = report.held {
            format!(
                "{held} of the linked principals are missing in the directory at once; nobody is put out for \
                 it within two hours, unless azure_ad_auth.refresh_directory() is called twice within a minute"
            )
        } else if let Some(id) = report.spared {
            format!("the last administrator ({id}) is missing in the directory, and is not put out for it")
        } else if unbelieved > 0 {
            "linked principals are missing in answers of the directory that hold nothing that is known to be \
             there; nobody is put out for it"
                .to_owned()
        } else {
            "the directory answers".to_owned()
        };
        if self.log_of_looks.start_over(&without_numbers(&text)) {
            log(&text);
        }
    }
}

/// Returns a text without its digits, which are no news.
fn without_numbers(text: &str) -> String {
    text.replace(|c: char| c.is_ascii_digit(), "")
}

/// Returns the line about a change, and whether it is about a revocation only.
fn change(id: Uuid, before: standing::Known, after: standing::Known) -> Option<(String, bool)> {
    if after.standing.is_out() && before.standing != after.standing {
        let what = if after.standing == Standing::Disabled { "is disabled" } else { "no longer exists" };
        return Some((format!("{id} {what}: its logins are refused and its sessions end"), false));
    }
    if before.standing.is_out() && !after.standing.is_out() {
        return Some((format!("{id} may log in again"), false));
    }
    let revoked_at = after.revoked_at.filter(|_| after.revoked_at != before.revoked_at)?;
    let time = timestamp(revoked_at);
    let line =
        format!("the sign-in sessions of {id} from before {time} are revoked: its older tokens are refused");
    Some((line, true))
}

fn log_feature(feature: Feature) {
    let availability = people::read(|people| people.features.get(feature));
    let name = feature.as_str();
    match availability.problem() {
        Some(problem) => log(&format!(
            "directory: {name} cannot be read: {problem}; the application lacks {}",
            feature.permissions()
        )),
        None => log(&format!("directory: {name} can be read")),
    }
}
