//! The sessions that logged in with a token: what is known of them, and when they end.

mod ending;
mod memory;
pub(crate) mod own;
mod polled;
mod reaper;
mod sql;

use std::collections::{BTreeMap, BTreeSet};

use entra::{Bearer, Principal, Token, Uuid, limits};
use pgrx::prelude::*;

pub(crate) use crate::sessions::ending::Ending;
pub(crate) use crate::sessions::memory::init_shared_memory;
pub(crate) use crate::sessions::polled::LinkedAndLoggedIn;
pub(crate) use crate::sessions::reaper::WORKER;

use crate::pg::bytes::Bytes;
use crate::pg::shmem::shareable;
use crate::pg::{clock, process};
use crate::sessions::memory::Asked;

/// A session, as it lies in shared memory. Texts are in place, and truncated to the room they have.
#[derive(Clone, Copy)]
pub(crate) struct Session {
    /// Its process.
    pid: i32,
    /// Its name in the lines of the log.
    log_line_id: Bytes<32>,
    /// The role it logged in as.
    role: pg_sys::Oid,
    /// The object that the role was linked to.
    linked_to: Uuid,
    /// Those claims of its token that a link can ask for.
    bearer: Bearer,
    /// A name to show.
    display_name: Option<Bytes<{ limits::MAX_SHOWN_CHARS * 4 }>>,
    /// `uti`.
    token_id: Option<Bytes<64>>,
    /// `kid`.
    key_id: Bytes<{ limits::MAX_KEY_ID_BYTES }>,
    /// When it was let in, Unix seconds.
    logged_in_at: i64,
    /// `iat`.
    issued_at: i64,
    /// `exp`.
    expires_at: i64,
    /// The door it came in by.
    door: Bytes<8>,
}
shareable!(Session {
    pid,
    log_line_id,
    role,
    linked_to,
    bearer,
    display_name,
    token_id,
    key_id,
    logged_in_at,
    issued_at,
    expires_at,
    door,
});

impl Session {
    /// Returns whether this is that session, and not a later one of the same process number.
    fn is(&self, other: &Self) -> bool {
        (self.pid, self.role, self.logged_in_at) == (other.pid, other.role, other.logged_in_at)
    }
}

/// Returns the pid of the process that ends sessions, if there is one.
pub(crate) fn reaper_pid() -> Option<i32> {
    memory::reaper_pid()
}

/// Returns the group by which this backend's session was let in, if it was by one.
pub(crate) fn own_group() -> Option<Uuid> {
    memory::own_session()?.bearer.group
}

/// Returns whether an object is logged in as one of the roles that `in_role` accepts. An
/// application may be named by its client id, too.
pub(crate) fn is_in(object: Uuid, in_role: impl Fn(pg_sys::Oid) -> bool) -> bool {
    let is_meant = |session: &Session| session.bearer.holder().is_named_by(object);
    memory::sessions().iter().any(|session| is_meant(session) && in_role(session.role))
}

/// Returns the objects that are logged in: users, applications by either of their ids, and the
/// groups that some were let in as members of.
pub(crate) fn objects() -> BTreeSet<Uuid> {
    let of = |session: &Session| {
        let holder = session.bearer.holder();
        [Some(holder.object_id), holder.client_id(), session.bearer.group].into_iter().flatten()
    };
    memory::sessions().iter().flat_map(of).collect()
}

/// Asks all sessions of some roles, given with their names, to end. Raises nothing and reads no
/// catalog: the transaction is over.
pub(crate) fn end_all_of(roles: &BTreeMap<u32, String>, reason: Ending) {
    for session in &memory::sessions() {
        if let Some(name) = roles.get(&session.role.to_u32()) {
            end(session, name, reason);
        }
    }
}

/// Asks a session to end, and logs it the first time.
fn end(session: &Session, role: &str, reason: Ending) {
    if memory::end(session) == Asked::First {
        ending::log_ending(session, role, reason);
    }
}

/// Puts this backend's session on the list, from which it goes when the process ends.
pub(crate) fn enter(role: pg_sys::Oid, principal: &Principal, token: &Token, door: &str) {
    memory::enter(&Session {
        pid: std::process::id().cast_signed(),
        log_line_id: Bytes::cut(&process::log_line_id()),
        role,
        linked_to: principal.object_id,
        bearer: Bearer::of(token, principal),
        display_name: token.display_name.as_ref().map(|name| Bytes::cut(name.raw())),
        token_id: token.token_id.as_ref().map(|id| Bytes::cut(id.raw())),
        key_id: Bytes::cut(&token.key_id),
        logged_in_at: clock::unix_now(),
        issued_at: token.issued_at,
        expires_at: token.expires_at,
        door: Bytes::cut(door),
    });
}
