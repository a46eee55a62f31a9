//! Lists of roles in a statement, read where they stand in its tree.
//!
//! Whoever writes a statement decides how long they are, right or no right to it. So nothing of such a list is copied before it
//! is known to be distinct roles that exist; and whoever goes through one looks, at each item, whether to go on. This is the only
//! file that reads PostgreSQL's lists.

use std::ffi::CStr;

use pgrx::prelude::*;

use crate::catalog::{self, ADMIN_ROLE, Role, USER_ROLE};
use crate::pg::error::Result;
use crate::pg::{allocate, interrupts};
use crate::statement::parse::Named;

/// Makes a role of an item of a list; none: it names none.
pub(crate) type Reader = unsafe fn(*mut pg_sys::Node) -> Option<Named>;

/// Roles that a statement lists.
#[derive(Debug, Clone)]
pub(crate) enum Roles {
    /// One, named where there can be no list.
    One(Named),
    /// Lists, one after the other.
    Listed(Lists),
}

/// Lists of a tree that lives as long as the statement.
#[derive(Debug, Clone)]
pub(crate) struct Lists {
    lists: [*mut pg_sys::List; 2],
    read: Reader,
}

impl Roles {
    /// What two lists name, either of which may be null, the empty one.
    ///
    /// # Safety
    /// They live as long as this, and `read` reads their items.
    #[expect(unsafe_code, reason = "keeps pointers into a tree")]
    pub(crate) const unsafe fn listed(lists: [*mut pg_sys::List; 2], read: Reader) -> Self {
        Self::Listed(Lists { lists, read })
    }

    /// None.
    pub(crate) const fn none() -> Self {
        const fn reads_nothing(_: *mut pg_sys::Node) -> Option<Named> {
            None
        }
        Self::Listed(Lists { lists: [std::ptr::null_mut(); 2], read: reads_nothing })
    }

    /// As the statement names them, existing or not, as often as it does.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Named> + '_ {
        let (one, listed) = match self {
            Self::One(one) => (Some(one), None),
            Self::Listed(listed) => (None, Some(listed)),
        };
        let one = one.into_iter().inspect(|_| interrupts::check()).cloned();
        one.chain(listed.into_iter().flat_map(Lists::names))
    }

    /// Those that exist, as often as they are named.
    pub(crate) fn existing(&self) -> impl Iterator<Item = Role> + '_ {
        self.iter().filter_map(|named| named.role())
    }

    /// Those that exist, each once, by oid.
    pub(crate) fn distinct(&self) -> Result<Vec<Role>> {
        let mut ids = allocate::collect(self.existing().map(|role| role.id.to_u32()))?;
        ids.sort_unstable();
        ids.dedup();
        allocate::collect(ids.into_iter().map(pg_sys::Oid::from).filter_map(catalog::role_of))
    }

    /// Whether a role of this name is among them.
    pub(crate) fn name(&self, name: &CStr) -> bool {
        self.iter().any(|role| role.is(name))
    }

    /// The first that is one of the two roles. Nothing is looked up but that.
    pub(crate) fn marker(&self) -> Option<Role> {
        self.iter().find(|role| role.is(USER_ROLE) || role.is(ADMIN_ROLE))?.role()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl Lists {
    #[expect(unsafe_code, reason = "reads parse trees")]
    fn names(&self) -> impl Iterator<Item = Named> + '_ {
        // SAFETY: whoever made this has promised that these are lists, and what is in them.
        self.lists
            .iter()
            .flat_map(|list| unsafe { nodes(*list) })
            .filter_map(|node| unsafe { (self.read)(node) })
    }
}

/// The items of a list, each after a look whether to go on.
///
/// # Safety
/// The list lives as long as the iterator, or is null, the empty one.
#[expect(unsafe_code, reason = "reads parse trees")]
pub(crate) unsafe fn nodes(list: *mut pg_sys::List) -> impl Iterator<Item = *mut pg_sys::Node> {
    // SAFETY: see above.
    let length = unsafe { list.as_ref() }.map_or(0, |list| list.length);
    (0..usize::try_from(length).unwrap_or_default()).map(move |n| {
        interrupts::check();
        // SAFETY: see above; a list has as many cells as its length says (pg_list.h), and these hold pointers.
        unsafe { (*(*list).elements.add(n)).ptr_value.cast() }
    })
}

/// The list with those items only for which `keep` holds, in one pass; the empty list is null.
///
/// # Safety
/// A list of pointers that nobody else has, or null.
#[expect(unsafe_code, reason = "changes a list of a parse tree")]
pub(crate) unsafe fn retain(
    list: *mut pg_sys::List,
    keep: impl Fn(*mut pg_sys::Node) -> bool,
) -> *mut pg_sys::List {
    let mut kept = 0;
    // SAFETY: see above; what is kept comes to lie where something was that has been looked at.
    unsafe {
        for node in nodes(list) {
            if keep(node) {
                (*(*list).elements.add(kept)).ptr_value = node.cast();
                kept += 1;
            }
        }
        pg_sys::list_truncate(list, i32::try_from(kept).unwrap_or_default())
    }
}
