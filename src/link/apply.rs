//! Carries out what a plan says, in its order. Only within `as_superuser`.

use linkage::{Change, Notice, Plan, RoleName, Step};
use pgrx::prelude::*;

use crate::catalog::{self, ADMIN_ROLE, PROVIDER, Role};
use crate::link::label::set_label;
use crate::link::{advice, demotion, grant, guard, label, managed};
use crate::pg::error::notice;
use crate::pg::spi::{quoted, quoted_name, run};

/// Applies a plan of a role. Returns what was changed.
pub(crate) fn apply(role: &Role, plan: &Plan) -> Vec<Change> {
    let mut changed = Vec::new();
    for step in &plan.steps {
        match step {
            Step::Change(change) if make(change) => changed.push(change.clone()),
            Step::Change(_) => {}
            Step::Tell(notice) => tell(role, notice),
        }
    }
    changed
}

/// Makes one change. Returns false if that was no longer needed.
pub(crate) fn make(change: &Change) -> bool {
    match change {
        Change::Create { role } => run(&[b"CREATE ROLE ", &quoted_name(&role.raw), b" NOLOGIN"]),
        Change::Join => run(&[b"GRANT azure_ad_user TO azure_ad_admin WITH ADMIN OPTION"]),
        Change::NameTenant { role, tenant } => label::name_tenant(id(role), *tenant),
        Change::Grant { role, member } => grant::grant(role, member),
        Change::Revoke { role, member, row } => return grant::revoke(role, member, row),
        Change::TakeBack { role, member, taken } => demotion::carry_out(role, member, taken),
        Change::Remember { role } | Change::Mark { role } => managed::mark(id(role)),
        Change::GiveBack { role } => managed::give_back(id(role)),
        Change::Give { role } => managed::give(role),
        Change::Alter { role, attributes } => {
            run(&[b"ALTER ROLE ", &quoted_name(&role.raw), b" ", attributes.as_bytes()]);
        }
        Change::SetGuard { role, rows, .. } | Change::RemoveGuard { role, rows } => {
            guard::write(role, rows);
        }
        Change::RemovePassword { role } => {
            run(&[b"ALTER ROLE ", &quoted_name(&role.raw), b" PASSWORD NULL"]);
        }
        Change::Associate(tenant) => {
            let label = entra::Label { tenant_id: Some(*tenant), ..entra::Label::default() };
            associate(Some(&label.to_string()));
        }
        Change::Disassociate => associate(None),
    }
    true
}

fn associate(label: Option<&str>) {
    if let Some(admin) = catalog::role_named(ADMIN_ROLE) {
        set_label(admin.id, PROVIDER, label);
    }
}

fn id(role: &RoleName) -> pg_sys::Oid {
    pg_sys::Oid::from(role.id)
}

fn tell(role: &Role, told: &Notice) {
    let name = role.display_name();
    match told {
        Notice::NoAdministrator => {
            notice(format!("role \"{name}\" is no longer an Azure AD administrator"), None);
        }
        Notice::TakenBack(roles) => {
            let text = "is no longer a member of roles that Azure AD administrators had granted it";
            notice(format!("role \"{name}\" {text}: {}", names_of(roles)), None);
        }
        Notice::StillMember(roles) => {
            let kept = roles.iter().filter_map(|kept| catalog::role_of(id(kept)));
            let statements: Vec<_> = kept.map(|kept| advice::revocation(&kept, role)).collect();
            let text = "is still a member of roles that Azure AD administrators manage";
            notice(format!("role \"{name}\" {text}: {}", names_of(roles)), Some(&statements.join(" ")));
        }
        Notice::PasswordRemoved => {
            notice(format!("the password of role \"{name}\" was removed"), None);
        }
        Notice::NoLogin => notice(
            format!("role \"{name}\" is not permitted to log in"),
            Some(&format!("ALTER ROLE {} LOGIN;", quoted(&name))),
        ),
    }
}

fn names_of(roles: &[RoleName]) -> String {
    let mut roles: Vec<_> = roles.iter().collect();
    roles.sort_by(|one, other| one.raw.cmp(&other.raw));
    roles.iter().map(|role| role.shown.as_str()).collect::<Vec<_>>().join(", ")
}
