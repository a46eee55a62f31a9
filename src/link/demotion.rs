//! What an administrator loses who is none any more: what administrators have granted him of roles they manage.
//!
//! As an administrator he could grant these to himself. Kept, the ADMIN option on a linked role would let him hand it out, and
//! membership would let him act as it. What a superuser has granted stays, and is named.

use pgrx::prelude::*;

use crate::catalog::membership::{self, Membership};
use crate::catalog::{self, Role, is_marker};
use crate::link::advice::revocation;
use crate::link::{self, Done, managed, rights};
use crate::pg::error::notice;
use crate::pg::spi::run;

/// Takes back what administrators have granted to one who is none any more, and names what is left. Only within
/// `as_superuser`.
pub(crate) fn take_back(former: &Role, done: &mut Done) {
    let (mut taken, mut kept) = (Vec::new(), Vec::new());
    let theirs = |role: &Role| !is_marker(role) && (catalog::is_linked(role.id) || managed::is_theirs(role));
    for role in membership::parents_of(former).into_iter().filter(theirs) {
        let before = membership::between(former, &role).len();
        revoke_from(former, &role, |row| !is_of_superuser(row));
        let after = membership::between(former, &role).len();
        if after < before {
            done.push(format!("revoked \"{}\" from role \"{}\"", role.display_name(), former.display_name()));
            taken.push(role.clone());
        }
        if after > 0 {
            kept.push(role);
        }
    }
    tell(former, taken, kept);
}

fn tell(former: &Role, taken: Vec<Role>, kept: Vec<Role>) {
    let name = former.display_name();
    if !taken.is_empty() {
        let text = "is no longer a member of roles that Azure AD administrators had granted it";
        notice(format!("role \"{name}\" {text}: {}", names_of(taken)), None);
    }
    if !kept.is_empty() {
        let statements: Vec<_> = kept.iter().map(|role| revocation(role, former)).collect();
        let text = "is still a member of roles that Azure AD administrators manage";
        notice(format!("role \"{name}\" {text}: {}", names_of(kept)), Some(&statements.join(" ")));
    }
}

fn names_of(mut roles: Vec<Role>) -> String {
    roles.sort_by(|one, other| one.name.cmp(&other.name));
    roles.iter().map(Role::display_name).collect::<Vec<_>>().join(", ")
}

fn is_of_superuser(row: &Membership) -> bool {
    catalog::role_of(row.grantor).is_none_or(|grantor| grantor.superuser)
}

/// Revokes the memberships of `member` in `role` that `which` picks. Whom `member` has granted the role to would lose it too,
/// from 16 on, and is granted it anew on the same terms. Only within `as_superuser`.
pub(crate) fn revoke_from(member: &Role, role: &Role, which: impl Fn(&Membership) -> bool) {
    let before = membership::rows_of(role);
    link::revoke(member, role, which, &mut Done::new());
    let after = membership::rows_of(role);
    let is_lost = |row: &&Membership| {
        let still = |left: &Membership| left.member == row.member && (left.admin_option || !row.admin_option);
        !after.iter().any(still)
    };
    for row in before.iter().filter(|row| row.member != member.id).filter(is_lost) {
        if let Some(other) = catalog::role_of(row.member) {
            grant_as_in(role, &other, row);
        }
    }
}

fn grant_as_in(role: &Role, member: &Role, row: &Membership) {
    let options = match row.inherit_and_set {
        Some((inherit, set)) => {
            format!(" WITH ADMIN {}, INHERIT {inherit}, SET {set}", row.admin_option)
        }
        None if row.admin_option => " WITH ADMIN OPTION".to_owned(),
        None => String::new(),
    };
    run(&[b"GRANT ", &role.quoted(), b" TO ", &member.quoted(), options.as_bytes()]);
}

/// Who has the ADMIN option on a linked role, or on one that administrators manage, and is neither an administrator nor a
/// superuser: each with the role. Only within `as_superuser`.
pub(crate) fn granters() -> Vec<(Role, Role)> {
    let pairs = crate::pg::spi::query(
        "SELECT DISTINCT member, roleid FROM pg_auth_members WHERE admin_option ORDER BY 1, 2",
        &[],
        |row| Some((row.get::<pg_sys::Oid>(1).ok()??, row.get::<pg_sys::Oid>(2).ok()??)),
    );
    let pairs = pairs.into_iter().flatten();
    let pairs = pairs.filter_map(|(member, role)| Some((catalog::role_of(member)?, catalog::role_of(role)?)));
    let counts = |(member, role): &(Role, Role)| {
        let is_ours = !is_marker(role) && (catalog::is_linked(role.id) || managed::is_theirs(role));
        is_ours && !is_marker(member) && !member.superuser && !rights::is_administrator(member)
    };
    pairs.filter(counts).collect()
}
