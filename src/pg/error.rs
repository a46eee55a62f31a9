//! Errors of statements and SQL functions, in PostgreSQL's style: a message, and a detail and a
//! hint where they help.

use pgrx::pg_sys::panic::{CaughtError, ErrorReport};
use pgrx::prelude::*;

use crate::pg::text::reported;

/// An error that ends a statement.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    sqlstate: PgSqlErrorCode,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
}

/// A result whose error ends a statement.
pub(crate) type Result<T, E = Fault> = core::result::Result<T, E>;

impl Fault {
    /// Returns an error. `message` begins in lower case and has no full stop.
    pub(crate) fn new(sqlstate: PgSqlErrorCode, message: impl Into<String>) -> Self {
        Self { sqlstate, message: message.into(), detail: None, hint: None }
    }

    /// Returns the message.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Returns whether it says that there is no such object.
    pub(crate) fn is_undefined(&self) -> bool {
        self.sqlstate == PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT
    }

    /// Returns whether it says that something outside of the database does not work.
    pub(crate) fn is_of_system(&self) -> bool {
        self.sqlstate == PgSqlErrorCode::ERRCODE_SYSTEM_ERROR
    }

    /// Returns the error that the current user lacks a privilege.
    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE, message)
    }

    /// Returns the error that something else must be done first.
    pub(crate) fn prerequisite(message: impl Into<String>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message)
    }

    /// Returns the error that the value of an argument is not acceptable.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message)
    }

    /// Returns the error that there is no such role, or that it is not what it should be.
    pub(crate) fn undefined(message: impl Into<String>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT, message)
    }

    /// Returns the error that PostgreSQL would truncate a role name, to one that may be another
    /// role's.
    pub(crate) fn name_too_long(message: impl Into<String>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_NAME_TOO_LONG, message)
            .hint("Choose a shorter name: the link is by the object id, not by the name.")
    }

    /// Adds a detail: a sentence of facts.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a hint: a sentence that says what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Raises the error, which ends the statement.
    pub(crate) fn raise(self) -> ! {
        let mut report = ErrorReport::new(self.sqlstate, reported(self.message), "azure_ad_auth");
        if let Some(detail) = self.detail {
            report = report.set_detail(reported(detail));
        }
        if let Some(hint) = self.hint {
            report = report.set_hint(reported(hint));
        }
        report.report(PgLogLevel::ERROR);
        unreachable!("an ERROR does not return")
    }
}

/// Returns the message of an error that was caught.
pub(crate) fn message_of(fault: &CaughtError) -> String {
    match fault {
        CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => report.message().to_owned(),
        CaughtError::RustPanic { ereport, .. } => ereport.message().to_owned(),
    }
}

/// Returns the value, or raises the error.
pub(crate) fn or_raise<T>(outcome: Result<T>) -> T {
    outcome.unwrap_or_else(|fault| fault.raise())
}

/// Sends the client a notice.
pub(crate) fn notice(message: impl Into<String>, hint: Option<&str>) {
    let message = reported(message.into());
    let mut report =
        ErrorReport::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, message, "azure_ad_auth");
    if let Some(hint) = hint {
        report = report.set_hint(reported(hint.to_owned()));
    }
    report.report(PgLogLevel::NOTICE);
}

/// Sends the client a warning, and logs it.
pub(crate) fn warning(message: impl Into<String>, detail: Option<String>, hint: impl Into<String>) {
    let message = reported(message.into());
    let mut report = ErrorReport::new(PgSqlErrorCode::ERRCODE_WARNING, message, "azure_ad_auth");
    if let Some(detail) = detail {
        report = report.set_detail(reported(detail));
    }
    report.set_hint(reported(hint.into())).report(PgLogLevel::WARNING);
}
