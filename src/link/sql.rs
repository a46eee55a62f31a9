//! The SQL functions about principals: thin, over [`link`] and [`rights`].

use std::ffi::{CStr, CString};

use entra::{Label, PrincipalKind, Uuid};
use pgrx::prelude::*;

use crate::catalog::{self, Link, Role, membership};
use crate::link;
use crate::link::{advice, lock, marker_roles, rights, tenant};
use crate::pg::argument::Argument;
use crate::pg::clock::seconds;
use crate::pg::error::{Fault, Result, notice, or_raise};
use crate::pg::library;
use crate::pg::spi::{as_superuser, quoted_name, run};
use crate::pg::text::{Text, decode};

/// Longest role name, in bytes (NAMEDATALEN - 1).
const MAX_NAME_BYTES: usize = 63;

/// What a function was asked to link a role to.
struct Wanted {
    object_id: Option<Uuid>,
    kind: Option<PrincipalKind>,
    admin: bool,
    mfa: bool,
}

/// Makes a role the only Azure AD administrator.
#[pg_extern(sql = false)]
fn set_admin(role_name: Argument<'_>, object_id: pgrx::Uuid, object_type: Argument<'_>) {
    or_raise((|| {
        library::require()?;
        lock::require_writable(c"set_admin()")?;
        rights::require_superuser("set the Azure AD administrator")?;
        lock::claim_administrators()?;
        let name = role_name_of(role_name)?;
        // What the role demands of tokens stays: taking over is no way around a second factor.
        let old = catalog::role_named(&name).map(|role| catalog::link_of(role.id));
        let mfa = matches!(old, Some(Link::Bound(label)) if label.mfa);
        let wanted =
            Wanted { object_id: Some(uuid(object_id)), kind: kind(Some(object_type))?, admin: true, mfa };
        let label = label(&wanted, "set_admin", &name)?;
        for other in administrators() {
            if other.name != name {
                link::demote(&other)?;
            }
        }
        let role = catalog::role_named(&name).map_or_else(|| create(&name, true), Ok)?;
        if !role.can_login {
            run_as_superuser(&[b"ALTER ROLE ", &role.quoted(), b" LOGIN"]);
        }
        link::link(&role, &label).map(drop)
    })());
}

/// Makes one administrator, or every one, a plain Azure AD user.
#[pg_extern(sql = false)]
fn remove_admin(role_name: Option<Argument<'_>>) {
    or_raise((|| {
        library::require()?;
        lock::require_writable(c"remove_admin()")?;
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
                administrators
                    .iter()
                    .find(|role| role.name == name)
                    .ok_or_else(none)
                    .and_then(link::demote)?;
            }
        }
        as_superuser(|| tenant::settle(&mut Vec::new()))
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
        library::require()?;
        lock::require_writable(c"create_principal()")?;
        let name = given(role_name)?;
        let wanted = wanted(object_id, object_type, is_admin, is_mfa)?;
        let label = label(&wanted, "create_principal", &name)?;
        if catalog::role_named(&name).is_none() {
            rights::may_create()?;
            lock::claim_to_create(wanted.admin)?;
        }
        // By now somebody else may have created it.
        match catalog::role_named(&name) {
            None => {
                // Whoever we have waited for may have taken the right away.
                rights::may_create()?;
                let role = create(&name, wanted.admin)?;
                rights::give_to_administrators(&role, wanted.admin);
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
        library::require()?;
        lock::require_writable(c"update_principal()")?;
        let name = given(role_name)?;
        let mut wanted = wanted(object_id, object_type, is_admin, is_mfa)?;
        let lock = |role: &Role| lock::claim_to_link(role, wanted.admin);
        let (role, old) = linked(&name, rights::may_change, lock)?;
        wanted.kind = wanted.kind.or(old.kind);
        link::link(&role, &label(&wanted, "update_principal", &name)?)?;
        Ok(Text::shown(&format!("Updated role for \"{}\"", decode(name.to_bytes()))))
    })())
}

/// The same for a role that is there, be it linked or not: as live servers' scripts use Azure's function.
#[pg_extern(sql = false)]
fn link_or_update_principal(
    role_name: Option<Argument<'_>>,
    object_id: Option<pgrx::Uuid>,
    object_type: Option<Argument<'_>>,
    is_admin: Option<bool>,
    is_mfa: Option<bool>,
) -> Text {
    let is_plain = |name: &CStr| {
        catalog::role_named(name).filter(|role| !matches!(catalog::link_of(role.id), Link::Bound(_)))
    };
    let name = or_raise((|| {
        library::require()?;
        lock::require_writable(c"update_principal()")?;
        given(role_name)
    })());
    let Some(role) = is_plain(&name) else {
        return update_principal(role_name, object_id, object_type, is_admin, is_mfa);
    };
    or_raise((|| {
        let wanted = wanted(object_id, object_type, is_admin, is_mfa)?;
        adopt(&role, &label(&wanted, "create_principal", &name)?)?;
        Ok(Text::shown(&format!("Updated role for \"{}\"", decode(name.to_bytes()))))
    })())
}

/// Unlinks a role, which stays.
#[pg_extern(sql = false)]
fn drop_principal(role_name: Option<Argument<'_>>) {
    or_raise((|| {
        library::require()?;
        lock::require_writable(c"drop_principal()")?;
        let name = given(role_name)?;
        let (role, _) = linked(&name, rights::may_end, lock::claim_to_unlink)?;
        link::unlink(&role).map(drop)
    })());
}

/// Makes everything agree with the labels there are. Says what it did.
#[pg_extern(sql = false)]
fn repair() -> SetOfIterator<'static, Text> {
    let done = or_raise((|| {
        library::require()?;
        lock::require_writable(c"repair()")?;
        rights::require_superuser("repair Azure AD roles")?;
        marker_roles::establish()
    })());
    SetOfIterator::new(done.iter().map(|line| Text::shown(line)).collect::<Vec<_>>())
}

/// Every linked role.
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
    ),
> {
    let rows = as_superuser(marker_roles::labelled_roles).into_iter().filter_map(|role| {
        let Link::Bound(label) = catalog::link_of(role.id) else { return None };
        Some((
            Text::name(&role.name),
            sql_uuid(label.object_id?),
            label.kind.map(|kind| kind.to_string()),
            label.tenant_id.map(sql_uuid),
            label.admin,
            label.mfa,
            label.not_before.map(seconds),
        ))
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}

fn uuid(id: pgrx::Uuid) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

fn sql_uuid(id: Uuid) -> pgrx::Uuid {
    pgrx::Uuid::from_bytes(*id.as_bytes())
}

/// A kind as the functions take it: `user`, `group` or `service`, or as Azure's own tools write it.
fn kind(text: Option<Argument<'_>>) -> Result<Option<PrincipalKind>> {
    let Some(text) = text.map(|text| decode(text.beginning(MAX_NAME_BYTES))) else { return Ok(None) };
    PrincipalKind::parse_as_written(&text).map(Some).ok_or_else(|| {
        Fault::invalid(format!("invalid object type \"{text}\"")).hint("Use user, group or service.")
    })
}

/// A null is what the parameter is when it is left out.
fn wanted(
    object_id: Option<pgrx::Uuid>,
    object_type: Option<Argument<'_>>,
    admin: Option<bool>,
    mfa: Option<bool>,
) -> Result<Wanted> {
    Ok(Wanted {
        object_id: object_id.map(uuid),
        kind: kind(object_type)?,
        admin: admin.unwrap_or_default(),
        mfa: mfa.unwrap_or_default(),
    })
}

pub(crate) fn given(role_name: Option<Argument<'_>>) -> Result<CString> {
    let name = role_name.ok_or_else(|| {
        Fault::new(PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, "role_name must not be null")
    })?;
    role_name_of(name)
}

fn label(wanted: &Wanted, function: &str, role: &CStr) -> Result<Label> {
    let object_id = wanted.object_id.ok_or_else(|| {
        let known = Label { kind: wanted.kind, admin: wanted.admin, mfa: wanted.mfa, ..Label::default() };
        let complete = advice::call(function, &decode(role.to_bytes()), &known);
        Fault::prerequisite("the directory cannot be asked for the object id of a name")
            .hint(format!("Give the object id: {complete}"))
    })?;
    Ok(Label { kind: wanted.kind, admin: wanted.admin, mfa: wanted.mfa, ..tenant::label_of(object_id)? })
}

/// An argument as a role's name. One that PostgreSQL would cut is refused: it would be another's.
pub(crate) fn role_name_of(name: Argument<'_>) -> Result<CString> {
    if name.len() == 0 {
        return Err(Fault::new(PgSqlErrorCode::ERRCODE_INVALID_NAME, "a role name cannot be empty"));
    }
    let fitting = name.within(MAX_NAME_BYTES).ok_or_else(|| {
        // Not said which: it may be a token in the wrong place.
        Fault::name_too_long("role name is too long")
            .detail(format!("It has {} bytes; at most {MAX_NAME_BYTES} are allowed.", name.len()))
    })?;
    // No text of PostgreSQL's has a NUL.
    Ok(CString::new(fitting).unwrap_or_default())
}

/// A linked role to which the current user may do what `may` asks for; nobody else does meanwhile.
pub(crate) fn linked(
    name: &CStr,
    may: impl Fn(&Role) -> Result<()>,
    lock: impl Fn(&Role) -> Result<Role>,
) -> Result<(Role, Label)> {
    let role = existing(name)?;
    let role = claim(&role, may, lock)?;
    match catalog::link_of(role.id) {
        Link::Bound(label) => Ok((role, label)),
        _ => Err(Fault::undefined(format!(
            "role \"{}\" is not linked to a directory object",
            role.display_name()
        ))),
    }
}

/// Locks a role. Whether the current user may is asked before, lest somebody else's statement wait for one that is refused, and
/// after, when nothing about the role changes any more.
fn claim(
    role: &Role,
    may: impl Fn(&Role) -> Result<()>,
    lock: impl Fn(&Role) -> Result<Role>,
) -> Result<Role> {
    may(role)?;
    let role = lock(role)?;
    may(&role)?;
    Ok(role)
}

fn existing(name: &CStr) -> Result<Role> {
    catalog::role_named(name)
        .ok_or_else(|| Fault::undefined(format!("role \"{}\" does not exist", decode(name.to_bytes()))))
}

fn create(name: &CStr, admin: bool) -> Result<Role> {
    let attributes: &[u8] = if admin { b" CREATEROLE CREATEDB" } else { b"" };
    run_as_superuser(&[b"CREATE ROLE ", &quoted_name(name), b" LOGIN", attributes]);
    existing(name)
}

fn run_as_superuser(statement: &[&[u8]]) {
    as_superuser(|| run(statement));
}

/// Links a role that is there. The same link again is no error, and asks for no right; another one is for update_principal().
fn adopt(role: &Role, label: &Label) -> Result<()> {
    let is_linked_so = |role: &Role| match catalog::link_of(role.id) {
        Link::Bound(old) => Some((Label { not_before: None, ..old }) == *label),
        _ => None,
    };
    let name = role.display_name();
    if is_linked_so(role) == Some(true) {
        notice(format!("role \"{name}\" is already linked to this object, skipping"), None);
        return Ok(());
    }
    link::check_linkable(role)?;
    let role = &claim(role, rights::may_change, |role| lock::claim_to_link(role, label.admin))?;
    // By whom we have waited for, if by anyone.
    match is_linked_so(role) {
        Some(true) => Ok(()),
        Some(false) => Err(Fault::new(
            PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
            format!("role \"{name}\" is already linked to a directory object"),
        )
        .hint(format!(
            "To link it to another one, or on other terms: {}",
            advice::call("update_principal", &name, label)
        ))),
        None => link::link(role, label).map(drop),
    }
}

fn administrators() -> Vec<Role> {
    link::markers().map_or_else(Vec::new, |(_, admin)| membership::members_of(&admin))
}
