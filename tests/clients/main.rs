//! Logs in by the drivers people use, and writes what came of it: `make clients`.
//!
//! Each driver has a small program in `programs/`. It is told scenarios, a line for each, and says
//! what came of each.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

mod acquire;
mod drivers;
mod logins;
mod page;
mod play;
mod poolers;
mod readme;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use testbed::door::Door;
use testbed::installation::Installation;

use drivers::{DRIVERS, Place};
use logins::{Site, shut_down, without_keys};

fn main() -> ExitCode {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = sources.join("../target/clients");
    let place = Place {
        programs: sources.join("clients/programs"),
        target: target.canonicalize().expect("target/clients, which tools/clients makes"),
        installation: Installation::chosen(),
    };
    acquire::try_all(&place);
    println!("{} ways to acquire a token: each let in", acquire::WAYS.len());
    let poolers = poolers::try_all(&place);
    println!("HAProxy, PgBouncer and pgpool-II: as they should be; the last says: {}", poolers.refusal);
    let results = try_all(&place);
    let text = serde_json::to_string_pretty(&results).expect("JSON");
    fs::write(place.target.join("result.json"), text + "\n").expect("a file for the result");
    println!("{} clients: all let in and refused as they should be", DRIVERS.len());
    if !Door::all(&place.installation).contains(&Door::OAuth) {
        println!("docs/clients.md is of a server that has all doors, and stays as it is");
        return ExitCode::SUCCESS;
    }
    let is_current = page::write(&place.programs, &results, &poolers);
    if readme::write(&place.programs, &results) && is_current {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "docs/clients.md or the table in README.md was not what this run says, and has been written anew: \
         look at it, commit it"
    );
    ExitCode::FAILURE
}

/// Has each driver try everything.
fn try_all(place: &Place) -> BTreeMap<&'static str, Value> {
    let mut results: BTreeMap<&str, Value> = BTreeMap::new();
    for driver in DRIVERS {
        results.insert(driver.name, json!({ "version": driver.version(place), "doors": {} }));
    }
    for door in Door::all(&place.installation) {
        let site = Site::start(door);
        for driver in DRIVERS.iter().filter(|driver| site.is_for(driver)) {
            let outcome = site.try_all(driver, place);
            let result = results.get_mut(driver.name).expect("a driver");
            result["doors"][door.method()] =
                json!({ "longest": outcome.longest, "expired": outcome.expired });
            println!("{}, {}: {} bytes", driver.name, door.method(), outcome.longest);
        }
        if door == Door::Pam {
            try_another_host(&site, place, &mut results);
        }
    }
    results
}

/// Has each driver go to another server first: one that cannot check tokens, and is then shut down.
fn try_another_host(site: &Site, place: &Place, results: &mut BTreeMap<&str, Value>) {
    let other = without_keys();
    let mut check = |result: &str, word: &str| {
        for driver in DRIVERS {
            let reached = site.is_reached_after(&other, word, driver, place);
            results.get_mut(driver.name).expect("a driver")[result] = json!(reached);
        }
    };
    check("after_lacking_keys", "code=keys_unavailable");
    let _session = shut_down(&other);
    check("after_shutting_down", "the database system is shutting down");
}
