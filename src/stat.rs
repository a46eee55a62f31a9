//! How logins ended: counters of the whole server since its start, or since they were set to zero.
//!
//! The login counts every refusal once by [`count_refusal`], whether the log has a line about it or
//! not, and every admission once by [`count_admission`]. A client that hangs up is counted nowhere,
//! and neither is a refusal in core's own words.

mod counters;
mod directory;
mod principals;
mod sql;

use std::cell::Cell;
use std::time::Duration;

use entra::{Code, TokenKind};
use pgrx::prelude::*;

pub(crate) use crate::stat::counters::count_wait;
pub(crate) use crate::stat::directory::{
    Asked, Waiting, count_directory_cache_hit, count_directory_requests, count_directory_wait,
    count_group_sync,
};

use crate::pg::library;

thread_local! {
    /// The linked role that the one login of this process is for. Never set in the postmaster, so
    /// never inherited.
    static LOGIN_OF: Cell<Option<pg_sys::Oid>> = const { Cell::new(None) };
}

/// Requests the memory. In the postmaster only, while it loads its libraries.
pub(crate) fn init_shared_memory() {
    counters::init_shared_memory();
    principals::init_shared_memory();
}

/// Remembers that the login of this process is for a linked role. Its admission or refusal is
/// counted for that role.
pub(crate) fn is_for(role: pg_sys::Oid) {
    LOGIN_OF.set(Some(role));
}

/// Counts a login that was accepted, and how long its token took from arrival to decision.
pub(crate) fn count_admission(door: &str, kind: TokenKind, took: Duration) {
    counters::count_admission(door, kind, took);
    note(None);
}

/// Counts a refusal. `door` may be the seal's name, too.
pub(crate) fn count_refusal(door: &str, code: Code) {
    // A copy that the postmaster has not loaded refuses, too, and has no memory to count in.
    if library::is_this_file() {
        counters::count_refusal(door, code);
        note(Some(code));
    }
}

fn note(refused: Option<Code>) {
    if let Some(role) = LOGIN_OF.get() {
        principals::note(role, refused);
    }
}
