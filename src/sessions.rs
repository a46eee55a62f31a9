//! Who is in: the sessions that logged in with a token, what is known of them, and when they end.

mod memory;
pub(crate) mod own;
mod reaper;
mod sql;

use std::collections::{BTreeMap, BTreeSet};

use entra::{Bearer, Principal, Token, Uuid};
use pgrx::prelude::*;

pub(crate) use crate::sessions::memory::init_shared_memory;
pub(crate) use crate::sessions::reaper::azure_ad_auth_reaper_main as reaper_main;
pub(crate) use crate::sessions::reaper::register as register_reaper;

use crate::pg::{clock, process};
use crate::report::{self, Ending};
use crate::sessions::memory::Asked;

/// A session, as others may see it. Plain: it lies in shared memory.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// Its process.
    pub(crate) pid: i32,
    /// What the lines of the log call it.
    pub(crate) log_line_id: String,
    /// The role it logged in as.
    pub(crate) role: pg_sys::Oid,
    /// The object that the role was linked to.
    pub(crate) linked_to: Uuid,
    /// What its token said that a link can ask for.
    pub(crate) bearer: Bearer,
    /// A name to show.
    pub(crate) display_name: Option<String>,
    /// `uti`.
    pub(crate) token_id: Option<String>,
    /// `kid`.
    pub(crate) key_id: String,
    /// When it was let in, Unix seconds.
    pub(crate) logged_in_at: i64,
    /// `iat`.
    pub(crate) issued_at: i64,
    /// `exp`.
    pub(crate) expires_at: i64,
    /// The door it came in by.
    pub(crate) door: String,
}

/// The process that ends sessions, if there is one.
pub(crate) fn attendant() -> Option<i32> {
    memory::attendant()
}

/// Whether an object that a predicate means is in, as one of these roles. An application is its client id too.
pub(crate) fn is_in(object: Uuid, in_role: impl Fn(pg_sys::Oid) -> bool) -> bool {
    let is_meant = |session: &Session| session.bearer.holder().is_named_by(object);
    memory::sessions().iter().any(|session| is_meant(session) && in_role(session.role))
}

/// The objects that are in: people, applications by either of their ids, and the groups that some came in by.
pub(crate) fn objects() -> BTreeSet<Uuid> {
    let of = |session: &Session| {
        let holder = session.bearer.holder();
        [Some(holder.object_id), holder.client_id(), session.bearer.group].into_iter().flatten()
    };
    memory::sessions().iter().flat_map(of).collect()
}

/// Asks all sessions of some roles, given with their names, to end. Raises nothing and reads no catalog: the transaction is over.
pub(crate) fn end_all_of(roles: &BTreeMap<u32, String>, reason: Ending) {
    for session in &memory::sessions() {
        if let Some(name) = roles.get(&session.role.to_u32()) {
            end(session, name, reason);
        }
    }
}

/// Asks a session to end, and says so when it is asked for the first time.
fn end(session: &Session, role: &str, reason: Ending) {
    if memory::end(session) == Asked::First {
        report::log_ending(session, role, reason);
    }
}

/// Puts this backend's session on the list, from which it goes when the process ends.
pub(crate) fn enter(role: pg_sys::Oid, principal: &Principal, token: &Token, door: &str) {
    memory::enter(&Session {
        pid: std::process::id().cast_signed(),
        log_line_id: process::log_line_id(),
        role,
        linked_to: principal.object_id,
        bearer: Bearer::of(token, principal),
        display_name: token.display_name.as_ref().map(|name| name.raw().to_owned()),
        token_id: token.token_id.as_ref().map(|id| id.raw().to_owned()),
        key_id: token.key_id.clone(),
        logged_in_at: clock::unix_now(),
        issued_at: token.issued_at,
        expires_at: token.expires_at,
        door: door.to_owned(),
    });
}
