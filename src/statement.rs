//! What statements mean for links: the utility hook, the label providers, and what must hold after
//! a statement.

mod after;
mod before;
mod createrole;
pub(crate) mod hook;
mod invariants;
pub(crate) mod label_provider;
mod lock;
mod named_roles;
mod objects;
mod parse;
mod request;
mod rewrite;
mod truncated;

use std::ffi::CString;

use entra::Uuid;
use pgrx::prelude::*;

use crate::statement::named_roles::{Named, Roles};

/// A statement about roles, as far as it can touch what a link depends on.
#[derive(Debug)]
pub(crate) enum Statement<'tree> {
    /// GRANT or REVOKE of roles, ALTER GROUP. `options_only`: a REVOKE of options of memberships.
    Membership { granted: Roles<'tree>, members: Roles<'tree>, is_grant: bool, options_only: bool },
    /// CREATE ROLE.
    Create(Creation<'tree>),
    /// ALTER ROLE with attributes, and whether CREATEROLE or SUPERUSER is among them.
    Alter { role: Named, create_role: bool, superuser: bool },
    /// ALTER ROLE ... SET or RESET.
    Configure { role: Named },
    /// DROP ROLE.
    Drop { roles: Roles<'tree> },
    /// ALTER ROLE ... RENAME.
    Rename { role: Named, to: Named },
    /// DROP OWNED, REASSIGN OWNED.
    Own { roles: Roles<'tree> },
    /// GRANT ... ON PARAMETER.
    Parameter,
    /// SECURITY LABEL ... ON ROLE.
    Label {
        /// The role that had the name when the statement was read; none if there was none. It is
        /// looked up once, so that no role that gets the name later is taken for it.
        role: Option<pg_sys::Oid>,
        /// The statement removes the label (IS NULL).
        unlinks: bool,
        /// The label says that the role is an administrator.
        admin: bool,
        /// The label is one of the provider `pgaadauth-int`.
        internal: bool,
    },
}

/// A role about to be created.
#[derive(Debug)]
pub(crate) struct Creation<'tree> {
    pub(crate) role: CString,
    /// IN ROLE, IN GROUP.
    pub(crate) parents: Roles<'tree>,
    /// ROLE, USER and ADMIN.
    pub(crate) members: Roles<'tree>,
    /// The role gets CREATEROLE.
    pub(crate) create_role: bool,
    pub(crate) password: Password,
}

/// The password that a statement gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Password {
    /// Nothing, or NULL.
    None,
    /// A uuid, as Azure's Single Server takes the object id from there.
    Uuid(Uuid),
    /// Anything else, of which nothing is kept.
    Other,
}
