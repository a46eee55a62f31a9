//! What is said about logins: the only file that raises or logs about them.
//!
//! Two readers, two texts. The administrator gets one line of `name=value` pairs with all the facts, at level LOG, which
//! PostgreSQL never sends to a client that is not logged in yet. The client gets a sentence and at most a hint, as an ERROR,
//! which PostgreSQL turns into FATAL during authentication; an ERROR, because a FATAL raised from here would skip the
//! destructors that wipe the token. Neither ever has a token or a piece of its signature in it.

mod denial;
mod flood;
pub(crate) mod log_once;

use std::ffi::CStr;
use std::fmt::Write;

use entra::Code;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport};
use pgrx::prelude::*;

use crate::pg::text::reported;
use crate::pg::{process, wire};
pub(crate) use crate::report::denial::Denial;
pub(crate) use crate::report::flood::init_shared_memory;
use crate::sessions::Session;
use crate::stat;

/// The circumstances of a login attempt, for the log.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// The role asked for.
    pub(crate) role: String,
    /// Which of our doors.
    pub(crate) door: &'static str,
    /// pg_hba.conf's method.
    pub(crate) method: String,
}

/// Keeps Rust backtraces out of PostgreSQL's error reports, where they would reach the client as DETAIL.
///
/// They are captured when the postmaster's environment has RUST_BACKTRACE. The answer is asked for once per process and
/// kept; so it is asked for here, with the variable that has the last word set for just as long.
pub(crate) fn silence_backtraces() {
    const VARIABLE: &str = "RUST_LIB_BACKTRACE";
    let before = std::env::var_os(VARIABLE);
    #[expect(unsafe_code, clippy::disallowed_methods, reason = "the environment is changed and put back")]
    // SAFETY: called while a library is loaded, in a process with one thread.
    unsafe {
        std::env::set_var(VARIABLE, "0");
        drop(std::backtrace::Backtrace::capture());
        match before {
            Some(value) => std::env::set_var(VARIABLE, value),
            None => std::env::remove_var(VARIABLE),
        }
    }
}

/// Counts a refusal, and logs its facts unless there have been too many of the kind.
pub(crate) fn log_denial(attempt: &Attempt, denial: &Denial) {
    stat::count_refusal(attempt.door, denial.code);
    let (admitted, left_out) = flood::admits(denial.code);
    if let Some(count) = left_out {
        log_count(denial.code, count);
    }
    if !admitted {
        return;
    }
    let mut line = opening(&format!("refused code={}", denial.code), attempt);
    for (name, value) in &denial.facts {
        pair(&mut line, name, value);
    }
    log(line);
}

/// Logs how many refusals have not been logged, where nobody has said it yet.
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

/// Raises an error of PostgreSQL's that was held back. Does not return; destructors run.
pub(crate) fn raise_again(error: CaughtError) -> ! {
    error.rethrow()
}

/// Ends a session that is already open, and with it the process. Whoever calls has nothing left to drop.
pub(crate) fn end_session(attempt: &Attempt, denial: &Denial) -> ! {
    log_denial(attempt, denial);
    fatal(denial.sqlstate(), &denial.message)
}

/// Ends the process with an error the client reads. Whoever calls has nothing left to drop.
pub(crate) fn fatal(sqlstate: PgSqlErrorCode, message: &str) -> ! {
    ErrorReport::new(sqlstate, reported(message.to_owned()), "azure_ad_auth").report(PgLogLevel::FATAL);
    unreachable!("a FATAL does not return")
}

/// Refuses what core refuses, in its words: here a role without LOGIN (InitializeSessionUserId, miscinit.c).
pub(crate) fn refuse_nologin(role: &str) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
        format!("role \"{role}\" is not permitted to log in"),
    )
}

/// Refuses what core refuses, in its words: here a name that is no role's (InitializeSessionUserId,
/// miscinit.c).
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

/// Logs a success, if successes are logged. It means that the token was accepted; core and other hooks come after.
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

/// Why a session ends that was let in with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its token has expired, and the grace is over.
    Expired,
    /// Its token was issued before the time from which the role's tokens count.
    TokensRevoked,
    /// The role has lost its link.
    Unlinked,
    /// The role has been linked to another object.
    Rebound,
    /// The role asks for more than its token says: a second factor, or a token of another kind.
    TermsChanged,
    /// There is no such role any more.
    RoleDropped,
    /// There is no administrator any more.
    NoAdmin,
}

impl Ending {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::TokensRevoked => "tokens_revoked",
            Self::Unlinked => "unlinked",
            Self::Rebound => "rebound",
            Self::TermsChanged => "terms_changed",
            Self::RoleDropped => "role_dropped",
            Self::NoAdmin => "no_admin",
        }
    }
}

/// Logs that nobody knows whose tokens are revoked.
pub(crate) fn log_unreadable_revocations() {
    log("azure_ad_auth: the label of azure_ad_user cannot be read, and every login is refused until it can"
        .to_owned());
}

/// Logs that a session has been asked to end.
pub(crate) fn log_ending(session: &Session, role: &str, reason: Ending) {
    let mut line = format!("azure_ad_auth: ended reason={}", reason.as_str());
    pair(&mut line, "role", role);
    pair(&mut line, "door", &session.door);
    pair(&mut line, "session", &session.log_line_id);
    pair(&mut line, "pid", &session.pid.to_string());
    pair(&mut line, "oid", &session.bearer.object_id.to_string());
    pair(&mut line, "tid", &session.bearer.tenant.to_string());
    pair(&mut line, "issued_at", &timestamp(session.issued_at));
    pair(&mut line, "expires_at", &timestamp(session.expires_at));
    log(line);
}

/// Logs that a role was let in that is an Azure AD role by inheritance only, by a method that authenticated it.
pub(crate) fn warn_inherited(attempt: &Attempt) {
    let mut line = opening("let in", attempt);
    pair(&mut line, "reason", "an Azure AD role by inheritance only; see azure_ad_auth.repair()");
    ErrorReport::new(PgSqlErrorCode::ERRCODE_WARNING, line, "azure_ad_auth").report(PgLogLevel::WARNING);
}

/// Warns, at the start of the server, that modules of PAM which call their own entries by name would call ours.
pub(crate) fn warn_of_pam(problem: &str) {
    let text = format!("azure_ad_auth stands in the way of other modules of PAM: {problem}");
    ErrorReport::new(PgSqlErrorCode::ERRCODE_WARNING, text, "azure_ad_auth")
        .set_hint("Where pg_hba.conf has pam lines for local roles, see docs/doors.md.")
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

/// Appends ` name=value`, the value in quotes unless it is a plain word, and escaped: much of it comes from strangers.
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

/// A point in time in the server's time zone and format. `unix_seconds` beyond PostgreSQL's range are cut to it.
#[expect(unsafe_code, reason = "uses the server's own conversion")]
pub(crate) fn timestamp(unix_seconds: i64) -> String {
    // So that neither conversion can fail.
    let seconds = unix_seconds.clamp(0, entra::limits::MAX_UNIX_SECONDS);
    // SAFETY: the result is a static buffer of the server, copied at once.
    unsafe {
        let time = pg_sys::time_t_to_timestamptz(seconds);
        CStr::from_ptr(pg_sys::timestamptz_to_str(time)).to_string_lossy().into_owned()
    }
}
