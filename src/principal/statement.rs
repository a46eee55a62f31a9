//! Statements about roles, as far as they can touch what a link depends on; read from PostgreSQL's parse trees.

#![expect(clippy::cast_ptr_alignment, reason = "a node is allocated as what its tag says")]

use std::ffi::{CStr, CString};

use pgrx::prelude::*;

use super::catalog::{self, Role};

/// A statement about roles.
#[derive(Debug)]
pub(crate) enum Statement {
    /// GRANT or REVOKE of roles, ALTER GROUP.
    Membership { granted: Vec<Named>, members: Vec<Named>, is_grant: bool },
    /// CREATE ROLE, with the roles of its IN ROLE list, and of its ROLE and ADMIN lists; and whether with CREATEROLE.
    Create { role: Named, parents: Vec<Named>, members: Vec<Named>, create_role: bool },
    /// ALTER ROLE with attributes; and whether with CREATEROLE.
    Alter { role: Named, create_role: bool },
    /// ALTER ROLE … SET or RESET.
    Configure { role: Named },
    /// DROP ROLE.
    Drop { roles: Vec<Named> },
    /// ALTER ROLE … RENAME.
    Rename { role: Named },
    /// DROP OWNED, REASSIGN OWNED.
    Own { roles: Vec<Named> },
    /// GRANT … ON PARAMETER.
    #[cfg_attr(feature = "pg14", expect(dead_code, reason = "there is no such statement before 15"))]
    Parameter,
    /// SECURITY LABEL … ON ROLE.
    Label { role: Named },
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
                })
            }
            pg_sys::NodeTag::T_CreateRoleStmt => {
                let create = &*node.cast::<pg_sys::CreateRoleStmt>();
                let members =
                    ["rolemembers", "adminmembers"].iter().flat_map(|list| listed(create.options, list));
                Some(Statement::Create {
                    role: Named::Name(CStr::from_ptr(create.role).to_owned()),
                    parents: listed(create.options, "addroleto"),
                    create_role: gives_createrole(create.options),
                    members: members.collect(),
                })
            }
            pg_sys::NodeTag::T_AlterRoleStmt => {
                let alter = &*node.cast::<pg_sys::AlterRoleStmt>();
                let role = role_spec(alter.role.cast())?;
                // ALTER GROUP … ADD USER comes as ALTER ROLE with a list of members.
                let members = listed(alter.options, "rolemembers");
                Some(if members.is_empty() {
                    Statement::Alter { role, create_role: gives_createrole(alter.options) }
                } else {
                    Statement::Membership { granted: vec![role], members, is_grant: alter.action > 0 }
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
                })
            }
            pg_sys::NodeTag::T_SecLabelStmt => {
                let label = &*node.cast::<pg_sys::SecLabelStmt>();
                if label.objtype != pg_sys::ObjectType::OBJECT_ROLE {
                    return None;
                }
                string_value(label.object).map(|name| Statement::Label { role: Named::Name(name) })
            }
            #[cfg(not(feature = "pg14"))]
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
unsafe fn items<T>(list: *mut pg_sys::List, read: impl Fn(*mut pg_sys::Node) -> Option<T>) -> Vec<T> {
    // SAFETY: a list of the tree, or null, which is the empty one.
    unsafe {
        let length = list.as_ref().map_or(0, |list| list.length);
        (0..length).filter_map(|n| read(pg_sys::list_nth(list, n).cast())).collect()
    }
}

/// The roles in a list option of CREATE or ALTER ROLE.
#[expect(unsafe_code, reason = "reads parse trees")]
unsafe fn listed(options: *mut pg_sys::List, name: &str) -> Vec<Named> {
    // SAFETY: the options are DefElem nodes, and these two have lists of RoleSpec nodes.
    unsafe {
        items(options, |item| {
            let option = &*item.cast::<pg_sys::DefElem>();
            (CStr::from_ptr(option.defname).to_bytes() == name.as_bytes())
                .then(|| items(option.arg.cast(), |item| role_spec(item)))
        })
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Whether the options of CREATE or ALTER ROLE have CREATEROLE.
#[expect(unsafe_code, reason = "reads parse trees")]
unsafe fn gives_createrole(options: *mut pg_sys::List) -> bool {
    // SAFETY: the options are DefElem nodes, and this one has a boolean.
    unsafe {
        let given = items(options, |item| {
            let option = item.cast::<pg_sys::DefElem>();
            let named = CStr::from_ptr((*option).defname) == c"createrole";
            named.then(|| pg_sys::defGetBoolean(option))
        });
        given.contains(&true)
    }
}

/// A granted role, which the grammar leaves as an access privilege.
#[expect(unsafe_code, reason = "reads parse trees")]
unsafe fn granted_role(node: *mut pg_sys::Node) -> Option<Named> {
    // SAFETY: the list of granted roles holds AccessPriv nodes.
    unsafe {
        let name = (*node.cast::<pg_sys::AccessPriv>()).priv_name;
        (!name.is_null()).then(|| Named::Name(CStr::from_ptr(name).to_owned()))
    }
}

/// A role by name or as CURRENT_USER and the like; PUBLIC is none.
#[expect(unsafe_code, reason = "reads parse trees")]
unsafe fn role_spec(node: *mut pg_sys::Node) -> Option<Named> {
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

#[expect(unsafe_code, reason = "reads parse trees")]
unsafe fn string_value(node: *mut pg_sys::Node) -> Option<CString> {
    // SAFETY: the object of SECURITY LABEL … ON ROLE is a String node.
    unsafe {
        #[cfg(feature = "pg14")]
        let text = (*node.cast::<pg_sys::Value>()).val.str_;
        #[cfg(not(feature = "pg14"))]
        let text = (*node.cast::<pg_sys::String>()).sval;
        (!text.is_null()).then(|| CStr::from_ptr(text).to_owned())
    }
}
