//! Tokens that are taken back before they expire: those of a role, by its label, and those of a person wherever they lead, by a label
//! of `azure_ad_user`.
//!
//! A login looks at both. Sessions that came in with such a token are ended by the reaper (`crate::sessions`), on standbys too.

use entra::{Label, Uuid};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

use super::api::{given, linked};
use super::catalog::{self, Link, OWN_PROVIDER, PROVIDER, Role, USER_ROLE};
use super::superuser::as_superuser;
use super::{anchors, link, lock, rights};
use crate::clock;
use crate::fault::{Fault, Outcome, notice, or_raise};
use crate::preloaded;
use crate::report::timestamp;
use crate::{sessions, settings};

/// Entra dates tokens back by up to so many seconds, so that clocks that are slow take them.
const BACKDATED_SECONDS: i64 = 300;

/// Refuses a role's tokens that were issued before a time.
#[pg_extern(sql = false)]
fn revoke_tokens(role_name: Option<&str>, issued_before: Option<TimestampWithTimeZone>) {
    or_raise((|| {
        preloaded::require()?;
        let role_name = given(role_name)?;
        let issued_before = issued_before.ok_or_else(|| null("issued_before"))?;
        let not_before = unix_seconds(issued_before)?;
        if not_before > clock::unix_now() + 1 {
            return Err(Fault::invalid("issued_before must not lie in the future").hint(
                "It would shut out tokens that are yet to be issued. To shut a role out: drop_principal().",
            ));
        }
        let (role, label) = linked(role_name, rights::may_end, |role| lock::claim_to_link(role, false))?;
        revoke(&role, &label, not_before);
        tell(&format!("role \"{role_name}\""), not_before);
        Ok(())
    })());
}

/// Refuses a directory object's tokens issued until now, for every role. The number of roles that are linked to it.
#[pg_extern(sql = false)]
fn revoke_principal(object_id: Option<pgrx::Uuid>) -> i32 {
    or_raise((|| {
        preloaded::require()?;
        rights::may_administer()?;
        let object_id = object_id.ok_or_else(|| null("object_id"))?;
        let object = Uuid::from_bytes(*object_id.as_bytes());
        lock::claim_end_of_administrators()?;
        rights::may_administer()?;
        let roles = roles_of(object)?;
        require_no_administrator(object)?;
        // The issuer's clock may be ahead of ours by as much as is put up with.
        let not_before = clock::unix_now() + 1 + settings::clock_skew();
        for (role, label) in &roles {
            revoke(role, label, not_before);
        }
        revoke_everywhere(object, not_before)?;
        tell(&format!("object {object}"), not_before);
        Ok(i32::try_from(roles.len()).unwrap_or(i32::MAX))
    })())
}

/// The roles linked to an object, each locked, which the current user may change.
fn roles_of(object: Uuid) -> Outcome<Vec<(Role, Label)>> {
    let mut roles = as_superuser(anchors::labelled_roles);
    roles.sort_by_key(|role| role.id.to_u32());
    let is_linked = |role: &Role| matches!(catalog::link_of(role.id), Link::Bound(label) if label.object_id == Some(object));
    let names = roles.iter().filter(|role| is_linked(role)).map(Role::display_name);
    names.map(|name| linked(&name, rights::may_end, |role| lock::claim_to_link(role, false))).collect()
}

/// What is revoked stays so.
fn revoke(role: &Role, label: &Label, not_before: i64) {
    let not_before = Some(not_before).max(label.not_before);
    as_superuser(|| link::set_label(role, PROVIDER, Some(&Label { not_before, ..*label }.to_string())));
}

fn revoke_everywhere(object: Uuid, not_before: i64) -> Outcome<()> {
    let user = catalog::role_named(USER_ROLE).ok_or_else(|| {
        Fault::not_now("role \"azure_ad_user\" does not exist").hint("SELECT azure_ad_auth.repair();")
    })?;
    let mut revocations = catalog::revocations()
        .ok_or_else(|| Fault::not_now("the label of role \"azure_ad_user\" is not valid"))?;
    revocations.forget(clock::unix_now());
    if !revocations.has_room_for(object) {
        rights::require_superuser("revoke the tokens of more objects than there is room for")?;
        notice(
            "everybody's access tokens that are older than the oldest of the last 16 revocations are revoked as well",
            None,
        );
    }
    revocations.revoke(object, not_before);
    as_superuser(|| link::set_label(&user, OWN_PROVIDER, Some(&revocations.to_string())));
    Ok(())
}

/// Another administrator's access is for superusers to end, whichever of their ids they are named by.
fn require_no_administrator(object: Uuid) -> Outcome<()> {
    let administers = |role| catalog::role_of(role).is_some_and(|role| rights::is_administrator(&role));
    if rights::is_superuser() || !sessions::is_in(object, administers) {
        return Ok(());
    }
    Err(Fault::denied("permission denied to revoke the tokens of an Azure AD administrator")
        .detail("It is logged in as one; only a superuser may."))
}

fn null(parameter: &str) -> Fault {
    Fault::new(PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, format!("{parameter} must not be null"))
}

fn tell(whose: &str, not_before: i64) {
    if sessions::attendant().is_none() {
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

/// Up to the next whole second: a token has no fractions.
fn unix_seconds(time: TimestampWithTimeZone) -> Outcome<i64> {
    const SECONDS_TO_2000: i64 = 946_684_800;
    let micros = i64::from(time);
    if micros == i64::MIN || micros == i64::MAX {
        return Err(Fault::invalid("issued_before must be a point in time"));
    }
    Ok((micros.div_euclid(1_000_000) + i64::from(micros.rem_euclid(1_000_000) != 0) + SECONDS_TO_2000).max(0))
}
