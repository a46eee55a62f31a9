//! Statements without the part that this library does itself: copies of their trees, for PostgreSQL
//! and for hooks that were installed before this one.
//!
//! A membership in `azure_ad_user` comes with a link and goes with it, and an object id is no
//! password; so PostgreSQL must see neither. It gets the rest of the statement, even if that does
//! nothing, so that hooks which write an audit trail see the statement.

use crate::catalog::USER_ROLE;
use crate::pg::list::List;
use crate::pg::node::{AlterRoleStmt, CreateRoleStmt, DefElem, GrantRoleStmt, Node};
use crate::statement::named_roles::Named;

/// Returns what PostgreSQL is to run of a statement that asks for something about links: one
/// statement or two. `members` are the oids, in order, of the roles whose membership in
/// `azure_ad_user` this library grants or revokes itself.
pub(crate) fn remains<'tree>(statement: Node<'tree>, members: &[u32]) -> [Option<Node<'tree>>; 2] {
    if let Some(create) = CreateRoleStmt::of(statement) {
        [Some(creation(create)), None]
    } else if let Some(grant) = GrantRoleStmt::of(statement) {
        grants(grant, members)
    } else if let Some(alter) = AlterRoleStmt::of(statement) {
        [Some(group(alter, members)), None]
    } else {
        [Some(statement), None]
    }
}

/// Returns CREATE ROLE without `azure_ad_user` among the roles it is IN, and without a password.
fn creation(create: CreateRoleStmt<'_>) -> Node<'_> {
    create.with_options(create.options().filter_map(|item| {
        let option = DefElem::of(item)?;
        match option.name().to_bytes() {
            b"password" => None,
            // The option stays even if its list is empty: if it is given twice, PostgreSQL must see
            // that, and refuse it.
            b"addroleto" => {
                Some(option.with_list(option.list().filter(|item| !is_user_role(Named::listed(item)))))
            }
            _ => Some(item),
        }
    }))
}

/// Returns GRANT or REVOKE of roles in up to two parts: that of other roles, and that of
/// `azure_ad_user`, without the members for whom this library does it.
fn grants<'tree>(grant: GrantRoleStmt<'tree>, members: &[u32]) -> [Option<Node<'tree>>; 2] {
    let (granted, all_members) = (grant.granted(), grant.members());
    let user = grant
        .with_roles(granted.filter(|item| is_user_role(Named::granted(item))), without(all_members, members));
    let others = granted.filter(|item| !is_user_role(Named::granted(item)));
    if others.is_empty() {
        return [Some(user), None];
    }
    [Some(grant.with_roles(others, all_members)), Some(user)]
}

/// Returns ALTER GROUP, which names one role and has one option, a list of members, without the
/// members for whom this library does it.
fn group<'tree>(alter: AlterRoleStmt<'tree>, members: &[u32]) -> Node<'tree> {
    let without_members = |item| {
        let option = DefElem::of(item)?;
        Some(option.with_list(without(option.list(), members)))
    };
    alter.with_options(alter.options().filter_map(without_members))
}

/// Returns a list of roles without those of some oids.
fn without<'tree>(list: List<'tree>, members: &[u32]) -> List<'tree> {
    list.filter(|item| {
        let role = Named::listed(item).and_then(|named| named.role());
        role.is_none_or(|role| members.binary_search(&role.id.to_u32()).is_err())
    })
}

fn is_user_role(named: Option<Named>) -> bool {
    named.is_some_and(|named| named.is(USER_ROLE))
}
