//! Statements about roles, as far as they can touch what a link depends on; read from PostgreSQL's parse trees.

#![expect(clippy::cast_ptr_alignment, reason = "a node is allocated as what its tag says")]

use std::ffi::{CStr, CString};

use entra::Uuid;
use pgrx::prelude::*;

use super::catalog::{self, INTERNAL_PROVIDER, PROVIDER, Role};

/// A statement about roles.
#[derive(Debug)]
pub(crate) enum Statement {
    /// GRANT or REVOKE of roles, ALTER GROUP; and whether it is about options of memberships only.
    Membership { granted: Vec<Named>, members: Vec<Named>, is_grant: bool, options_only: bool },
    /// CREATE ROLE.
    Create(Creation),
    /// ALTER ROLE with attributes; and whether with CREATEROLE, with SUPERUSER.
    Alter { role: Named, create_role: bool, superuser: bool },
    /// ALTER ROLE … SET or RESET.
    Configure { role: Named },
    /// DROP ROLE.
    Drop { roles: Vec<Named> },
    /// ALTER ROLE … RENAME.
    Rename { role: Named, to: Named },
    /// DROP OWNED, REASSIGN OWNED.
    Own { roles: Vec<Named> },
    /// GRANT … ON PARAMETER.
    Parameter,
    /// SECURITY LABEL … ON ROLE; whether IS NULL, whether it names an administrator, and whether it is the second label.
    Label { role: Named, unlinks: bool, admin: bool, internal: bool },
}

/// A role about to be created.
#[derive(Debug)]
pub(crate) struct Creation {
    pub(crate) role: CString,
    /// IN ROLE, IN GROUP.
    pub(crate) parents: Vec<Named>,
    /// ROLE, USER and ADMIN.
    pub(crate) members: Vec<Named>,
    /// With CREATEROLE.
    pub(crate) create_role: bool,
    pub(crate) password: Password,
}

/// What stands in place of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Password {
    /// Nothing, or NULL.
    None,
    /// A uuid, as Azure's Single Server takes the object id from there.
    Uuid(Uuid),
    /// Anything else; it is not looked at.
    Other,
}

/// A role as a statement names it; looked up when it is needed, before or after the statement has run.
#[derive(Debug, Clone)]
pub(crate) enum Named {
    /// By name.
    Name(CString),
    /// CURRENT_USER and the like.
    Id(pg_sys::Oid),
}

impl Named {
    /// Whether it is the role of a name.
    pub(crate) fn is(&self, name: &CStr) -> bool {
        match self {
            Self::Name(own) => own.as_c_str() == name,
            Self::Id(_) => self.role().is_some_and(|role| role.name.as_c_str() == name),
        }
    }

    /// The role, if it exists.
    pub(crate) fn role(&self) -> Option<Role> {
        match self {
            Self::Name(name) => catalog::role_named(name),
            Self::Id(id) => catalog::role_of(*id),
        }
    }
}

/// Reads a utility statement; none if it is not one of these.
///
/// # Safety
/// `node` is the tree of a utility statement.
#[expect(unsafe_code, reason = "reads parse trees")]
pub(crate) unsafe fn read(node: *mut pg_sys::Node) -> Option<Statement> {
    // SAFETY: see above; the tag says what a node is.
    unsafe {
        match (*node).type_ {
            pg_sys::NodeTag::T_GrantRoleStmt => {
                let grant = &*node.cast::<pg_sys::GrantRoleStmt>();
                Some(Statement::Membership {
                    granted: items(grant.granted_roles, |item| granted_role(item)),
                    members: items(grant.grantee_roles, |item| role_spec(item)),
                    is_grant: grant.is_grant,
                    options_only: !grant.is_grant && revokes_options(grant),
                })
            }
            pg_sys::NodeTag::T_CreateRoleStmt => {
                Some(Statement::Create(creation(&*node.cast::<pg_sys::CreateRoleStmt>())))
            }
            pg_sys::NodeTag::T_AlterRoleStmt => {
                let alter = &*node.cast::<pg_sys::AlterRoleStmt>();
                let role = role_spec(alter.role.cast())?;
                // ALTER GROUP … ADD USER comes as ALTER ROLE with a list of members.
                let members = listed(alter.options, c"rolemembers");
                Some(if members.is_empty() {
                    let given = |option| given(alter.options, option) == Some(true);
                    Statement::Alter {
                        role,
                        create_role: given(c"createrole"),
                        superuser: given(c"superuser"),
                    }
                } else {
                    let is_grant = alter.action > 0;
                    Statement::Membership { granted: vec![role], members, is_grant, options_only: false }
                })
            }
            pg_sys::NodeTag::T_AlterRoleSetStmt => {
                let set = &*node.cast::<pg_sys::AlterRoleSetStmt>();
                role_spec(set.role.cast()).map(|role| Statement::Configure { role })
            }
            pg_sys::NodeTag::T_DropRoleStmt => {
                let drop = &*node.cast::<pg_sys::DropRoleStmt>();
                Some(Statement::Drop { roles: items(drop.roles, |item| role_spec(item)) })
            }
            pg_sys::NodeTag::T_DropOwnedStmt => {
                let drop = &*node.cast::<pg_sys::DropOwnedStmt>();
                Some(Statement::Own { roles: items(drop.roles, |item| role_spec(item)) })
            }
            pg_sys::NodeTag::T_ReassignOwnedStmt => {
                let reassign = &*node.cast::<pg_sys::ReassignOwnedStmt>();
                Some(Statement::Own { roles: items(reassign.roles, |item| role_spec(item)) })
            }
            _ => read_generic(node),
        }
    }
}

/// Statements that are about roles only sometimes.
#[expect(unsafe_code, reason = "reads parse trees")]
unsafe fn read_generic(node: *mut pg_sys::Node) -> Option<Statement> {
    // SAFETY: as for read().
    unsafe {
        match (*node).type_ {
            pg_sys::NodeTag::T_RenameStmt => {
                let rename = &*node.cast::<pg_sys::RenameStmt>();
                let is_role =
                    rename.renameType == pg_sys::ObjectType::OBJECT_ROLE && !rename.subname.is_null();
                is_role.then(|| Statement::Rename {
                    role: Named::Name(CStr::from_ptr(rename.subname).to_owned()),
                    to: Named::Name(CStr::from_ptr(rename.newname).to_owned()),
                })
            }
            pg_sys::NodeTag::T_SecLabelStmt => {
                let label = &*node.cast::<pg_sys::SecLabelStmt>();
                let provider = label.provider.as_ref().map(|name| CStr::from_ptr(name));
                let ours = provider.is_some_and(|name| [PROVIDER, INTERNAL_PROVIDER].contains(&name));
                if label.objtype != pg_sys::ObjectType::OBJECT_ROLE || !ours {
                    return None;
                }
                let text = label.label.as_ref().map(|text| CStr::from_ptr(text).to_bytes());
                let admin =
                    text.is_some_and(|text| text.split(|byte| *byte == b',').any(|item| item == b"admin"));
                // The object of SECURITY LABEL … ON ROLE is a String node.
                string_of(label.object).map(|name| Statement::Label {
                    role: Named::Name(name.to_owned()),
                    unlinks: text.is_none(),
                    admin,
                    internal: provider == Some(INTERNAL_PROVIDER),
                })
            }
            pg_sys::NodeTag::T_GrantStmt => {
                let grant = &*node.cast::<pg_sys::GrantStmt>();
                let is_parameter = grant.objtype == pg_sys::ObjectType::OBJECT_PARAMETER_ACL;
                (is_parameter && grant.is_grant).then_some(Statement::Parameter)
            }
            _ => None,
        }
    }
}

/// The items of a list that `read` makes something of.
#[expect(unsafe_code, reason = "reads parse trees")]
pub(super) unsafe fn items<T>(
    list: *mut pg_sys::List,
    read: impl Fn(*mut pg_sys::Node) -> Option<T>,
) -> Vec<T> {
    // SAFETY: a list of the tree, or null, which is the empty one.
    unsafe {
        let length = list.as_ref().map_or(0, |list| list.length);
        (0..length).filter_map(|n| read(pg_sys::list_nth(list, n).cast())).collect()
    }
}

#[expect(unsafe_code, reason = "reads parse trees")]
unsafe fn creation(create: &pg_sys::CreateRoleStmt) -> Creation {
    // SAFETY: the name is a C string; the options are as below.
    unsafe {
        let members =
            [c"rolemembers", c"adminmembers"].into_iter().flat_map(|list| listed(create.options, list));
        Creation {
            role: CStr::from_ptr(create.role).to_owned(),
            parents: listed(create.options, c"addroleto"),
            members: members.collect(),
            create_role: given(create.options, c"createrole") == Some(true),
            password: password(create.options),
        }
    }
}

/// The roles in a list option of CREATE or ALTER ROLE.
#[expect(unsafe_code, reason = "reads parse trees")]
unsafe fn listed(options: *mut pg_sys::List, name: &CStr) -> Vec<Named> {
    // SAFETY: these options have lists of RoleSpec nodes.
    unsafe { with_option(options, name, |option| items((*option).arg.cast(), |item| role_spec(item))) }
        .into_iter()
        .flatten()
        .collect()
}

/// What a boolean option of CREATE or ALTER ROLE says, where it is given. Given twice, core refuses it.
#[expect(unsafe_code, reason = "reads parse trees")]
unsafe fn given(options: *mut pg_sys::List, name: &CStr) -> Option<bool> {
    // SAFETY: the grammar gives these options a boolean.
    let values = unsafe { with_option(options, name, |option| pg_sys::defGetBoolean(option)) };
    values.into_iter().reduce(|one, other| one || other)
}

#[expect(unsafe_code, reason = "reads parse trees")]
unsafe fn password(options: *mut pg_sys::List) -> Password {
    // SAFETY: the option has a String node, or none for NULL. Nothing of it is copied but a uuid.
    let texts = unsafe {
        with_option(options, c"password", |option| {
            let text = string_of((*option).arg)?;
            Some(text.to_str().ok().and_then(entra::parse_uuid))
        })
    };
    match texts.as_slice() {
        [] | [None] => Password::None,
        [Some(Some(uuid))] => Password::Uuid(*uuid),
        _ => Password::Other,
    }
}

/// What `read` makes of each option of a name.
#[expect(unsafe_code, reason = "reads parse trees")]
unsafe fn with_option<T>(
    options: *mut pg_sys::List,
    name: &CStr,
    read: impl Fn(*mut pg_sys::DefElem) -> T,
) -> Vec<T> {
    // SAFETY: the options are DefElem nodes.
    unsafe {
        items(options, |item| {
            let option = item.cast::<pg_sys::DefElem>();
            (CStr::from_ptr((*option).defname) == name).then(|| read(option))
        })
    }
}

/// Whether a REVOKE takes an option of a membership, and not the membership.
#[cfg(feature = "pg15")]
const fn revokes_options(grant: &pg_sys::GrantRoleStmt) -> bool {
    grant.admin_opt
}

#[cfg(not(feature = "pg15"))]
const fn revokes_options(grant: &pg_sys::GrantRoleStmt) -> bool {
    !grant.opt.is_null()
}

/// A granted role, which the grammar leaves as an access privilege.
#[expect(unsafe_code, reason = "reads parse trees")]
pub(super) unsafe fn granted_role(node: *mut pg_sys::Node) -> Option<Named> {
    // SAFETY: the list of granted roles holds AccessPriv nodes.
    unsafe {
        let name = (*node.cast::<pg_sys::AccessPriv>()).priv_name;
        (!name.is_null()).then(|| Named::Name(CStr::from_ptr(name).to_owned()))
    }
}

/// A role by name or as CURRENT_USER and the like; PUBLIC is none.
#[expect(unsafe_code, reason = "reads parse trees")]
pub(super) unsafe fn role_spec(node: *mut pg_sys::Node) -> Option<Named> {
    // SAFETY: null for ALL, else a RoleSpec node.
    unsafe {
        let spec = node.cast::<pg_sys::RoleSpec>().as_ref()?;
        match spec.roletype {
            pg_sys::RoleSpecType::ROLESPEC_CSTRING => {
                Some(Named::Name(CStr::from_ptr(spec.rolename).to_owned()))
            }
            pg_sys::RoleSpecType::ROLESPEC_PUBLIC => None,
            _ => Some(Named::Id(pg_sys::get_rolespec_oid(spec, true))),
        }
    }
}

/// The text of a String node; none where there is no node.
#[expect(unsafe_code, reason = "reads parse trees")]
unsafe fn string_of<'t>(node: *mut pg_sys::Node) -> Option<&'t CStr> {
    // SAFETY: null or a String node, as the callers know; the text lives as long as the tree.
    unsafe {
        let text = node.cast::<pg_sys::String>().as_ref()?.sval;
        (!text.is_null()).then(|| CStr::from_ptr(text))
    }
}
