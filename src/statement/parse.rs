//! Statements about roles, as far as they can touch what a link depends on; read from PostgreSQL's parse trees.

#![expect(clippy::cast_ptr_alignment, reason = "a node is allocated as what its tag says")]

use std::ffi::{CStr, CString};

use entra::Uuid;
use pgrx::prelude::*;

use crate::catalog::{self, INTERNAL_PROVIDER, PROVIDER, Role};
use crate::statement::named_roles::{Roles, nodes};

/// A statement about roles.
#[derive(Debug)]
pub(crate) enum Statement {
    /// GRANT or REVOKE of roles, ALTER GROUP; and whether it is about options of memberships only.
    Membership { granted: Roles, members: Roles, is_grant: bool, options_only: bool },
    /// CREATE ROLE.
    Create(Creation),
    /// ALTER ROLE with attributes; and whether with CREATEROLE, with SUPERUSER.
    Alter { role: Named, create_role: bool, superuser: bool },
    /// ALTER ROLE … SET or RESET.
    Configure { role: Named },
    /// DROP ROLE.
    Drop { roles: Roles },
    /// ALTER ROLE … RENAME.
    Rename { role: Named, to: Named },
    /// DROP OWNED, REASSIGN OWNED.
    Own { roles: Roles },
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
    pub(crate) parents: Roles,
    /// ROLE, USER and ADMIN.
    pub(crate) members: Roles,
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
                    granted: granted_roles(grant.granted_roles),
                    members: role_specs(grant.grantee_roles),
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
                let members = option(alter.options, c"rolemembers");
                Some(if members.is_null() {
                    let given = |option| given(alter.options, option);
                    Statement::Alter {
                        role,
                        create_role: given(c"createrole"),
                        superuser: given(c"superuser"),
                    }
                } else {
                    let is_grant = alter.action > 0;
                    let (granted, members) = (Roles::One(role), role_specs((*members).arg.cast()));
                    Statement::Membership { granted, members, is_grant, options_only: false }
                })
            }
            pg_sys::NodeTag::T_AlterRoleSetStmt => {
                let set = &*node.cast::<pg_sys::AlterRoleSetStmt>();
                role_spec(set.role.cast()).map(|role| Statement::Configure { role })
            }
            pg_sys::NodeTag::T_DropRoleStmt => {
                let drop = &*node.cast::<pg_sys::DropRoleStmt>();
                Some(Statement::Drop { roles: role_specs(drop.roles) })
            }
            pg_sys::NodeTag::T_DropOwnedStmt => {
                let drop = &*node.cast::<pg_sys::DropOwnedStmt>();
                Some(Statement::Own { roles: role_specs(drop.roles) })
            }
            pg_sys::NodeTag::T_ReassignOwnedStmt => {
                let reassign = &*node.cast::<pg_sys::ReassignOwnedStmt>();
                Some(Statement::Own { roles: role_specs(reassign.roles) })
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
                // A longer one is no label.
                let fitting = text.filter(|text| text.len() <= entra::limits::MAX_LABEL_BYTES);
                let admin =
                    fitting.is_some_and(|text| text.split(|byte| *byte == b',').any(|item| item == b"admin"));
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

/// The roles of GRANT and REVOKE that are granted.
#[expect(unsafe_code, reason = "reads parse trees")]
const unsafe fn granted_roles(list: *mut pg_sys::List) -> Roles {
    // SAFETY: that list of a statement's tree.
    unsafe { Roles::listed([list, std::ptr::null_mut()], granted_role) }
}

/// Other lists of roles.
#[expect(unsafe_code, reason = "reads parse trees")]
const unsafe fn role_specs(list: *mut pg_sys::List) -> Roles {
    // SAFETY: such a list of a statement's tree.
    unsafe { Roles::listed([list, std::ptr::null_mut()], role_spec) }
}

#[expect(unsafe_code, reason = "reads parse trees")]
unsafe fn creation(create: &pg_sys::CreateRoleStmt) -> Creation {
    // SAFETY: the name is a C string; the options are as below, and these have lists of RoleSpec nodes.
    unsafe {
        let list = |name| {
            option(create.options, name).as_ref().map_or(std::ptr::null_mut(), |option| option.arg.cast())
        };
        Creation {
            role: CStr::from_ptr(create.role).to_owned(),
            parents: role_specs(list(c"addroleto")),
            members: Roles::listed([list(c"rolemembers"), list(c"adminmembers")], role_spec),
            create_role: given(create.options, c"createrole"),
            password: password(create.options),
        }
    }
}

/// The first option of a name in CREATE or ALTER ROLE, or null. Given twice, core refuses it.
#[expect(unsafe_code, reason = "reads parse trees")]
unsafe fn option(options: *mut pg_sys::List, name: &CStr) -> *mut pg_sys::DefElem {
    // SAFETY: as below.
    unsafe { named_options(options, name) }.next().unwrap_or(std::ptr::null_mut())
}

/// Whether a boolean option of CREATE or ALTER ROLE is given and true, be it once among several.
#[expect(unsafe_code, reason = "reads parse trees")]
unsafe fn given(options: *mut pg_sys::List, name: &CStr) -> bool {
    // SAFETY: the grammar gives these options a boolean.
    unsafe { named_options(options, name) }.any(|option| unsafe { pg_sys::defGetBoolean(option) })
}

#[expect(unsafe_code, reason = "reads parse trees")]
unsafe fn password(options: *mut pg_sys::List) -> Password {
    // SAFETY: the option has a String node, or none for NULL. Nothing of it is copied but a uuid.
    let mut texts = unsafe { named_options(options, c"password") }.map(|option| unsafe {
        let text = string_of((*option).arg)?;
        Some(text.to_str().ok().and_then(entra::parse_uuid))
    });
    match (texts.next(), texts.next()) {
        (None | Some(None), None) => Password::None,
        (Some(Some(Some(uuid))), None) => Password::Uuid(uuid),
        _ => Password::Other,
    }
}

/// The options of a name.
#[expect(unsafe_code, reason = "reads parse trees")]
unsafe fn named_options(
    options: *mut pg_sys::List,
    name: &CStr,
) -> impl Iterator<Item = *mut pg_sys::DefElem> {
    // SAFETY: the options are DefElem nodes.
    unsafe { nodes(options) }
        .map(<*mut pg_sys::Node>::cast::<pg_sys::DefElem>)
        .filter(move |option| unsafe { CStr::from_ptr((**option).defname) } == name)
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
pub(crate) unsafe fn granted_role(node: *mut pg_sys::Node) -> Option<Named> {
    // SAFETY: the list of granted roles holds AccessPriv nodes.
    unsafe {
        let name = (*node.cast::<pg_sys::AccessPriv>()).priv_name;
        (!name.is_null()).then(|| Named::Name(CStr::from_ptr(name).to_owned()))
    }
}

/// A role by name or as CURRENT_USER and the like; PUBLIC is none.
#[expect(unsafe_code, reason = "reads parse trees")]
pub(crate) unsafe fn role_spec(node: *mut pg_sys::Node) -> Option<Named> {
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
