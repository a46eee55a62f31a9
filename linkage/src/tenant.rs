//! The server's association with a tenant, which is there while an administrator is.

use entra::Uuid;

use crate::change::Change;
use crate::obstacle::Obstacle;

/// Returns what makes the association agree with the tenants of the administrators, each of which
/// is listed once.
///
/// # Errors
/// The administrators are of different tenants.
pub fn plan_association(found: Option<Uuid>, tenants: &[Uuid]) -> Result<Option<Change>, Obstacle> {
    match (found, tenants) {
        (_, [one, two, ..]) => Err(Obstacle::Tenants(*one, *two)),
        (Some(_), []) => Ok(Some(Change::Disassociate)),
        (found, [tenant]) if found != Some(*tenant) => Ok(Some(Change::Associate(*tenant))),
        _ => Ok(None),
    }
}
