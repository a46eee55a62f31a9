//! The SQL functions that link roles, unlink them, and list them.

use std::ffi::CStr;

use pgrx::prelude::*;

use crate::catalog::{self, Link, Role, labelled_roles};
use crate::directory;
use crate::link::principal::{administrators, adopt, create, linked, may_link, may_rebind};
use crate::link::sql::asked::Asked;
use crate::link::sql::{begin, given, role_name_of, sql_uuid};
use crate::link::{self, lock, repair, rights, tenant};
use crate::pg::argument::Argument;
use crate::pg::clock::seconds;
use crate::pg::error::{Fault, Result, or_raise};
use crate::pg::spi::{as_superuser, run};
use crate::pg::text::{Text, decode};

/// Makes a role the only Azure AD administrator.
#[pg_extern(sql = false)]
fn set_admin(
    role_name: Option<Argument<'_>>,
    object_id: Option<pgrx::Uuid>,
    object_type: Option<Argument<'_>>,
) {
    or_raise((|| {
        begin(c"set_admin()")?;
        rights::require_superuser("set the Azure AD administrator")?;
        let name = given(role_name)?;
        let mut asked = Asked::of(object_id, object_type, Some(true), None)?;
        asked.find_administrator(&name)?;
        lock::claim_administrators()?;
        // The role still demands a second factor if it did: set_admin() is no way around it.
        let old = catalog::role_named(&name).map(|role| catalog::link_of(role.id));
        asked.mfa = matches!(old, Some(Link::Bound(label)) if label.mfa);
        let label = asked.label("set_admin", &name)?;
        for other in administrators() {
            if other.name != name {
                link::demote(&other)?;
            }
        }
        let role = catalog::role_named(&name).map_or_else(|| create(&name, true), Ok)?;
        if !role.can_login {
            as_superuser(|| run(&[b"ALTER ROLE ", &role.quoted(), b" LOGIN"]));
        }
        link::link(&role, &label).map(drop)
    })());
}

/// Makes one administrator, or every one, a plain Azure AD user.
#[pg_extern(sql = false)]
fn remove_admin(role_name: Option<Argument<'_>>) {
    or_raise((|| {
        begin(c"remove_admin()")?;
        rights::require_superuser("remove an Azure AD administrator")?;
        lock::claim_end_of_administrators()?;
        let administrators = administrators();
        match role_name {
            None => administrators.iter().try_for_each(link::demote)?,
            Some(name) => {
                let name = role_name_of(name)?;
                let none = || {
                    let name = decode(name.to_bytes());
                    Fault::undefined(format!("role \"{name}\" is not an Azure AD administrator"))
                };
                let found = administrators.iter().find(|role| role.name == name);
                link::demote(found.ok_or_else(none)?)?;
            }
        }
        as_superuser(tenant::settle).map(drop)
    })());
}

/// Creates a role, or takes one that is not linked, and links it.
#[pg_extern(sql = false)]
fn create_principal(
    role_name: Option<Argument<'_>>,
    object_id: Option<pgrx::Uuid>,
    object_type: Option<Argument<'_>>,
    is_admin: Option<bool>,
    is_mfa: Option<bool>,
) -> Text {
    or_raise((|| {
        begin(c"create_principal()")?;
        let name = given(role_name)?;
        let mut asked = Asked::of(object_id, object_type, is_admin, is_mfa)?;
        asked.find_for_creation(&name)?;
        let label = asked.label("create_principal", &name)?;
        if catalog::role_named(&name).is_none() {
            rights::may_create()?;
            lock::claim_to_create(asked.admin)?;
        }
        // By now another session may have created it.
        match catalog::role_named(&name) {
            None => {
                // A session that was waited for may have taken the right away.
                rights::may_create()?;
                let role = create(&name, asked.admin)?;
                rights::give_to_administrators(&role, asked.admin);
                link::link(&role, &label)?;
            }
            Some(role) => adopt(&role, &label)?,
        }
        Ok(Text::shown(&format!("Created role for \"{}\"", decode(name.to_bytes()))))
    })())
}

/// Links a linked role to another object, or to the same one on other terms.
#[pg_extern(sql = false)]
fn update_principal(
    role_name: Option<Argument<'_>>,
    object_id: Option<pgrx::Uuid>,
    object_type: Option<Argument<'_>>,
    is_admin: Option<bool>,
    is_mfa: Option<bool>,
) -> Text {
    or_raise((|| {
        begin(c"update_principal()")?;
        let name = given(role_name)?;
        update(&name, Asked::of(object_id, object_type, is_admin, is_mfa)?)?;
        Ok(updated(&name))
    })())
}

/// Links a role that exists, be it linked or not: scripts written for Azure's own servers call
/// Azure's function in this way.
#[pg_extern(sql = false)]
fn link_or_update_principal(
    role_name: Option<Argument<'_>>,
    object_id: Option<pgrx::Uuid>,
    object_type: Option<Argument<'_>>,
    is_admin: Option<bool>,
    is_mfa: Option<bool>,
) -> Text {
    let is_unlinked = |role: &Role| !matches!(catalog::link_of(role.id), Link::Bound(_));
    or_raise((|| {
        begin(c"update_principal()")?;
        let name = given(role_name)?;
        let mut asked = Asked::of(object_id, object_type, is_admin, is_mfa)?;
        match catalog::role_named(&name).filter(is_unlinked) {
            Some(role) => {
                asked.find(&name, || may_link(&name))?;
                adopt(&role, &asked.label("create_principal", &name)?)?;
            }
            None => update(&name, asked)?,
        }
        Ok(updated(&name))
    })())
}

fn update(name: &CStr, mut asked: Asked) -> Result<()> {
    asked.find(name, || may_rebind(name))?;
    let claim = |role: &Role| lock::claim_to_link(role, asked.admin);
    let (role, old) = linked(name, rights::may_change, claim)?;
    asked.kind = asked.kind.or(old.kind);
    link::link(&role, &asked.label("update_principal", name)?).map(drop)
}

fn updated(name: &CStr) -> Text {
    Text::shown(&format!("Updated role for \"{}\"", decode(name.to_bytes())))
}

/// Unlinks a role, which stays.
#[pg_extern(sql = false)]
fn drop_principal(role_name: Option<Argument<'_>>) {
    or_raise((|| {
        begin(c"drop_principal()")?;
        let name = given(role_name)?;
        let (role, _) = linked(&name, rights::may_end, lock::claim_to_unlink)?;
        link::unlink(&role).map(drop)
    })());
}

/// Makes everything agree with the labels there are. Returns what was changed, in words.
#[pg_extern(sql = false)]
fn repair() -> SetOfIterator<'static, Text> {
    let changed = or_raise((|| {
        begin(c"repair()")?;
        rights::require_superuser("repair Azure AD roles")?;
        repair::establish()
    })());
    let reported = changed.iter().filter(|change| change.is_reported());
    SetOfIterator::new(reported.map(|change| Text::shown(&change.to_string())).collect::<Vec<_>>())
}

/// Lists every linked role.
#[pg_extern(sql = false)]
#[expect(clippy::type_complexity, reason = "the columns of a view")]
fn list_principals() -> TableIterator<
    'static,
    (
        name!(role_name, Text),
        name!(object_id, pgrx::Uuid),
        name!(object_type, Option<String>),
        name!(tenant_id, Option<pgrx::Uuid>),
        name!(is_admin, bool),
        name!(is_mfa, bool),
        name!(not_before, Option<f64>),
        name!(directory_state, &'static str),
        name!(directory_checked_at, Option<f64>),
    ),
> {
    let rows = as_superuser(labelled_roles).into_iter().filter_map(|role| {
        let Link::Bound(label) = catalog::link_of(role.id) else { return None };
        let object_id = label.object_id?;
        let (state, checked_at) = directory::state_of(object_id);
        Some((
            Text::name(&role.name),
            sql_uuid(object_id),
            label.kind.map(|kind| kind.to_string()),
            label.tenant_id.map(sql_uuid),
            label.admin,
            label.mfa,
            label.not_before.map(seconds),
            state,
            checked_at.map(seconds),
        ))
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}
