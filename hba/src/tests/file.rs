//! What is said about a file as a whole.

use super::{facts, preloaded, rows_of};
use crate::{Facts, Server, summary, unreadable};

const DOOR: &str = "hostssl all +azure_ad_user all pam pamservice=strict";
const NO_DOOR: &str = "danger no line lets Azure AD roles in with a token";
const CHANGED: &str = "notice the file was changed after PostgreSQL loaded it last";
const KEPT: &str = "so PostgreSQL goes on with the lines that it loaded before, by which tokens may still open sessions, and \
                    does not start again with this file";

/// Expects these findings, each by its level and the beginning of its message.
fn check(facts: &Facts, is_newer: bool, expected: &[&str]) {
    let found = summary(facts, is_newer, || ());
    let found: Vec<_> =
        found.iter().map(|finding| format!("{} {}", finding.level.as_str(), finding.message)).collect();
    let fits = found.iter().zip(expected).all(|(found, start)| found.starts_with(start));
    assert!(fits && found.len() == expected.len(), "{expected:#?}\n{found:#?}");
}

#[test]
fn a_file_that_is_loaded() {
    for (text, expected) in [
        ("local all +azure_ad_user trust", "ok its lines are as they should be"),
        (DOOR, "warning line 1 of f: "),
        ("local all bob peer", NO_DOOR),
    ] {
        let facts = facts(text, preloaded(true));
        check(&facts, false, &[expected]);
        let newer = if expected.starts_with("ok") { &[CHANGED][..] } else { &[CHANGED, expected] };
        check(&facts, true, newer);
    }
}

/// What the lines are that count then, nothing shows. So nothing is said about a door.
#[test]
fn a_file_that_is_not_loaded() {
    for (text, why, line) in [
        ("", "the file has no lines", None),
        (
            "! no such method",
            "PostgreSQL cannot read all lines",
            Some("warning line 1 of f: PostgreSQL cannot"),
        ),
        ("local all bob peer\n! no", "PostgreSQL cannot read all lines", Some("warning line 2 of f: ")),
    ] {
        for is_newer in [false, true] {
            let first = format!("danger {why}, {KEPT}");
            let expected: Vec<_> = [first.as_str()].into_iter().chain(line).collect();
            check(&facts(text, preloaded(true)), is_newer, &expected);
        }
    }
    let both = format!("! no\n{DOOR}");
    check(
        &facts(&both, preloaded(true)),
        false,
        &["danger PostgreSQL cannot", "warning line 1", "warning line 2"],
    );
    assert_eq!(unreadable(true).message, format!("the file cannot be read, {KEPT}"));
    // Without the library no token is looked at.
    for finding in [unreadable(false), summary(&facts("", Server::NotPreloaded), false, || ()).remove(0)] {
        let without = "goes on with the lines that it loaded before, and does not start again";
        assert!(finding.message.contains(without), "{finding:?}");
    }
}

/// PostgreSQL loads such a line. It is in the way of no other, and no door.
#[test]
fn a_line_that_no_connection_matches() {
    let mut facts = facts("hostssl all +azure_ad_user all pam pamservice=ours", preloaded(true));
    for rule in &mut facts.rules {
        rule.unmatched = Some("TLS is off".to_owned());
    }
    let rows = rows_of(&facts);
    assert_eq!(rows[0].door.as_deref(), Some("pam"));
    let reason = "no connection matches this line as long as the server is as it is (TLS is off)";
    assert_eq!((rows[0].level, rows[0].reason.as_str()), ("warning", reason));
    check(&facts, false, &[NO_DOOR]);
    facts.shows_errors = false;
    assert!(!rows_of(&facts)[0].reason.contains("TLS is off"));
}
