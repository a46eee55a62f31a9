//! The utility hook: statements that link and unlink roles, and those that could break what a link
//! depends on.
//!
//! A statement goes through three steps. [`prepare`] reads it, checks the user's rights, takes
//! locks, and says what of it PostgreSQL is to run. PostgreSQL runs that, or the hook that was
//! installed before this one does. [`complete`] then does what the statement asks of links, by the
//! functions that do it everywhere, and checks what must hold after it.
//!
//! What is checked after a statement is the state of the roles, not the words of the statement: a
//! linked role that could avoid its guard, a role that became a member of an Azure AD role without
//! being one, a marker role changed while roles are linked. An error takes the whole statement
//! back.

use pgrx::PgMemoryContexts;
use pgrx::prelude::*;

use crate::catalog::{self, is_marker};
use crate::link::label::{self, Before};
use crate::link::rights;
use crate::pg::error::{Result, or_raise};
use crate::pg::hook::{Chain, ProcessUtility, UtilityCall, guarded, utility_hook};
use crate::pg::spi::is_own_statement;
use crate::pg::utility::{Utility, make_changes_visible};
use crate::pg::{allocate, interrupts};
use crate::statement::request::Request;
use crate::statement::{Statement, after, before, label_provider, lock, parse, rewrite};

static UTILITY: Chain<ProcessUtility> = Chain::new();

/// Installs the hook. In the postmaster only, while it loads its libraries.
pub(crate) fn install() {
    UTILITY.install(Some(on_utility_statement));
}

utility_hook!(on_utility_statement => run);

/// A statement about roles, and what is to be done for it. It is kept in memory that PostgreSQL
/// frees after the statement, because an error of PostgreSQL's jumps over the frame that uses it.
struct Plan<'call> {
    statement: Statement<'call>,
    requests: Vec<Request>,
    /// The role whose label is written, and its labels before that; none for a marker role, whose
    /// labels are no link.
    labelled: Option<(pg_sys::Oid, Before)>,
    /// The statements that PostgreSQL is to run: the one of the call, or what remains of it.
    parts: Vec<Utility<'call>>,
}

/// Runs a utility statement.
///
/// # Safety
/// PostgreSQL made the call.
#[expect(unsafe_code, reason = "passes PostgreSQL's calls on")]
unsafe fn run(call: UtilityCall) {
    // SAFETY: PostgreSQL's call, which lasts until this function returns. A plan lives as long as
    // the statement. A part is PostgreSQL's call with a part of its statement. This frame has
    // nothing to drop.
    unsafe {
        let plan = guarded(|| prepare(Utility::new(call)));
        let Some(plan) = plan.as_ref() else { return call.pass_on(&UTILITY) };
        for part in &plan.parts {
            part.call().pass_on(&UTILITY);
        }
        guarded(|| or_raise(complete(plan)));
    }
}

/// Reads a statement, checks it, and takes its locks. Returns null if it is not about roles, or if
/// this library itself runs it.
fn prepare(call: Utility<'_>) -> *const Plan<'_> {
    let statement = call.statement().and_then(parse::read).filter(|_| !is_own_statement());
    let Some(statement) = statement else { return std::ptr::null() };
    or_raise(lock::require_writable(&statement, call.tag()));
    let requests = or_raise(before::check(&statement, call.text()));
    let labelled = expect_label(&statement);
    let parts = or_raise(parts(call, &requests));
    PgMemoryContexts::CurrentMemoryContext.leak_and_drop_on_delete(Plan {
        statement,
        requests,
        labelled,
        parts,
    })
}

/// Before a label is written: lets the label provider accept the statement's role and no other, and
/// returns what the labels of the role are now.
fn expect_label(statement: &Statement<'_>) -> Option<(pg_sys::Oid, Before)> {
    let Statement::Label { role, .. } = statement else { return None };
    label_provider::expect(*role);
    let role = role.and_then(catalog::role_of).filter(|role| !is_marker(role))?;
    Some((role.id, Before::of(&role)))
}

/// Returns what PostgreSQL is to run: the statement, or what remains of it without what is done
/// here.
fn parts<'call>(call: Utility<'call>, requests: &[Request]) -> Result<Vec<Utility<'call>>> {
    let mut members =
        allocate::collect(requests.iter().filter_map(Request::member).map(|role| role.id.to_u32()))?;
    members.sort_unstable();
    match call.statement().filter(|_| !requests.is_empty()) {
        None => Ok(vec![call]),
        Some(statement) => {
            let remains = rewrite::remains(statement, &members).into_iter().flatten();
            Ok(remains.map(|statement| call.with_statement(statement)).collect())
        }
    }
}

/// Does what a statement asks of links, after PostgreSQL has run its part, and checks what must
/// hold then.
fn complete(plan: &Plan<'_>) -> Result<()> {
    let Plan { statement, requests, labelled, .. } = plan;
    make_changes_visible();
    if let (Statement::Label { internal, .. }, Some((role, before))) = (statement, labelled)
        && let Some(role) = catalog::role_of(*role)
    {
        label::after_statement(&role, *before, *internal);
    }
    lock::after(statement)?;
    if let Statement::Create(creation) = statement
        && let Some(created) = catalog::role_named(&creation.role)
    {
        // A role that an administrator has created belongs to all administrators, before it is
        // linked.
        rights::give_to_administrators(&created, false);
    }
    fulfil(requests)?;
    after::check(statement)
}

/// Does what a statement asks of links.
fn fulfil(requests: &[Request]) -> Result<()> {
    requests.iter().try_for_each(|request| {
        interrupts::check();
        request.fulfil()
    })
}
