//! The background worker that ends sessions: those whose token has expired, where the settings say
//! so, and those that have lost what let them in.
//!
//! - How it is started, woken and ended: see [`crate::pg::worker`]. It is connected to no database,
//!   and so reads what a login may read.
//! - It looks once a second while there are sessions, and sleeps while there are none; a login
//!   wakes it.
//! - It looks at what a role is linked to when something about roles has changed, which PostgreSQL
//!   tells every process, on standbys, too, by what they replay; and after a start.
//! - It looks at what is known of the directory each time: that lies in shared memory. A look at
//!   the directory that has found somebody who may not be in any more wakes it.
//! - After SIGHUP it reads the settings.
//!
//! A session is asked to end as pg_terminate_backend() asks it.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use entra::directory::admission::end_of_session;
use entra::{Principal, Revocations};
use pgrx::bgworkers::BackgroundWorker;

use crate::catalog::{self, Link};
use crate::directory;
use crate::pg::worker::{self, Connection, Task, Worker};
use crate::pg::{clock, role_changes};
use crate::report;
use crate::sessions::{Ending, Session, end, memory};
use crate::settings;

/// Time between two looks at the sessions.
const ROUND: Duration = Duration::from_secs(1);

/// Longest sleep while there are no sessions.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

thread_local! {
    /// Something about roles has changed since the last look, or there has been none.
    static ROLES_CHANGED: Cell<bool> = const { Cell::new(true) };
}

/// Its row in the table of workers.
pub(crate) const WORKER: Worker =
    Worker { name: "azure_ad_auth session reaper", connection: Connection::Shared, is_resident: true, run };

fn run() {
    role_changes::on_change(|| ROLES_CHANGED.set(true));
    memory::register_reaper();
    worker::run(&mut Reaper::default());
}

#[derive(Default)]
struct Reaper {
    /// The list of revocations cannot be read, and the log says so.
    is_unreadable_logged: bool,
}

impl Task for Reaper {
    fn work(&mut self) -> Duration {
        if memory::sleep_if_empty() {
            return LONGEST_SLEEP;
        }
        BackgroundWorker::transaction(AssertUnwindSafe(|| self.look()));
        ROUND
    }

    fn reload(&mut self) {
        settings::reload();
        ROLES_CHANGED.set(true);
    }
}

impl Reaper {
    /// Looks at all sessions that may be asked to end. Called in a transaction.
    fn look(&mut self) {
        // In this order: a session that is entered later than these changes are taken in is checked
        // against them by the login or by the seal.
        catalog::accept_changes();
        let roles_changed = ROLES_CHANGED.replace(false);
        let sessions = memory::due();
        let expiry = settings::session_expiry();
        // A session that is still there although it was asked to end is looked at again.
        let look_at_roles = roles_changed || sessions.iter().any(|(_, asked)| *asked);
        let state = look_at_roles.then(|| (self.revocations(), catalog::associated_tenant()));
        for (session, _) in &sessions {
            let lost = state.as_ref().and_then(|(revocations, tenant)| {
                let lacks_admin = expiry.is_some() && *tenant != Some(session.bearer.tenant);
                what_is_lost(session, revocations, lacks_admin)
            });
            let expired =
                expiry.is_some_and(|grace| clock::unix_now() >= session.expires_at.saturating_add(grace));
            let expired = expired.then_some(Ending::Expired);
            if let Some(reason) = lost.or(expired).or_else(|| what_the_directory_has_against(session)) {
                let role = catalog::role_of(session.role);
                let role = role.map_or_else(|| session.role.to_u32().to_string(), |role| role.display_name());
                end(session, &role, reason);
            }
        }
    }

    /// Returns whose tokens are revoked. If the label that says so cannot be read, that is logged;
    /// every login is refused then, and sessions stay.
    fn revocations(&mut self) -> Revocations {
        let revocations = catalog::revocations();
        let is_unreadable = revocations.is_none();
        if is_unreadable && !self.is_unreadable_logged {
            report::log_unreadable_revocations();
        }
        self.is_unreadable_logged = is_unreadable;
        revocations.unwrap_or_default()
    }
}

/// Returns why the session must end for what is known of the directory.
fn what_the_directory_has_against(session: &Session) -> Option<Ending> {
    let knowledge = directory::knowledge(session.bearer.object_id, session.bearer.group);
    end_of_session(&session.bearer, session.issued_at, &knowledge).map(Ending::Directory)
}

/// Returns which of the things that let the session in is lost; none if all of them remain.
fn what_is_lost(session: &Session, revocations: &Revocations, lacks_admin: bool) -> Option<Ending> {
    if catalog::role_of(session.role).is_none() {
        return Some(Ending::RoleDropped);
    }
    let Link::Bound(label) = catalog::link_of(session.role) else { return Some(Ending::Unlinked) };
    if label.object_id != Some(session.linked_to) {
        return Some(Ending::Rebound);
    }
    if !Principal::of(&label).is_some_and(|principal| principal.still_accepts(&session.bearer)) {
        return Some(Ending::TermsChanged);
    }
    if revocations.revoked_before(session.bearer.holder(), session.issued_at, label.not_before).is_some() {
        return Some(Ending::TokensRevoked);
    }
    lacks_admin.then_some(Ending::NoAdmin)
}
