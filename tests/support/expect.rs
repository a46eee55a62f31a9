//! Expectations of three sides: what the client reads, what the log contains, and what it must not
//! contain.

use crate::client::{Outcome, ServerError};
use crate::cluster::Cluster;
use crate::door::Door;
use crate::watch::{LENGTH, encodes, words};

/// What a refused client reads, and what an administrator finds in the log.
#[derive(Debug, Clone, Copy)]
pub struct Refusal<'t> {
    /// The stable code.
    pub code: &'t str,
    /// The SQLSTATE.
    pub sqlstate: &'t str,
    /// The client's message, whole.
    pub message: &'t str,
    /// The client's hint, whole.
    pub hint: Option<&'t str>,
    /// What the line of the log contains besides the code and the role: `name=value`.
    pub facts: &'t [&'t str],
}

impl<'t> Refusal<'t> {
    /// Returns a refusal as most tokens get it: SQLSTATE 28P01 (invalid_password), without a hint.
    pub const fn sqlstate_28p01(code: &'t str, message: &'t str, facts: &'t [&'t str]) -> Self {
        Self { code, sqlstate: "28P01", message, hint: None, facts }
    }

    /// Returns a refusal that does not depend on the token: SQLSTATE 28000
    /// (invalid_authorization_specification), without a hint.
    pub const fn sqlstate_28000(code: &'t str, message: &'t str, facts: &'t [&'t str]) -> Self {
        Self { code, sqlstate: "28000", message, hint: None, facts }
    }
}

/// Logs in by the raw client and by psql, and expects both to be refused in the same way. By
/// OAUTHBEARER psql cannot be given a token.
pub fn refused(cluster: &Cluster, role: &str, token: &str, expected: &Refusal<'_>) {
    let mark = cluster.log_mark();
    let outcome = cluster.login(role, token);
    check_refusal(cluster, mark, role, token, &outcome, expected);
    if cluster.door == Door::OAuth || token.contains('\0') || token.is_empty() || role.contains('\0') {
        return;
    }
    let mark = cluster.log_mark();
    let output = cluster.psql(role, token, "SELECT 1");
    assert!(!output.success, "psql was admitted as {role}");
    assert!(output.stderr.contains(&format!("FATAL:  {}", expected.message)), "{}", output.stderr);
    if let Some(hint) = expected.hint {
        assert!(output.stderr.contains(&format!("HINT:  {hint}")), "{}", output.stderr);
    }
    check_log(cluster, mark, role, token, expected);
}

/// Expects an outcome of a raw client to be a refusal.
pub fn check_refusal(
    cluster: &Cluster,
    mark: usize,
    role: &str,
    token: &str,
    outcome: &Outcome,
    expected: &Refusal<'_>,
) {
    let wanted = Outcome::Refused(ServerError {
        severity: "FATAL".to_owned(),
        sqlstate: expected.sqlstate.to_owned(),
        message: expected.message.to_owned(),
        detail: None,
        hint: expected.hint.map(str::to_owned),
    });
    assert_eq!(
        *outcome,
        wanted,
        "code {}; the log has:\n{}",
        expected.code,
        without_debug(&cluster.log_since(mark))
    );
    check_log(cluster, mark, role, token, expected);
}

/// Expects the log after `mark` to contain the line of a refusal at the cluster's door, and the
/// token nowhere. If a fact names a method, the line is about that method and not about the door's.
pub fn check_log(cluster: &Cluster, mark: usize, role: &str, token: &str, expected: &Refusal<'_>) {
    let log = cluster.log_since(mark);
    let code = format!("refused code={} ", expected.code);
    let line = without_debug(&log)
        .lines()
        .find(|line| line.contains("azure_ad_auth: ") && line.contains(&code))
        .map(str::to_owned);
    let line = line.unwrap_or_else(|| panic!("no line with{code} in the log:\n{}", without_debug(&log)));
    let shown: String = role.chars().flat_map(char::escape_debug).collect();
    assert!(line.contains(&shown), "no role {shown}: {line}");
    if !expected.facts.iter().any(|fact| fact.starts_with("method=")) {
        let place = door_and_method(cluster.door);
        assert!(line.contains(&format!(" {place}")), "no {place}: {line}");
    }
    for fact in expected.facts {
        assert!(line.contains(&format!(" {fact}")), "no {fact}: {line}");
    }
    lacks_token(cluster, token);
}

/// Returns the door and the method of a login as lines of the log have them.
pub fn door_and_method(door: Door) -> String {
    format!("door={} method={}", door.name(), door.method())
}

/// Returns lines of the log without the ids of sessions, which are different in each run.
pub fn without_session_ids(log: &str) -> String {
    let mut parts = log.split(" session=");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == '.'));
    }
    text
}

/// Expects the log to contain no piece of a token: neither of its claims nor of its signature.
pub fn lacks_token(cluster: &Cluster, token: &str) {
    let log = cluster.log();
    // Only long words can contain a piece of base64url. Searching them alone saves time, because a
    // long token has thousands of pieces.
    let words = words(&log).collect::<Vec<_>>().join(" ");
    for part in token.split('.').filter(|part| part.len() >= LENGTH) {
        let mut at = 0;
        while let Some(piece) = part.get(at..at + LENGTH) {
            let text = if piece.chars().all(encodes) { &words } else { &log };
            assert!(!text.contains(piece), "a piece of the token is in the log: {piece}");
            at += LENGTH / 2;
        }
    }
    assert!(token.len() < 6 || !log.contains(token), "the token is in the log");
}

/// Logs in by the raw client and by psql, and expects both to be admitted. By OAUTHBEARER psql
/// cannot be given a token.
pub fn admitted(cluster: &Cluster, role: &str, token: &str) {
    let mark = cluster.log_mark();
    let mut client = cluster.client();
    let outcome = client.login(&[("user", role), ("database", "postgres")], token);
    assert_eq!(outcome, Outcome::Ready, "{}", without_debug(&cluster.log_since(mark)));
    assert_eq!(client.query("SELECT session_user").as_deref(), Ok(&[Some(role.to_owned())][..]));
    drop(client);
    if cluster.door != Door::OAuth {
        let output = cluster.psql(role, token, "SELECT session_user");
        assert!(output.success, "{}", output.stderr);
        assert_eq!(output.stdout, role);
    }
    lacks_token(cluster, token);
}

/// Returns the lines of a log without the debugging ones.
pub fn without_debug(log: &str) -> String {
    let lines: Vec<_> = log
        .lines()
        .filter(|line| {
            ["FATAL:", "ERROR:", "LOG:", "WARNING:", "PANIC:"].iter().any(|level| line.contains(level))
        })
        .collect();
    lines.join("\n")
}
