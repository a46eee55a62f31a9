//! The SQL functions that revoke access tokens.

use entra::Uuid;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

use crate::link::principal::linked;
use crate::link::revocation::{revoke, revoke_object, tell};
use crate::link::sql::{begin, given, null};
use crate::link::{advice, lock, rights};
use crate::pg::argument::Argument;
use crate::pg::clock;
use crate::pg::error::{Fault, Result, or_raise};
use crate::pg::text::decode;
use crate::settings;

/// Refuses a role's tokens that were issued before a time.
#[pg_extern(sql = false)]
fn revoke_tokens(role_name: Option<Argument<'_>>, issued_before: Option<TimestampWithTimeZone>) {
    or_raise((|| {
        begin(c"revoke_tokens()")?;
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
        // The issuer's clock may be ahead of this server's by up to `clock_skew`.
        let not_before = issued_before.saturating_add(settings::clock_skew());
        let not_before = revoke(&role, &label, not_before);
        tell(&format!("role \"{}\"", role.display_name()), not_before);
        Ok(())
    })());
}

/// Refuses a directory object's tokens issued until now, for every role. Returns the number of
/// roles that are linked to it.
#[pg_extern(sql = false)]
fn revoke_principal(object_id: Option<pgrx::Uuid>) -> i32 {
    or_raise((|| {
        begin(c"revoke_principal()")?;
        rights::may_administer()?;
        let object_id = object_id.ok_or_else(|| null("object_id"))?;
        let roles = revoke_object(Uuid::from_bytes(*object_id.as_bytes()))?;
        Ok(i32::try_from(roles).unwrap_or(i32::MAX))
    })())
}

/// Returns the Unix time of a timestamp, up to the next whole second: a token has no fractions.
fn unix_seconds(time: TimestampWithTimeZone) -> Result<i64> {
    const SECONDS_TO_2000: i64 = 946_684_800;
    let micros = i64::from(time);
    if micros == i64::MIN || micros == i64::MAX {
        return Err(Fault::invalid("issued_before must be a point in time"));
    }
    Ok((micros.div_euclid(1_000_000) + i64::from(micros.rem_euclid(1_000_000) != 0) + SECONDS_TO_2000).max(0))
}
