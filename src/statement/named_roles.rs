//! Roles as a statement names them, one or a list, read where they are in its tree.
//!
//! The length of a list is decided by the writer of the statement, with or without a right to it.
//! So nothing of a list is copied before it is known to be distinct roles that exist, and a loop
//! over a list checks for interrupts at each item.

use std::ffi::{CStr, CString};

use pgrx::prelude::*;

use crate::catalog::{self, ADMIN_ROLE, Role, USER_ROLE};
use crate::pg::error::Result;
use crate::pg::list::List;
use crate::pg::node::{AccessPriv, Node, RoleSpec, Specified};
use crate::pg::{allocate, interrupts};

/// A role as a statement names it. It is looked up when it is needed, before or after the statement
/// has run.
#[derive(Debug, Clone)]
pub(crate) enum Named {
    /// By name.
    Name(CString),
    /// As CURRENT_USER and the like.
    Id(pg_sys::Oid),
}

impl Named {
    /// Returns the role that a node of the tree names; none for PUBLIC.
    pub(crate) fn specified(spec: RoleSpec<'_>) -> Option<Self> {
        match spec.specified() {
            Specified::Name(name) => Some(Self::Name(name.to_owned())),
            Specified::Id(id) => Some(Self::Id(id)),
            Specified::Public => None,
        }
    }

    /// Reads an item of a list of roles.
    pub(crate) fn listed(node: Node<'_>) -> Option<Self> {
        RoleSpec::of(node).and_then(Self::specified)
    }

    /// Reads an item of a list of granted roles.
    pub(crate) fn granted(node: Node<'_>) -> Option<Self> {
        AccessPriv::of(node).and_then(AccessPriv::name).map(|name| Self::Name(name.to_owned()))
    }

    /// Returns whether the statement gives the role by this name.
    pub(crate) fn is(&self, name: &CStr) -> bool {
        match self {
            Self::Name(own) => own.as_c_str() == name,
            Self::Id(_) => self.role().is_some_and(|role| role.name.as_c_str() == name),
        }
    }

    /// Returns the role, if it exists.
    pub(crate) fn role(&self) -> Option<Role> {
        match self {
            Self::Name(name) => catalog::role_named(name),
            Self::Id(id) => catalog::role_of(*id),
        }
    }
}

/// Reads an item of a list; none if it names no role.
type Reader<'tree> = fn(Node<'tree>) -> Option<Named>;

/// Roles that a statement names.
#[derive(Debug, Clone)]
pub(crate) enum Roles<'tree> {
    /// One, where the statement can have no list.
    One(Named),
    /// The roles of two lists, either of which may be empty.
    Listed([List<'tree>; 2], Reader<'tree>),
}

impl<'tree> Roles<'tree> {
    /// Returns the roles of one list.
    pub(crate) fn listed(list: List<'tree>) -> Self {
        Self::Listed([list, List::EMPTY], Named::listed)
    }

    /// Returns the roles of two lists.
    pub(crate) fn of_both(one: List<'tree>, other: List<'tree>) -> Self {
        Self::Listed([one, other], Named::listed)
    }

    /// Returns the granted roles of GRANT and REVOKE.
    pub(crate) fn granted(list: List<'tree>) -> Self {
        Self::Listed([list, List::EMPTY], Named::granted)
    }

    /// Returns no roles.
    pub(crate) fn none() -> Self {
        Self::listed(List::EMPTY)
    }

    /// Returns the roles as the statement names them, existing or not, as often as it does.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Named> + '_ {
        let (one, listed) = match self {
            Self::One(one) => (Some(one), None),
            Self::Listed(lists, read) => (None, Some((lists, read))),
        };
        let one = one.into_iter().inspect(|_| interrupts::check()).cloned();
        let listed = listed
            .into_iter()
            .flat_map(|(lists, read)| lists.iter().flat_map(|list| list.nodes()).filter_map(read));
        one.chain(listed)
    }

    /// Returns those that exist, as often as they are named.
    pub(crate) fn existing(&self) -> impl Iterator<Item = Role> + '_ {
        self.iter().filter_map(|named| named.role())
    }

    /// Returns those that exist, each once, in the order of their oids.
    pub(crate) fn distinct(&self) -> Result<Vec<Role>> {
        let mut ids = allocate::collect(self.existing().map(|role| role.id.to_u32()))?;
        ids.sort_unstable();
        ids.dedup();
        allocate::collect(ids.into_iter().map(pg_sys::Oid::from).filter_map(catalog::role_of))
    }

    /// Returns whether a role of this name is among them.
    pub(crate) fn name(&self, name: &CStr) -> bool {
        self.iter().any(|role| role.is(name))
    }

    /// Returns the first that is a marker role. No other role is looked up.
    pub(crate) fn marker(&self) -> Option<Role> {
        self.iter().find(|role| role.is(USER_ROLE) || role.is(ADMIN_ROLE))?.role()
    }

    /// Returns whether no role is named.
    pub(crate) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}
