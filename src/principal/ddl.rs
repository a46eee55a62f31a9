//! Statements that link and unlink, and those that could break what a link depends on.
//!
//! What a statement asks of links is done after the rest of it, by the one way there is (see `request`). What is judged is the
//! state after that, not its words: a linked role that could step around its guard, a role that became a member of an Azure
//! AD role without being one, the two roles changed while others depend on them. An error then takes the whole statement back.

use std::cell::Cell;
use std::ffi::CStr;

use pgrx::PgMemoryContexts;
use pgrx::prelude::*;

use super::catalog::{self, Role, is_anchor};
use super::labels::{self, Before};
use super::reach::New;
use super::request::{self, Request};
use super::statement::{self, Named, Statement};
use super::superuser::{as_superuser, is_own_statement};
use super::{
    anchors, association, createrole, cut, link, lock, managed, membership, preload, reach, revoke, rewrite,
    rights, verify,
};
use crate::chain::{UtilityCall, guarded, utility_hook};
use crate::fault::{Outcome, or_raise};

thread_local! {
    /// The hook that was there before ours. Set once, in the postmaster.
    static PREVIOUS: Cell<pg_sys::ProcessUtility_hook_type> = const { Cell::new(None) };
}

/// Installs the hook. In the postmaster only, while it loads its libraries.
#[expect(unsafe_code, reason = "installs a C hook")]
pub(crate) fn install() {
    // SAFETY: runs once, before any backend is forked.
    unsafe {
        PREVIOUS.set(pg_sys::ProcessUtility_hook);
        pg_sys::ProcessUtility_hook = Some(on_utility_statement);
    }
}

utility_hook!(on_utility_statement => judge);

/// A statement of ours, as it stands in the memory of the statement: an error of core's jumps over whoever holds it.
struct Plan {
    statement: Statement,
    requests: Vec<Request>,
    /// What the labels of a role said of which one is written.
    labels: Option<Before>,
    /// What is left to core.
    parts: Vec<UtilityCall>,
}

/// # Safety
/// The call came from core.
#[expect(unsafe_code, reason = "passes calls of core's on")]
unsafe fn judge(call: UtilityCall) {
    let plan = guarded(|| plan(call));
    // SAFETY: see above; a part is core's call with a part of its statement. The plan stays as long as the statement runs. There
    // is nothing to drop.
    unsafe {
        let Some(plan) = plan.as_ref() else { return call.pass_on(PREVIOUS.get()) };
        for part in &plan.parts {
            part.pass_on(PREVIOUS.get());
        }
        guarded(|| {
            make_visible();
            if let (Statement::Label { role, internal, .. }, Some(before)) = (&plan.statement, plan.labels) {
                role.role().iter().for_each(|role| labels::after_statement(role, before, *internal));
            }
            or_raise(finish(&plan.statement, &plan.requests));
        });
    }
}

/// Null: the statement is none of ours.
fn plan(call: UtilityCall) -> *const Plan {
    #[expect(unsafe_code, reason = "reads a call of core's")]
    // SAFETY: core calls the hook with a planned utility statement; it is read before it runs, which may change it.
    let statement = unsafe { statement::read((*call.planned).utilityStmt) }.filter(|_| !is_own_statement());
    let Some(statement) = statement else { return std::ptr::null() };
    #[expect(unsafe_code, reason = "reads a call of core's")]
    // SAFETY: core passes the text of the statement, a C string that outlives the call.
    let source = unsafe { CStr::from_ptr(call.source) };
    #[expect(unsafe_code, reason = "reads a call of core's")]
    // SAFETY: as above; the name of a kind of statement is a constant.
    let tag = unsafe {
        CStr::from_ptr(pg_sys::GetCommandTagName(pg_sys::CreateCommandTag((*call.planned).utilityStmt)))
    };
    or_raise(lock::require_writable_for(&statement, tag));
    let requests = or_raise(before(&statement, source));
    let labels = labels_before(&statement);
    let parts = parts(&call, &statement, &requests);
    PgMemoryContexts::CurrentMemoryContext.leak_and_drop_on_delete(Plan {
        statement,
        requests,
        labels,
        parts,
    })
}

/// What the labels of a role say of which one is about to be written. The two roles' labels are no links.
fn labels_before(statement: &Statement) -> Option<Before> {
    let Statement::Label { role, .. } = statement else { return None };
    role.role().filter(|role| !is_anchor(role)).map(|role| Before::of(&role))
}

/// What is left to core: the statement, or what remains of it without what is done here.
fn parts(call: &UtilityCall, statement: &Statement, requests: &[Request]) -> Vec<UtilityCall> {
    if requests.is_empty() {
        return vec![*call];
    }
    let ours: Vec<_> = requests.iter().filter_map(Request::member).map(|role| role.id).collect();
    #[expect(unsafe_code, reason = "copies a parse tree")]
    // SAFETY: the statement of core's that `statement` was read from.
    let parts = unsafe {
        match statement {
            Statement::Create(_) => vec![rewrite::plain_creation(call.planned)],
            Statement::Membership { .. } => rewrite::plain_grants(call.planned, &ours),
            _ => vec![call.planned],
        }
    };
    parts.into_iter().map(|planned| UtilityCall { planned, ..*call }).collect()
}

fn finish(statement: &Statement, requests: &[Request]) -> Outcome<()> {
    lock::after(statement)?;
    carry_out(statement, requests)?;
    after(statement)
}

/// What was asked for. A role that an administrator has created belongs to all of them, before it is linked.
fn carry_out(statement: &Statement, requests: &[Request]) -> Outcome<()> {
    if let Statement::Create(creation) = statement
        && let Some(made) = catalog::role_named(&creation.role)
    {
        rights::give_to_administrators(&made, false);
    }
    requests.iter().try_for_each(Request::carry_out)
}

#[expect(unsafe_code, reason = "no safe wrapper")]
fn make_visible() {
    // SAFETY: between two statements of a transaction.
    unsafe { pg_sys::CommandCounterIncrement() }
}

/// What must not even begin, and what is asked for.
fn before(statement: &Statement, source: &CStr) -> Outcome<Vec<Request>> {
    cut::check(statement, source)?;
    lock::before(statement)?;
    let requests = request::of(statement)?;
    createrole::check(statement)?;
    let (roles, what) = match statement {
        Statement::Drop { roles } => (roles.as_slice(), "dropped"),
        Statement::Rename { role, .. } => (std::slice::from_ref(role), "renamed"),
        Statement::Own { roles } => (roles.as_slice(), "subject of DROP OWNED or REASSIGN OWNED"),
        Statement::Alter { role, .. } | Statement::Configure { role } => {
            role.role().iter().try_for_each(lock::claim_anchor)?;
            return Ok(requests);
        }
        _ => return Ok(requests),
    };
    let Some(anchor) = roles.iter().filter_map(Named::role).find(is_anchor) else { return Ok(requests) };
    lock::claim_anchor(&anchor)?;
    if link::anchors().is_some() && as_superuser(anchors::any_link) {
        return Err(verify::anchor_in_use(&anchor, what));
    }
    keep_revocations(statement, roles, what)?;
    Ok(requests)
}

/// What is revoked goes with the role that remembers it. Whoever has no right to the statement is told so by core.
fn keep_revocations(statement: &Statement, roles: &[Named], what: &str) -> Outcome<()> {
    let user = roles.iter().filter_map(Named::role).find(|role| role.name.as_c_str() == catalog::USER_ROLE);
    match (statement, user) {
        (Statement::Drop { .. } | Statement::Rename { .. }, Some(user)) if lock::may_change(&user) => {
            revoke::check_nothing_revoked(&user, what)
        }
        _ => Ok(()),
    }
}

/// What must hold after a statement.
fn after(statement: &Statement) -> Outcome<()> {
    match statement {
        Statement::Label { role, .. } => settle(role),
        Statement::Drop { roles } => after_drop(roles),
        Statement::Configure { role } => after_configure(role),
        Statement::Alter { role, .. } => {
            role.role().filter(is_anchor).map_or(Ok(()), |anchor| verify::anchor_is_intact(&anchor))?;
            verify::roles_are_sound(std::slice::from_ref(role), None, &New::nothing())?;
            verify::nobody_lifts_a_guard(std::slice::from_ref(role), &New::nothing())
        }
        Statement::Create(creation) => {
            let role = Named::Name(creation.role.clone());
            let is_new = |one: &Role, other: &Role| [one, other].iter().any(|at| at.name == creation.role);
            let new = New { membership: &is_new, parameter: false };
            verify::roles_are_sound(&creation.members, role.role().as_ref(), &new)?;
            verify::created_role_is_sound(&role, &new)?;
            verify::administrators_have_no_members(&creation.parents, true)?;
            verify::nobody_lifts_a_guard(&[role], &new)
        }
        Statement::Membership { granted, members, is_grant, options_only } => {
            if *options_only {
                for anchor in granted.iter().filter_map(Named::role).filter(is_anchor) {
                    members.iter().try_for_each(|member| settle_member(member, &anchor))?;
                }
            }
            after_membership(granted, members, *is_grant)
        }
        Statement::Parameter => as_superuser(reach::check_parameters),
        Statement::Rename { role, to } if to.role().is_some_and(|role| is_anchor(&role)) => {
            verify::members_are_linked(role)
        }
        Statement::Rename { .. } | Statement::Own { .. } => Ok(()),
    }
}

/// With its last administrator the association goes, and with `azure_ad_admin` what is said for administrators.
fn after_drop(roles: &[Named]) -> Outcome<()> {
    if roles.iter().any(|role| role.is(catalog::ADMIN_ROLE)) {
        managed::forget();
    }
    as_superuser(|| if association::is_void() { association::settle(&mut Vec::new()) } else { Ok(()) })
}

fn after_membership(granted: &[Named], members: &[Named], is_grant: bool) -> Outcome<()> {
    let is_new = |member: &Role, role: &Role| {
        let names = |list: &[Named], role: &Role| list.iter().any(|named| named.is(&role.name));
        is_grant && names(members, member) && names(granted, role)
    };
    let new = New { membership: &is_new, parameter: false };
    for granted in granted.iter().filter_map(Named::role) {
        // What is taken away breaks nothing, and may be what mends it.
        if is_grant {
            verify::roles_are_sound(members, Some(&granted), &new)?;
        }
        if granted.name.as_c_str() == catalog::USER_ROLE {
            verify::anchors_are_joined(members)?;
            if members.iter().any(|member| member.is(catalog::ADMIN_ROLE)) {
                as_superuser(anchors::keep_one_row);
            }
        }
    }
    if !is_grant {
        return Ok(());
    }
    verify::administrators_have_no_members(granted, false)?;
    verify::nobody_lifts_a_guard(members, &new)
}

fn settle(role: &Named) -> Outcome<()> {
    let Some(role) = role.role().filter(|role| !is_anchor(role)) else { return Ok(()) };
    link::settle(&role).map(drop)
}

/// Memberships in the two roles have no options. What is not a member is not made one: nobody has asked who may.
fn settle_member(member: &Named, anchor: &Role) -> Outcome<()> {
    let is_ours = |role: &Role| catalog::is_linked(role.id) && !membership::between(role, anchor).is_empty();
    if member.role().is_some_and(|role| is_ours(&role)) { settle(member) } else { Ok(()) }
}

/// The guard stays, whatever was set or reset.
fn after_configure(role: &Named) -> Outcome<()> {
    let Some(role) = role.role() else { return Ok(()) };
    if is_anchor(&role) {
        return verify::anchor_is_intact(&role);
    }
    if catalog::is_linked(role.id) {
        as_superuser(|| preload::set(&role));
    }
    Ok(())
}
