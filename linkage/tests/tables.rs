//! Plans, case by case, on each version.

#[path = "support/mod.rs"]
mod support;

use linkage::{Change, Membership, Notice, Obstacle, Plan, Server, Use, Wanted, rest_of_demotion};
use support::{
    ADMIN, BOOTSTRAP, LINKED, LOCAL, MANAGED, ROLE, SERVERS, SUPERUSER, USER, World, administrator, label,
    name, notices, row, user,
};

fn wants() -> [Wanted; 3] {
    [user(), administrator(), Wanted::Unlinked]
}

/// A row that makes one role a member of another, as GRANT makes it, by a grantor.
fn by(world: &World, grantor: u32, role: u32, member: u32) -> Membership {
    Membership { grantor, ..world.granted(role, member, true) }
}

#[test]
fn a_new_role_is_linked_in_this_order() {
    for server in &SERVERS {
        let mut world = World::new(server);
        world.wanted = user();
        let expected = ["granted \"azure_ad_user\" to role \"ann\"", "set the guard of role \"ann\""];
        assert_eq!(world.words(), expected);
        world.wanted = administrator();
        let expected = [
            "granted \"azure_ad_admin\" to role \"ann\"",
            "made role \"ann\" CREATEROLE CREATEDB",
            "set the guard of role \"ann\"",
        ];
        assert_eq!(world.words(), expected);
    }
}

#[test]
fn whole_is_nothing_to_do() {
    for server in &SERVERS {
        for wanted in wants() {
            let world = World::whole(server, wanted);
            assert_eq!(world.words(), [""; 0], "{wanted:?}");
        }
    }
}

/// Each fault alone, of a role that was whole, and what repairs it.
#[test]
fn each_fault_is_repaired_by_itself() {
    type Damage = fn(&mut World);
    let grant_other: Damage = |world| world.rows.push(world.granted(USER, ROLE, true));
    let cases: [(&str, Wanted, Damage, &[&str]); 13] = [
        (
            "password",
            user(),
            |world| world.role.has_password = true,
            &["removed the password of role \"ann\"", "notice PasswordRemoved"],
        ),
        (
            "membership",
            user(),
            |world| world.rows.retain(|row| row.member != ROLE),
            &["granted \"azure_ad_user\" to role \"ann\""],
        ),
        (
            "membership of an administrator",
            administrator(),
            |world| world.rows.retain(|row| row.member != ROLE),
            &["granted \"azure_ad_admin\" to role \"ann\""],
        ),
        ("both memberships", administrator(), grant_other, &["revoked \"azure_ad_user\" from role \"ann\""]),
        (
            "join",
            user(),
            |world| world.rows.retain(|row| row.member != ADMIN),
            &["granted \"azure_ad_user\" to role \"azure_ad_admin\" with admin option"],
        ),
        (
            "join without the ADMIN option",
            user(),
            |world| world.rows.iter_mut().for_each(|row| row.admin_option = false),
            &["granted \"azure_ad_user\" to role \"azure_ad_admin\" with admin option"],
        ),
        (
            "CREATEROLE",
            administrator(),
            |world| world.role.create_role = false,
            &["made role \"ann\" CREATEROLE CREATEDB"],
        ),
        (
            "CREATEDB",
            administrator(),
            |world| world.role.create_db = false,
            &["made role \"ann\" CREATEROLE CREATEDB"],
        ),
        ("guard", user(), |world| world.settings.clear(), &["set the guard of role \"ann\""]),
        (
            "guard in one database",
            user(),
            |world| world.settings.push(row(Some("db"), None, None)),
            &["set the guard of role \"ann\""],
        ),
        (
            "guard of the first kind",
            user(),
            |world| world.settings = vec![row(None, Some(&["azure_ad_auth", "auto_explain"]), None)],
            &["renewed the guard of role \"ann\""],
        ),
        (
            "guard of the first kind with libraries of its own",
            user(),
            |world| world.settings = vec![row(None, Some(&["azure_ad_auth", "a", "b"]), None)],
            &["renewed the guard of role \"ann\", which still loads \"a\", \"b\""],
        ),
        (
            "tenant",
            user(),
            |world| world.wanted = Wanted::Linked(entra::Label { tenant_id: None, ..label(false) }),
            &["named tenant 00000000-0000-0000-0000-000000000001 in the label of role \"ann\""],
        ),
    ];
    for server in &SERVERS {
        for (what, wanted, damage, expected) in &cases {
            let mut world = World::whole(server, *wanted);
            damage(&mut world);
            assert_eq!(world.words(), *expected, "{what}");
            world.carry_out(&world.plan().unwrap());
            assert_eq!(world.words(), [""; 0], "{what}");
        }
    }
}

/// A membership that comes with a link has one grantor and no options.
#[test]
fn memberships_on_other_terms_are_granted_anew() {
    type Change = fn(&mut Membership);
    let both: [Change; 2] = [|row| row.grantor = SUPERUSER, |row| row.admin_option = true];
    let from_16: [Change; 2] =
        [|row| row.inherit_and_set = Some((false, true)), |row| row.inherit_and_set = Some((true, false))];
    for server in &SERVERS {
        let also = if server.has_admin_option_rules { &from_16[..] } else { &[] };
        for change in both.iter().chain(also) {
            let mut world = World::whole(server, user());
            world.rows.iter_mut().filter(|row| row.member == ROLE).for_each(change);
            let expected =
                ["revoked \"azure_ad_user\" from role \"ann\"", "granted \"azure_ad_user\" to role \"ann\""];
            assert_eq!(world.words(), expected);
        }
    }
}

/// From PostgreSQL 16 on one more row beside the right one is revoked, and the right one stays.
#[test]
fn a_second_grant_by_another_is_revoked() {
    let mut world = World::whole(&SERVERS[1], user());
    let second = by(&world, ADMIN, USER, ROLE);
    world.rows.push(second);
    assert_eq!(world.words(), ["revoked \"azure_ad_user\" from role \"ann\""]);
}

/// The INHERIT option of a membership follows the attribute of the role.
#[test]
fn a_role_without_inherit_is_whole_with_a_membership_without() {
    let mut world = World::new(&SERVERS[1]);
    world.role.inherit = false;
    world.wanted = user();
    world.carry_out(&world.plan().unwrap());
    assert_eq!(world.words(), [""; 0]);
    world.role.inherit = true;
    assert_eq!(world.plan().unwrap().changes().count(), 2);
}

#[test]
fn a_role_that_cannot_log_in_is_told_of_when_it_is_linked_and_not_again() {
    for server in &SERVERS {
        let mut world = World::new(server);
        world.role.can_login = false;
        world.wanted = user();
        assert_eq!(notices(&world.plan().unwrap()), [Notice::NoLogin]);
        world.carry_out(&world.plan().unwrap());
        assert_eq!(notices(&world.plan().unwrap()), []);
    }
}

/// Each obstacle that keeps a role from being linked.
#[test]
fn obstacles() {
    type Change = fn(&mut World);
    let cases: [(Wanted, Change, Obstacle); 9] = [
        (user(), |world| world.role.is_marker = true, Obstacle::IsMarker),
        (user(), |world| world.role.name.shown = "pg_monitor".to_owned(), Obstacle::IsReserved),
        (user(), |world| world.role.is_privileged = true, Obstacle::IsPrivileged),
        (administrator(), |world| world.role.is_privileged = true, Obstacle::IsPrivileged),
        (user(), |world| world.used = Some(Use::Settings), Obstacle::MarkerInUse(name(ADMIN), Use::Settings)),
        (
            user(),
            |world| world.rows.push(world.granted(ROLE, LOCAL, true)),
            Obstacle::UnlinkedMember(name(LOCAL)),
        ),
        (
            administrator(),
            |world| world.rows.push(world.granted(ROLE, LINKED, true)),
            Obstacle::Member(name(LINKED)),
        ),
        (
            administrator(),
            |world| world.rows.push(world.granted(ROLE, LOCAL, true)),
            Obstacle::UnlinkedMember(name(LOCAL)),
        ),
        (
            Wanted::Unlinked,
            |world| world.rows.push(world.granted(LINKED, ROLE, true)),
            Obstacle::InheritsFrom(name(LINKED)),
        ),
    ];
    for server in &SERVERS {
        for (wanted, change, expected) in &cases {
            let mut world = World::new(server);
            world.wanted = *wanted;
            change(&mut world);
            assert_eq!(world.plan().unwrap_err(), *expected);
        }
    }
}

#[test]
fn a_linked_member_keeps_no_plain_role_from_being_linked() {
    for server in &SERVERS {
        let mut world = World::new(server);
        world.wanted = user();
        world.rows.push(world.granted(ROLE, LINKED, true));
        assert!(world.plan().is_ok());
    }
}

/// A role's inheritance is checked once it is no direct member of a marker role any more.
#[test]
fn inheritance_keeps_a_linked_role_from_being_unlinked() {
    for server in &SERVERS {
        let mut world = World::whole(server, user());
        world.rows.push(world.granted(LINKED, ROLE, true));
        world.wanted = Wanted::Unlinked;
        world.carry_out(&world.plan().unwrap());
        assert_eq!(world.plan().unwrap_err(), Obstacle::InheritsFrom(name(LINKED)));
    }
}

#[test]
fn a_linked_role_is_unlinked_in_this_order() {
    for server in &SERVERS {
        let mut world = World::whole(server, administrator());
        world.wanted = Wanted::Unlinked;
        let expected = [
            "revoked \"azure_ad_admin\" from role \"ann\"",
            "made role \"ann\" NOCREATEROLE NOCREATEDB",
            "removed the guard of role \"ann\"",
        ];
        assert_eq!(world.words(), expected);
        let reported = world.plan().unwrap();
        let reported = reported.changes().filter(|change| change.is_reported()).count();
        assert_eq!(reported, 2, "the guard is not reported");
    }
}

/// What administrators have granted an administrator ends with that; what superusers have stays.
#[test]
fn a_demoted_administrator_keeps_what_superusers_have_granted() {
    for server in &SERVERS {
        let mut world = World::whole(server, administrator());
        let rows = [
            by(&world, LINKED, MANAGED, ROLE),
            by(&world, SUPERUSER, LINKED, ROLE),
            by(&world, LINKED, LOCAL, ROLE),
        ];
        world.rows.extend(rows);
        world.wanted = user();
        let expected = [
            "revoked \"azure_ad_admin\" from role \"ann\"".to_owned(),
            "granted \"azure_ad_user\" to role \"ann\"".to_owned(),
            "made role \"ann\" NOCREATEROLE NOCREATEDB".to_owned(),
            "notice NoAdministrator".to_owned(),
            "revoked \"app\" from role \"ann\"".to_owned(),
            format!("notice {:?}", Notice::TakenBack(vec![name(MANAGED)])),
            format!("notice {:?}", Notice::StillMember(vec![name(LINKED)])),
        ];
        assert_eq!(world.words(), expected);
        world.carry_out(&world.plan().unwrap());
        assert!(!world.rows.contains(&rows[0]));
        assert!(world.rows.contains(&rows[1]) && world.rows.contains(&rows[2]));
    }
}

/// From PostgreSQL 16 on REVOKE takes along what the member has granted; others keep it.
#[test]
fn what_a_demoted_administrator_has_granted_stays_granted() {
    for server in &SERVERS {
        let mut world = World::whole(server, administrator());
        let own = Membership { admin_option: true, ..by(&world, LINKED, MANAGED, ROLE) };
        let given = by(&world, ROLE, MANAGED, LOCAL);
        let chained = Membership { admin_option: true, ..by(&world, ROLE, MANAGED, LINKED) };
        world.rows.extend([own, given, chained]);
        world.wanted = user();
        world.carry_out(&world.plan().unwrap());
        let grantor = if server.has_admin_option_rules { BOOTSTRAP } else { ROLE };
        assert!(!world.rows.contains(&own));
        assert!(world.rows.contains(&Membership { grantor, ..given }));
        assert!(world.rows.contains(&Membership { grantor, ..chained }));
    }
}

/// A role that administrators manage becomes an administrator, and is managed by them again
/// afterwards.
#[test]
fn a_role_of_administrators_is_given_back() {
    let mut world = World::new(&SERVERS[1]);
    let theirs = Membership {
        admin_option: true,
        inherit_and_set: Some((false, false)),
        ..world.granted(ROLE, ADMIN, true)
    };
    world.rows.push(theirs);
    world.wanted = administrator();
    let words = world.words();
    assert_eq!(words[0], "marked role \"ann\" as one that Azure AD administrators manage");
    assert_eq!(words[1], "revoked \"ann\" from role \"azure_ad_admin\"");
    world.carry_out(&world.plan().unwrap());
    assert!(world.is_marked && !world.rows.contains(&theirs));
    world.wanted = user();
    world.carry_out(&world.plan().unwrap());
    assert!(!world.is_marked && world.rows.contains(&theirs));
    assert_eq!(world.words(), [""; 0]);
}

/// Before PostgreSQL 16 GRANT would leave such a row as it is, so nothing may ask for another.
#[test]
fn marker_roles_that_another_superuser_has_joined_are_joined() {
    for server in SERVERS {
        let mut world = World::new(&server);
        world.rows.retain(|row| row.member != ADMIN);
        world.rows.push(Membership { admin_option: true, ..by(&world, SUPERUSER, USER, ADMIN) });
        world.wanted = user();
        let is_join = |world: &World| world.plan().unwrap().changes().any(|change| *change == Change::Join);
        assert_eq!(is_join(&world), server.has_admin_option_rules);
        world.carry_out(&world.plan().unwrap());
        assert!(world.plan().unwrap().is_empty());
    }
}

#[test]
fn what_is_granted_during_a_demotion_is_taken_back_and_another_role_is_noticed() {
    for server in SERVERS {
        let mut world = World::whole(&server, administrator());
        world.wanted = user();
        world.carry_out(&world.plan().unwrap());
        let rest = |world: &World| rest_of_demotion(&server, &world.role, &world.held());
        assert_eq!(rest(&world), Some(Plan::default()));
        world.rows.push(by(&world, ADMIN, MANAGED, ROLE));
        let plan = rest(&world).expect("a plan");
        assert_eq!(notices(&plan), [Notice::TakenBack(vec![name(MANAGED)])]);
        world.carry_out(&plan);
        assert_eq!(rest(&world), Some(Plan::default()));
        world.role.create_db = true;
        assert_eq!(rest(&world), None);
    }
}

/// What `azure_ad_admin` has granted of a role goes with its own membership, from PostgreSQL 16 on.
#[test]
fn members_that_administrators_have_granted_a_role_are_gone_when_it_becomes_one() {
    for server in &SERVERS {
        let mut world = World::new(server);
        let theirs = Membership { admin_option: true, ..world.granted(ROLE, ADMIN, true) };
        world.rows.extend([theirs, by(&world, ADMIN, ROLE, LINKED)]);
        world.wanted = administrator();
        let expected = Obstacle::Member(name(LINKED));
        match world.plan() {
            Ok(_) => assert!(server.has_admin_option_rules),
            Err(obstacle) => {
                assert!(!server.has_admin_option_rules);
                assert_eq!(obstacle, expected);
            }
        }
    }
}

/// A role without marker roles: nothing is done, and what can never be linked is still said.
#[test]
fn without_marker_roles_nothing_changes() {
    let server: &Server = &SERVERS[1];
    let mut state = World::new(server).state();
    state.markers = None;
    for wanted in wants() {
        assert!(linkage::plan(server, &state, &wanted).unwrap().is_empty());
    }
    state.role.is_privileged = true;
    let refused = linkage::plan(server, &state, &user()).unwrap_err();
    assert_eq!(refused, Obstacle::IsPrivileged);
}
