//! Three nodes under Patroni and etcd: what becomes of logins by token while the cluster switches
//! over, fails over and restarts, beside logins by password in the same run.
//!
//! `make cluster-test` runs it.

#![allow(clippy::print_stdout, reason = "a report")]
#![allow(clippy::indexing_slicing, reason = "what panics here fails a test, which is what it is for")]

mod clients;
mod etcd;
mod node;
mod rest;
mod steps;
mod team;

use testbed::template::Template;
use testbed::waits::patiently;

use clients::{Gaps, Kind, Load};
use team::Team;

/// A step of the run.
type Step = (&'static str, fn(&Team));

/// All steps, in their order.
const STEPS: &[Step] = &[
    ("switchover", steps::switchover),
    ("kill -9 of the leader, pg_rewind", steps::kill_the_leader),
    ("reinit while the key endpoint hangs", steps::reinitialise),
    ("a setting by edit-config", steps::edit_configuration),
    ("rolling restart", steps::rolling_restart),
];

fn main() {
    let team = Team::start();
    println!(
        "PostgreSQL {}, three nodes, databases {:?}",
        Template::shared().installation.major,
        team.databases
    );
    let ports = team.nodes.iter().map(|node| node.port).collect();
    let load = Load::start(ports, Template::shared().authority.client(), &team.databases, 4);
    println!("\n| step | longest pause by token | by SCRAM | ratio |\n|---|---|---|---|");
    let gaps: Vec<_> = STEPS
        .iter()
        .map(|(name, step)| {
            let gaps = load.during(|| step(&team));
            show(name, gaps);
            (name, gaps)
        })
        .collect();
    println!();
    steps::unlink(&team);
    for (kind, name) in [(Kind::Token, "token"), (Kind::Scram, "SCRAM")] {
        let (writes, reads) = load.done(kind);
        println!("by {name}: {writes} logins that wrote, {reads} that read");
    }
    let errors = load.errors();
    println!("what clients were told besides:\n  {}", errors.join("\n  "));
    drop(load);
    // The class of SQLSTATEs by which a server refuses a login.
    assert!(!errors.iter().any(|error| error.contains(": 28")), "a client was refused");
    let refusals = team.refusals();
    println!("refused by azure_ad_auth: {}", refusals.len());
    assert!(refusals.is_empty(), "{}", refusals.join("\n"));
    // Without this, a log in which refusals cannot be seen would pass, too.
    let made = steps::refuse(&team);
    assert!(
        patiently(|| team.refusals().len() == made),
        "of {made} refusals:\n{}",
        team.refusals().join("\n")
    );
    let longer: Vec<_> = gaps.iter().filter(|(_, gaps)| !gaps.are_alike()).collect();
    assert!(longer.is_empty(), "clients by token pause for longer than SCRAM's: {longer:?}");
}

fn show(name: &str, gaps: Gaps) {
    let ratio = gaps.token.as_secs_f64() / gaps.scram.as_secs_f64();
    println!(
        "| {name} | {:.2} s | {:.2} s | {ratio:.2} |",
        gaps.token.as_secs_f64(),
        gaps.scram.as_secs_f64()
    );
}
