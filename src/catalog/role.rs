//! Rows of pg_authid.

use std::ffi::{CStr, CString};

use pgrx::prelude::*;

use crate::pg::shared_relation::{DATABASES, ROLES};
use crate::pg::spi::quoted_name;
use crate::pg::syscache::{self, Cache, CachedRow, RoleKey};
use crate::pg::text;

/// A row of pg_authid.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, clippy::struct_field_names, reason = "as the catalog has them")]
pub(crate) struct Role {
    pub(crate) id: pg_sys::Oid,
    pub(crate) name: CString,
    pub(crate) superuser: bool,
    pub(crate) replication: bool,
    pub(crate) bypass_rls: bool,
    pub(crate) can_login: bool,
    pub(crate) create_role: bool,
    pub(crate) create_db: bool,
    pub(crate) inherit: bool,
}

impl Role {
    /// Returns the name, for messages.
    pub(crate) fn display_name(&self) -> String {
        text::decode(self.name.to_bytes())
    }

    /// Returns the name as it is written in a statement, in its own bytes.
    pub(crate) fn quoted(&self) -> Vec<u8> {
        quoted_name(&self.name)
    }

    /// Returns whether the role could step around what guards an Azure AD role, and so can be none.
    pub(crate) const fn is_privileged(&self) -> bool {
        self.superuser || self.replication || self.bypass_rls
    }

    fn of(row: &pg_sys::FormData_pg_authid) -> Self {
        Self {
            id: row.oid,
            name: syscache::name(&row.rolname),
            superuser: row.rolsuper,
            replication: row.rolreplication,
            bypass_rls: row.rolbypassrls,
            can_login: row.rolcanlogin,
            create_role: row.rolcreaterole,
            create_db: row.rolcreatedb,
            inherit: row.rolinherit,
        }
    }
}

/// Returns the role of a name.
pub(crate) fn role_named(name: &CStr) -> Option<Role> {
    syscache::role(RoleKey::Name(name), Role::of)
}

/// Returns the role of an oid.
pub(crate) fn role_of(id: pg_sys::Oid) -> Option<Role> {
    syscache::role(RoleKey::Id(id), Role::of)
}

/// Returns every role, in no order.
pub(crate) fn all_roles() -> Vec<Role> {
    let ids = ROLES.rows(&[], |row| row.get::<pg_sys::Oid>(1));
    ids.into_iter().filter_map(role_of).collect()
}

/// Returns whether a database allows connections; none: there is no such database.
pub(crate) fn allows_connections(database: &str) -> Option<bool> {
    const NAME: i32 = 2;
    const ALLOWS_CONNECTIONS: i32 = pg_sys::Anum_pg_database_datallowconn.cast_signed();
    let allows = DATABASES.rows(&[], |row| {
        let name = row.get::<&CStr>(NAME)?;
        (text::decode(name.to_bytes()) == database).then(|| row.get::<bool>(ALLOWS_CONNECTIONS)).flatten()
    });
    allows.first().copied()
}

/// Returns whether a password is stored for a role.
pub(crate) fn has_password(role: pg_sys::Oid) -> bool {
    let column = column(pg_sys::Anum_pg_authid_rolpassword);
    syscache::find(Cache::Roles, [role], |row| !row.is_null(column)).unwrap_or_default()
}

/// Returns whether a role can be used at any time and by any number of sessions, as it is when it
/// has just been created.
pub(crate) fn is_unlimited(role: pg_sys::Oid) -> bool {
    let (until, limit) =
        (column(pg_sys::Anum_pg_authid_rolvaliduntil), column(pg_sys::Anum_pg_authid_rolconnlimit));
    let is_unlimited = |row: &CachedRow| {
        // No statement makes it null again; `infinity` means the same.
        row.get::<i32>(limit) == Some(-1) && row.get::<i64>(until).is_none_or(|until| until == i64::MAX)
    };
    syscache::find(Cache::Roles, [role], is_unlimited).unwrap_or_default()
}

fn column(number: u32) -> i16 {
    i16::try_from(number).unwrap_or_default()
}

/// Returns whether something holds of a role while the role has a name.
///
/// `look` asks core, which looks the name up by itself. Between two lookups another role may have
/// got the name and lost it again. So the answer counts only if no change that others have
/// committed was taken in meanwhile, for until then one name means one role to this process.
/// Returns false if others never stop committing changes.
pub(crate) fn holds_while_named(role: pg_sys::Oid, name: &CStr, look: impl Fn() -> bool) -> bool {
    const TRIES: usize = 100;
    for _ in 0..TRIES {
        syscache::accept_changes();
        if role_named(name).is_none_or(|named| named.id != role) {
            return false;
        }
        let before = syscache::changes_taken_in();
        let still_named = role_named(name).is_some_and(|named| named.id == role);
        let holds = still_named && look();
        if syscache::changes_taken_in() == before {
            return holds;
        }
    }
    false
}
