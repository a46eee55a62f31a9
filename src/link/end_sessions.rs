//! Sessions of roles that lose their link end when that is committed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use pgrx::prelude::*;

use crate::catalog::{self, Role};
use crate::pg::error::Fault;
use crate::pg::process_table;
use crate::report::Ending;
use crate::sessions;

thread_local! {
    /// Roles unlinked by this transaction, or by a part of it that was rolled back, with their names: after the commit nothing can be
    /// looked up.
    static UNLINKED: RefCell<BTreeMap<u32, String>> = const { RefCell::new(BTreeMap::new()) };
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// Ends the sessions of a role once this transaction has committed, if the role is then without a link.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn end_after_commit(role: &Role) {
    UNLINKED.with_borrow_mut(|roles| {
        roles.entry(role.id.to_u32()).or_insert_with(|| role.display_name());
    });
    if !REGISTERED.replace(true) {
        // SAFETY: the callback stays registered for the life of the process, as it is meant to.
        unsafe { pg_sys::RegisterXactCallback(Some(on_transaction_event), std::ptr::null_mut()) }
    }
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of a transaction callback")]
unsafe extern "C-unwind" fn on_transaction_event(
    event: pg_sys::XactEvent::Type,
    _argument: *mut std::ffi::c_void,
) {
    match event {
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT => {
            still_unlinked();
        }
        pg_sys::XactEvent::XACT_EVENT_COMMIT => {
            let roles = UNLINKED.take();
            if !roles.is_empty() {
                sessions::end_all_of(&roles, Ending::Unlinked);
                process_table::terminate(|role| roles.contains_key(&role.to_u32()));
            }
        }
        // Who commits it later knows nothing of the sessions.
        pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE if still_unlinked() => Fault::new(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "cannot PREPARE a transaction that has unlinked an Azure AD role",
        )
        .raise(),
        pg_sys::XactEvent::XACT_EVENT_ABORT => drop(UNLINKED.take()),
        _ => {}
    }
}

/// Whether there are any, at the last moment at which the catalogs can be read; a savepoint may have brought a link back.
fn still_unlinked() -> bool {
    UNLINKED.with_borrow_mut(|roles| {
        roles.retain(|role, _| !catalog::is_linked(pg_sys::Oid::from(*role)));
        !roles.is_empty()
    })
}
