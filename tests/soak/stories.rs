//! What happens to the server at the same time, each in a thread of its own.

mod accounts;
mod crashes;
mod keys;
mod logins;
mod residents;

use std::thread::Scope;

use crate::run::Run;

pub(crate) use crashes::{WORKERS, process};

/// Names of stories that are told whatever doors there are.
pub(crate) const NAMES: [&str; 13] = [
    "refused: expired",
    "refused: of somebody else",
    "refused: for another resource",
    "refused: of a key that is not published",
    "key rotated",
    "keys fetched by refresh_keys()",
    "linked and unlinked",
    "revoked by revoke_principal()",
    "account disabled and enabled",
    "session expired",
    "statement of a long session",
    "crash: a backend",
    "crash: a worker",
];

/// Starts the threads.
pub(crate) fn begin<'s>(scope: &'s Scope<'s, '_>, run: &'s Run) {
    for door in run.scenery.doors.all() {
        scope.spawn(|| logins::log_in(run, *door));
    }
    scope.spawn(|| logins::be_refused(run));
    scope.spawn(|| keys::rotate(run));
    scope.spawn(|| keys::refresh(run));
    scope.spawn(|| accounts::link_and_unlink(run));
    scope.spawn(|| accounts::revoke(run));
    scope.spawn(|| accounts::disable(run));
    scope.spawn(|| accounts::expire(run));
    scope.spawn(|| residents::stay(run));
    scope.spawn(|| crashes::crash(run));
}
