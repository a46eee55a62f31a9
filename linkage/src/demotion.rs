//! What a role loses when it stops being an administrator: its memberships in roles that
//! administrators manage, as far as administrators have granted them.
//!
//! As an administrator it could grant these to itself. Kept, the ADMIN option on a linked role
//! would let it hand that role out, and membership would let it act as that role. What a superuser
//! has granted stays.

use crate::membership::{Membership, without};
use crate::state::{Held, RoleName, Server};

/// The rows that are revoked, and granted anew, when a role is revoked from a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The rows to revoke, in this order.
    pub revoked: Vec<Membership>,
    /// Rows of others that go along, and are granted anew on the same terms.
    pub granted_again: Vec<Membership>,
    /// What is left of the member's own rows.
    pub left: Vec<Membership>,
}

/// Returns what it takes to revoke those memberships of `member` that `which` picks. From
/// PostgreSQL 16 on, other roles to which `member` has granted the role lose it too, and are
/// granted it anew.
#[must_use]
pub fn take(server: &Server, rows: &[Membership], member: u32, which: impl Fn(&Membership) -> bool) -> Taken {
    let is_own = |row: &&Membership| row.member == member;
    let mut left = rows.to_vec();
    let mut revoked = Vec::new();
    while let Some(row) = left.iter().filter(is_own).find(|row| which(row)).copied() {
        left = without(server, &left, &row);
        revoked.push(row);
    }
    let is_lost = |row: &&Membership| {
        let still = |left: &Membership| left.member == row.member && (left.admin_option || !row.admin_option);
        row.member != member && !left.iter().any(still)
    };
    Taken {
        granted_again: rows.iter().filter(is_lost).copied().collect(),
        left: left.iter().filter(is_own).copied().collect(),
        revoked,
    }
}

/// The effect of a demotion on the roles that administrators manage.
pub(crate) struct Demotion {
    /// The roles that are revoked, with what it takes.
    pub(crate) taken: Vec<(RoleName, Taken)>,
    /// The roles of which the former administrator stays a member.
    pub(crate) kept: Vec<RoleName>,
}

/// Returns what a former administrator loses, and what it keeps.
pub(crate) fn take_back(server: &Server, former: u32, held: &[Held]) -> Demotion {
    let mut demotion = Demotion { taken: Vec::new(), kept: Vec::new() };
    for Held { name, rows, superusers } in held {
        let taken = take(server, rows, former, |row| !superusers.contains(&row.grantor));
        if !taken.left.is_empty() {
            demotion.kept.push(name.clone());
        }
        if !taken.revoked.is_empty() {
            demotion.taken.push((name.clone(), taken));
        }
    }
    demotion
}
