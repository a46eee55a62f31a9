//! Key memory: the only files that touch it are this one and those below it.
//!
//! One piece of shared memory of fixed size, under one lightweight lock.
//!
//! - The worker publishes keys and the course of fetches; a login that lacks a key asks for a
//!   fetch. Each change is made whole under the exclusive lock, by copying bytes prepared before.
//!   Nothing is allocated, raised or waited for meanwhile, so the lock is held for microseconds,
//!   and a process that ends leaves no change half made. (One that is ended by SIGKILL may, but
//!   PostgreSQL then makes shared memory anew.)
//! - Logins look one key up under the shared lock and copy that key out.
//! - Before anything was published there are no keys, and every login waits or is refused.
//! - Keys belong to the origin they were fetched from. A reader whose settings name another origin
//!   finds none.

mod layout;
mod lookup;
mod publish;
mod refresh;
mod status;

pub(crate) use crate::keys::memory::layout::init_shared_memory;
pub(super) use crate::keys::memory::lookup::{ask, await_news, find};
pub(super) use crate::keys::memory::publish::{
    begin, is_empty, note_failure, note_heartbeat, origin_is, publish, restore, schedule, settled_snapshot,
    state, worker_started,
};
pub(super) use crate::keys::memory::refresh::refresh;
pub(crate) use crate::keys::memory::status::{KeyRow, Status};
pub(super) use crate::keys::memory::status::{rows, status};
