//! The server's association with a tenant: a label of `azure_ad_admin`, there while an
//! administrator is.

use entra::{Label, Uuid};
use linkage::{Change, plan_association};

use crate::catalog::{self, Link, Role, markers, membership};
use crate::link::{apply, lock, obstacle};
use crate::pg::error::{Fault, Result, notice};
use crate::pg::spi::literal;

/// Makes the association agree with the administrators there are. Returns what was changed. Only
/// within `as_superuser`.
///
/// Locks the administrators before it reads them, so that two sessions that set the first
/// administrator, or remove the last, take turns.
pub(crate) fn settle() -> Result<Option<Change>> {
    let Some((_, admin)) = markers() else { return Ok(None) };
    lock::claim_end_of_administrators()?;
    let tenants = administrators_tenants(&admin)?;
    let change = plan_association(catalog::associated_tenant(), &tenants)
        .map_err(|obstacle| obstacle::fault(&admin, &obstacle))?;
    if let Some(change) = &change {
        apply::make(change);
    }
    if change == Some(Change::Disassociate) {
        notice(
            "Azure AD authentication is disabled: the server has no Azure AD administrator",
            Some("SELECT azure_ad_auth.set_admin('<role name>', '<object id>', 'user');"),
        );
    }
    Ok(change)
}

/// The error for administrators whose links are of different tenants.
pub(crate) fn of_different_tenants(one: Uuid, two: Uuid) -> Fault {
    let removal = markers().map(|(_, admin)| removal_of_others(&admin)).unwrap_or_default();
    Fault::prerequisite("the Azure AD administrators are of different tenants")
        .detail(format!("Tenants {one} and {two}."))
        .hint(format!("Remove the administrators of the other tenant first: {removal}"))
}

/// Returns whether there is an association and no administrator any more.
pub(crate) fn is_void() -> bool {
    let linked = |role: &Role| catalog::is_linked(role.id);
    catalog::associated_tenant().is_some()
        && markers().is_some_and(|(_, admin)| !membership::members_of(&admin).iter().any(linked))
}

/// Returns statements that remove the administrators who are not of the configured tenant.
fn removal_of_others(admin: &Role) -> String {
    let is_other = |role: &Role| {
        let tenant = if let Link::Bound(label) = catalog::link_of(role.id) { label.tenant_id } else { None };
        tenant.is_some() && tenant != crate::settings::tenant()
    };
    let others = membership::members_of(admin).into_iter().filter(is_other);
    let removal =
        |role: Role| format!("SELECT azure_ad_auth.remove_admin({});", literal(&role.display_name()));
    others.map(removal).collect::<Vec<_>>().join(" ")
}

/// Returns the tenants of the administrators, each once; an administrator whose label names none
/// counts for the configured one.
fn administrators_tenants(admin: &Role) -> Result<Vec<Uuid>> {
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

/// Returns a link to an object of the configured tenant. Links made here always name their tenant.
pub(crate) fn label_of(object_id: Uuid) -> Result<Label> {
    let tenant_id = crate::settings::tenant().ok_or_else(tenant_missing)?;
    Ok(Label { object_id: Some(object_id), tenant_id: Some(tenant_id), ..Label::default() })
}

/// The error for a link that is to be made before the tenant is known.
fn tenant_missing() -> Fault {
    Fault::prerequisite("no Azure AD tenant is configured")
        .hint("Set azure_ad_auth.tenant_id in postgresql.conf or by ALTER SYSTEM, and reload.")
}
