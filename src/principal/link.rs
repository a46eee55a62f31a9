//! The one way to link and unlink.
//!
//! The labels of a role say what it is linked to. [`settle`] makes everything else agree with them: the memberships, the
//! guard, the password, the attributes of an administrator, the association with a tenant. Functions and statements write
//! or remove a label and then settle; a repair settles every role. So nothing that depends on a label is written twice.

use std::ffi::{CStr, CString};

use entra::{Label, Uuid};
use pgrx::prelude::*;

use super::catalog::{self, ADMIN_ROLE, INTERNAL_PROVIDER, Link, PROVIDER, Role, USER_ROLE};
use super::membership::{self, Membership};
use super::superuser::{as_superuser, query, quoted, run};
use super::{preload, rights, sessions};
use crate::fault::{Fault, Outcome, notice};

/// What [`settle`] had to do, in words.
pub(crate) type Done = Vec<String>;

/// Links a role to what `label` names, or rebinds it. The caller has the right to.
pub(crate) fn link(role: &Role, label: &Label) -> Outcome<Done> {
    lock(role)?;
    set_label(role, PROVIDER, Some(&label.to_string()));
    set_label(role, INTERNAL_PROVIDER, None);
    if label.mfa {
        notice(
            "multi-factor authentication can be verified in version 1.0 access tokens only",
            Some(
                "An application whose accessTokenAcceptedVersion is 2 gets tokens that are refused for this role.",
            ),
        );
    }
    settle(role)
}

/// Unlinks a role, which stays. The caller has the right to.
pub(crate) fn unlink(role: &Role) -> Outcome<Done> {
    lock(role)?;
    set_label(role, PROVIDER, None);
    set_label(role, INTERNAL_PROVIDER, None);
    settle(role)
}

/// Makes everything agree with the role's labels.
pub(crate) fn settle(role: &Role) -> Outcome<Done> {
    require_current_view()?;
    as_superuser(|| {
        let mut done = Done::new();
        let was_admin = holds_admin_role(role);
        match catalog::link_of(role.id) {
            Link::Bound(label) => make_linked(role, &label, &mut done)?,
            Link::None => make_unlinked(role, &mut done)?,
            Link::Unbound => {
                make_unlinked(role, &mut done)?;
                notice(
                    format!(
                        "role \"{}\" is not linked: its label names no directory object",
                        role.display_name()
                    ),
                    Some("A label of the provider pgaadauth-int, or an oid in this one, links it."),
                );
            }
            Link::Unreadable(fault) => {
                return Err(Fault::invalid(format!(
                    "the label of role \"{}\" is not valid",
                    role.display_name()
                ))
                .detail(fault.to_string()));
            }
        }
        if was_admin || holds_admin_role(role) {
            settle_association(&mut done)?;
        }
        Ok(done)
    })
}

/// Whether a role is a direct member of `azure_ad_admin`.
pub(crate) fn holds_admin_role(role: &Role) -> bool {
    anchors().is_some_and(|(_, admin)| !membership::between(role, &admin).is_empty())
}

/// What linking depends on must be seen as it is now, not as it was when the transaction began.
#[expect(unsafe_code, reason = "reads the state of the transaction")]
fn require_current_view() -> Outcome<()> {
    // SAFETY: a plain value of the main thread.
    if unsafe { pg_sys::XactIsoLevel } < pg_sys::XACT_REPEATABLE_READ.cast_signed() {
        return Ok(());
    }
    Err(Fault::not_now("roles are not linked or unlinked in a REPEATABLE READ or SERIALIZABLE transaction")
        .hint("BEGIN ISOLATION LEVEL READ COMMITTED;"))
}

/// Locks a role as SECURITY LABEL does, so that two sessions link it one after the other.
pub(crate) fn lock(role: &Role) -> Outcome<()> {
    lock_in(role, pg_sys::ShareUpdateExclusiveLock)
}

/// Keeps a role from being linked or unlinked meanwhile, and nobody from anything else.
pub(crate) fn hold(role: &Role) -> Outcome<()> {
    lock_in(role, pg_sys::ShareLock)
}

#[expect(unsafe_code, reason = "no safe wrapper")]
fn lock_in(role: &Role, mode: u32) -> Outcome<()> {
    // SAFETY: within a transaction, whose end releases the lock.
    unsafe {
        pg_sys::LockSharedObject(pg_sys::AuthIdRelationId, role.id, 0, mode.cast_signed());
    }
    match catalog::role_of(role.id) {
        Some(_) => Ok(()),
        None => Err(Fault::undefined(format!("role \"{}\" was concurrently dropped", role.display_name()))),
    }
}

/// Writes or removes a label, and makes that visible to the rest of the statement.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn set_label(role: &Role, provider: &CStr, text: Option<&str>) {
    let object = catalog::object_address(role.id);
    let text = text.and_then(|text| CString::new(text).ok());
    let pointer = text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
    // SAFETY: C strings that outlive the call.
    unsafe {
        pg_sys::SetSecurityLabel(&raw const object, provider.as_ptr(), pointer);
        pg_sys::CommandCounterIncrement();
    }
}

/// The two roles, once they exist.
pub(crate) fn anchors() -> Option<(Role, Role)> {
    Some((catalog::role_named(USER_ROLE)?, catalog::role_named(ADMIN_ROLE)?))
}

fn make_linked(role: &Role, label: &Label, done: &mut Done) -> Outcome<()> {
    check_linkable(role)?;
    let Some((user, admin)) = anchors() else {
        notice(
            format!("role \"{}\" is not linked completely", role.display_name()),
            Some("Run CREATE EXTENSION azure_ad_auth, or azure_ad_auth.repair() where it exists."),
        );
        return Ok(());
    };
    for anchor in [&user, &admin] {
        super::anchors::check_adoptable(anchor)?;
    }
    super::anchors::join(done);
    check_members(role, &admin)?;
    let (wanted, other) = if label.admin { (&admin, &user) } else { (&user, &admin) };
    let was_admin = !membership::between(role, &admin).is_empty();
    revoke(role, other, |_| true, done);
    if label.admin {
        // A role cannot be a member of its own member.
        revoke(&admin, role, |_| true, done);
    }
    revoke(role, wanted, |row| !is_ours(row), done);
    if membership::between(role, wanted).is_empty() {
        grant(role, wanted, done);
    }
    if label.admin && !(role.create_role && role.create_db) {
        alter(role, "CREATEROLE CREATEDB", done);
    } else if was_admin && !label.admin {
        alter(role, "NOCREATEROLE NOCREATEDB", done);
        notice(format!("role \"{}\" is no longer an Azure AD administrator", role.display_name()), None);
    }
    if preload::set(role) {
        done.push(format!("set {} of role \"{}\"", preload::PARAMETER, role.display_name()));
    }
    remove_password(role, done);
    check_reach(role)
}

fn make_unlinked(role: &Role, done: &mut Done) -> Outcome<()> {
    let Some((user, admin)) = anchors() else { return Ok(()) };
    if catalog::is_anchor(role) {
        return Ok(());
    }
    let was_admin = !membership::between(role, &admin).is_empty();
    let was_linked = was_admin || !membership::between(role, &user).is_empty();
    revoke(role, &user, |_| true, done);
    revoke(role, &admin, |_| true, done);
    if was_admin {
        alter(role, "NOCREATEROLE NOCREATEDB", done);
    }
    preload::remove(role);
    check_not_inherited(role, &user)?;
    if was_linked {
        sessions::end_after_commit(role.id);
    }
    Ok(())
}

/// What no link can change: a role that could step around its guard, or is not one's own.
pub(crate) fn check_linkable(role: &Role) -> Outcome<()> {
    let name = role.display_name();
    if catalog::is_anchor(role) {
        return Err(Fault::denied(format!("role \"{name}\" cannot be linked to a directory object"))
            .detail("It stands for all Azure AD roles."));
    }
    if name.starts_with("pg_") {
        return Err(Fault::denied(format!("role \"{name}\" cannot be linked to a directory object"))
            .detail("Roles whose name begins with \"pg_\" belong to PostgreSQL."));
    }
    if role.is_privileged() {
        return Err(Fault::denied(format!("role \"{name}\" cannot be linked to a directory object"))
            .detail("It is a superuser, or has REPLICATION or BYPASSRLS.")
            .hint(format!("ALTER ROLE {} NOSUPERUSER NOREPLICATION NOBYPASSRLS;", quoted(&name))));
    }
    Ok(())
}

/// A member without a link would be matched by `+azure_ad_user` in pg_hba.conf, and has no guard.
fn check_members(role: &Role, admin: &Role) -> Outcome<()> {
    let unlinked = membership::members_of(role)
        .into_iter()
        .find(|member| member.id != admin.id && !matches!(catalog::link_of(member.id), Link::Bound(_)));
    let Some(member) = unlinked else { return Ok(()) };
    let (role, member) = (role.display_name(), member.display_name());
    Err(Fault::not_now(format!(
        "role \"{role}\" cannot be linked because role \"{member}\" is a member of it"
    ))
    .detail("A member of an Azure AD role must be one itself.")
    .hint(format!("REVOKE {} FROM {};", quoted(&role), quoted(&member))))
}

/// What was linked may still be a member of other linked roles.
fn check_not_inherited(role: &Role, user: &Role) -> Outcome<()> {
    if !catalog::is_member(role.id, user.id) {
        return Ok(());
    }
    let through =
        membership::parents_of(role).into_iter().find(|parent| catalog::is_member(parent.id, user.id));
    let (role, through) = (role.display_name(), through.map_or_else(String::new, |role| role.display_name()));
    Err(Fault::not_now(format!(
        "role \"{role}\" cannot be unlinked while it is a member of role \"{through}\""
    ))
    .detail("A member of an Azure AD role must be one itself.")
    .hint(format!("REVOKE {} FROM {};", quoted(&through), quoted(&role))))
}

/// A linked role that could become a superuser, or whoever may SET the parameter of its guard, could keep this library out
/// of its own sessions: by options of its client, which are applied one after the other, SET ROLE included.
///
/// `role` is where something changed: looked at are the roles above it, on whatever terms it is their member, and the linked
/// ones below it. Only within `as_superuser`.
pub(crate) fn check_reach(role: &Role) -> Outcome<()> {
    // The two roles last: what holds for everybody is said of the role itself.
    let (anchors, mut above): (Vec<_>, Vec<_>) =
        membership::ancestors_of(role).into_iter().partition(catalog::is_anchor);
    above.push(role.clone());
    above.extend(anchors);
    let Some(top) = above.into_iter().find(could_lift_guard) else { return Ok(()) };
    let mut below = membership::descendants_of(role);
    below.push(role.clone());
    let linked = |role: &Role| matches!(catalog::link_of(role.id), Link::Bound(_));
    match below.into_iter().find(linked) {
        Some(linked) => Err(reaches(&linked, &top)),
        None => Ok(()),
    }
}

fn could_lift_guard(role: &Role) -> bool {
    role.superuser || may_set_parameter(role)
}

fn reaches(linked: &Role, top: &Role) -> Fault {
    let (name, parameter) = (linked.display_name(), preload::PARAMETER);
    let detail = "It could keep azure_ad_auth out of its own sessions.";
    if linked.id == top.id {
        return Fault::denied(format!(
            "role \"{name}\" is linked to a directory object and cannot have SET on parameter \"{parameter}\""
        ))
        .detail(detail)
        .hint(format!("Revoke SET ON PARAMETER {parameter} where the role has it from."));
    }
    let top = top.display_name();
    Fault::denied(format!(
        "role \"{name}\" is linked to a directory object and cannot be a member of role \"{top}\", which is a superuser \
         or has SET on parameter \"{parameter}\""
    ))
    .detail(detail)
    .hint(format!("REVOKE {} FROM {};", quoted(&top), quoted(&name)))
}

/// Before 15 only superusers may.
#[cfg(feature = "pg14")]
const fn may_set_parameter(_role: &Role) -> bool {
    false
}

#[cfg(not(feature = "pg14"))]
#[expect(unsafe_code, reason = "no safe wrapper")]
fn may_set_parameter(role: &Role) -> bool {
    let wanted = pg_sys::AclMode::from(pg_sys::ACL_SET);
    // SAFETY: a C string that outlives the call.
    let answer =
        unsafe { pg_sys::pg_parameter_aclcheck(c"session_preload_libraries".as_ptr(), role.id, wanted) };
    answer == pg_sys::AclResult::ACLCHECK_OK
}

/// Memberships made here have one grantor, whoever asked for them.
fn is_ours(row: &Membership) -> bool {
    row.grantor == pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID) && !row.admin_option
}

fn grant(member: &Role, role: &Role, done: &mut Done) {
    run(&format!("GRANT {} TO {}", quoted(&role.display_name()), quoted(&member.display_name())));
    done.push(format!("granted \"{}\" to role \"{}\"", role.display_name(), member.display_name()));
}

/// Revokes the memberships that `which` picks. From 16 on there may be several, of different grantors.
pub(crate) fn revoke(member: &Role, role: &Role, which: impl Fn(&Membership) -> bool, done: &mut Done) {
    for _ in membership::between(member, role) {
        // Looked up anew: one row may take another with it.
        let Some(row) = membership::between(member, role).into_iter().find(&which) else { return };
        let grantor = catalog::role_of(row.grantor).filter(|_| rights::HAS_ADMIN_OPTION_RULES);
        let by = grantor
            .map_or_else(String::new, |grantor| format!(" GRANTED BY {}", quoted(&grantor.display_name())));
        let (role, member) = (role.display_name(), member.display_name());
        run(&format!("REVOKE {} FROM {}{by} CASCADE", quoted(&role), quoted(&member)));
        done.push(format!("revoked \"{role}\" from role \"{member}\""));
    }
}

fn alter(role: &Role, attributes: &str, done: &mut Done) {
    run(&format!("ALTER ROLE {} {attributes}", quoted(&role.display_name())));
    done.push(format!("made role \"{}\" {attributes}", role.display_name()));
}

/// A linked role logs in with a token or not at all.
fn remove_password(role: &Role, done: &mut Done) {
    if has_password(role) {
        let name = role.display_name();
        run(&format!("ALTER ROLE {} PASSWORD NULL", quoted(&name)));
        notice(format!("the password of role \"{name}\" was removed"), None);
        done.push(format!("removed the password of role \"{name}\""));
    }
}

/// Whether a password is stored for the role. Only within `as_superuser`.
pub(crate) fn has_password(role: &Role) -> bool {
    let text = "SELECT rolpassword IS NOT NULL FROM pg_authid WHERE oid = $1";
    let rows = query(text, &[role.id.into()], |row| row.get::<bool>(1).ok().flatten().unwrap_or_default());
    rows.contains(&true)
}

/// Makes the association agree with the administrators there are. Only within `as_superuser`.
///
/// The lock makes two sessions that set the first administrator, or remove the last, take turns; it comes before the look.
pub(crate) fn settle_association(done: &mut Done) -> Outcome<()> {
    let Some((_, admin)) = anchors() else { return Ok(()) };
    lock(&admin)?;
    let tenants = administrators_tenants(&admin)?;
    let found = catalog::associated_tenant();
    if found == tenants.first().copied() && tenants.len() <= 1 {
        return Ok(());
    }
    match tenants.as_slice() {
        [] => {
            set_label(&admin, PROVIDER, None);
            notice(
                "Azure AD authentication is disabled: the server has no Azure AD administrator",
                Some("SELECT azure_ad_auth.set_admin(role_name, object_id, object_type);"),
            );
            done.push("removed the association with the tenant: there is no administrator".to_owned());
        }
        [tenant] => {
            let label = Label { tenant_id: Some(*tenant), ..Label::default() };
            set_label(&admin, PROVIDER, Some(&label.to_string()));
            done.push(format!("associated the server with tenant {tenant}"));
        }
        [one, two, ..] => {
            return Err(Fault::not_now("the Azure AD administrators are of different tenants")
                .detail(format!("Tenants {one} and {two}."))
                .hint("Remove the administrators of the old tenant first: azure_ad_auth.remove_admin()."));
        }
    }
    Ok(())
}

/// Whether there is an association and no administrator any more.
pub(crate) fn association_is_void() -> bool {
    let linked = |role: &Role| matches!(catalog::link_of(role.id), Link::Bound(_));
    catalog::associated_tenant().is_some()
        && anchors().is_some_and(|(_, admin)| !membership::members_of(&admin).iter().any(linked))
}

/// The tenants of the administrators, each once; an administrator whose label names none counts for the configured one.
fn administrators_tenants(admin: &Role) -> Outcome<Vec<Uuid>> {
    let mut tenants = Vec::new();
    for member in membership::members_of(admin) {
        let Link::Bound(label) = catalog::link_of(member.id) else { continue };
        let tenant = label.tenant_id.or_else(crate::settings::tenant).ok_or_else(tenant_missing)?;
        if !tenants.contains(&tenant) {
            tenants.push(tenant);
        }
    }
    Ok(tenants)
}

/// No link can be made before the tenant is known.
pub(crate) fn tenant_missing() -> Fault {
    Fault::not_now("no Azure AD tenant is configured")
        .hint("Set azure_ad_auth.tenant_id in postgresql.conf or by ALTER SYSTEM, and reload.")
}
