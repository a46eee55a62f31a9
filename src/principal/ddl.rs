//! Statements that could break what a link depends on: refused, or followed by what makes it whole again.
//!
//! What is judged is the state after the statement, not its words: a linked role that could step around its guard, a role
//! that became a member of an Azure AD role without being one, the two roles changed while others depend on them. An error
//! then takes the whole statement back.

use std::cell::Cell;

use pgrx::prelude::*;

use super::anchors;
use super::catalog::{self, Link, Role, is_anchor};
use super::createrole;
use super::link;
use super::membership;
use super::preload;
use super::rights;
use super::statement::{self, Named, Statement};
use super::superuser::{as_superuser, is_own_statement, quoted};
use crate::chain::{UtilityCall, utility_hook};
use crate::fault::{Fault, Outcome, or_raise};

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

fn judge(call: UtilityCall) {
    #[expect(unsafe_code, reason = "reads a call of core's")]
    // SAFETY: core calls the hook with a planned utility statement; it is read before it runs, which may change it.
    let statement = unsafe { statement::read((*call.planned).utilityStmt) }.filter(|_| !is_own_statement());
    if let Some(statement) = &statement {
        or_raise(before(statement));
    }
    #[expect(unsafe_code, reason = "passes a call of core's on")]
    // SAFETY: the call came from core.
    unsafe {
        call.pass_on(PREVIOUS.get());
    }
    if let Some(statement) = &statement {
        make_visible();
        or_raise(after(statement));
    }
}

#[expect(unsafe_code, reason = "no safe wrapper")]
fn make_visible() {
    // SAFETY: between two statements of a transaction.
    unsafe { pg_sys::CommandCounterIncrement() }
}

/// What must not even begin while roles are linked. What it is about is locked against being linked or unlinked, so that
/// whoever comes second sees what the first has done.
fn before(statement: &Statement) -> Outcome<()> {
    createrole::check(statement)?;
    if link::anchors().is_some() && !recovering() {
        lock_involved(statement)?;
    }
    lock_association(statement)?;
    let (roles, what) = match statement {
        Statement::Drop { roles } => (roles.as_slice(), "dropped"),
        Statement::Rename { role } => (std::slice::from_ref(role), "renamed"),
        Statement::Own { roles } => (roles.as_slice(), "subject of DROP OWNED or REASSIGN OWNED"),
        _ => return Ok(()),
    };
    let Some((user, admin)) = link::anchors() else { return Ok(()) };
    let anchor = roles.iter().filter_map(Named::role).find(|role| role.id == user.id || role.id == admin.id);
    match anchor {
        Some(anchor) if as_superuser(anchors::any_link) => Err(anchor_in_use(&anchor, what)),
        _ => Ok(()),
    }
}

/// Dropping administrators may end the association; linking, which may end it too, waits until that is done. Whoever drops
/// other roles waits for nobody.
fn lock_association(statement: &Statement) -> Outcome<()> {
    let (Statement::Drop { roles }, Some((_, admin))) = (statement, link::anchors()) else { return Ok(()) };
    let ends = roles.iter().filter_map(Named::role).any(|role| link::holds_admin_role(&role));
    if ends && !recovering() { link::lock(&admin) } else { Ok(()) }
}

#[expect(unsafe_code, reason = "no safe wrapper")]
fn recovering() -> bool {
    // SAFETY: has no preconditions. A standby takes no such statement, and says so itself.
    unsafe { pg_sys::RecoveryInProgress() }
}

/// Locks the roles by which a statement could break what a link depends on. Granted roles as core itself locks them from 16 on;
/// the two roles not at all: they are everybody's.
fn lock_involved(statement: &Statement) -> Outcome<()> {
    let none: &[Named] = &[];
    let (granted, others) = match statement {
        Statement::Membership { granted, members, is_grant: true } => {
            (granted.as_slice(), members.as_slice())
        }
        Statement::Create { parents, members, .. } => (parents.as_slice(), members.as_slice()),
        Statement::Alter { role, .. } | Statement::Configure { role } => (none, std::slice::from_ref(role)),
        _ => return Ok(()),
    };
    let roles = |named: &[Named], is_granted| {
        let roles = named.iter().filter_map(Named::role).filter(|role| !is_anchor(role));
        roles.map(|role| (role, is_granted)).collect::<Vec<_>>()
    };
    let mut involved = [roles(granted, true), roles(others, false)].concat();
    involved.sort_by_key(|(role, is_granted)| (role.id.to_u32(), !is_granted));
    involved.iter().try_for_each(|(role, is_granted)| {
        if *is_granted && rights::HAS_ADMIN_OPTION_RULES { link::lock(role) } else { link::hold(role) }
    })
}

fn anchor_in_use(anchor: &Role, what: &str) -> Fault {
    Fault::new(
        PgSqlErrorCode::ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
        format!(
            "role \"{}\" cannot be {what} while roles are linked to directory objects",
            anchor.display_name()
        ),
    )
    .hint("Unlink them first: SELECT azure_ad_auth.drop_principal(role_name) FROM azure_ad_auth.principals;")
}

/// What must hold after a statement.
fn after(statement: &Statement) -> Outcome<()> {
    match statement {
        Statement::Label { role } => settle(role),
        Statement::Drop { .. } => as_superuser(|| {
            if link::association_is_void() { link::settle_association(&mut Vec::new()) } else { Ok(()) }
        }),
        Statement::Configure { role } => after_configure(role),
        Statement::Alter { role, .. } => {
            role.role().filter(is_anchor).map_or(Ok(()), |anchor| verify_anchor(&anchor))?;
            verify(std::slice::from_ref(role), None)?;
            check_reach(std::slice::from_ref(role))
        }
        Statement::Create { role, members, .. } => {
            verify(std::slice::from_ref(role), None)?;
            verify(members, role.role().as_ref())?;
            check_reach(std::slice::from_ref(role))?;
            role.role().iter().for_each(rights::grant_to_administrators);
            Ok(())
        }
        Statement::Membership { granted, members, is_grant } => {
            for granted in granted.iter().filter_map(Named::role) {
                check_anchor_membership(&granted, members, *is_grant)?;
                // What is taken away breaks nothing, and may be what mends it.
                if *is_grant {
                    verify(members, Some(&granted))?;
                }
                if granted.name.as_c_str() == catalog::USER_ROLE {
                    verify_joined(members)?;
                }
            }
            if *is_grant { check_reach(members) } else { Ok(()) }
        }
        Statement::Parameter => as_superuser(anchors::check_parameters),
        Statement::Rename { .. } | Statement::Own { .. } => Ok(()),
    }
}

fn check_reach(roles: &[Named]) -> Outcome<()> {
    as_superuser(|| roles.iter().filter_map(Named::role).try_for_each(|role| link::check_reach(&role)))
}

fn settle(role: &Named) -> Outcome<()> {
    let Some(role) = role.role().filter(|role| !is_anchor(role)) else { return Ok(()) };
    link::settle(&role).map(drop)
}

/// The guard stays, whatever was set or reset.
fn after_configure(role: &Named) -> Outcome<()> {
    let Some(role) = role.role() else { return Ok(()) };
    if is_anchor(&role) {
        return verify_anchor(&role);
    }
    if matches!(catalog::link_of(role.id), Link::Bound(_)) {
        as_superuser(|| preload::set(&role));
    }
    Ok(())
}

/// Membership in the two roles is given and taken with the link, and by nothing else.
fn check_anchor_membership(granted: &Role, members: &[Named], is_grant: bool) -> Outcome<()> {
    if !is_anchor(granted) {
        return Ok(());
    }
    for member in members.iter().filter_map(Named::role).filter(|member| !is_anchor(member)) {
        let (anchor, name) = (granted.display_name(), member.display_name());
        let wants_admin = granted.name.as_c_str() == catalog::ADMIN_ROLE;
        match catalog::link_of(member.id) {
            Link::Bound(label) if is_grant && label.admin == wants_admin => {
                link::settle(&member)?;
            }
            Link::Bound(_) if !is_grant => {
                return Err(Fault::not_now(format!(
                    "role \"{name}\" is linked to a directory object and stays a member of role \"{anchor}\""
                ))
                .hint("To unlink it: SELECT azure_ad_auth.drop_principal(role_name)."));
            }
            Link::Bound(_) => {
                return Err(Fault::denied(format!("role \"{anchor}\" is not granted by GRANT"))
                    .hint("Use azure_ad_auth.set_admin(), or create_principal() or update_principal() with is_admin."));
            }
            _ if is_grant => return Err(not_linked(&member, granted)),
            _ => {}
        }
    }
    Ok(())
}

/// Roles are as a link, or the lack of one, asks for. `through` is a role they may have become members of.
fn verify(roles: &[Named], through: Option<&Role>) -> Outcome<()> {
    let Some(user) = catalog::role_named(catalog::USER_ROLE) else { return Ok(()) };
    for role in roles.iter().filter_map(Named::role) {
        if is_anchor(&role) {
            continue;
        }
        if matches!(catalog::link_of(role.id), Link::Bound(_)) {
            verify_linked(&role)?;
        } else if catalog::is_member(role.id, user.id) {
            let through = through.filter(|through| catalog::is_member(through.id, user.id));
            let through = through.cloned().or_else(|| parent_in(&role, &user));
            return Err(not_linked(&role, through.as_ref().unwrap_or(&user)));
        }
    }
    Ok(())
}

fn parent_in(role: &Role, user: &Role) -> Option<Role> {
    membership::parents_of(role).into_iter().find(|parent| catalog::is_member(parent.id, user.id))
}

fn not_linked(role: &Role, through: &Role) -> Fault {
    let (role, through) = (role.display_name(), through.display_name());
    Fault::not_now(format!(
        "role \"{role}\" cannot be a member of role \"{through}\" because it is not linked to a directory object"
    ))
    .detail(format!("Role \"{through}\" is an Azure AD role, and only Azure AD roles may be members of one."))
    .hint(format!(
        "Link it first: SELECT azure_ad_auth.create_principal('{quoted}', object_id); or \
         SECURITY LABEL FOR pgaadauth ON ROLE {name} IS 'aadauth,oid=<object id>,type=user';",
        quoted = role.replace('\'', "''"),
        name = quoted(&role),
    ))
}

/// A linked role has nothing by which it could step around its guard or its token.
fn verify_linked(role: &Role) -> Outcome<()> {
    let name = role.display_name();
    if role.is_privileged() {
        return Err(Fault::denied(format!(
            "role \"{name}\" is linked to a directory object and cannot be a superuser, or have REPLICATION or BYPASSRLS"
        ))
        .hint("Unlink it first: SELECT azure_ad_auth.drop_principal(role_name)."));
    }
    as_superuser(|| {
        if link::has_password(role) {
            return Err(Fault::not_now(format!(
                "role \"{name}\" is linked to a directory object and cannot have a password"
            ))
            .detail("It logs in with an access token or not at all."));
        }
        link::check_reach(role)
    })
}

/// The two roles stay what they were made to be while others depend on them.
fn verify_anchor(role: &Role) -> Outcome<()> {
    unless(role, || anchors::is_intact(role))
}

/// And one stays a member of the other.
fn verify_joined(members: &[Named]) -> Outcome<()> {
    let admin = members.iter().filter_map(Named::role).find(is_anchor);
    admin.map_or(Ok(()), |admin| unless(&admin, anchors::are_joined))
}

fn unless(role: &Role, whole: impl FnOnce() -> bool) -> Outcome<()> {
    as_superuser(
        || if whole() || !anchors::any_link() { Ok(()) } else { Err(anchor_in_use(role, "changed")) },
    )
}
