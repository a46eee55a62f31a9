//! Sends a server what no client sends: messages of PostgreSQL's protocol with wrong types,
//! lengths, order, parameters and content, in clear text and by TLS, at every door.
//!
//! A connection follows from the seed of the run and its own number, but for the tokens, which are
//! new in each run. Afterwards all processes of the server must be those of before, its log must
//! have no piece of a token and no refusal with the code `internal`, no connection may be left, and
//! a good token must log in at each door.
//!
//! usage: `protocol-fuzz CONNECTIONS SEED FIRST`; what is left out at the end is chosen.

#![allow(clippy::print_stdout, reason = "a report")]

mod answer;
mod attempt;
mod opening;
mod random;
mod scenery;
mod tokens;
mod wire;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::scope;

use testbed::issuer::unix_now;
use testbed::watch::Watch;

use attempt::{HANGS, Report, Target, attempt};
use scenery::Scenery;

/// How many connections are made if nothing is said: less than a minute of them.
const CONNECTIONS: u64 = 2_000;

/// After so many, it is looked whether the server is well.
const BATCH: u64 = 250;

/// Connections at a time.
const THREADS: usize = 4;

fn main() -> ExitCode {
    let argument = |place: usize| std::env::args().nth(place).and_then(|text| text.parse::<u64>().ok());
    let connections = argument(1).unwrap_or(CONNECTIONS);
    let seed = argument(2).unwrap_or_else(|| u64::try_from(unix_now()).expect("a time"));
    let first = argument(3).unwrap_or(0);
    println!("{connections} connections, seed {seed}, from number {first}");
    let scenery = Scenery::new(seed);
    let before = scenery.processes();
    let mut watch = Watch::of(&scenery.cluster);
    let mut report = Report::default();
    let mut complaints = Vec::new();
    let mut next = first;
    while next < first + connections && complaints.is_empty() {
        let end = (next + BATCH).min(first + connections);
        report.add(batch(&scenery.target, next, end));
        scenery.target.tokens.with_pieces(|pieces| watch.read_on(pieces));
        complaints = scenery.complaints(&before, &watch);
        let hanging = report.ends.keys().filter(|end| end.starts_with(HANGS)).cloned();
        complaints.extend(hanging);
        if !complaints.is_empty() {
            println!("\nBetween the connections {next} and {end}:");
        }
        next = end;
    }
    if complaints.is_empty() {
        complaints = scenery.last_complaints(&report);
    }
    print(&scenery, &report, &watch, next - first);
    for complaint in &complaints {
        println!("FAILED: {complaint}");
    }
    if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Makes the connections of these numbers.
fn batch(target: &Target, first: u64, end: u64) -> Report {
    let next = AtomicU64::new(first);
    let work = || {
        let mut report = Report::default();
        let take = || Some(next.fetch_add(1, Ordering::SeqCst)).filter(|number| *number < end);
        for number in std::iter::from_fn(take) {
            report.add(attempt(target, number));
        }
        report
    };
    let mut report = Report::default();
    scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            report.add(thread.join().expect("a thread"));
        }
    });
    report
}

fn print(scenery: &Scenery, report: &Report, watch: &Watch, connections: u64) {
    println!("\n| end of a connection | times |\n| --- | --- |");
    for (end, count) in &report.ends {
        println!("| {end} | {count} |");
    }
    println!("\n| code of a refusal | times |\n| --- | --- |");
    for (code, count) in scenery.codes() {
        println!("| {code} | {count} |");
    }
    let messages = report.messages;
    println!("\n{connections} connections, {messages} messages, {} lines of the log", watch.lines());
}
