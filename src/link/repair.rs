//! Does the work of CREATE EXTENSION and `repair()`: makes sure that the two marker roles exist,
//! and that everything about a role with a label agrees with it.

use std::ffi::CStr;

use linkage::{Change, RoleName};

use crate::catalog::{self, ADMIN_ROLE, USER_ROLE, labelled_roles};
use crate::link::{self, apply, managed, marker_roles, tenant};
use crate::pg::error::Result;
use crate::pg::spi::as_superuser;

/// Creates the two roles, or adopts roles of these names that are nothing else, and settles every
/// role with a label. Returns what was changed.
pub(crate) fn establish() -> Result<Vec<Change>> {
    as_superuser(|| {
        let mut changed = Vec::new();
        for name in [USER_ROLE, ADMIN_ROLE] {
            match catalog::role_named(name) {
                Some(role) => marker_roles::check_adoptable(&role)?,
                None => make(creation_of(name), &mut changed),
            }
        }
        if !marker_roles::are_joined() {
            make(Change::Join, &mut changed);
        }
        marker_roles::check_members_are_linked(None)?;
        for role in &labelled_roles() {
            changed.extend(link::settle(role)?);
        }
        changed.extend(managed::hand_over());
        changed.extend(tenant::settle()?);
        Ok(changed)
    })
}

fn make(change: Change, changed: &mut Vec<Change>) {
    apply::make(&change);
    changed.push(change);
}

/// Returns the change that creates a role, which has no oid yet.
fn creation_of(name: &CStr) -> Change {
    let role = RoleName { id: 0, raw: name.to_owned(), shown: name.to_string_lossy().into_owned() };
    Change::Create { role }
}
