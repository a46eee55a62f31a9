//! The members of groups, for the synchronisation of groups: how they are asked for, and the file
//! that has them.
//!
//! The worker writes the file, another process reads it, because there may be too many members for
//! the shared memory. The file lies in the data directory, like the snapshot, and has no secret.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use entra::directory::roster::Roster;
use entra::limits::MAX_ROSTER_BYTES;
use pgrx::prelude::*;

use crate::directory::memory::rosters::{self, NoRoster};
pub(crate) use crate::directory::memory::rosters::{are_news, held, note_held};
use crate::directory::{is_on, terms};
use crate::pg::error::{Fault, Result};
use crate::pg::file;
use crate::settings;

/// The file, in the data directory.
pub(crate) const FILE: &str = "azure_ad_auth.members";

/// Its name while it is being written.
const UNFINISHED: &str = "azure_ad_auth.members.tmp";

/// The worker that changes roles when the file is there, of the table in `lib.rs`.
pub(crate) const SYNC_WORKER: &str = "azure_ad_auth group synchronisation";

/// Longest time that an administrator is kept waiting: the lists of large groups have many pages,
/// and another run may have to end before.
const PATIENCE: Duration = Duration::from_mins(5);

/// Has the worker ask for the members of all linked groups, and waits for that. Interrupts are
/// served meanwhile. Called before locks are taken and anything is written.
///
/// # Errors
/// The directory cannot be asked, or did not answer, with SQLSTATE, detail and hint.
pub(crate) fn demand() -> Result<Roster> {
    if !is_on() {
        return Err(Fault::prerequisite("the directory is not set up")
            .hint("Set azure_ad_auth.directory and what belongs to it."));
    }
    if let Some(problem) = terms::problem() {
        return Err(Fault::prerequisite("the directory cannot be asked").detail(problem));
    }
    let failed = || {
        let code = PgSqlErrorCode::ERRCODE_IO_ERROR;
        Fault::new(code, "the members of groups could not be asked for")
    };
    rosters::demand(Instant::now() + PATIENCE).map_err(|why| match why {
        NoRoster::TooLate => failed().detail("There was no answer in time; see the server log."),
        NoRoster::Failed(problem) => failed().detail(problem).hint("Nothing has changed."),
    })?;
    match read() {
        Ok(Some(roster)) => Ok(roster),
        Ok(None) => Err(failed().detail(format!("{FILE} is not there."))),
        Err(fault) => Err(failed().detail(format!("{FILE} {fault}."))),
    }
}

/// Returns the members as they were asked for last, in this tenant; none if they never were, or the
/// file cannot be used.
pub(crate) fn last() -> Option<Roster> {
    let roster = read().ok().flatten()?;
    (Some(roster.tenant) == settings::tenant()).then_some(roster)
}

fn read() -> std::result::Result<Option<Roster>, String> {
    match file::read(FILE, MAX_ROSTER_BYTES as u64 + 1, libc::O_NOFOLLOW) {
        Ok(content) => Roster::parse(&content).map(Some).map_err(|fault| format!("is not used: {fault}")),
        Err(fault) if fault.kind() == ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(format!("cannot be read: {fault}")),
    }
}

/// Replaces the file.
///
/// # Errors
/// The fault, in words.
pub(super) fn write(roster: &Roster) -> std::result::Result<(), String> {
    file::replace(FILE, UNFINISHED, &roster.to_bytes())
        .map_err(|fault| format!("{FILE} cannot be written: {fault}"))
}
