//! What is said about logins: the only file that raises or logs about them. It counts nothing.
//!
//! Two readers, two texts. The administrator gets one line of `name=value` pairs with all the
//! facts, at level LOG, which PostgreSQL never sends to a client that is not logged in yet. The
//! client gets a sentence and at most a hint, as an ERROR, which PostgreSQL turns into FATAL during
//! authentication; an ERROR, because a FATAL raised from here would skip the destructors that wipe
//! the token. Neither ever has a token or a piece of its signature in it.

mod denial;
mod flood;
pub(crate) mod log_once;

use std::fmt::Write;

use entra::Code;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport};
use pgrx::prelude::*;

use crate::pg::text::reported;
pub(crate) use crate::pg::timestamp::timestamp;
use crate::pg::warning::warn_client;
use crate::pg::{process, wire};
pub(crate) use crate::report::denial::Denial;
pub(crate) use crate::report::flood::init_shared_memory;

/// The circumstances of a login attempt, for the log.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// The role asked for.
    pub(crate) role: String,
    /// The door, or `seal` or `guard`.
    pub(crate) door: &'static str,
    /// pg_hba.conf's method.
    pub(crate) method: String,
}

/// Logs the facts of a refusal, unless too many lines of its code have been logged lately.
pub(crate) fn log_denial(attempt: &Attempt, denial: &Denial) {
    let (admitted, left_out) = flood::admits(denial.code);
    if let Some(count) = left_out {
        log_count(denial.code, count);
    }
    if !admitted {
        return;
    }
    let mut line = opening(&format!("refused code={}", denial.code), attempt);
    append_facts(&mut line, denial);
    log(line);
}

/// Returns the code and the facts of a refusal as its line of the log has them.
#[cfg(oauth)]
pub(crate) fn facts_of(denial: &Denial) -> String {
    let mut line = format!("azure_ad_auth: code={}", denial.code);
    append_facts(&mut line, denial);
    line
}

fn append_facts(line: &mut String, denial: &Denial) {
    for (name, value) in &denial.facts {
        pair(line, name, value);
    }
}

/// Logs how many refusals have not been logged, where the log does not say it yet.
pub(crate) fn log_left_out() {
    for (code, count) in flood::unsaid() {
        log_count(code, count);
    }
}

fn log_count(code: Code, count: u64) {
    log(format!("azure_ad_auth: left out code={code} lines={count}"));
}

/// Refuses the client. Does not return; destructors run.
pub(crate) fn refuse(denial: Denial) -> ! {
    let sqlstate = denial.sqlstate();
    let mut report = ErrorReport::new(sqlstate, denial.message, "azure_ad_auth");
    if let Some(hint) = denial.hint {
        report = report.set_hint(hint);
    }
    report.report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}

/// Raises an error of PostgreSQL that was held back. Does not return; destructors run.
///
/// It is raised anew from what pgrx has copied of it. To rethrow it as PostgreSQL's own, pgrx would
/// look for it on PostgreSQL's stack of errors, which was emptied when the error was caught.
pub(crate) fn raise_again(error: CaughtError) -> ! {
    match error {
        CaughtError::PostgresError(report) => CaughtError::ErrorReport(report).rethrow(),
        error => error.rethrow(),
    }
}

/// Ends a session that is already open, and with it the process, with an error that the client
/// reads. No destructor of a caller runs.
pub(crate) fn end_session(denial: &Denial) -> ! {
    let message = reported(denial.message.clone());
    ErrorReport::new(denial.sqlstate(), message, "azure_ad_auth").report(PgLogLevel::FATAL);
    unreachable!("a FATAL does not return")
}

/// Refuses a role without LOGIN in core's words (InitializeSessionUserId, miscinit.c).
pub(crate) fn refuse_nologin(role: &str) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
        format!("role \"{role}\" is not permitted to log in"),
    )
}

/// Refuses a name that no role has in core's words (InitializeSessionUserId, miscinit.c).
pub(crate) fn refuse_no_role(name: &str) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
        format!("role \"{name}\" does not exist"),
    )
}

/// Refuses a message of the wrong type in core's words (recv_password_packet, auth.c).
pub(crate) fn refuse_message_type(found: i32) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_PROTOCOL_VIOLATION,
        format!("expected password response, got message type {found}"),
    )
}

/// Refuses a message with a NUL within its text in core's words (recv_password_packet, auth.c).
pub(crate) fn refuse_message_length() -> ! {
    raise(PgSqlErrorCode::ERRCODE_PROTOCOL_VIOLATION, "invalid password packet size".to_owned())
}

fn raise(sqlstate: PgSqlErrorCode, message: String) -> ! {
    ErrorReport::new(sqlstate, message, "azure_ad_auth").report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}

/// Logs that a token was accepted, if log_connections asks for it. Core and other hooks come after.
pub(crate) fn log_admission(attempt: &Attempt, token: &entra::Token) {
    if !wire::logs_authentication() {
        return;
    }
    let mut line = opening("accepted", attempt);
    pair(&mut line, "oid", &token.object_id.to_string());
    pair(&mut line, "tid", &token.tenant.to_string());
    pair(&mut line, "kind", &token.kind.to_string());
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    pair(&mut line, "app", &or_none(token.application.map(|id| id.to_string())));
    pair(&mut line, "upn", &or_none(token.display_name.as_ref().map(|name| name.raw().to_owned())));
    pair(&mut line, "uti", &or_none(token.token_id.as_ref().map(|id| id.raw().to_owned())));
    pair(&mut line, "key_id", &token.key_id);
    log(line);
}

/// Logs that it is not known whose tokens are revoked.
pub(crate) fn log_unreadable_revocations() {
    log("azure_ad_auth: the label of azure_ad_user cannot be read, and every login is refused until it can"
        .to_owned());
}

/// Logs a line of facts about something else than a login attempt.
pub(crate) fn log_facts(subject: &str, facts: &[(&str, &str)]) {
    let mut line = format!("azure_ad_auth: {subject}");
    for (name, value) in facts {
        pair(&mut line, name, value);
    }
    log(line);
}

/// Warns the client that its token is about to expire.
pub(crate) fn warn_of_expiry(expires_at: i64, detail: &str) {
    let text = format!("the access token of this login expires at {}", timestamp(expires_at));
    warn_client(&text, detail);
}

/// Logs that a role which is an Azure AD role by inheritance only was let in by another method.
pub(crate) fn warn_inherited(attempt: &Attempt) {
    let mut line = opening("let in", attempt);
    pair(&mut line, "reason", "an Azure AD role by inheritance only; see azure_ad_auth.repair()");
    ErrorReport::new(PgSqlErrorCode::ERRCODE_WARNING, line, "azure_ad_auth").report(PgLogLevel::WARNING);
}

/// Warns, at the start of the server, that modules of PAM which call their own entries by name
/// would call those of this library.
pub(crate) fn warn_of_pam(problem: &str) {
    warn(
        format!("azure_ad_auth exports PAM symbols that shadow those of other PAM modules: {problem}"),
        "Where pg_hba.conf has pam lines for local roles, see docs/doors.md.",
    );
}

/// Warns while the server starts that a module of PAM does what it should not in the postmaster.
pub(crate) fn warn_of_pam_modules(problem: &str) {
    warn(
        format!("azure_ad_auth has loaded modules of PAM into the postmaster, and {problem}"),
        "Set azure_ad_auth.preload_pam_modules to off, and restart the server.",
    );
}

fn warn(text: String, hint: &str) {
    ErrorReport::new(PgSqlErrorCode::ERRCODE_WARNING, text, "azure_ad_auth")
        .set_hint(hint)
        .report(PgLogLevel::WARNING);
}

fn log(line: String) {
    ErrorReport::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, line, "azure_ad_auth")
        .report(PgLogLevel::LOG_SERVER_ONLY);
}

fn opening(verdict: &str, attempt: &Attempt) -> String {
    let mut line = format!("azure_ad_auth: {verdict}");
    pair(&mut line, "role", &attempt.role);
    pair(&mut line, "door", attempt.door);
    pair(&mut line, "method", &attempt.method);
    pair(&mut line, "session", &process::log_line_id());
    line
}

/// Appends ` name=value`, the value in quotes unless it is a plain word, and escaped: much of it
/// comes from clients that are not authenticated.
fn pair(line: &mut String, name: &str, value: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
    let quoted = value.is_empty() || !value.chars().all(plain);
    // Writing to a String cannot fail.
    let _ = if quoted {
        write!(line, " {name}=\"{}\"", value.escape_debug())
    } else {
        write!(line, " {name}={value}")
    };
}
