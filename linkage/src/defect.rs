//! Finds defects of a linked role by itself: each is a part of its plan.

use crate::guard::{self, Guard};
use crate::state::Role;

/// A defect of a linked role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// It has a password, with which it could log in without a token.
    Password,
    /// It is a superuser, or has REPLICATION or BYPASSRLS, and could step around its guard.
    Privileged,
    /// It is not permitted to log in, which a link does not change.
    NoLogin,
    /// It has a guard of the first kind, which keeps libraries from it.
    OldGuard,
    /// It has no guard, in one database at the least.
    Unguarded,
}

/// Returns what a linked role must not have: first what no plan removes (privileges), then what a
/// plan removes (a password).
#[must_use]
pub fn forbidden(role: &Role) -> Option<Defect> {
    if role.is_privileged { Some(Defect::Privileged) } else { role.has_password.then_some(Defect::Password) }
}

/// Returns what is wrong with a linked role that has these settings.
#[must_use]
pub fn defects(role: &Role, rows: &[guard::Row]) -> Vec<Defect> {
    let guard = match guard::judge(rows) {
        Guard::Whole => None,
        Guard::Narrow => Some(Defect::OldGuard),
        Guard::Open => Some(Defect::Unguarded),
    };
    let found = [
        role.has_password.then_some(Defect::Password),
        role.is_privileged.then_some(Defect::Privileged),
        (!role.can_login).then_some(Defect::NoLogin),
        guard,
    ];
    found.into_iter().flatten().collect()
}
