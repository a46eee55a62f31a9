//! Reads a role, once, as the plan of a link asks about it. Called with the role locked.

use std::collections::BTreeSet;

use linkage::{Held, Marker, Markers, Member, RoleName, Server, State, Wanted, use_of};
use pgrx::prelude::*;

use crate::catalog::membership::{self, Membership};
use crate::catalog::{self, Role, is_marker, markers};
use crate::link::rights::HAS_ADMIN_OPTION_RULES;
use crate::link::{guard, managed};
use crate::pg::interrupts;
use crate::pg::text::decode;

/// Returns what memberships mean on this server.
pub(crate) const fn server() -> Server {
    Server {
        bootstrap: pg_sys::BOOTSTRAP_SUPERUSERID,
        has_admin_option_rules: HAS_ADMIN_OPTION_RULES,
        decode,
    }
}

/// Returns the name of a role, for statements and messages.
pub(crate) fn name_of(role: &Role) -> RoleName {
    RoleName { id: role.id.to_u32(), raw: role.name.clone(), shown: role.display_name() }
}

/// Returns what a link asks about a role itself.
pub(crate) fn facts(role: &Role) -> linkage::Role {
    linkage::Role {
        name: name_of(role),
        is_marker: is_marker(role),
        is_privileged: role.is_privileged(),
        can_login: role.can_login,
        create_role: role.create_role,
        create_db: role.create_db,
        inherit: role.inherit,
        has_password: catalog::has_password(role.id),
    }
}

/// Returns rows of pg_auth_members, as a plan takes them.
pub(crate) fn rows(rows: &[Membership]) -> Vec<linkage::Membership> {
    let row = |row: &Membership| linkage::Membership {
        role: row.role.to_u32(),
        member: row.member.to_u32(),
        grantor: row.grantor.to_u32(),
        admin_option: row.admin_option,
        inherit_and_set: row.inherit_and_set,
    };
    rows.iter().map(row).collect()
}

/// Reads what is needed to plan what `wanted` asks of a role. Only within `as_superuser`.
pub(crate) fn read(role: &Role, wanted: &Wanted) -> State {
    let is_demoted =
        catalog::holds_admin_role(role) && !matches!(wanted, Wanted::Linked(label) if label.admin);
    let settings = guard::rows_of(role);
    State {
        role: facts(role),
        tenant: crate::settings::tenant(),
        is_marked: is_demoted && managed::is_marked(role),
        servers_own: guard::servers_own_for(&settings),
        guard: settings,
        markers: markers().map(|(user, admin)| match wanted {
            Wanted::Linked(_) => to_link(role, &user, &admin, is_demoted),
            Wanted::Unlinked => to_unlink(role, &user, &admin, is_demoted),
        }),
    }
}

fn to_link(role: &Role, user: &Role, admin: &Role, is_demoted: bool) -> Markers {
    let below = membership::rows_of(role);
    let member = |member: Role| {
        interrupts::check();
        Member { is_linked: catalog::is_linked(member.id), name: name_of(&member) }
    };
    Markers {
        user: Marker { used: used(user), name: name_of(user) },
        admin: Marker { used: used(admin), name: name_of(admin) },
        below: rows(&below),
        members: membership::members_in(&below).into_iter().map(member).collect(),
        ..memberships(role, user, admin, is_demoted)
    }
}

fn to_unlink(role: &Role, user: &Role, admin: &Role, is_demoted: bool) -> Markers {
    let markers = memberships(role, user, admin, is_demoted);
    let is_direct = !markers.as_user.is_empty() || !markers.as_admin.is_empty();
    let inherits_from = if is_direct { None } else { inherits_from(role, user) };
    Markers { inherits_from, ..markers }
}

/// Returns what linking and unlinking both ask for.
fn memberships(role: &Role, user: &Role, admin: &Role, is_demoted: bool) -> Markers {
    let between = |member, role| rows(&membership::between(member, role));
    Markers {
        user: Marker { name: name_of(user), used: None },
        admin: Marker { name: name_of(admin), used: None },
        joined: between(admin, user),
        as_user: between(role, user),
        as_admin: between(role, admin),
        below: Vec::new(),
        members: Vec::new(),
        held: if is_demoted { held(role) } else { Vec::new() },
        inherits_from: None,
    }
}

/// Returns what shows that a marker role is used for something else. Only within `as_superuser`.
pub(crate) fn used(marker: &Role) -> Option<linkage::Use> {
    use_of(&facts(marker), catalog::is_unlimited(marker.id), guard::has_settings(marker))
}

/// Returns the roles that administrators manage, of which a role is a member.
pub(crate) fn held(role: &Role) -> Vec<Held> {
    let is_managed = |role: &Role| {
        interrupts::check();
        !is_marker(role) && (catalog::is_linked(role.id) || managed::is_theirs(role))
    };
    let held = |role: Role| {
        let below = rows(&membership::rows_of(&role));
        let grantors: BTreeSet<_> = below.iter().map(|row| row.grantor).collect();
        let is_superuser =
            |id: &u32| catalog::role_of(pg_sys::Oid::from(*id)).is_none_or(|grantor| grantor.superuser);
        let superusers = grantors.into_iter().filter(is_superuser).collect();
        Held { name: name_of(&role), rows: below, superusers }
    };
    membership::parents_of(role).into_iter().filter(is_managed).map(held).collect()
}

/// Returns the first of the roles through which a role is a member of `azure_ad_user`.
fn inherits_from(role: &Role, user: &Role) -> Option<RoleName> {
    if !catalog::is_member(role.id, user.id) {
        return None;
    }
    let parents = membership::parents_of(role).into_iter();
    let through = |parent: &Role| catalog::is_member(parent.id, user.id);
    parents.filter(through).map(|parent| name_of(&parent)).next()
}
