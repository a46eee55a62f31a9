//! Logs in by the drivers people use, and writes what came of it: `make clients`.
//!
//! Each driver has a small program in `programs/`. It is given roles and files with tokens, a line
//! for each login, and says what came of each.

#![allow(clippy::print_stdout, reason = "a program that reports")]

mod drivers;
mod page;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::issuer::{APPLICATION, GROUP, PERSON, app_v1, unix_now, user_v1, with};
use testbed::scene::{KEY, Scene};

use drivers::{DRIVERS, Driver};

/// The lengths of the tokens, in bytes.
const LENGTHS: [usize; 5] = [1_500, 4_500, 8_000, 12_000, 60_000];

/// The roles: name, object, type.
const ROLES: [(&str, &str, &str); 3] = [
    ("ann@contoso.example", PERSON, "user"),
    ("Database Readers", GROUP, "group"),
    ("billing-service", APPLICATION, "service"),
];

fn main() {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/programs");
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients");
    let target = target.canonicalize().expect("target/clients, which tools/clients makes");
    let mut results: BTreeMap<&str, Value> = BTreeMap::new();
    for door in [Door::Password, Door::Pam] {
        let (cluster, _provider) = Scene::new().door(door).start();
        let logins = prepare(&cluster);
        for driver in DRIVERS {
            let answers = run(driver, &programs, &target, &cluster, &logins);
            let result = results.entry(driver.name).or_insert_with(|| {
                json!({ "version": driver.version(&target, &cluster.installation().program("psql")), "doors": {} })
            });
            result["doors"][door.method()] = judge(driver, door, &logins, &answers);
        }
    }
    let text = serde_json::to_string_pretty(&results).expect("JSON");
    fs::write(target.join("result.json"), text + "\n").expect("a file for the result");
    page::write(&programs, &results);
    println!("{} clients, {} doors: all let in and refused as they should be", DRIVERS.len(), 2);
}

/// A login to try: the role, the file with the token, its length; none: it has expired.
struct Login {
    role: &'static str,
    file: PathBuf,
    length: Option<usize>,
}

/// Links the roles and writes the tokens.
fn prepare(cluster: &Cluster) -> Vec<Login> {
    let now = unix_now();
    let mut logins = Vec::new();
    for (role, object, kind) in ROLES {
        cluster.sql(&format!(
            "SET aad_validate_oids_in_tenant = off; SELECT azure_ad_auth.create_principal('{role}', '{object}', '{kind}')"
        ));
        let claims = if kind == "service" { app_v1(now) } else { user_v1(now) };
        for length in LENGTHS {
            let file =
                cluster.folder().write(&format!("{kind}-{length}"), KEY.token_of_length(&claims, length));
            logins.push(Login { role, file, length: Some(length) });
        }
    }
    let expired = KEY.token(&with(user_v1(now), "exp", json!(now - 3_600)));
    logins.push(Login { role: ROLES[0].0, file: cluster.folder().write("expired", expired), length: None });
    logins
}

/// Runs a driver's program once, for all logins. Returns a line for each.
fn run(driver: &Driver, programs: &Path, target: &Path, cluster: &Cluster, logins: &[Login]) -> Vec<String> {
    let mut command = driver.command(programs, target, &cluster.installation().program("psql"));
    command
        .env_remove("PGPASSWORD")
        .env("PGHOST", "localhost")
        .env("PGPORT", cluster.port.to_string())
        .env("PGDATABASE", "postgres")
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", cluster.path("ca.pem"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a client");
    let lines: Vec<_> =
        logins.iter().map(|login| format!("{}\t{}\n", login.role, login.file.display())).collect();
    child.stdin.take().expect("a pipe").write_all(lines.concat().as_bytes()).expect("a client that reads");
    let output = child.wait_with_output().expect("a client");
    let answers: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().map(ToOwned::to_owned).collect();
    assert_eq!(answers.len(), logins.len(), "{}: {answers:?}", driver.name);
    answers
}

/// Checks what a driver has said, and returns its longest token and what its user reads.
fn judge(driver: &Driver, door: Door, logins: &[Login], answers: &[String]) -> Value {
    let (mut longest, mut expired) = (0, String::new());
    for (login, answer) in logins.iter().zip(answers) {
        let place = format!("{} by {}", driver.name, door.method());
        if let Some(length) = login.length {
            assert_eq!(*answer, format!("ok\t{}", login.role), "{place}, {length} bytes");
            longest = longest.max(length);
        } else {
            answer.strip_prefix("error\t").expect("a refusal").trim().clone_into(&mut expired);
            assert!(expired.contains("the access token has expired"), "{place}: {expired}");
        }
    }
    println!("{}, {}: {longest} bytes", driver.name, door.method());
    json!({ "longest": longest, "expired": expired })
}

/// Returns what a command prints.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|fault| panic!("{command:?}: {fault}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
