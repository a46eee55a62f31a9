//! The one way to link and unlink.
//!
//! The labels of a role say what it is linked to. [`settle`] makes everything else agree with them: the memberships, the
//! guard, the password, the attributes of an administrator, the association with a tenant. Functions and statements write
//! or remove a label and then settle; a repair settles every role. So nothing that depends on a label is written twice.

pub(crate) mod advice;
pub(crate) mod demotion;
mod end_sessions;
pub(crate) mod escalation;
pub(crate) mod guard;
pub(crate) mod label;
mod libraries;
pub(crate) mod lock;
pub(crate) mod managed;
pub(crate) mod marker_roles;
pub(crate) mod revocation;
pub(crate) mod rights;
pub(crate) mod sql;
pub(crate) mod tenant;
mod trust_lines;

use std::ffi::{CStr, CString};

use entra::Label;
use pgrx::prelude::*;

use crate::catalog::membership::{self, Membership};
use crate::catalog::{self, ADMIN_ROLE, INTERNAL_PROVIDER, Link, PROVIDER, Role, USER_ROLE};
use crate::link::escalation::{New, check_reach};
use crate::link::lock::{claim_to_link, claim_to_unlink, renamed};
use crate::pg::spi::{as_superuser, quoted, run};

use crate::pg::error::{Fault, Result, notice};
use crate::pg::text::decode;

/// What [`settle`] had to do, in words.
pub(crate) type Done = Vec<String>;

/// Links a role to what `label` names, or rebinds it. The caller has the right to.
pub(crate) fn link(role: &Role, label: &Label) -> Result<Done> {
    let role = &claim_to_link(role, label.admin)?;
    notice_second_factor(role, label);
    let not_before = label.not_before.max(catalog::not_before_of(role.id));
    set_label(role, PROVIDER, Some(&Label { not_before, ..*label }.to_string()));
    set_label(role, INTERNAL_PROVIDER, None);
    settle(role)
}

/// Unlinks a role, which stays. The caller has the right to.
pub(crate) fn unlink(role: &Role) -> Result<Done> {
    let role = &claim_to_unlink(role)?;
    let revoked = catalog::not_before_of(role.id);
    set_label(role, PROVIDER, None);
    set_label(role, INTERNAL_PROVIDER, None);
    label::keep_revoked(role, revoked);
    settle(role)
}

/// A role without LOGIN may be linked; nobody logs in as it.
fn notice_no_login(role: &Role) {
    let name = role.display_name();
    notice(
        format!("role \"{name}\" is not permitted to log in"),
        Some(&format!("ALTER ROLE {} LOGIN;", quoted(&name))),
    );
}

/// A second factor is asked for that was not before. Only before the label is written.
pub(crate) fn notice_second_factor(role: &Role, label: &Label) {
    let asked_before = matches!(catalog::link_of(role.id), Link::Bound(old) if old.mfa);
    if label.mfa && !asked_before {
        notice(
            "multi-factor authentication can be verified in version 1.0 access tokens only",
            Some(
                "An application whose accessTokenAcceptedVersion is 2 gets tokens that are refused for this role.",
            ),
        );
    }
}

/// Makes an administrator a plain Azure AD user. What that does to the association is for the caller to settle.
pub(crate) fn demote(role: &Role) -> Result<()> {
    let role = &claim_to_unlink(role)?;
    if let Some(own) = catalog::own_label(role.id).filter(|_| catalog::is_linked(role.id)) {
        set_label(role, PROVIDER, Some(&Label { admin: false, ..own }.to_string()));
    }
    as_superuser(|| settle_role(role, &mut Done::new()))
}

/// Makes everything agree with the role's labels.
pub(crate) fn settle(role: &Role) -> Result<Done> {
    as_superuser(|| {
        let mut done = Done::new();
        let was_admin = holds_admin_role(role);
        settle_role(role, &mut done)?;
        if was_admin || holds_admin_role(role) {
            tenant::settle(&mut done)?;
        }
        Ok(done)
    })
}

fn settle_role(role: &Role, done: &mut Done) -> Result<()> {
    let name = role.display_name();
    // A statement of core's may have written the label.
    catalog::announce_change(role.id);
    match catalog::link_of(role.id) {
        Link::Bound(label) => make_linked(role, &label, done),
        Link::None => make_unlinked(role, done),
        Link::Unbound => {
            make_unlinked(role, done)?;
            if catalog::own_label(role.id).is_none_or(|own| own.not_before.is_none()) {
                notice(
                    format!("role \"{name}\" is not linked: its label names no directory object"),
                    Some("A label of the provider pgaadauth-int, or an oid in this one, links it."),
                );
            }
            Ok(())
        }
        Link::Unreadable(fault) => {
            Err(Fault::invalid(format!("the label of role \"{name}\" is not valid"))
                .detail(fault.to_string()))
        }
    }
}

/// Whether a role is a direct member of `azure_ad_admin`.
pub(crate) fn holds_admin_role(role: &Role) -> bool {
    markers().is_some_and(|(_, admin)| !membership::between(role, &admin).is_empty())
}

/// Writes or removes a label, and makes that visible to the rest of the statement.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn set_label(role: &Role, provider: &CStr, text: Option<&str>) {
    let object = catalog::object_address(role.id);
    let text = text.and_then(|text| CString::new(text).ok());
    let pointer = text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
    // SAFETY: C strings that outlive the call.
    unsafe {
        pg_sys::SetSecurityLabel(&raw const object, provider.as_ptr(), pointer);
        pg_sys::CommandCounterIncrement();
    }
    catalog::announce_change(role.id);
}

/// The two roles, once they exist.
pub(crate) fn markers() -> Option<(Role, Role)> {
    Some((catalog::role_named(USER_ROLE)?, catalog::role_named(ADMIN_ROLE)?))
}

fn make_linked(role: &Role, label: &Label, done: &mut Done) -> Result<()> {
    check_linkable(role)?;
    let Some((user, admin)) = markers() else {
        notice(
            format!("role \"{}\" is not linked completely", role.display_name()),
            Some("CREATE EXTENSION azure_ad_auth; or, where it exists: SELECT azure_ad_auth.repair();"),
        );
        return Ok(());
    };
    for marker in [&user, &admin] {
        marker_roles::check_adoptable(marker)?;
    }
    marker_roles::join(done);
    check_members(role, &admin)?;
    let (wanted, other) = if label.admin { (&admin, &user) } else { (&user, &admin) };
    let was_admin = !membership::between(role, &admin).is_empty();
    let was_linked = was_admin || !membership::between(role, &user).is_empty();
    label::name_tenant(role, label, done);
    revoke(role, other, |_| true, done);
    if label.admin && !membership::between(&admin, role).is_empty() {
        // A role cannot be a member of its own member. As a plain user it is theirs again.
        managed::mark(role);
        revoke(&admin, role, |_| true, done);
    }
    if label.admin {
        check_no_members(role)?;
    }
    revoke(role, wanted, |row| !is_ours(row, role), done);
    if membership::between(role, wanted).is_empty() {
        grant(role, wanted, done);
    }
    if label.admin && !(role.create_role && role.create_db) {
        alter(role, "CREATEROLE CREATEDB", done);
    } else if was_admin && !label.admin {
        alter(role, "NOCREATEROLE NOCREATEDB", done);
        notice(format!("role \"{}\" is no longer an Azure AD administrator", role.display_name()), None);
        demotion::take_back(role, done);
        managed::give_back(role);
    }
    done.extend(guard(role));
    remove_password(role, done);
    if !was_linked && !role.can_login {
        notice_no_login(role);
    }
    if !done.is_empty() {
        check_done(role, wanted, was_admin)?;
    }
    check_reach(role, &New::nothing())
}

/// What was done was done by name, and names change hands: it must be this role that it was done to.
fn check_done(role: &Role, wanted: &Role, was_admin: bool) -> Result<()> {
    let is_member = membership::between(role, wanted).iter().any(|row| is_ours(row, role));
    let is_demoted = || {
        let now = catalog::role_of(role.id);
        wanted.name.as_c_str() == ADMIN_ROLE || now.is_some_and(|now| !now.create_role && !now.create_db)
    };
    let whole =
        is_member && (!was_admin || is_demoted()) && !catalog::has_password(role.id) && guard::is_whole(role);
    if whole { Ok(()) } else { Err(renamed(role)) }
}

fn make_unlinked(role: &Role, done: &mut Done) -> Result<()> {
    let Some((user, admin)) = markers() else { return Ok(()) };
    if catalog::is_marker(role) {
        return Ok(());
    }
    let was_admin = !membership::between(role, &admin).is_empty();
    let was_linked = was_admin || !membership::between(role, &user).is_empty();
    revoke(role, &user, |_| true, done);
    revoke(role, &admin, |_| true, done);
    if was_admin {
        alter(role, "NOCREATEROLE NOCREATEDB", done);
        demotion::take_back(role, done);
        managed::give_back(role);
    }
    guard::remove(role);
    if [&user, &admin].iter().any(|marker| !membership::between(role, marker).is_empty()) {
        return Err(renamed(role));
    }
    check_not_inherited(role, &user)?;
    if was_linked {
        end_sessions::end_after_commit(role);
        trust_lines::warn_of(role);
    }
    Ok(())
}

/// What no link can change: a role that could step around its guard, or is not one's own.
pub(crate) fn check_linkable(role: &Role) -> Result<()> {
    let name = role.display_name();
    if catalog::is_marker(role) {
        return Err(Fault::denied(format!("role \"{name}\" cannot be linked to a directory object"))
            .detail("It stands for all Azure AD roles."));
    }
    if name.starts_with("pg_") {
        return Err(Fault::denied(format!("role \"{name}\" cannot be linked to a directory object"))
            .detail("Roles whose name begins with \"pg_\" belong to PostgreSQL."));
    }
    if role.is_privileged() {
        let fault = Fault::denied(format!("role \"{name}\" cannot be linked to a directory object"))
            .detail("It is a superuser, or has REPLICATION or BYPASSRLS.");
        // The superuser that initdb has made stays one.
        let stays_one = role.id == pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID);
        return Err(if stays_one {
            fault
        } else {
            fault.hint(format!("ALTER ROLE {} NOSUPERUSER NOREPLICATION NOBYPASSRLS;", quoted(&name)))
        });
    }
    Ok(())
}

/// Whoever is a member of an administrator's role could act as it.
pub(crate) fn check_no_members(role: &Role) -> Result<()> {
    let Some(member) = membership::members_of(role).into_iter().next() else { return Ok(()) };
    Err(cannot_have_members(role, &member).hint(advice::revocation(role, &member)))
}

pub(crate) fn cannot_have_members(role: &Role, member: &Role) -> Fault {
    let (role, member) = (role.display_name(), member.display_name());
    Fault::denied(format!("role \"{role}\" administers Azure AD roles and cannot have members"))
        .detail(format!("Role \"{member}\" would be an administrator too, and nobody would see it."))
}

/// A member without a link would be matched by `+azure_ad_user` in pg_hba.conf, and has no guard.
fn check_members(role: &Role, admin: &Role) -> Result<()> {
    let unlinked = membership::members_of(role)
        .into_iter()
        .find(|member| member.id != admin.id && !catalog::is_linked(member.id));
    let Some(member) = unlinked else { return Ok(()) };
    Err(has_unlinked_member(&role.display_name(), &member).hint(advice::revocation(role, &member)))
}

pub(crate) fn has_unlinked_member(role: &str, member: &Role) -> Fault {
    let member = member.display_name();
    Fault::prerequisite(format!(
        "role \"{role}\" cannot be linked because role \"{member}\" is a member of it"
    ))
    .detail("A member of an Azure AD role must be one itself.")
}

/// What was linked may still be a member of other linked roles.
fn check_not_inherited(role: &Role, user: &Role) -> Result<()> {
    if !catalog::is_member(role.id, user.id) {
        return Ok(());
    }
    let through =
        membership::parents_of(role).into_iter().find(|parent| catalog::is_member(parent.id, user.id));
    let Some(through) = through else { return Ok(()) };
    Err(Fault::prerequisite(format!(
        "role \"{}\" cannot be unlinked while it is a member of role \"{}\"",
        role.display_name(),
        through.display_name()
    ))
    .detail("A member of an Azure AD role must be one itself.")
    .hint(advice::revocation(&through, role)))
}

/// Memberships made here have one grantor, whoever asked for them, and no options.
fn is_ours(row: &Membership, member: &Role) -> bool {
    row.grantor == pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID)
        && !row.admin_option
        && row.inherit_and_set.is_none_or(|options| options == (member.inherit, true))
}

fn grant(member: &Role, role: &Role, done: &mut Done) {
    run(&[b"GRANT ", &role.quoted(), b" TO ", &member.quoted()]);
    done.push(format!("granted \"{}\" to role \"{}\"", role.display_name(), member.display_name()));
}

/// Revokes the memberships that `which` picks. From 16 on there may be several, of different grantors.
pub(crate) fn revoke(member: &Role, role: &Role, which: impl Fn(&Membership) -> bool, done: &mut Done) {
    for _ in membership::between(member, role) {
        // Looked up anew: one row may take another with it.
        let Some(row) = membership::between(member, role).into_iter().find(&which) else { return };
        let grantor = catalog::role_of(row.grantor).filter(|_| rights::HAS_ADMIN_OPTION_RULES);
        let by = grantor.map_or_else(Vec::new, |grantor| [b" GRANTED BY ", &*grantor.quoted()].concat());
        run(&[b"REVOKE ", &role.quoted(), b" FROM ", &member.quoted(), &by, b" CASCADE"]);
        done.push(format!("revoked \"{}\" from role \"{}\"", role.display_name(), member.display_name()));
    }
}

fn alter(role: &Role, attributes: &str, done: &mut Done) {
    run(&[b"ALTER ROLE ", &role.quoted(), b" ", attributes.as_bytes()]);
    done.push(format!("made role \"{}\" {attributes}", role.display_name()));
}

/// Sets the guard; says what was done, if anything was.
fn guard(role: &Role) -> Option<String> {
    let name = role.display_name();
    match guard::set(role) {
        guard::Change::None => None,
        guard::Change::Set => Some(format!("set the guard of role \"{name}\"")),
        guard::Change::Renewed(kept) if kept.is_empty() => {
            Some(format!("renewed the guard of role \"{name}\""))
        }
        guard::Change::Renewed(kept) => {
            let kept: Vec<_> =
                kept.iter().map(|library| format!("\"{}\"", decode(library.to_bytes()))).collect();
            let kept = kept.join(", ");
            Some(format!("renewed the guard of role \"{name}\", which still loads {kept}"))
        }
    }
}

/// A linked role logs in with a token or not at all.
fn remove_password(role: &Role, done: &mut Done) {
    if catalog::has_password(role.id) {
        let name = role.display_name();
        run(&[b"ALTER ROLE ", &role.quoted(), b" PASSWORD NULL"]);
        notice(format!("the password of role \"{name}\" was removed"), None);
        done.push(format!("removed the password of role \"{name}\""));
    }
}
