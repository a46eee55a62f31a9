//! Statements that link and unlink, and those that could break what a link depends on.
//!
//! What a statement asks of links is done after the rest of it, by the one way there is (see `request`). What is judged is the
//! state after that, not its words: a linked role that could step around its guard, a role that became a member of an Azure
//! AD role without being one, the two roles changed while others depend on them. An error then takes the whole statement back.

use std::cell::Cell;
use std::ffi::CStr;

use pgrx::PgMemoryContexts;
use pgrx::prelude::*;

use crate::catalog::{self, Role, is_marker, membership};
use crate::link;
use crate::link::escalation::{self, New};
use crate::link::label::{self, Before};
use crate::link::{guard, lock, managed, marker_roles, revocation, rights, tenant};
use crate::pg::error::{Result, or_raise};
use crate::pg::hook::{UtilityCall, guarded, utility_hook};
use crate::pg::spi::{as_superuser, is_own_statement};
use crate::pg::{allocate, interrupts};
use crate::statement::parse::{self, Named, Statement};
use crate::statement::request::{self, Request};
use crate::statement::role_lists::Roles;
use crate::statement::{createrole, invariants, rewrite, truncated};

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
                role.role().iter().for_each(|role| label::after_statement(role, before, *internal));
            }
            or_raise(finish(&plan.statement, &plan.requests));
        });
    }
}

/// Null: the statement is none of ours.
fn plan(call: UtilityCall) -> *const Plan {
    #[expect(unsafe_code, reason = "reads a call of core's")]
    // SAFETY: core calls the hook with a planned utility statement; it is read before it runs, which may change it.
    let statement = unsafe { parse::read((*call.planned).utilityStmt) }.filter(|_| !is_own_statement());
    let Some(statement) = statement else { return std::ptr::null() };
    #[expect(unsafe_code, reason = "reads a call of core's")]
    // SAFETY: as above; the name of a kind of statement is a constant.
    let tag = unsafe {
        CStr::from_ptr(pg_sys::GetCommandTagName(pg_sys::CreateCommandTag((*call.planned).utilityStmt)))
    };
    or_raise(lock::require_writable_for(&statement, tag));
    let requests = or_raise(before(&statement, text_of(&call)));
    let labels = labels_before(&statement);
    let parts = or_raise(parts(&call, &statement, &requests));
    PgMemoryContexts::CurrentMemoryContext.leak_and_drop_on_delete(Plan {
        statement,
        requests,
        labels,
        parts,
    })
}

/// The text of the statement alone: the one core was given may have others in it.
#[expect(unsafe_code, reason = "reads a call of core's")]
fn text_of(call: &UtilityCall) -> &[u8] {
    // SAFETY: core passes a planned statement, and a text in which it stands, a C string that outlives the call.
    let (text, at, length) = unsafe {
        let text = CStr::from_ptr(call.source).to_bytes();
        (text, (*call.planned).stmt_location, (*call.planned).stmt_len)
    };
    // Where it stands may be unknown; a length of 0 means all that follows (plannodes.h).
    let rest = usize::try_from(at).ok().and_then(|at| text.get(at..)).unwrap_or(text);
    usize::try_from(length)
        .ok()
        .filter(|length| *length > 0)
        .and_then(|length| rest.get(..length))
        .unwrap_or(rest)
}

/// What the labels of a role say of which one is about to be written. The two roles' labels are no links.
fn labels_before(statement: &Statement) -> Option<Before> {
    let Statement::Label { role, .. } = statement else { return None };
    role.role().filter(|role| !is_marker(role)).map(|role| Before::of(&role))
}

/// What is left to core: the statement, or what remains of it without what is done here.
fn parts(call: &UtilityCall, statement: &Statement, requests: &[Request]) -> Result<Vec<UtilityCall>> {
    if requests.is_empty() {
        return Ok(vec![*call]);
    }
    let mut ours =
        allocate::collect(requests.iter().filter_map(Request::member).map(|role| role.id.to_u32()))?;
    ours.sort_unstable();
    #[expect(unsafe_code, reason = "copies a parse tree")]
    // SAFETY: the statement of core's that `statement` was read from.
    let parts = unsafe {
        match statement {
            Statement::Create(_) => vec![rewrite::plain_creation(call.planned)],
            Statement::Membership { .. } => rewrite::plain_grants(call.planned, &ours),
            _ => vec![call.planned],
        }
    };
    Ok(parts.into_iter().map(|planned| UtilityCall { planned, ..*call }).collect())
}

fn finish(statement: &Statement, requests: &[Request]) -> Result<()> {
    lock::after(statement)?;
    carry_out(statement, requests)?;
    after(statement)
}

/// What was asked for. A role that an administrator has created belongs to all of them, before it is linked.
fn carry_out(statement: &Statement, requests: &[Request]) -> Result<()> {
    if let Statement::Create(creation) = statement
        && let Some(made) = catalog::role_named(&creation.role)
    {
        rights::give_to_administrators(&made, false);
    }
    requests.iter().try_for_each(|request| {
        interrupts::check();
        request.carry_out()
    })
}

#[expect(unsafe_code, reason = "no safe wrapper")]
fn make_visible() {
    // SAFETY: between two statements of a transaction.
    unsafe { pg_sys::CommandCounterIncrement() }
}

/// What must not even begin, and what is asked for.
fn before(statement: &Statement, text: &[u8]) -> Result<Vec<Request>> {
    // What it lists may be as long as anybody likes: who has no right to it is told so first.
    if is_about_links(statement) && link::markers().is_some() {
        rights::may_administer()?;
    }
    truncated::check(statement, text)?;
    lock::before(statement)?;
    let requests = request::of(statement)?;
    createrole::check(statement)?;
    let (roles, what) = match statement {
        Statement::Drop { roles } => (roles.clone(), "dropped"),
        Statement::Rename { role, .. } => (Roles::One(role.clone()), "renamed"),
        Statement::Own { roles } => (roles.clone(), "subject of DROP OWNED or REASSIGN OWNED"),
        Statement::Alter { role, .. } | Statement::Configure { role } => {
            role.role().iter().try_for_each(lock::claim_anchor)?;
            return Ok(requests);
        }
        _ => return Ok(requests),
    };
    let Some(marker) = roles.marker() else { return Ok(requests) };
    lock::claim_anchor(&marker)?;
    if link::markers().is_some() && as_superuser(marker_roles::any_link) {
        return Err(invariants::anchor_in_use(&marker, what));
    }
    keep_revocations(statement, &roles, what)?;
    Ok(requests)
}

/// Whether a statement gives or takes membership in one of the two roles, or writes a label.
fn is_about_links(statement: &Statement) -> bool {
    match statement {
        Statement::Membership { granted, .. } => granted.marker().is_some(),
        Statement::Create(creation) => creation.parents.marker().is_some(),
        Statement::Label { .. } => true,
        _ => false,
    }
}

/// What is revoked goes with the role that remembers it. Whoever has no right to the statement is told so by core.
fn keep_revocations(statement: &Statement, roles: &Roles, what: &str) -> Result<()> {
    let user = roles.iter().find(|role| role.is(catalog::USER_ROLE)).and_then(|role| role.role());
    match (statement, user) {
        (Statement::Drop { .. } | Statement::Rename { .. }, Some(user)) if lock::may_change(&user) => {
            revocation::check_nothing_revoked(&user, what)
        }
        _ => Ok(()),
    }
}

/// What must hold after a statement.
fn after(statement: &Statement) -> Result<()> {
    match statement {
        Statement::Label { role, .. } => settle(role),
        Statement::Drop { roles } => after_drop(roles),
        Statement::Configure { role } => after_configure(role),
        Statement::Alter { role, .. } => {
            role.role().filter(is_marker).map_or(Ok(()), |marker| invariants::marker_is_intact(&marker))?;
            let role = Roles::One(role.clone()).distinct()?;
            invariants::roles_are_sound(&role, None, &New::nothing())?;
            // What is harmless for a linked role was judged before, and it may have been unlinked
            // since. So this comes after a linked role was found to have no password.
            createrole::check(statement)?;
            invariants::nobody_lifts_a_guard(&role, &New::nothing())
        }
        Statement::Create(creation) => {
            let is_new = |one: &Role, other: &Role| [one, other].iter().any(|at| at.name == creation.role);
            let new = New { membership: &is_new, parameter: false };
            let made = Roles::One(Named::Name(creation.role.clone()));
            invariants::roles_are_sound(&creation.members.distinct()?, Some(&made), &new)?;
            let role = made.distinct()?;
            role.iter().try_for_each(|role| invariants::created_role_is_sound(role, &new))?;
            invariants::administrators_have_no_members(&creation.parents, true)?;
            invariants::nobody_lifts_a_guard(&role, &new)
        }
        Statement::Membership { granted, members, is_grant, options_only } => {
            let members = members.distinct()?;
            if *options_only && let Some((user, admin)) = link::markers() {
                for marker in [user, admin].iter().filter(|marker| granted.name(&marker.name)) {
                    members.iter().try_for_each(|member| settle_member(member, marker))?;
                }
            }
            after_membership(granted, &members, *is_grant)
        }
        Statement::Parameter => as_superuser(escalation::check_parameters),
        Statement::Rename { role, to } if to.role().is_some_and(|role| is_marker(&role)) => {
            invariants::members_are_linked(role)
        }
        Statement::Rename { .. } | Statement::Own { .. } => Ok(()),
    }
}

/// With its last administrator the association goes, and with `azure_ad_admin` what is said for administrators.
fn after_drop(roles: &Roles) -> Result<()> {
    if roles.name(catalog::ADMIN_ROLE) {
        managed::forget();
    }
    as_superuser(|| if tenant::is_void() { tenant::settle().map(drop) } else { Ok(()) })
}

fn after_membership(granted: &Roles, members: &[Role], is_grant: bool) -> Result<()> {
    let is_new = |member: &Role, role: &Role| {
        is_grant && members.iter().any(|one| one.id == member.id) && granted.name(&role.name)
    };
    let new = New { membership: &is_new, parameter: false };
    // What is taken away breaks nothing, and may be what mends it.
    if is_grant {
        invariants::roles_are_sound(members, Some(granted), &new)?;
    }
    if granted.name(catalog::USER_ROLE) {
        invariants::markers_are_joined(members)?;
        if members.iter().any(|member| member.name.as_c_str() == catalog::ADMIN_ROLE) {
            as_superuser(marker_roles::keep_one_row);
        }
    }
    if !is_grant {
        return Ok(());
    }
    invariants::administrators_have_no_members(granted, false)?;
    invariants::nobody_lifts_a_guard(members, &new)
}

fn settle(role: &Named) -> Result<()> {
    let Some(role) = role.role().filter(|role| !is_marker(role)) else { return Ok(()) };
    link::settle(&role).map(drop)
}

/// Memberships in the two roles have no options. What is not a member is not made one: nobody has asked who may.
fn settle_member(member: &Role, marker: &Role) -> Result<()> {
    interrupts::check();
    let is_ours = catalog::is_linked(member.id) && !membership::between(member, marker).is_empty();
    if is_ours && !is_marker(member) { link::settle(member).map(drop) } else { Ok(()) }
}

/// The guard stays, whatever was set or reset.
fn after_configure(role: &Named) -> Result<()> {
    let Some(role) = role.role() else { return Ok(()) };
    if is_marker(&role) {
        return invariants::marker_is_intact(&role);
    }
    if catalog::is_linked(role.id) {
        as_superuser(|| guard::set(&role));
    }
    Ok(())
}
