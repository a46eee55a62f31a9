//! What a refused client reads, and what the administrator finds in the log: one entry per code.
//!
//! The client learns what is wrong with its token or its connection, never what a role is linked
//! to.

use entra::{Code, FormatFault, LineFault, Misconfigured, Refusal};
use pgrx::prelude::*;

use crate::pg::timestamp::timestamp;

/// Where terminals cut a pasted line (N_TTY_BUF_SIZE, Linux).
const TERMINAL_LINE_BYTES: usize = 4_095;

/// A refused login.
#[derive(Debug)]
pub(crate) struct Denial {
    /// The stable code.
    pub(crate) code: Code,
    /// For the log only: names and values.
    pub(crate) facts: Vec<(&'static str, String)>,
    /// For the client.
    pub(crate) message: String,
    /// For the client.
    pub(crate) hint: Option<String>,
}

impl Denial {
    /// Refuses for a reason that lies in the server, not in the token.
    pub(crate) fn new(code: Code, role: &str, facts: Vec<(&'static str, String)>) -> Self {
        Self { code, facts, message: message(code, role), hint: None }
    }

    /// Refuses for a reason that lies in the token.
    pub(crate) fn of(refusal: &Refusal, role: &str) -> Self {
        let message = match refusal {
            Refusal::InvalidFormat { fault, length } => format_message(*fault, *length),
            // These two claims are there, and should not be.
            Refusal::InvalidClaims { claim: "cnf", .. } => {
                "the access token is bound to a key of its holder (\"cnf\") and is no bearer token".to_owned()
            }
            Refusal::InvalidClaims { claim: "typ", .. } => {
                "the access token has a \"typ\" that is not accepted".to_owned()
            }
            Refusal::InvalidClaims { claim, .. } => {
                format!("the access token lacks a valid \"{claim}\" claim")
            }
            Refusal::TokenRevoked { not_before, .. } => format!(
                "access tokens issued before {} are no longer accepted for role \"{role}\"",
                timestamp(*not_before)
            ),
            Refusal::WrongKind { found: entra::TokenKind::User, .. } => {
                format!("role \"{role}\" needs an application's access token")
            }
            Refusal::WrongKind { .. } => format!("role \"{role}\" needs a user's access token"),
            _ => message(refusal.code(), role),
        };
        Self { code: refusal.code(), facts: refusal.facts(), message, hint: hint(refusal) }
    }

    /// Refuses because settings are missing or wrong.
    pub(crate) fn misconfigured(fault: &Misconfigured, role: &str) -> Self {
        let setting = format!("{}.{}", crate::settings::PREFIX, fault.setting);
        let facts = vec![("setting", setting), ("problem", fault.problem.clone())];
        Self::new(Code::NotConfigured, role, facts)
    }

    /// Refuses because an option of the line of pg_hba.conf is wrong.
    pub(crate) fn misconfigured_line(fault: &LineFault, role: &str) -> Self {
        let option = format!("validator.{}", fault.option);
        let facts = vec![("option", option), ("problem", fault.problem.clone())];
        Self::new(Code::NotConfigured, role, facts)
    }

    /// Returns the SQLSTATE of the error that the client gets.
    pub(crate) const fn sqlstate(&self) -> PgSqlErrorCode {
        match self.code {
            Code::WrongMethod
            | Code::TlsRequired
            | Code::NotConfigured
            | Code::NoAdmin
            | Code::PrivilegedRole => PgSqlErrorCode::ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
            Code::KeysUnavailable | Code::DirectoryUnavailable => PgSqlErrorCode::ERRCODE_CANNOT_CONNECT_NOW,
            Code::Internal => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            _ => PgSqlErrorCode::ERRCODE_INVALID_PASSWORD,
        }
    }
}

/// Returns the client's text where it depends on nothing but the code and the role.
fn message(code: Code, role: &str) -> String {
    let fixed = match code {
        Code::WrongMethod => {
            return format!("role \"{role}\" is an Azure AD role and can only log in with an access token");
        }
        Code::PrivilegedRole => {
            return format!(
                "role \"{role}\" cannot use Azure AD authentication because it is a superuser, replication or \
                 BYPASSRLS role"
            );
        }
        Code::MfaRequired => return format!("role \"{role}\" requires multi-factor authentication"),
        Code::NotLinked | Code::OidMismatch | Code::NotAMember | Code::Internal => {
            return format!("Azure AD authentication failed for role \"{role}\"");
        }
        Code::TlsRequired => "Azure AD authentication requires an encrypted connection",
        Code::NotConfigured => "Azure AD authentication is not configured on this server",
        Code::NoAdmin => "Azure AD authentication is disabled: the server has no Azure AD administrator",
        Code::KeysUnavailable => "the signing keys of the Azure AD tenant are not available; try again later",
        Code::InvalidFormat => "the access token has an invalid format",
        Code::UnsupportedAlgorithm => "the access token's signature algorithm is not accepted",
        Code::UnknownKey | Code::BadSignature => "the access token's signature could not be verified",
        Code::InvalidClaims => "the access token lacks a valid claim",
        Code::WrongTenant | Code::WrongIssuer => "the access token was issued by another tenant",
        Code::WrongAudience => "the access token was issued for another resource",
        Code::Expired => "the access token has expired",
        Code::NotYetValid => "the access token is not valid yet",
        Code::ClientNotAllowed => "the access token was issued to an application that may not connect",
        Code::PermissionMissing => "the access token lacks a required permission",
        Code::TokenRevoked => "the access token is no longer accepted",
        Code::WrongKind => "the access token is of the wrong kind",
        Code::GroupsOverage => "the access token does not list its groups because there are too many",
        Code::AccountDisabled => "the account that the access token was issued to is disabled",
        Code::AccountDeleted => "the account that the access token was issued to no longer exists",
        Code::SessionsRevoked => {
            "the access token was issued before the account's sign-in sessions were revoked"
        }
        Code::DirectoryUnavailable => "group membership cannot be verified at the moment; try again later",
    };
    fixed.to_owned()
}

fn format_message(fault: FormatFault, length: usize) -> String {
    let parts = match fault {
        FormatFault::PartCount(1) => "1 part instead of 3, ".to_owned(),
        FormatFault::PartCount(count) => format!("{count} parts instead of 3, "),
        _ => String::new(),
    };
    format!("the access token has an invalid format ({parts}{length} bytes)")
}

fn hint(refusal: &Refusal) -> Option<String> {
    let hint = match refusal {
        Refusal::InvalidFormat { fault: FormatFault::Surrounded(surroundings), .. } => {
            format!("Pass the access token alone. What was sent has {surroundings}.")
        }
        Refusal::InvalidFormat { length: TERMINAL_LINE_BYTES, .. } => {
            "Terminals cut pasted lines at 4095 bytes; pass the token in the environment variable PGPASSWORD."
                .into()
        }
        Refusal::WrongAudience { expected, .. } => {
            format!("Acquire an access token for the resource \"{}\".", expected.first()?)
        }
        Refusal::Expired { .. } => "Acquire a new access token and try again.".into(),
        Refusal::Directory(objection) if objection.code() == Code::SessionsRevoked => {
            "Sign in again, and acquire a new access token.".into()
        }
        Refusal::MfaRequired { methods_listed: false } => {
            "Only version 1.0 access tokens say how their user signed in.".into()
        }
        _ => return None,
    };
    Some(hint)
}
