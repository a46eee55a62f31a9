//! docs/clients.md, as the last run has it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::acquire;
use crate::drivers::{DRIVERS, Driver};
use crate::poolers::{
    HAPROXY, LONGEST_OF_HAPROXY, LONGEST_OF_NEWER_PGBOUNCER, LONGEST_OF_PGBOUNCER, Outcome,
};

const HEAD: &str = "\
# Tested clients

`make clients` logs in by each of these, through TLS with `verify-full`, as a user, as a group and
as an application, with tokens of 1,500, 4,500, 8,000, 12,000 and 60,000 bytes, and with one that has
expired. It writes this page, and fails where the page said something else.

With each of them the next connection, also of the same pool, logs in with the token that there is
then; and a running statement can be canceled, after which the session goes on (a script of psql
ends, and pgx opens another connection).

| client | version | longest token tried | doors | goes to the next host after 57P03 |
|---|---|---|---|---|
";

const EXPIRED: &str = "
- By `oauth` log in clients that have libpq 18 and its module for device flows (Debian:
  `libpq-oauth`), which acquires the token from the provider; `oauth_issuer` and `oauth_client_id`
  come from a service file. psycopg takes the machine's libpq, also for its pool, SQLAlchemy and
  Django, with `PSYCOPG_IMPL=python`: `psycopg-binary` brings one that knows no device flows.
- \"The next host\" is what a client does that is given several hosts, when the first cannot check
  tokens for the moment (`keys_unavailable`), or is shutting down. Postgres.js reports the error;
  node-postgres takes one host only.
- node-postgres has no call that cancels: another connection of the same role calls
  `pg_cancel_backend`.

## What the user reads about an expired token

| client | message |
|---|---|
";

const POOLERS: &str = "
## Poolers

| between | version | longest token | whose token | what it does |
|---|---|---|---|---|
";

const MIDDLE: &str = "
## A token for each connection

Pools open connections for as long as the application runs, so they must be given a token for each.
`token` stands for what acquires one; Microsoft's libraries keep one until it expires. This is the
code that the run has used.
";

const ACQUIRE: &str = "
## Ways to acquire a token

The run has acquired a token in each of these ways from its own provider, and logged in with it.
`database` is the resource that `azure_ad_auth.audience` names, and `authority` is
`https://login.microsoftonline.com`; `public`, `local` and `verified` have only what the run's
provider needs, and can be left out.

Integrated Windows sign-in was not run: of Microsoft's libraries only MSAL for .NET and MSAL for
Java have it, and it needs a machine in a Windows domain whose users are federated with the tenant.
";

/// Writes the page. Returns whether it said the same before, but for versions.
pub(crate) fn write(programs: &Path, results: &BTreeMap<&str, Value>, poolers: &Outcome) -> bool {
    let page = page(programs, results, poolers);
    let path = programs.join("../../../docs/clients.md");
    let before = fs::read_to_string(&path).unwrap_or_default();
    fs::write(path, &page).expect("docs/clients.md");
    without_versions(&before) == without_versions(&page)
}

fn page(programs: &Path, results: &BTreeMap<&str, Value>, poolers: &Outcome) -> String {
    let mut page = HEAD.to_owned();
    for driver in DRIVERS {
        page.push_str(&row(driver, &results[driver.name]));
    }
    page.push_str(EXPIRED);
    for driver in DRIVERS {
        let expired = results[driver.name]["doors"]["pam"]["expired"].as_str().unwrap_or_default();
        let said = expired.find("the access token").and_then(|at| expired.get(at..)).unwrap_or(expired);
        let _ = writeln!(page, "| {} | {} |", driver.name, said.trim());
    }
    page.push_str(&between(poolers));
    page.push_str(MIDDLE);
    let mut shown = "";
    for driver in
        DRIVERS.iter().filter(|driver| std::mem::replace(&mut shown, driver.program) != driver.program)
    {
        let text = fs::read_to_string(programs.join(driver.program)).expect("a program");
        let code = between_markers(&text, "");
        let _ = write!(page, "\n### {}\n\n```{}\n{code}```\n", driver.heading(), driver.fence());
    }
    page.push_str(ACQUIRE);
    let text = fs::read_to_string(programs.join(acquire::PROGRAM)).expect("a program");
    for way in acquire::WAYS {
        let code = between_markers(&text, &format!("{}\n", way.name));
        let _ = write!(page, "\n### {}\n\n```python\n{code}```\n", way.heading);
    }
    page
}

/// Returns the section about what stands between clients and servers.
fn between(poolers: &Outcome) -> String {
    let Outcome { haproxy, pgbouncer, newer_pgbouncer, pgpool, refusal } = poolers;
    format!(
        "{POOLERS}| HAProxy, TCP | {haproxy} | {LONGEST_OF_HAPROXY} bytes | the client's own | lets through |\n\
         | PgBouncer | {pgbouncer} | {LONGEST_OF_PGBOUNCER} bytes | its configuration | lets in |\n\
         | PgBouncer of a newer Debian | {newer_pgbouncer} | {LONGEST_OF_NEWER_PGBOUNCER} bytes | its configuration | lets in |\n\
         | pgpool-II | {pgpool} | none | the client's own | {refusal} |\n\n\
         HAProxy does not end TLS, so `verify-full` sees the server's certificate:\n\n```text\n{HAPROXY}```\n\n\
         Its check asks for a password and goes; no login is refused or counted for it, and it does not\n\
         tell whether the server has keys. What to know about PgBouncer stands in\n\
         [Sessions](sessions.md#behind-a-connection-pooler). A token that is a byte longer than {LONGEST_OF_PGBOUNCER} is\n\
         refused through the older one. With `auth_type = plain` and the token in `auth_file` too, they serve\n\
         only clients that bring the token.\n"
    )
}

/// Returns a driver's row of the table.
fn row(driver: &Driver, result: &Value) -> String {
    let doors = result["doors"].as_object().expect("doors");
    let names: Vec<_> = doors.keys().map(|door| format!("`{door}`")).collect();
    let longest = doors.values().filter_map(|door| door["longest"].as_u64()).min().unwrap_or(0);
    let version = result["version"].as_str().unwrap_or_default();
    let next = ["after_lacking_keys", "after_shutting_down"].map(|result_of| result[result_of] == true);
    let next = match next {
        [true, true] => "yes",
        [false, false] => "no",
        [true, false] => "unless it shuts down",
        [false, true] => "when it shuts down",
    };
    format!("| {} | {version} | {longest} bytes | {} | {next} |\n", driver.name, names.join(", "))
}

/// Returns a page without the versions in its table, which are those of what is installed.
fn without_versions(page: &str) -> String {
    let line = |line: &str| {
        let mut cells: Vec<_> = line.split('|').collect();
        if cells.len() == 7 {
            cells.remove(2);
        }
        cells.join("|")
    };
    page.lines().map(|text| line(text) + "\n").collect()
}

/// Returns the lines between the marker `shown` with this name and `end`, without the indentation
/// they share.
fn between_markers(text: &str, name: &str) -> String {
    let begin = format!(" shown: {name}");
    let (_, rest) = text.split_once(&begin).expect("the marker `shown`");
    let lines = rest.lines().skip(usize::from(name.is_empty()));
    let lines: Vec<_> = lines.take_while(|line| !matches!(line.trim(), "# end" | "// end")).collect();
    let depth = |line: &&str| line.len() - line.trim_start().len();
    let shared = lines.iter().filter(|line| !line.is_empty()).map(depth).min().unwrap_or(0);
    lines.iter().map(|line| line.get(shared..).unwrap_or_default().to_owned() + "\n").collect()
}
