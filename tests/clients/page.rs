//! docs/clients.md, as the last run has it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::drivers::DRIVERS;

const HEAD: &str = "\
# Tested clients

`make clients` logs in by each of these, through TLS with `verify-full`, as a user, as a group and
as an application, with tokens of 1,500, 4,500, 8,000, 12,000 and 60,000 bytes, and with one that has
expired. It writes this page.

| client | version | longest token tried | doors | what the user reads about an expired token |
|---|---|---|---|---|
";

const MIDDLE: &str = "
## A token for each connection

Pools open connections for as long as the application runs, so they must be given a token for each.
`token` stands for what acquires one; Microsoft's libraries keep one until it expires. This is the
code that the run has used.
";

/// Writes the page.
pub(crate) fn write(programs: &Path, results: &BTreeMap<&str, Value>) {
    let mut page = HEAD.to_owned();
    for driver in DRIVERS {
        let result = &results[driver.name];
        let doors = result["doors"].as_object().expect("doors");
        let names: Vec<_> = doors.keys().map(|door| format!("`{door}`")).collect();
        let longest = doors.values().filter_map(|door| door["longest"].as_u64()).min().unwrap_or(0);
        let expired = doors["trust"]["expired"].as_str().unwrap_or_default();
        let said = expired.find("the access token").and_then(|at| expired.get(at..)).unwrap_or(expired);
        let version = result["version"].as_str().unwrap_or_default();
        let _ = writeln!(
            page,
            "| {} | {version} | {longest} bytes | {} | {said} |",
            driver.name,
            names.join(", ")
        );
    }
    page.push_str(MIDDLE);
    let mut shown = "";
    for driver in
        DRIVERS.iter().filter(|driver| std::mem::replace(&mut shown, driver.program) != driver.program)
    {
        let text = fs::read_to_string(programs.join(driver.program)).expect("a program");
        let name = if driver.program == "psql.sh" { "psql" } else { driver.name };
        let _ = write!(page, "\n### {name}\n\n```{}\n{}```\n", driver.fence(), between_markers(&text));
    }
    let path = programs.join("../../../docs/clients.md");
    fs::write(path, page).expect("docs/clients.md");
}

/// Returns the lines between the markers `shown` and `end`, without the indentation they share.
fn between_markers(text: &str) -> String {
    let lines = text.lines().skip_while(|line| !line.contains(" shown: ")).skip(1);
    let lines: Vec<_> = lines.take_while(|line| !matches!(line.trim(), "# end" | "// end")).collect();
    let depth = |line: &&str| line.len() - line.trim_start().len();
    let shared = lines.iter().filter(|line| !line.is_empty()).map(depth).min().unwrap_or(0);
    lines.iter().map(|line| line.get(shared..).unwrap_or_default().to_owned() + "\n").collect()
}
