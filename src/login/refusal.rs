//! Refusing a login, and ending a session: the one place where either is logged and raised.
//!
//! Where the hook decides, a refusal is logged and raised at once. Behind `pam` and `oauth` it is
//! logged when the door decides, because the client decides whether the hook is ever called, and
//! raised when the hook is.

use crate::login::outcome::Refused;
use crate::pg::connection::Connection;
use crate::pg::hook::authentication::{STATUS_EOF, STATUS_ERROR, call_previous};
use crate::pg::process;
use crate::report::{self, Attempt, Denial};
use crate::stat;

/// Logs and counts a refusal. What is refused in core's words leaves no line, as with core.
pub(super) fn log(attempt: &Attempt, refused: &Refused) {
    if let Refused::Denied(denial) = refused {
        log_denial(attempt, denial);
    }
}

fn log_denial(attempt: &Attempt, denial: &Denial) {
    stat::count_refusal(attempt.door, denial.code);
    report::log_denial(attempt, denial);
}

/// Tells the hooks that were installed before, and refuses the client. The log has it already.
pub(super) fn raise(connection: Connection, attempt: &Attempt, refused: Refused) -> ! {
    let status = if matches!(refused, Refused::HungUp) { STATUS_EOF } else { STATUS_ERROR };
    call_previous(connection, status);
    match refused {
        Refused::Denied(denial) => report::refuse(denial),
        Refused::NoLogin => report::refuse_nologin(&attempt.role),
        Refused::NoRole => report::refuse_no_role(&attempt.role),
        Refused::HungUp => process::end_quietly(),
        Refused::MessageType(found) => report::refuse_message_type(found),
        Refused::MessageLength => report::refuse_message_length(),
    }
}

/// Logs a refusal, tells the hooks that were installed before, and refuses the client.
pub(super) fn log_and_raise(connection: Connection, attempt: &Attempt, refused: Refused) -> ! {
    log(attempt, &refused);
    raise(connection, attempt, refused)
}

/// Logs and counts why a session that is already open must end, and ends it with its process.
/// `ended_by` is named as the door in the log. The caller has nothing left to drop.
pub(super) fn end_session(ended_by: &'static str, role: String, denial: &Denial) -> ! {
    let attempt = Attempt { role, door: ended_by, method: "none".to_owned() };
    log_denial(&attempt, denial);
    report::end_session(denial)
}
