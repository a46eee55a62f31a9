//! Nodes of PostgreSQL's parse trees (nodes.h, parsenodes.h).
//!
//! A node is read through a view, which is made of a node whose tag says that it is one of its
//! kind. A view reads a field where it is and copies nothing. A tree is never changed: what is to
//! be different is a copy of one node, which shares everything below it with the original.

#![expect(unsafe_code, reason = "reads and copies nodes of parse trees")]

use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::ptr::NonNull;

use pgrx::prelude::*;

use crate::pg::list::List;

/// A node of a tree that lives for `'tree`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'tree>(NonNull<pg_sys::Node>, PhantomData<&'tree pg_sys::Node>);

impl<'tree> Node<'tree> {
    /// Returns a node of a tree; none if the pointer is null.
    ///
    /// # Safety
    /// `node` is null or a node, whose tag says what it is. It and what it leads to live for
    /// `'tree`.
    pub(crate) unsafe fn new(node: *mut pg_sys::Node) -> Option<Self> {
        NonNull::new(node).map(|node| Self(node, PhantomData))
    }

    /// Returns the node as PostgreSQL has it.
    pub(super) const fn as_ptr(self) -> *mut pg_sys::Node {
        self.0.as_ptr()
    }

    fn is(self, tag: pg_sys::NodeTag) -> bool {
        // SAFETY: every node begins with its tag (nodes.h).
        unsafe { (*self.0.as_ptr()).type_ == tag }
    }

    /// Returns the text of a String node; none if the node is of another kind.
    pub(crate) fn text(self) -> Option<&'tree CStr> {
        String::of(self).and_then(String::value)
    }

    /// Returns the node as a list; the empty one if the node is of another kind.
    pub(crate) fn list(self) -> List<'tree> {
        if self.is(pg_sys::NodeTag::T_List) {
            // SAFETY: the tag says that it is a list of nodes, which lives as long as the node.
            unsafe { List::new(self.0.as_ptr().cast()) }
        } else {
            List::EMPTY
        }
    }
}

/// Returns a copy of a node, in memory of the current context.
///
/// # Safety
/// `node` is a node, not the head of another one. The current memory context lives for `'tree`.
unsafe fn copy_of<'tree, T: Copy>(node: T) -> Node<'tree> {
    // SAFETY: palloc (mcxt.c) raises an error rather than return null, and aligns for any type.
    unsafe {
        let copy = pg_sys::palloc(size_of::<T>()).cast::<T>();
        copy.write(node);
        Node(NonNull::new_unchecked(copy.cast()), PhantomData)
    }
}

/// A type that a field of a node is read as.
trait Field {
    /// The type of the field in parsenodes.h.
    type Raw;

    /// Reads a field.
    ///
    /// # Safety
    /// `raw` is a field of a node of a tree, which lives as long as this type says.
    unsafe fn read(raw: Self::Raw) -> Self;
}

/// Fields that are plain values.
macro_rules! plain_fields {
    ($($type:ty),*) => { $(
        impl Field for $type {
            type Raw = Self;

            unsafe fn read(raw: Self) -> Self {
                raw
            }
        }
    )* };
}
plain_fields!(bool, i32, u32);

impl Field for Option<&CStr> {
    type Raw = *mut c_char;

    unsafe fn read(raw: *mut c_char) -> Self {
        // SAFETY: a field of this type is null or a C string.
        (!raw.is_null()).then(|| unsafe { CStr::from_ptr(raw) })
    }
}

/// A field that is never null.
impl Field for &CStr {
    type Raw = *mut c_char;

    unsafe fn read(raw: *mut c_char) -> Self {
        // SAFETY: as above.
        unsafe { <Option<Self>>::read(raw) }.unwrap_or_default()
    }
}

impl Field for Option<Node<'_>> {
    type Raw = *mut pg_sys::Node;

    unsafe fn read(raw: *mut pg_sys::Node) -> Self {
        // SAFETY: a field of this type is null or a node.
        unsafe { Node::new(raw) }
    }
}

impl Field for Option<RoleSpec<'_>> {
    type Raw = *mut pg_sys::RoleSpec;

    unsafe fn read(raw: *mut pg_sys::RoleSpec) -> Self {
        // SAFETY: a field of this type is null or such a node.
        unsafe { Node::new(raw.cast()) }.and_then(RoleSpec::of)
    }
}

impl Field for List<'_> {
    type Raw = *mut pg_sys::List;

    unsafe fn read(raw: *mut pg_sys::List) -> Self {
        // SAFETY: a field of this type is null or a list; those that are read here hold nodes.
        unsafe { List::new(raw) }
    }
}

/// Defines views: a kind of node, its tag, and what its fields are called and read as.
macro_rules! views {
    ($($(#[$about:meta])* $view:ident = $tag:ident { $($name:ident: $type:ty = $field:ident,)* })*) => { $(
        $(#[$about])*
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $view<'tree>(NonNull<pg_sys::$view>, PhantomData<&'tree pg_sys::$view>);

        impl<'tree> $view<'tree> {
            /// Returns the view of a node; none if the node is of another kind.
            pub(crate) fn of(node: Node<'tree>) -> Option<Self> {
                node.is(pg_sys::NodeTag::$tag).then(|| Self(node.0.cast(), PhantomData))
            }

            $(
                /// Returns the field of this name, or what parsenodes.h calls so.
                pub(crate) fn $name(self) -> $type {
                    // SAFETY: the tag says that the node has this field, which lives for 'tree.
                    unsafe { Field::read((*self.0.as_ptr()).$field) }
                }
            )*
        }
    )* };
}

views! {
    /// A text.
    String = T_String {
        value: Option<&'tree CStr> = sval,
    }

    /// An option of CREATE ROLE or ALTER ROLE.
    DefElem = T_DefElem {
        name: &'tree CStr = defname,
        argument: Option<Node<'tree>> = arg,
    }

    /// A role by name, or as CURRENT_USER and the like.
    RoleSpec = T_RoleSpec {
        kind: pg_sys::RoleSpecType::Type = roletype,
        name: &'tree CStr = rolename,
    }

    /// A privilege, which the grammar also makes of a granted role.
    AccessPriv = T_AccessPriv {
        name: Option<&'tree CStr> = priv_name,
    }

    /// GRANT and REVOKE of roles.
    GrantRoleStmt = T_GrantRoleStmt {
        granted: List<'tree> = granted_roles,
        members: List<'tree> = grantee_roles,
        is_grant: bool = is_grant,
    }

    /// CREATE ROLE, CREATE USER, CREATE GROUP.
    CreateRoleStmt = T_CreateRoleStmt {
        role: &'tree CStr = role,
        options: List<'tree> = options,
    }

    /// ALTER ROLE with attributes, and ALTER GROUP, which has an action: 1 to add members, -1 to
    /// drop them.
    AlterRoleStmt = T_AlterRoleStmt {
        role: Option<RoleSpec<'tree>> = role,
        options: List<'tree> = options,
        action: i32 = action,
    }

    /// ALTER ROLE ... SET and RESET; no role stands for ALL.
    AlterRoleSetStmt = T_AlterRoleSetStmt {
        role: Option<RoleSpec<'tree>> = role,
    }

    /// DROP ROLE.
    DropRoleStmt = T_DropRoleStmt {
        roles: List<'tree> = roles,
    }

    /// DROP OWNED.
    DropOwnedStmt = T_DropOwnedStmt {
        roles: List<'tree> = roles,
    }

    /// REASSIGN OWNED.
    ReassignOwnedStmt = T_ReassignOwnedStmt {
        roles: List<'tree> = roles,
    }

    /// ALTER ... RENAME, of roles and of anything else.
    RenameStmt = T_RenameStmt {
        object_type: pg_sys::ObjectType::Type = renameType,
        old_name: Option<&'tree CStr> = subname,
        new_name: &'tree CStr = newname,
    }

    /// SECURITY LABEL.
    SecLabelStmt = T_SecLabelStmt {
        object_type: pg_sys::ObjectType::Type = objtype,
        object: Option<Node<'tree>> = object,
        provider: Option<&'tree CStr> = provider,
        label: Option<&'tree CStr> = label,
    }

    /// GRANT and REVOKE of privileges.
    GrantStmt = T_GrantStmt {
        object_type: pg_sys::ObjectType::Type = objtype,
        is_grant: bool = is_grant,
    }
}

/// A role as a [`RoleSpec`] names it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Specified<'tree> {
    /// By name.
    Name(&'tree CStr),
    /// As CURRENT_USER and the like.
    Id(pg_sys::Oid),
    /// PUBLIC, which is no role.
    Public,
}

impl<'tree> RoleSpec<'tree> {
    /// Returns which role is named.
    pub(crate) fn specified(self) -> Specified<'tree> {
        match self.kind() {
            pg_sys::RoleSpecType::ROLESPEC_CSTRING => Specified::Name(self.name()),
            pg_sys::RoleSpecType::ROLESPEC_PUBLIC => Specified::Public,
            // SAFETY: get_rolespec_oid (acl.c) reads the node, which the tag says it is.
            _ => Specified::Id(unsafe { pg_sys::get_rolespec_oid(self.0.as_ptr(), true) }),
        }
    }
}

impl<'tree> DefElem<'tree> {
    /// Returns the value of a boolean option.
    pub(crate) fn boolean(self) -> bool {
        // SAFETY: defGetBoolean (define.c) reads the node, and raises an error if it is not
        // boolean.
        unsafe { pg_sys::defGetBoolean(self.0.as_ptr()) }
    }

    /// Returns the list that is the option's value; the empty one if its value is something else.
    pub(crate) fn list(self) -> List<'tree> {
        self.argument().map_or(List::EMPTY, Node::list)
    }

    /// Returns a copy of the option that has a list for its value.
    pub(crate) fn with_list(self, list: List<'tree>) -> Node<'tree> {
        // SAFETY: the whole node is copied. What is copied is used while the statement runs.
        unsafe { copy_of(pg_sys::DefElem { arg: list.as_ptr().cast(), ..*self.0.as_ptr() }) }
    }
}

impl<'tree> GrantRoleStmt<'tree> {
    /// Returns whether a REVOKE takes an option of a membership, and not the membership.
    pub(crate) fn revokes_options(self) -> bool {
        // SAFETY: the tag says that the node has this field.
        #[cfg(feature = "pg15")]
        let has_options = unsafe { (*self.0.as_ptr()).admin_opt };
        // SAFETY: as above.
        #[cfg(not(feature = "pg15"))]
        let has_options = unsafe { !(*self.0.as_ptr()).opt.is_null() };
        has_options && !self.is_grant()
    }

    /// Returns a copy of the statement with other lists of roles.
    pub(crate) fn with_roles(self, granted: List<'tree>, members: List<'tree>) -> Node<'tree> {
        // SAFETY: the whole node is copied. What is copied is used while the statement runs.
        unsafe {
            copy_of(pg_sys::GrantRoleStmt {
                granted_roles: granted.as_ptr(),
                grantee_roles: members.as_ptr(),
                ..*self.0.as_ptr()
            })
        }
    }
}

impl<'tree> CreateRoleStmt<'tree> {
    /// Returns a copy of the statement with other options.
    pub(crate) fn with_options(self, options: List<'tree>) -> Node<'tree> {
        // SAFETY: the whole node is copied. What is copied is used while the statement runs.
        unsafe { copy_of(pg_sys::CreateRoleStmt { options: options.as_ptr(), ..*self.0.as_ptr() }) }
    }
}

impl<'tree> AlterRoleStmt<'tree> {
    /// Returns a copy of the statement with other options.
    pub(crate) fn with_options(self, options: List<'tree>) -> Node<'tree> {
        // SAFETY: the whole node is copied. What is copied is used while the statement runs.
        unsafe { copy_of(pg_sys::AlterRoleStmt { options: options.as_ptr(), ..*self.0.as_ptr() }) }
    }
}
