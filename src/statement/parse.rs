//! Reads statements about roles from PostgreSQL's parse trees.

use std::ffi::CStr;

use pgrx::prelude::*;

use crate::catalog::{self, INTERNAL_PROVIDER, PROVIDER};
use crate::pg::list::List;
use crate::pg::node::{
    AlterRoleSetStmt, AlterRoleStmt, CreateRoleStmt, DefElem, DropOwnedStmt, DropRoleStmt, GrantRoleStmt,
    GrantStmt, Node, ReassignOwnedStmt, RenameStmt, SecLabelStmt,
};
use crate::statement::named_roles::{Named, Roles};
use crate::statement::{Creation, Password, Statement};

/// Reads a utility statement; none if it is not about roles.
pub(crate) fn read(node: Node<'_>) -> Option<Statement<'_>> {
    let dropped = |roles| Statement::Drop { roles: Roles::listed(roles) };
    let owned = |roles| Statement::Own { roles: Roles::listed(roles) };
    None.or_else(|| GrantRoleStmt::of(node).map(membership))
        .or_else(|| CreateRoleStmt::of(node).map(creation))
        .or_else(|| AlterRoleStmt::of(node).and_then(alteration))
        .or_else(|| AlterRoleSetStmt::of(node).and_then(configuration))
        .or_else(|| DropRoleStmt::of(node).map(DropRoleStmt::roles).map(dropped))
        .or_else(|| DropOwnedStmt::of(node).map(DropOwnedStmt::roles).map(owned))
        .or_else(|| ReassignOwnedStmt::of(node).map(ReassignOwnedStmt::roles).map(owned))
        .or_else(|| RenameStmt::of(node).and_then(renaming))
        .or_else(|| SecLabelStmt::of(node).and_then(label))
        .or_else(|| GrantStmt::of(node).and_then(grant_of_parameter))
}

fn membership(grant: GrantRoleStmt<'_>) -> Statement<'_> {
    Statement::Membership {
        granted: Roles::granted(grant.granted()),
        members: Roles::listed(grant.members()),
        is_grant: grant.is_grant(),
        options_only: grant.revokes_options(),
    }
}

fn creation(create: CreateRoleStmt<'_>) -> Statement<'_> {
    let options = create.options();
    let list = |name| first_option(options, name).map_or(List::EMPTY, DefElem::list);
    Statement::Create(Creation {
        role: create.role().to_owned(),
        parents: Roles::listed(list(c"addroleto")),
        members: Roles::of_both(list(c"rolemembers"), list(c"adminmembers")),
        create_role: is_given(options, c"createrole"),
        password: password(options),
    })
}

/// Reads ALTER ROLE. ALTER GROUP ... ADD USER comes as ALTER ROLE with a list of members.
fn alteration(alter: AlterRoleStmt<'_>) -> Option<Statement<'_>> {
    let role = Named::specified(alter.role()?)?;
    let options = alter.options();
    Some(match first_option(options, c"rolemembers") {
        None => Statement::Alter {
            role,
            create_role: is_given(options, c"createrole"),
            superuser: is_given(options, c"superuser"),
        },
        Some(members) => Statement::Membership {
            granted: Roles::One(role),
            members: Roles::listed(members.list()),
            is_grant: alter.action() > 0,
            options_only: false,
        },
    })
}

/// Reads ALTER ROLE ... SET; none for ALTER ROLE ALL.
fn configuration(set: AlterRoleSetStmt<'_>) -> Option<Statement<'_>> {
    Named::specified(set.role()?).map(|role| Statement::Configure { role })
}

fn renaming(rename: RenameStmt<'_>) -> Option<Statement<'_>> {
    let role = rename.old_name().filter(|_| rename.object_type() == pg_sys::ObjectType::OBJECT_ROLE)?;
    Some(Statement::Rename {
        role: Named::Name(role.to_owned()),
        to: Named::Name(rename.new_name().to_owned()),
    })
}

/// Reads SECURITY LABEL, if it is about a role and a provider of this library.
fn label(label: SecLabelStmt<'_>) -> Option<Statement<'_>> {
    let provider = label.provider().filter(|name| [PROVIDER, INTERNAL_PROVIDER].contains(name))?;
    if label.object_type() != pg_sys::ObjectType::OBJECT_ROLE {
        return None;
    }
    let text = label.label().map(CStr::to_bytes);
    // A longer text is no label, and is refused by the provider.
    let fitting = text.filter(|text| text.len() <= entra::limits::MAX_LABEL_BYTES);
    let admin = fitting.is_some_and(|text| text.split(|byte| *byte == b',').any(|item| item == b"admin"));
    let name = label.object()?.text()?;
    Some(Statement::Label {
        role: catalog::role_named(name).map(|role| role.id),
        unlinks: text.is_none(),
        admin,
        internal: provider == INTERNAL_PROVIDER,
    })
}

fn grant_of_parameter(grant: GrantStmt<'_>) -> Option<Statement<'_>> {
    let is_parameter = grant.object_type() == pg_sys::ObjectType::OBJECT_PARAMETER_ACL;
    (is_parameter && grant.is_grant()).then_some(Statement::Parameter)
}

/// Returns the options of a name in CREATE ROLE or ALTER ROLE.
fn options_named<'tree>(options: List<'tree>, name: &CStr) -> impl Iterator<Item = DefElem<'tree>> {
    options.nodes().filter_map(DefElem::of).filter(move |option| option.name() == name)
}

/// Returns the first option of a name. An option that is given twice is refused by PostgreSQL.
fn first_option<'tree>(options: List<'tree>, name: &CStr) -> Option<DefElem<'tree>> {
    options_named(options, name).next()
}

/// Returns whether a boolean option is given and is true at least once.
fn is_given(options: List<'_>, name: &CStr) -> bool {
    options_named(options, name).any(DefElem::boolean)
}

/// Reads what is given as a password. Copies nothing of it but a uuid.
fn password(options: List<'_>) -> Password {
    let as_uuid = |text: &CStr| text.to_str().ok().and_then(entra::parse_uuid);
    let mut given = options_named(options, c"password")
        .map(|option| option.argument().map(|argument| argument.text().and_then(as_uuid)));
    match (given.next(), given.next()) {
        (None | Some(None), None) => Password::None,
        (Some(Some(Some(uuid))), None) => Password::Uuid(uuid),
        _ => Password::Other,
    }
}
