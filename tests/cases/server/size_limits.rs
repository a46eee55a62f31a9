//! Sizes that a client or a statement decides: they are limited, or end in an error, and can be
//! interrupted.

use std::process::Command;
use std::{fs, thread};

use testbed::client::{Outcome, RawClient, psql_with};
use testbed::cluster::Cluster;
use testbed::expect::without_debug;
use testbed::issuer::PERSON;
use testbed::process::run_as_server;
use testbed::scene::Scene;
use testbed::waits::eventually;

use crate::common::login::{valid_token, value};
use crate::common::server::module;
use crate::common::statements::link;

/// Keeps statements of megabytes out of the log.
const SHORT_LOG: &str = "log_statement = none\nlog_min_messages = warning\nlog_min_error_statement = panic";

/// By how many megabytes the memory of a session may grow.
const LIMITS: [u64; 5] = [20, 40, 60, 90, 130];

/// Names in a list. The parse tree of the statement takes about forty megabytes.
const MANY: usize = 400_000;

/// Limits the memory of a session's process to what it has and so many megabytes.
fn limit(session: &mut RawClient, megabytes: u64) {
    let pid: i32 = value(session, "SELECT pg_backend_pid()").parse().expect("a process id");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let has = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB"));
    let kilobytes: u64 = has.and_then(|number| number.trim().parse().ok()).expect("a size");
    let most = kilobytes * 1_024 + megabytes * 1_048_576;
    let mut prlimit = Command::new("prlimit");
    run_as_server(&mut prlimit);
    let output = prlimit.arg(format!("--pid={pid}")).arg(format!("--as={most}")).output().expect("prlimit");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Expects a statement to succeed or to raise an ERROR, and the session and the server to go on,
/// with each limit of memory.
fn survives(cluster: &Cluster, statement: &str, log_in: impl Fn() -> RawClient) {
    let shown: String = statement.chars().take(60).collect();
    let mut witness = cluster.superuser();
    for megabytes in LIMITS {
        let mut session = log_in();
        limit(&mut session, megabytes);
        if let Err(error) = session.query(statement) {
            let log = without_debug(&cluster.log());
            assert_eq!(error.severity, "ERROR", "{shown} within {megabytes} MB: {error:?}\n{log}");
        }
        assert_eq!(value(&mut session, "SELECT 1"), "1", "{shown} within {megabytes} MB");
    }
    assert_eq!(value(&mut witness, "SELECT 1"), "1", "the server was started anew by {shown}");
}

fn list(name: &str) -> String {
    vec![name; MANY].join(",")
}

#[test]
fn no_list_of_names_takes_the_server_down() {
    let (cluster, _provider) = Scene::new().settings(SHORT_LOG).start();
    link(&cluster, "ann", PERSON, "user");
    cluster.sql("CREATE ROLE somebody LOGIN; CREATE ROLE x; CREATE ROLE y");
    let many = list("y");
    for statement in [
        format!("GRANT x TO {many}"),
        format!("REVOKE x FROM {many}"),
        format!("GRANT {many} TO x"),
        format!("GRANT azure_ad_user TO {many}"),
        format!("REVOKE azure_ad_user FROM {many}"),
        format!("DROP ROLE {many}"),
        format!("DROP OWNED BY {many}"),
        format!("REASSIGN OWNED BY {many} TO x"),
        format!("CREATE ROLE z IN ROLE {many}"),
        format!("CREATE ROLE z ROLE {many} ADMIN {many}"),
        format!("ALTER GROUP x ADD USER {many}"),
        format!("ALTER ROLE somebody {}", "NOCREATEDB ".repeat(MANY)),
    ] {
        survives(&cluster, &statement, || cluster.acting_as("somebody"));
    }
    // In a session that has the privilege: about a linked role and one that is not, as often as
    // possible.
    for statement in [
        format!("GRANT azure_ad_user TO {}", list("ann")),
        format!("REVOKE azure_ad_user FROM {}", list("ann")),
        format!("GRANT azure_ad_user TO {many}"),
        format!("CREATE ROLE z IN ROLE azure_ad_user, {many}"),
    ] {
        survives(&cluster, &statement, || cluster.superuser());
    }
}

#[test]
fn no_argument_takes_the_server_down() {
    let (cluster, _provider) = Scene::new().settings(SHORT_LOG).start();
    link(&cluster, "ann", PERSON, "user");
    let huge = format!("repeat('x', {})", 40_000_000);
    survives(&cluster, &format!("SELECT azure_ad_auth.session_claim({huge}) IS NULL"), || {
        cluster.session("ann", &valid_token())
    });
    for call in [
        format!("explain_token({huge})"),
        format!("explain_token('a.b.c', {huge})"),
        format!("create_principal({huge}, '{PERSON}')"),
        format!("create_principal('bob', '{PERSON}', {huge})"),
        format!("update_principal('ann', '{PERSON}', {huge})"),
        format!("set_admin({huge}, '{PERSON}')"),
        format!("set_admin('bob', '{PERSON}', {huge})"),
        format!("remove_admin({huge})"),
        format!("drop_principal({huge})"),
        format!("revoke_tokens({huge})"),
    ] {
        survives(&cluster, &format!("SELECT azure_ad_auth.{call}"), || cluster.superuser());
    }
    // In the texts of statements.
    let text = "x".repeat(40_000_000);
    for statement in [
        format!("SECURITY LABEL FOR pgaadauth ON ROLE ann IS 'aadauth,{text}'"),
        format!("SECURITY LABEL FOR \"pgaadauth-int\" ON ROLE ann IS '{text}'"),
        format!("SECURITY LABEL FOR azure_ad_auth ON ROLE ann IS '{text}'"),
        format!("SECURITY LABEL FOR pgaadauth ON ROLE ann IS NULL /* {text} */"),
        format!("CREATE ROLE {} IN ROLE azure_ad_user /* {text} */", "n".repeat(62)),
        format!("CREATE ROLE z PASSWORD '{text}' IN ROLE azure_ad_user"),
    ] {
        survives(&cluster, &statement, || cluster.superuser());
    }
    // A linked role may change its own settings; its guard is restored whatever they are.
    let mine = format!("ALTER ROLE ann SET my.text = '{text}'");
    link(&cluster, "ann", PERSON, "user");
    survives(&cluster, &mine, || cluster.session("ann", &valid_token()));
}

/// 30,000 names of 62 bytes took minutes when each was searched for in the whole text.
#[test]
fn what_a_statement_costs_does_not_grow_with_the_square_of_it() {
    let (cluster, _provider) = Scene::new().settings(SHORT_LOG).start();
    cluster.sql("CREATE ROLE somebody LOGIN");
    let names: Vec<_> = (0..30_000).map(|n| format!("\"{n:062}\"")).collect();
    let statement = format!("GRANT azure_ad_user TO {}", names.join(","));
    let timed = format!("SET statement_timeout = '30s'; {statement}");
    for (role, sqlstates) in [("somebody", ["42501"]), ("postgres", ["42704"])] {
        thread::scope(|scope| {
            let error = scope.spawn(|| cluster.acting_as(role).query(&timed).expect_err("an error"));
            assert!(eventually(|| error.is_finished()), "the statement of {role} does not end");
            let error = error.join().expect("a thread");
            assert!(sqlstates.contains(&error.sqlstate.as_str()), "{role}: {error:?}");
        });
    }
}

/// The hook of another library, which is called before this one's, cancels the statement or ends
/// the session. This library must notice before it reaches its own error.
#[test]
fn what_is_done_for_each_name_can_be_interrupted() {
    let (cluster, _provider) = Scene::new().settings(SHORT_LOG).start();
    let impatient = module(&cluster, "impatient", "impatient");
    cluster.sql(&format!("ALTER SYSTEM SET shared_preload_libraries = azure_ad_auth, '{impatient}'"));
    cluster.restart();
    cluster.sql("CREATE ROLE local; CREATE ROLE x");
    link(&cluster, "ann", PERSON, "user");
    for (statement, sqlstate) in [
        ("GRANT azure_ad_user TO local", "55000"),
        ("GRANT x, azure_ad_user TO ann, local", "55000"),
        ("DROP ROLE x, azure_ad_user", "2BP01"),
        ("CREATE ROLE z IN ROLE azure_ad_user PASSWORD 'x'", "22023"),
    ] {
        for (wants, found) in [("", sqlstate), ("cancel", "57014"), ("end", "57P01")] {
            let mut session = cluster.superuser();
            assert!(session.query(&format!("SET impatient.wants = '{wants}'")).is_ok());
            let error = session.query(statement).expect_err(statement);
            assert_eq!(error.sqlstate, found, "{statement} with {wants:?}: {error:?}");
        }
    }
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'x'"), "1");
}

/// Every byte of the text has to be escaped, and each begins the rest anew.
#[test]
fn no_text_costs_the_square_of_its_length() {
    let (cluster, _provider) = Scene::new().settings(SHORT_LOG).start();
    for (name, encoding) in [("bytes", "SQL_ASCII"), ("latin", "LATIN1"), ("japan", "EUC_JP")] {
        cluster.sql(&format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"));
        let folder = cluster.folder().path().display();
        let connection = format!("host={folder} port={} dbname={name} user=postgres", cluster.port);
        let program = cluster.installation().program("psql");
        let output = psql_with(&program, &[], &connection, None, "CREATE EXTENSION azure_ad_auth");
        assert!(output.success, "{}", output.stderr);
    }
    link(&cluster, "ann", PERSON, "user");
    for name in ["bytes", "latin", "japan"] {
        let mut ann = cluster.client();
        let token = valid_token();
        let outcome = ann.login(&[("user", "ann"), ("database", name)], &token);
        assert_eq!(outcome, Outcome::Ready);
        // In SQL_ASCII none of the bytes is a known character.
        let odd = if name == "bytes" {
            "convert_from(decode(repeat('ff', 65530), 'hex'), 'SQL_ASCII')"
        } else {
            "repeat(chr(161), 32765)"
        };
        let statement =
            format!("SELECT count(azure_ad_auth.session_claim({odd})) FROM generate_series(1, 20)");
        thread::scope(|scope| {
            let answer = scope.spawn(|| ann.query(&statement));
            assert!(eventually(|| answer.is_finished()), "in {name} the statement does not end");
            let answer = answer.join().expect("a thread");
            assert!(answer.is_ok() || name == "japan", "{name}: {answer:?}");
        });
    }
}
