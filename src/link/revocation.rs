//! Tokens that are revoked before they expire: those of a role, by its label, and those of a
//! directory object for every role, by a label of `azure_ad_user`.
//!
//! A login looks at both. Sessions that logged in with such a token are ended by the reaper
//! (`crate::sessions`), on standbys too.

use entra::{Label, PrincipalKind, Uuid};
use pgrx::prelude::*;

use crate::catalog::{self, Link, OWN_PROVIDER, Role, USER_ROLE, labelled_roles};
use crate::link::label::{refuse_older, set_label};
use crate::link::principal::linked;
use crate::link::{lock, rights};
use crate::pg::error::{Fault, Result, notice};
use crate::pg::spi::as_superuser;
use crate::pg::{clock, interrupts};
use crate::report::timestamp;
use crate::{sessions, settings};

/// Entra dates tokens back by up to so many seconds, so that servers whose clocks are slow accept
/// them.
const BACKDATED_SECONDS: i64 = 300;

/// Refuses an object's tokens issued until now, for every role. Returns the number of roles that
/// are linked to it. The current user may administer, which is checked again under the lock.
pub(crate) fn revoke_object(object: Uuid) -> Result<usize> {
    lock::claim_end_of_administrators()?;
    rights::may_administer()?;
    let labelled = as_superuser(labelled_roles);
    let roles = roles_of(object, &labelled)?;
    require_no_administrator(object)?;
    // The issuer's clock may be ahead of this server's by up to `clock_skew`.
    let not_before = clock::unix_now() + 1 + settings::clock_skew();
    for (role, label) in &roles {
        revoke(role, label, not_before);
    }
    // A group has no tokens of its own.
    let is_group = |(_, label): &(Role, Label)| label.kind == Some(PrincipalKind::Group);
    if roles.is_empty() || !roles.iter().all(is_group) {
        revoke_everywhere(object, not_before, &labelled)?;
    }
    tell(&format!("object {object}"), not_before);
    Ok(roles.len())
}

/// Returns the object that a role is linked to.
fn object_of(role: &Role) -> Option<Uuid> {
    interrupts::check();
    match catalog::link_of(role.id) {
        Link::Bound(label) => label.object_id,
        _ => None,
    }
}

/// Returns those of the roles with labels that are linked to an object, each locked. The current
/// user may change them.
fn roles_of(object: Uuid, labelled: &[Role]) -> Result<Vec<(Role, Label)>> {
    let roles = labelled.iter().filter(|role| object_of(role) == Some(object));
    roles.map(|role| linked(&role.name, rights::may_end, lock::lock_for_change)).collect()
}

/// Refuses a role's tokens that were issued before a time; what is revoked stays so. Returns from
/// when on tokens count.
pub(crate) fn revoke(role: &Role, label: &Label, not_before: i64) -> i64 {
    let not_before = not_before.max(label.not_before.unwrap_or_default());
    as_superuser(|| refuse_older(role.id, not_before));
    not_before
}

/// Remembers an object whose tokens are refused for every role.
///
/// Objects that roles are linked to, and those that are logged in, have room of their own, which
/// invented ids do not take. An administrator could still fill it by linking roles to invented ids,
/// which all users can see; then a superuser's revocation makes room.
fn revoke_everywhere(object: Uuid, not_before: i64, labelled: &[Role]) -> Result<()> {
    let user = catalog::role_named(USER_ROLE).ok_or_else(|| {
        Fault::prerequisite("role \"azure_ad_user\" does not exist").hint("SELECT azure_ad_auth.repair();")
    })?;
    let user = lock::claim_revocations(&user)?;
    let mut revocations = catalog::revocations()
        .ok_or_else(|| Fault::prerequisite("the label of role \"azure_ad_user\" is not valid"))?;
    revocations.forget(clock::unix_now());
    let mut known = sessions::objects();
    known.extend(labelled.iter().filter_map(object_of));
    let is_known = |object| known.contains(&object);
    if !revocations.has_room_for(object, is_known) {
        rights::require_superuser("revoke the tokens of more objects than there is room for")?;
        notice(
            "everybody's access tokens that are older than the oldest of the last 16 revocations are revoked as well",
            Some("Sessions that came in with one end, whoever's they are."),
        );
    }
    revocations.revoke(object, not_before, is_known);
    as_superuser(|| set_label(user.id, OWN_PROVIDER, Some(&revocations.to_string())));
    Ok(())
}

/// Checks that nothing is revoked, before the role that remembers it is dropped or renamed. A label
/// that cannot be read counts as a revocation.
pub(crate) fn check_nothing_revoked(user: &Role, what: &str) -> Result<()> {
    lock::claim_revocations(user)?;
    let now = clock::unix_now();
    if catalog::revocations().is_some_and(|revocations| revocations.is_over(now)) {
        return Ok(());
    }
    Err(Fault::new(
        PgSqlErrorCode::ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
        format!("role \"{}\" cannot be {what} while access tokens are revoked", user.display_name()),
    )
    .detail("Its security label says whose, for a week.")
    .hint("To accept these tokens again: SECURITY LABEL FOR azure_ad_auth ON ROLE azure_ad_user IS NULL;"))
}

/// Checks that an object is not logged in as an administrator, whose access only superusers end.
/// The object may be named by any of its ids.
fn require_no_administrator(object: Uuid) -> Result<()> {
    let administers = |role| catalog::role_of(role).is_some_and(|role| rights::is_administrator(&role));
    if rights::is_superuser() || !sessions::is_in(object, administers) {
        return Ok(());
    }
    Err(Fault::denied("permission denied to revoke the tokens of an Azure AD administrator")
        .detail("It is logged in as one; only a superuser may."))
}

/// Tells the client from when on tokens count, and which sessions that does not end.
pub(crate) fn tell(whose: &str, not_before: i64) {
    if sessions::reaper_pid().is_none() {
        notice(
            "sessions that came in with such a token do not end: the process that ends them is away",
            Some("Is there room in max_worker_processes? pg_terminate_backend() ends them meanwhile."),
        );
    }
    notice(
        format!("access tokens issued before {} are no longer accepted for {whose}", timestamp(not_before)),
        Some(&format!(
            "Microsoft Entra may date a token back by five minutes: one acquired before {} may be refused as well.",
            timestamp(not_before + BACKDATED_SECONDS)
        )),
    );
}
