//! What is said about the file as a whole.
//!
//! PostgreSQL loads the file at its start and at each reload (`load_hba`, hba.c). If it cannot read
//! one of the lines, or if there are none, it keeps all the lines that it has loaded before. At its
//! start it has none, and ends.

use crate::facts::{Facts, Server};
use crate::finding::{Finding, Level};
use crate::place::TOPIC;
use crate::verdicts::{Verdict, verdicts};

const ADVICE: &str = "SELECT * FROM azure_ad_auth.check_hba();";

/// Returns what has to be known about the file and its lines. `is_newer`: it was changed after it
/// was loaded last. `before_each`: see [`verdicts`].
#[must_use]
pub fn summary(facts: &Facts, is_newer: bool, before_each: impl FnMut()) -> Vec<Finding> {
    let verdicts = verdicts(facts, before_each);
    let mut found = Vec::new();
    if let Some(why) = obstacle(facts) {
        found.push(kept_lines(why, matches!(facts.server, Server::Preloaded { .. })));
    } else {
        found.extend(is_newer.then(newer));
        if !verdicts.iter().any(Verdict::is_door) {
            found.push(no_door());
            return found;
        }
    }
    let wrong = verdicts.into_iter().filter(|verdict| verdict.finding.level > Level::Ok);
    found.extend(wrong.map(|Verdict { place, finding, .. }| {
        Finding { message: format!("{place}: {}", finding.message), ..finding }.advice(ADVICE)
    }));
    if found.is_empty() {
        found.push(Finding::ok(TOPIC, "its lines are as they should be"));
    }
    found
}

/// Returns the finding for a file that could not be read at all. `is_preloaded`: this library is.
#[must_use]
pub fn unreadable(is_preloaded: bool) -> Finding {
    kept_lines("the file cannot be read", is_preloaded)
}

/// Returns why PostgreSQL does not load the file.
fn obstacle(facts: &Facts) -> Option<&'static str> {
    if facts.rules.is_empty() {
        Some("the file has no lines")
    } else if facts.rules.iter().any(|rule| rule.error.is_some()) {
        Some("PostgreSQL cannot read all lines")
    } else {
        None
    }
}

/// Says that the lines of an earlier file count, whatever they are: nothing shows them.
fn kept_lines(why: &str, is_preloaded: bool) -> Finding {
    let tokens = if is_preloaded { ", by which tokens may still open sessions" } else { "" };
    Finding::danger(
        TOPIC,
        format!(
            "{why}, so PostgreSQL goes on with the lines that it loaded before{tokens}, and does not start again with \
             this file"
        ),
    )
    .advice(format!("Correct what this shows, and reload the configuration: {ADVICE}"))
}

fn newer() -> Finding {
    Finding::notice(
        TOPIC,
        "the file was changed after PostgreSQL loaded it last: until it is loaded, the lines from before count, and not \
         those that are judged here",
    )
    .advice("SELECT pg_reload_conf();")
}

fn no_door() -> Finding {
    Finding::danger(TOPIC, "no line lets Azure AD roles in with a token")
        .advice("See \"Which door?\" in docs/doors.md.")
}
