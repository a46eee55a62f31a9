//! Links roles to directory objects, and unlinks them.
//!
//! The labels of a role say what it is linked to. [`settle`] makes everything else agree with them:
//! the memberships, the guard, the password, the attributes of an administrator, the association
//! with a tenant. It reads the role once, asks the crate `linkage` what has to change, and applies
//! that. SQL functions and statements write or remove a label and then settle; a repair settles
//! every role. So nothing that depends on a label is written twice.

pub(crate) mod advice;
mod apply;
pub(crate) mod demotion;
mod end_sessions;
pub(crate) mod escalation;
pub(crate) mod grant;
pub(crate) mod guard;
pub(crate) mod label;
mod libraries;
pub(crate) mod lock;
pub(crate) mod managed;
pub(crate) mod marker_roles;
pub(crate) mod object;
mod obstacle;
pub(crate) mod principal;
mod repair;
pub(crate) mod revocation;
pub(crate) mod rights;
pub(crate) mod sql;
mod state;
pub(crate) mod tenant;
mod trust_lines;

use entra::Label;
use linkage::{Change, Plan, Wanted};

pub(crate) use crate::catalog::{holds_admin_role, markers};
pub(crate) use crate::link::obstacle::{cannot_have_members, check_linkable, has_unlinked_member};
pub(crate) use crate::link::state::{facts, name_of, rows, server};

use crate::catalog::{self, INTERNAL_PROVIDER, Link, PROVIDER, Role};
use crate::link::escalation::{New, check_reach};
use crate::link::label::set_label;
use crate::link::lock::{claim_to_link, claim_to_unlink, renamed};
use crate::pg::error::{Fault, Result, notice};
use crate::pg::spi::as_superuser;

/// Links a role to what `label` names, or rebinds it. The caller has the right to. Returns what was
/// changed besides.
pub(crate) fn link(role: &Role, label: &Label) -> Result<Vec<Change>> {
    let role = &claim_to_link(role, label.admin)?;
    notice_second_factor(role, label);
    let not_before = label.not_before.max(catalog::not_before_of(role.id));
    set_label(role.id, PROVIDER, Some(&Label { not_before, ..*label }.to_string()));
    set_label(role.id, INTERNAL_PROVIDER, None);
    settle(role)
}

/// Unlinks a role, which stays. The caller has the right to. Returns what was changed besides.
pub(crate) fn unlink(role: &Role) -> Result<Vec<Change>> {
    let role = &claim_to_unlink(role)?;
    let revoked = catalog::not_before_of(role.id);
    set_label(role.id, PROVIDER, None);
    set_label(role.id, INTERNAL_PROVIDER, None);
    label::keep_revoked(role, revoked);
    settle(role)
}

/// Makes an administrator a plain Azure AD user. The caller then settles the association with a
/// tenant.
pub(crate) fn demote(role: &Role) -> Result<()> {
    let role = &claim_to_unlink(role)?;
    if let Some(own) = catalog::own_label(role.id).filter(|_| catalog::is_linked(role.id)) {
        set_label(role.id, PROVIDER, Some(&Label { admin: false, ..own }.to_string()));
    }
    as_superuser(|| settle_role(role)).map(drop)
}

/// Tells the client that a second factor is asked for that was not before. Called before the label
/// is written.
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

/// Makes everything agree with the role's labels. Returns what was changed.
pub(crate) fn settle(role: &Role) -> Result<Vec<Change>> {
    as_superuser(|| {
        let was_admin = holds_admin_role(role);
        let mut changed = settle_role(role)?;
        if was_admin || holds_admin_role(role) {
            changed.extend(tenant::settle()?);
        }
        Ok(changed)
    })
}

fn settle_role(role: &Role) -> Result<Vec<Change>> {
    // A statement of PostgreSQL's own may have written the label.
    catalog::announce_change(role.id);
    let wanted = wanted(role)?;
    let state = state::read(role, &wanted);
    let plan = plan_of(role, &state, &wanted)?;
    if let (Wanted::Linked(_), None) = (wanted, &state.markers) {
        notice(
            format!("role \"{}\" is not linked completely", role.display_name()),
            Some("CREATE EXTENSION azure_ad_auth; or, where it exists: SELECT azure_ad_auth.repair();"),
        );
        return Ok(Vec::new());
    }
    let mut changed = apply::apply(role, &plan);
    if !plan.is_empty() {
        check_whole(role)?;
    }
    if state.was_administrator() && !matches!(wanted, Wanted::Linked(label) if label.admin) {
        changed.extend(finish_demotion(role)?);
    }
    match wanted {
        Wanted::Linked(_) => check_reach(role, &New::nothing())?,
        Wanted::Unlinked => {
            if state.was_linked() && !state.role.is_marker {
                end_sessions::end_after_commit(role);
                trust_lines::warn_of(role);
            }
            notice_unbound(role);
        }
    }
    Ok(changed)
}

/// Returns what the labels of a role ask for.
fn wanted(role: &Role) -> Result<Wanted> {
    match catalog::link_of(role.id) {
        Link::Bound(label) => Ok(Wanted::Linked(label)),
        Link::None | Link::Unbound => Ok(Wanted::Unlinked),
        Link::Unreadable(fault) => {
            let name = role.display_name();
            Err(Fault::invalid(format!("the label of role \"{name}\" is not valid"))
                .detail(fault.to_string()))
        }
    }
}

fn plan_of(role: &Role, state: &linkage::State, wanted: &Wanted) -> Result<Plan> {
    linkage::plan(&server(), state, wanted).map_err(|obstacle| obstacle::fault(role, &obstacle))
}

/// Checks that nothing is left to do. The changes were made by name, and another role may have the
/// name by now: this check shows that it was this role that was changed.
fn check_whole(role: &Role) -> Result<()> {
    let now = catalog::role_of(role.id).ok_or_else(|| renamed(role))?;
    let wanted = wanted(&now)?;
    if plan_of(role, &state::read(&now, &wanted), &wanted)?.is_empty() { Ok(()) } else { Err(renamed(role)) }
}

/// Checks that a role that is no longer an administrator has lost the attributes of one, and takes
/// back what administrators have granted it while this statement waited for locks. Returns what was
/// changed.
fn finish_demotion(role: &Role) -> Result<Vec<Change>> {
    let now = catalog::role_of(role.id).ok_or_else(|| renamed(role))?;
    let rest = linkage::rest_of_demotion(&server(), &facts(&now), &state::held(&now));
    rest.map(|rest| apply::apply(&now, &rest)).ok_or_else(|| renamed(role))
}

/// Tells the client of a label that names no directory object and holds no revocation either.
fn notice_unbound(role: &Role) {
    let is_unbound = matches!(catalog::link_of(role.id), Link::Unbound);
    if is_unbound && catalog::own_label(role.id).is_none_or(|own| own.not_before.is_none()) {
        notice(
            format!("role \"{}\" is not linked: its label names no directory object", role.display_name()),
            Some("A label of the provider pgaadauth-int, or an oid in this one, links it."),
        );
    }
}
