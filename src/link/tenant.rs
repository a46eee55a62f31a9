//! The server's association with a tenant: a label of `azure_ad_admin`, there while an administrator is.

use entra::{Label, Uuid};

use crate::catalog::{self, Link, PROVIDER, Role, membership};
use crate::link::{self, Done, lock};
use crate::pg::error::{Fault, Result, notice};

/// Makes the association agree with the administrators there are. Only within `as_superuser`.
///
/// The lock makes two sessions that set the first administrator, or remove the last, take turns; it comes before the look.
pub(crate) fn settle(done: &mut Done) -> Result<()> {
    let Some((_, admin)) = link::markers() else { return Ok(()) };
    lock::claim_end_of_administrators()?;
    let tenants = administrators_tenants(&admin)?;
    let found = catalog::associated_tenant();
    if found == tenants.first().copied() && tenants.len() <= 1 {
        return Ok(());
    }
    match tenants.as_slice() {
        [] => {
            link::set_label(&admin, PROVIDER, None);
            notice(
                "Azure AD authentication is disabled: the server has no Azure AD administrator",
                Some("SELECT azure_ad_auth.set_admin('<role name>', '<object id>', 'user');"),
            );
            done.push("removed the association with the tenant: there is no administrator".to_owned());
        }
        [tenant] => {
            let label = Label { tenant_id: Some(*tenant), ..Label::default() };
            link::set_label(&admin, PROVIDER, Some(&label.to_string()));
            done.push(format!("associated the server with tenant {tenant}"));
        }
        [one, two, ..] => {
            return Err(Fault::prerequisite("the Azure AD administrators are of different tenants")
                .detail(format!("Tenants {one} and {two}."))
                .hint(format!(
                    "Remove the administrators of the other tenant first: {}",
                    removal_of_others(&admin)
                )));
        }
    }
    Ok(())
}

/// Whether there is an association and no administrator any more.
pub(crate) fn is_void() -> bool {
    let linked = |role: &Role| catalog::is_linked(role.id);
    catalog::associated_tenant().is_some()
        && link::markers().is_some_and(|(_, admin)| !membership::members_of(&admin).iter().any(linked))
}

/// Statements that remove the administrators who are not of the configured tenant.
fn removal_of_others(admin: &Role) -> String {
    let is_other = |role: &Role| {
        let tenant = if let Link::Bound(label) = catalog::link_of(role.id) { label.tenant_id } else { None };
        tenant.is_some() && tenant != crate::settings::tenant()
    };
    let others = membership::members_of(admin).into_iter().filter(is_other);
    let removal = |role: Role| {
        format!("SELECT azure_ad_auth.remove_admin({});", crate::pg::spi::literal(&role.display_name()))
    };
    others.map(removal).collect::<Vec<_>>().join(" ")
}

/// The tenants of the administrators, each once; an administrator whose label names none counts for the configured one.
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

/// A link to an object of the configured tenant. Links made here always name their tenant.
pub(crate) fn label_of(object_id: Uuid) -> Result<Label> {
    let tenant_id = crate::settings::tenant().ok_or_else(tenant_missing)?;
    Ok(Label { object_id: Some(object_id), tenant_id: Some(tenant_id), ..Label::default() })
}

/// No link can be made before the tenant is known.
fn tenant_missing() -> Fault {
    Fault::prerequisite("no Azure AD tenant is configured")
        .hint("Set azure_ad_auth.tenant_id in postgresql.conf or by ALTER SYSTEM, and reload.")
}
