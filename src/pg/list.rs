//! Lists of PostgreSQL's parse trees (pg_list.h). No other file reads them.
//!
//! The length of a list is decided by the writer of the statement, with or without a right to it.
//! So each item is preceded by a check for interrupts, and nothing is copied but by PostgreSQL's
//! own allocator, which raises an error when there is no memory.

#![expect(unsafe_code, reason = "reads and copies lists of parse trees")]

use std::marker::PhantomData;

use pgrx::prelude::*;

use crate::pg::interrupts;
use crate::pg::node::Node;

/// A list of nodes, which may be the empty one, a null pointer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List<'tree>(*mut pg_sys::List, PhantomData<&'tree pg_sys::List>);

impl<'tree> List<'tree> {
    /// The empty list.
    pub(crate) const EMPTY: Self = Self(std::ptr::null_mut(), PhantomData);

    /// Returns a list of a tree.
    ///
    /// # Safety
    /// `list` is null or a list of nodes. It and its nodes live for `'tree`.
    pub(crate) const unsafe fn new(list: *mut pg_sys::List) -> Self {
        Self(list, PhantomData)
    }

    /// Returns the list as PostgreSQL has it.
    pub(super) const fn as_ptr(self) -> *mut pg_sys::List {
        self.0
    }

    /// Returns whether the list has no items.
    pub(crate) const fn is_empty(self) -> bool {
        self.0.is_null()
    }

    /// Returns the items, each after a check for interrupts.
    pub(crate) fn nodes(self) -> impl Iterator<Item = Node<'tree>> {
        // SAFETY: null or a list, as the constructor demands.
        let length = unsafe { self.0.as_ref() }.map_or(0, |list| list.length);
        (0..usize::try_from(length).unwrap_or_default()).filter_map(move |n| {
            interrupts::check();
            // SAFETY: a list has as many cells as its length says (pg_list.h), and these hold
            // pointers to nodes that live for 'tree.
            unsafe { Node::new((*(*self.0).elements.add(n)).ptr_value.cast()) }
        })
    }

    /// Returns a copy of the list that has, in place of each item, what `change` returns for it, or
    /// nothing. Items that stay are shared with this list, which is not changed.
    pub(crate) fn filter_map(self, change: impl Fn(Node<'tree>) -> Option<Node<'tree>>) -> Self {
        // SAFETY: list_copy (list.c) copies the cells of a list, and makes null of null.
        let copy = unsafe { pg_sys::list_copy(self.0) };
        let mut kept = 0;
        for node in Self(copy, PhantomData).nodes() {
            if let Some(changed) = change(node) {
                // SAFETY: `kept` counts the items kept before this one, so this cell exists and has
                // been read. Nothing else refers to the copy.
                unsafe { (*(*copy).elements.add(kept)).ptr_value = changed.as_ptr().cast() };
                kept += 1;
            }
        }
        // SAFETY: `kept` is at most the length of the copy; list_truncate (list.c) makes null of an
        // empty list.
        Self(unsafe { pg_sys::list_truncate(copy, i32::try_from(kept).unwrap_or_default()) }, PhantomData)
    }

    /// Returns a copy of the list with those items only for which `keep` returns true.
    pub(crate) fn filter(self, keep: impl Fn(Node<'tree>) -> bool) -> Self {
        self.filter_map(|node| keep(node).then_some(node))
    }
}
