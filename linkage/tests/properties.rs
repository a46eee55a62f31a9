//! Properties of every plan, whatever was there before.

#[path = "support/mod.rs"]
mod support;

use linkage::guard::{Libraries, Row};
use linkage::{Defect, Membership, Obstacle, Wanted, defects};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use support::{
    ADMIN, BOOTSTRAP, LINKED, LOCAL, MANAGED, ROLE, SERVERS, SUPERUSER, USER, World, administrator, row, user,
};

/// Memberships that can be there: who may be a member of what, without a circle.
const PAIRS: [(u32, u32); 10] = [
    (USER, ROLE),
    (ADMIN, ROLE),
    (USER, ADMIN),
    (ROLE, ADMIN),
    (ROLE, LINKED),
    (ROLE, LOCAL),
    (LINKED, ROLE),
    (MANAGED, ROLE),
    (MANAGED, LOCAL),
    (USER, MANAGED),
];

fn memberships() -> impl Strategy<Value = Vec<Membership>> {
    let grantors = select(vec![BOOTSTRAP, SUPERUSER, ADMIN, ROLE]);
    let membership = (select(PAIRS.to_vec()), grantors, any::<bool>(), any::<(bool, bool)>());
    let membership = membership.prop_map(|((role, member), grantor, admin_option, options)| Membership {
        role,
        member,
        grantor,
        admin_option,
        inherit_and_set: Some(options),
    });
    vec(membership, 0..8)
}

fn settings() -> impl Strategy<Value = Vec<Row>> {
    let name = select(vec!["azure_ad_auth", "auto_explain", "pg_stat_statements", ""]);
    let libraries = option::of(vec(name, 0..3));
    let guard = option::of(select(vec!["on", "true", "off"]));
    let settings = vec((libraries, guard), 3);
    (settings, any::<[bool; 3]>()).prop_map(|(settings, is_there)| {
        let places = [None, Some("one"), Some("two")];
        let rows = places.into_iter().zip(settings).zip(is_there).filter(|(_, is_there)| *is_there);
        rows.map(|((place, (names, guard)), _)| row(place, names.as_deref(), guard)).collect()
    })
}

fn worlds() -> impl Strategy<Value = World> {
    let flags = any::<[bool; 7]>();
    (select(SERVERS.to_vec()), memberships(), settings(), flags).prop_map(
        |(server, rows, settings, flags)| {
            let mut world = World::new(&server);
            let [marked, login, create_role, create_db, inherit, password, joined] = flags;
            world.is_marked = marked;
            world.role.can_login = login;
            world.role.create_role = create_role;
            world.role.create_db = create_db;
            world.role.inherit = inherit;
            world.role.has_password = password;
            world.settings = settings;
            if !joined {
                world.rows.retain(|row| row.member != ADMIN);
            }
            for row in rows {
                let is_same = |other: &Membership| {
                    (other.role, other.member) == (row.role, row.member)
                        && (other.grantor == row.grantor || !server.has_admin_option_rules)
                };
                let is_circle = |other: &Membership| (other.role, other.member) == (row.member, row.role);
                if world.rows.iter().any(is_circle) {
                    continue;
                }
                world.rows.retain(|other| !is_same(other));
                let options = row.inherit_and_set.filter(|_| server.has_admin_option_rules);
                world.rows.push(Membership { inherit_and_set: options, ..row });
            }
            world
        },
    )
}

fn wanted() -> impl Strategy<Value = Wanted> {
    select(vec![user(), administrator(), Wanted::Unlinked])
}

/// A role that was just created, whatever settings and members it has.
fn new_roles() -> impl Strategy<Value = World> {
    worlds().prop_map(|mut world| {
        let is_link = |row: &Membership| [USER, ADMIN].contains(&row.role) || row.member == ADMIN;
        world.rows.retain(|row| !is_link(row) && row.member != ROLE);
        world.is_marked = false;
        world.role.create_role = false;
        world.role.create_db = false;
        world.role.has_password = false;
        world.settings.retain(|row| {
            let names = |name: &str| {
                let libraries = row.settings.libraries.iter();
                libraries.flat_map(Libraries::names).any(|one| one.to_bytes() == name.as_bytes())
            };
            !names("azure_ad_auth")
                && !names("")
                && row.settings.guard.is_none()
                && row.settings.libraries.is_some()
        });
        let server = world.server();
        let joined = World::new(&server).rows;
        world.rows.extend(joined);
        world
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// A plan that is carried out leaves nothing to do; or it is seen then that the role inherits.
    #[test]
    fn a_plan_leads_to_a_whole_role(world in worlds(), wanted in wanted()) {
        let mut world = World { wanted, ..world };
        if let Ok(plan) = world.plan() {
            world.carry_out(&plan);
            match world.plan() {
                Ok(again) => prop_assert!(again.is_empty(), "{:?}", again),
                Err(obstacle) => prop_assert!(
                    matches!(obstacle, Obstacle::InheritsFrom(_)) && wanted == Wanted::Unlinked
                        && !plan.is_empty(),
                    "{:?}", obstacle
                ),
            }
        }
    }

    /// What is wrong with a linked role is a part of its plan, and nothing is wrong with a whole
    /// one.
    #[test]
    fn a_defect_is_a_part_of_a_plan(world in worlds(), admin in any::<bool>()) {
        let mut world = World { wanted: if admin { administrator() } else { user() }, ..world };
        let found = |world: &World| {
            let mut found = defects(&world.role, &world.settings);
            // No plan changes that.
            found.retain(|defect| *defect != Defect::NoLogin);
            found
        };
        if let Ok(plan) = world.plan() {
            prop_assert!(found(&world).is_empty() || !plan.is_empty());
            world.carry_out(&plan);
            prop_assert_eq!(found(&world), []);
        }
    }

    /// Unlinking a role leaves it as it was before it was linked.
    #[test]
    fn unlinking_puts_back_what_was_there(world in new_roles(), admin in any::<bool>()) {
        let mut before = world.clone();
        before.rows.sort_by_key(|row| (row.role, row.member, row.grantor));
        let mut world = World { wanted: if admin { administrator() } else { user() }, ..world };
        if let Ok(plan) = world.plan() {
            world.carry_out(&plan);
            world.wanted = Wanted::Unlinked;
            let plan = world.plan();
            prop_assert!(plan.is_ok());
            world.carry_out(&plan.unwrap_or_default());
            world.settings.sort_by(|one, other| one.database.cmp(&other.database));
            before.settings.sort_by(|one, other| one.database.cmp(&other.database));
            before.wanted = Wanted::Unlinked;
            prop_assert_eq!(world, before);
        }
    }

    /// Another role to which a demoted administrator has granted a role keeps it.
    #[test]
    fn a_demotion_costs_nobody_else_a_role(world in worlds()) {
        let mut world = World { wanted: user(), ..world };
        let members = |world: &World| -> Vec<_> {
            let others = world.rows.iter().filter(|row| row.role == MANAGED && row.member != ROLE);
            let mut members: Vec<_> = others.map(|row| row.member).collect();
            members.sort_unstable();
            members.dedup();
            members
        };
        let before = members(&world);
        if let Ok(plan) = world.plan() {
            world.carry_out(&plan);
            prop_assert_eq!(members(&world), before);
        }
    }
}
