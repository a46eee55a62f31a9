//! The short table in README.md, as the last run has it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;
use testbed::door::Door;

use crate::drivers::DRIVERS;
use crate::poolers::{LONGEST_OF_HAPROXY, LONGEST_OF_NEWER_PGBOUNCER, LONGEST_OF_PGBOUNCER};

/// What stands before the table. A blank line ends it.
const BEGIN: &str = "<!-- `make clients` writes this table. -->\n";

const HEAD: &str = "\
| through | clients | longest token tried |
|---|---|---|
";

/// Writes the table. Returns whether it was the same before.
pub(crate) fn write(programs: &Path, results: &BTreeMap<&str, Value>) -> bool {
    let path = programs.join("../../../README.md");
    let before = fs::read_to_string(&path).expect("README.md");
    let (text, rest) = before.split_once(BEGIN).expect("the mark before the table");
    let (_, further) = rest.split_once("\n\n").expect("a blank line after the table");
    let after = format!("{text}{BEGIN}{}\n{further}", table(results));
    fs::write(path, &after).expect("README.md");
    before == after
}

/// Returns a row for the doors that the same clients have used, and for what stands in between.
fn table(results: &BTreeMap<&str, Value>) -> String {
    let mut rows: Vec<(Vec<&str>, Vec<String>, u64)> = Vec::new();
    for door in [Door::Password, Door::Pam, Door::OAuth].map(Door::method) {
        let longest = |name: &str| results[name]["doors"][door]["longest"].as_u64();
        let tried = DRIVERS.iter().filter_map(|driver| Some((driver.name, longest(driver.name)?)));
        let (clients, lengths): (Vec<_>, Vec<_>) = tried.unzip();
        let (name, longest) = (format!("`{door}`"), lengths.into_iter().min().unwrap_or_default());
        match rows.iter_mut().find(|(same, _, length)| *same == clients && *length == longest) {
            Some((_, doors, _)) => doors.push(name),
            None => rows.push((clients, vec![name], longest)),
        }
    }
    let mut table = HEAD.to_owned();
    for (clients, doors, longest) in rows {
        let _ = writeln!(table, "| {} | {} | {longest} bytes |", doors.join(", "), clients.join("; "));
    }
    let _ = write!(
        table,
        "| HAProxy, TCP | psql of the server, with its own token | {LONGEST_OF_HAPROXY} bytes |\n\
         | PgBouncer | the same, with the token of PgBouncer's configuration | {LONGEST_OF_PGBOUNCER} bytes |\n\
         | PgBouncer of a newer Debian | the same | {LONGEST_OF_NEWER_PGBOUNCER} bytes |\n"
    );
    table
}
