//! Checks a statement before PostgreSQL runs it, and reads what it asks of links.

use crate::catalog;
use crate::link;
use crate::link::{lock as link_lock, marker_roles, revocation, rights};
use crate::pg::error::Result;
use crate::pg::spi::as_superuser;
use crate::statement::named_roles::Roles;
use crate::statement::request::{self, Request};
use crate::statement::{Statement, createrole, invariants, lock, objects, truncated};

/// Checks a statement, takes its locks, and returns what it asks of links. `text` is the text of
/// this statement alone.
pub(crate) fn check(statement: &Statement<'_>, text: &[u8]) -> Result<Vec<Request>> {
    // The lists of the statement can be of any length, so the right to it is checked before they
    // are read.
    if is_about_links(statement) && link::markers().is_some() {
        rights::may_administer()?;
    }
    truncated::check(statement, text)?;
    let objects = objects::of(statement)?;
    lock::before(statement, &objects)?;
    let requests = request::of(statement, &objects)?;
    createrole::check(statement)?;
    check_markers(statement)?;
    Ok(requests)
}

/// Returns whether a statement grants or revokes membership in a marker role, or writes a label.
fn is_about_links(statement: &Statement<'_>) -> bool {
    match statement {
        Statement::Membership { granted, .. } => granted.marker().is_some(),
        Statement::Create(creation) => creation.parents.marker().is_some(),
        Statement::Label { .. } => true,
        _ => false,
    }
}

/// Checks that a marker role stays as it is while roles are linked, and locks the administrators if
/// the statement is about a marker role.
fn check_markers(statement: &Statement<'_>) -> Result<()> {
    let (roles, what) = match statement {
        Statement::Drop { roles } => (roles.clone(), "dropped"),
        Statement::Rename { role, .. } => (Roles::One(role.clone()), "renamed"),
        Statement::Own { roles } => (roles.clone(), "subject of DROP OWNED or REASSIGN OWNED"),
        Statement::Alter { role, .. } | Statement::Configure { role } => {
            return role.role().iter().try_for_each(link_lock::claim_marker);
        }
        _ => return Ok(()),
    };
    let Some(marker) = roles.marker() else { return Ok(()) };
    link_lock::claim_marker(&marker)?;
    if link::markers().is_some() && as_superuser(marker_roles::any_link) {
        return Err(invariants::marker_in_use(&marker, what));
    }
    keep_revocations(statement, &roles, what)
}

/// Checks that `azure_ad_user` is not dropped or renamed while its label says that tokens are
/// revoked. A user who may not do it is told so by PostgreSQL.
fn keep_revocations(statement: &Statement<'_>, roles: &Roles<'_>, what: &str) -> Result<()> {
    let user = roles.iter().find(|role| role.is(catalog::USER_ROLE)).and_then(|role| role.role());
    match (statement, user) {
        (Statement::Drop { .. } | Statement::Rename { .. }, Some(user)) if link_lock::may_change(&user) => {
            revocation::check_nothing_revoked(&user, what)
        }
        _ => Ok(()),
    }
}
