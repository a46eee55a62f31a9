//! Sessions of roles that lose their link end when that is committed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use pgrx::prelude::*;

use crate::catalog::{self, Role};
use crate::pg::error::Fault;
use crate::pg::process_table;
use crate::pg::transaction::{self, Event, Observer};
use crate::sessions::{self, Ending};

thread_local! {
    /// Roles unlinked by this transaction, or by a part of it that was rolled back, with their
    /// names: after the commit nothing can be looked up.
    static UNLINKED: RefCell<BTreeMap<u32, String>> = const { RefCell::new(BTreeMap::new()) };
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// Ends the sessions of a role once this transaction has committed, if the role is then without a
/// link.
pub(crate) fn end_after_commit(role: &Role) {
    UNLINKED.with_borrow_mut(|roles| {
        roles.entry(role.id.to_u32()).or_insert_with(|| role.display_name());
    });
    if !REGISTERED.replace(true) {
        transaction::observe::<Unlinking>();
    }
}

struct Unlinking;

impl Observer for Unlinking {
    fn notice(event: Event) {
        on_transaction_event(event);
    }
}

fn on_transaction_event(event: Event) {
    match event {
        Event::BeforeCommit => {
            still_unlinked();
        }
        Event::Committed => {
            let roles = UNLINKED.take();
            if !roles.is_empty() {
                sessions::end_all_of(&roles, Ending::Unlinked);
                process_table::terminate(|role| roles.contains_key(&role.to_u32()));
            }
        }
        // The session that commits it later does not know which sessions to end.
        Event::BeforePrepare if still_unlinked() => Fault::new(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "cannot PREPARE a transaction that has unlinked an Azure AD role",
        )
        .raise(),
        Event::Aborted => drop(UNLINKED.take()),
        Event::BeforePrepare => {}
    }
}

/// Returns whether any of the roles are still without a link. Called at the last moment at which
/// the catalogs can be read: the end of a savepoint may have brought a link back.
fn still_unlinked() -> bool {
    UNLINKED.with_borrow_mut(|roles| {
        roles.retain(|role, _| !catalog::is_linked(pg_sys::Oid::from(*role)));
        !roles.is_empty()
    })
}
