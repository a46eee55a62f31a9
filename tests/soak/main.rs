//! A standing load: for some minutes everything that can happen to a server happens to it at the
//! same time, and what its processes take is looked at.
//!
//! Logins by every door of people, members of groups and applications, and logins that must be
//! refused; keys that are fetched and rotated; links, revocations and disabled accounts; sessions
//! that expire; processes that are killed. The program prints what each process has taken and how
//! often each thing was done. It fails if memory, descriptors or threads grow after the first
//! minute of a process, if a login that had to succeed did not, other than in a crash, or one that
//! had to be refused was not, if a process has crashed that was not killed, or if the log has a
//! refusal with the code `internal` or a piece of a token.
//!
//! usage: soak MINUTES

#![allow(clippy::print_stdout, reason = "a report")]

mod gate;
mod growth;
mod run;
mod samples;
mod scenery;
mod stories;
mod tally;

use std::process::ExitCode;
use std::thread::{scope, sleep};
use std::time::Duration;

use testbed::mutex::lock;
use testbed::watch::Watch;

use growth::Row;
use run::Run;
use samples::Samples;
use scenery::Scenery;

/// How often samples are taken.
const INTERVAL: Duration = Duration::from_millis(200);

/// The shortest run in which a process lives long enough to be looked at.
const LEAST: u64 = 2;

fn main() -> ExitCode {
    let minutes =
        std::env::args().nth(1).and_then(|text| text.parse().ok()).filter(|minutes: &u64| *minutes >= LEAST);
    let Some(minutes) = minutes else {
        println!("usage: soak MINUTES, at least {LEAST}");
        return ExitCode::FAILURE;
    };
    let run = Run::new(Scenery::new(), Duration::from_secs(minutes * 60));
    let mut watch = Watch::of(run.cluster());
    let mut samples = Samples::new(&run);
    println!("PostgreSQL {}, {minutes} minutes", run.cluster().major());
    scope(|scope| {
        stories::begin(scope, &run);
        while run.gate.goes_on() {
            samples.take(&run);
            watch.read_on(&lock(&run.pieces));
            sleep(INTERVAL);
        }
    });
    watch.read_on(&lock(&run.pieces));
    let rows: Vec<_> = samples.finish().iter().filter_map(Row::of).collect();
    growth::print(&rows);
    run.tally.print();
    println!("\n{} lines of the log, {} processes killed", watch.lines(), watch.killed());
    let complaints = complaints(&run, &rows, &watch);
    for complaint in &complaints {
        println!("FAILED: {complaint}");
    }
    if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns what is not as it should be.
fn complaints(run: &Run, rows: &[Row], watch: &Watch) -> Vec<String> {
    let seen = |name: &&str| rows.iter().any(|row| row.name() == *name);
    let names = stories::WORKERS.iter().map(|(name, _)| *name).chain(["postmaster", "a long session"]);
    let unseen = names.filter(|name| !seen(name)).map(|name| format!("{name}: never lived long enough"));
    let killed = run.tally.of("crash: a backend") + run.tally.of("crash: a worker");
    let crashes = (watch.killed() != killed)
        .then(|| format!("{} processes were killed, and this program has killed {killed}", watch.killed()));
    let secrets = run.scenery.provider.directory().misplaced_secrets();
    let secrets = secrets.into_iter().map(|place| format!("a secret was sent to a wrong place: {place}"));
    let growth = rows.iter().flat_map(Row::growth);
    let told = run.tally.complaints(&stories::NAMES);
    growth
        .chain(unseen)
        .chain(told)
        .chain(crashes)
        .chain(secrets)
        .chain(watch.findings().iter().cloned())
        .collect()
}
