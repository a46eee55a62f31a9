//! What the lines of pg_hba.conf, and the files of PAM services that they name, mean for Azure AD
//! roles.
//!
//! Pure: knows no PostgreSQL, no file and no setting. The caller collects [`Facts`]; [`verdicts()`]
//! returns what they mean, line by line.

#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod common;
mod facts;
mod file;
mod finding;
mod line;
mod not_preloaded;
mod oauth;
mod pam;
mod pam_syntax;
mod place;
mod shadowing;
mod users;
mod verdicts;

#[cfg(test)]
mod tests;

pub use facts::{Facts, Server};
pub use file::{summary, unreadable};
pub use finding::{Finding, Level};
pub use line::Rule;
pub use pam::{Others, Service, Stack, file_name, missing, pam_service, read_service};
pub use place::{Place, TOPIC, first_few};
pub use users::{Matched, MatchedRoles, is_looked_up};
pub use verdicts::{Verdict, verdicts};
