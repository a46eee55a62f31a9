//! The background worker that makes one round and ends.
//!
//! The directory worker has it started once the members are in the file. It is connected to
//! `group_sync_database` as the bootstrap superuser: creating, linking and granting roles needs
//! that, and every change goes through the checks that hold for everybody. Each role is changed in
//! a transaction of its own, so that a worker that ends in the middle leaves whole roles.

use std::panic::AssertUnwindSafe;

use pgrx::bgworkers::BackgroundWorker;

use crate::directory::roster;
use crate::link::lock;
use crate::pg::spi::set_for_session;
use crate::pg::worker::{Connection, Worker};
use crate::settings;
use crate::sync::{log, round};

/// Its row in the table of workers.
pub(crate) const WORKER: Worker = Worker {
    name: roster::SYNC_WORKER,
    connection: Connection::Database(settings::group_sync_database),
    is_resident: false,
    run,
};

fn run() {
    // What is set for the database or its users must neither keep it from writing nor have it wait
    // for good.
    for (name, value) in [
        (c"default_transaction_read_only", c"off"),
        (c"default_transaction_isolation", c"read committed"),
        (c"lock_timeout", c"10s"),
        (c"statement_timeout", c"0"),
    ] {
        set_for_session(name, value);
    }
    let plan = within_transaction(|| {
        if !lock::claim_synchronisation(true) {
            log::log("another process is synchronising groups");
            return None;
        }
        let Some(members) = roster::last() else {
            log::log("the file with the members of groups cannot be used");
            return None;
        };
        Some(round::plan(&members))
    });
    if let Some(plan) = plan {
        drop(round::carry_out(plan, |act| within_transaction(act)));
    }
}

fn within_transaction<T>(act: impl FnOnce() -> T) -> T {
    BackgroundWorker::transaction(AssertUnwindSafe(act))
}
