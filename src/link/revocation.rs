//! Tokens that are taken back before they expire: those of a role, by its label, and those of a person wherever they lead, by a label
//! of `azure_ad_user`.
//!
//! A login looks at both. Sessions that came in with such a token are ended by the reaper (`crate::sessions`), on standbys too.

use entra::{Label, PrincipalKind, Uuid};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

use crate::catalog::{self, Link, OWN_PROVIDER, Role, USER_ROLE};
use crate::link::sql::{given, linked};
use crate::link::{advice, label, lock, marker_roles, rights};
use crate::pg::argument::Argument;
use crate::pg::error::{Fault, Result, notice, or_raise};
use crate::pg::spi::as_superuser;
use crate::pg::text::decode;
use crate::pg::{clock, interrupts, library};
use crate::report::timestamp;
use crate::{link, sessions, settings};

/// Entra dates tokens back by up to so many seconds, so that clocks that are slow take them.
const BACKDATED_SECONDS: i64 = 300;

/// Refuses a role's tokens that were issued before a time.
#[pg_extern(sql = false)]
fn revoke_tokens(role_name: Option<Argument<'_>>, issued_before: Option<TimestampWithTimeZone>) {
    or_raise((|| {
        library::require()?;
        lock::require_writable(c"revoke_tokens()")?;
        let name = given(role_name)?;
        let issued_before = issued_before.ok_or_else(|| null("issued_before"))?;
        let issued_before = unix_seconds(issued_before)?;
        if issued_before > clock::unix_now() + 1 {
            return Err(Fault::invalid("issued_before must not lie in the future").hint(format!(
                "It would shut out tokens that are yet to be issued. To shut the role out: {}",
                advice::unlink(&decode(name.to_bytes()))
            )));
        }
        let (role, label) = linked(&name, rights::may_end, lock::lock_for_change)?;
        // The issuer's clock may be ahead of ours by as much as is put up with.
        let not_before = issued_before.saturating_add(settings::clock_skew());
        let not_before = revoke(&role, &label, not_before);
        tell(&format!("role \"{}\"", role.display_name()), not_before);
        Ok(())
    })());
}

/// Refuses a directory object's tokens issued until now, for every role. The number of roles that are linked to it.
#[pg_extern(sql = false)]
fn revoke_principal(object_id: Option<pgrx::Uuid>) -> i32 {
    or_raise((|| {
        library::require()?;
        lock::require_writable(c"revoke_principal()")?;
        rights::may_administer()?;
        let object_id = object_id.ok_or_else(|| null("object_id"))?;
        let object = Uuid::from_bytes(*object_id.as_bytes());
        lock::claim_end_of_administrators()?;
        rights::may_administer()?;
        let labelled = as_superuser(marker_roles::labelled_roles);
        let roles = roles_of(object, &labelled)?;
        require_no_administrator(object)?;
        // The issuer's clock may be ahead of ours by as much as is put up with.
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
        Ok(i32::try_from(roles.len()).unwrap_or(i32::MAX))
    })())
}

/// The object a role is linked to.
fn object_of(role: &Role) -> Option<Uuid> {
    interrupts::check();
    match catalog::link_of(role.id) {
        Link::Bound(label) => label.object_id,
        _ => None,
    }
}

/// Of roles with labels, by oid, those linked to an object, each locked, which the current user may change.
fn roles_of(object: Uuid, labelled: &[Role]) -> Result<Vec<(Role, Label)>> {
    let roles = labelled.iter().filter(|role| object_of(role) == Some(object));
    roles.map(|role| linked(&role.name, rights::may_end, lock::lock_for_change)).collect()
}

/// What is revoked stays so. From when on tokens count.
fn revoke(role: &Role, label: &Label, not_before: i64) -> i64 {
    let not_before = not_before.max(label.not_before.unwrap_or_default());
    as_superuser(|| label::refuse_older(role, not_before));
    not_before
}

/// Objects that roles are linked to, and those that are logged in, have room of their own, which
/// invented ids do not take. An administrator can still take it by linking roles to invented ids,
/// which everybody sees; a superuser's revocation then makes room.
fn revoke_everywhere(object: Uuid, not_before: i64, labelled: &[Role]) -> Result<()> {
    let user = catalog::role_named(USER_ROLE).ok_or_else(|| {
        Fault::prerequisite("role \"azure_ad_user\" does not exist").hint("SELECT azure_ad_auth.repair();")
    })?;
    let user = lock::claim_revocations(&user)?;
    let mut revocations = catalog::revocations()
        .ok_or_else(|| Fault::prerequisite("the label of role \"azure_ad_user\" is not valid"))?;
    revocations.forget(clock::unix_now());
    let mut somebody = sessions::objects();
    somebody.extend(labelled.iter().filter_map(object_of));
    let is_known = |object| somebody.contains(&object);
    if !revocations.has_room_for(object, is_known) {
        rights::require_superuser("revoke the tokens of more objects than there is room for")?;
        notice(
            "everybody's access tokens that are older than the oldest of the last 16 revocations are revoked as well",
            Some("Sessions that came in with one end, whoever's they are."),
        );
    }
    revocations.revoke(object, not_before, is_known);
    as_superuser(|| link::set_label(&user, OWN_PROVIDER, Some(&revocations.to_string())));
    Ok(())
}

/// The role that remembers what is revoked stays while there is something to remember; what nobody can read is such, too.
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

/// Another administrator's access is for superusers to end, whichever of their ids they are named by.
fn require_no_administrator(object: Uuid) -> Result<()> {
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

/// Up to the next whole second: a token has no fractions.
fn unix_seconds(time: TimestampWithTimeZone) -> Result<i64> {
    const SECONDS_TO_2000: i64 = 946_684_800;
    let micros = i64::from(time);
    if micros == i64::MIN || micros == i64::MAX {
        return Err(Fault::invalid("issued_before must be a point in time"));
    }
    Ok((micros.div_euclid(1_000_000) + i64::from(micros.rem_euclid(1_000_000) != 0) + SECONDS_TO_2000).max(0))
}
