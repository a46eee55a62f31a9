//! The parts of a plan by themselves: defects, the guard, the association with a tenant.

#[path = "support/mod.rs"]
mod support;

use linkage::guard::{self, Guard};
use linkage::{Defect, Obstacle, defects, forbidden, plan_association};
use support::{ROLE, SERVERS, TENANT, World, libraries, name, row, user};

#[test]
fn defects_are_parts_of_a_plan() {
    let server = &SERVERS[1];
    let whole = World::whole(server, user());
    let found = |world: &World| defects(&world.role, &world.settings);
    assert_eq!(found(&whole), []);
    let with = |change: fn(&mut World)| {
        let mut world = whole.clone();
        change(&mut world);
        found(&world)
    };
    assert_eq!(with(|world| world.role.has_password = true), [Defect::Password]);
    assert_eq!(with(|world| world.role.is_privileged = true), [Defect::Privileged]);
    assert_eq!(with(|world| world.role.can_login = false), [Defect::NoLogin]);
    assert_eq!(with(|world| world.settings.clear()), [Defect::Unguarded]);
    let old = |world: &mut World| world.settings = vec![row(None, Some(&["azure_ad_auth"]), None)];
    assert_eq!(with(old), [Defect::OldGuard]);
    assert_eq!(forbidden(&whole.role), None);
}

/// The rows of a role, how well they guard it, and what is left of them without the guard.
#[test]
fn guards() {
    let ours = "azure_ad_auth";
    let cases = [
        (vec![], Guard::Open),
        (vec![row(None, Some(&[ours]), Some("on"))], Guard::Whole),
        (vec![row(None, Some(&[ours]), Some("true"))], Guard::Whole),
        (vec![row(None, Some(&[ours]), Some("off"))], Guard::Narrow),
        (vec![row(None, Some(&[ours]), None)], Guard::Narrow),
        (vec![row(None, Some(&["$libdir/azure_ad_auth.so"]), Some("on"))], Guard::Whole),
        (vec![row(None, Some(&["/lib/postgresql/azure_ad_auth"]), Some("on"))], Guard::Whole),
        (vec![row(None, Some(&["/tmp/azure_ad_auth"]), Some("on"))], Guard::Open),
        (vec![row(None, None, Some("on"))], Guard::Open),
        (vec![row(Some("db"), Some(&[ours]), Some("on"))], Guard::Open),
        (vec![row(None, Some(&[ours]), Some("on")), row(Some("db"), Some(&["a"]), None)], Guard::Open),
        (
            vec![row(None, Some(&[ours]), Some("on")), row(Some("db"), Some(&["a", ours]), None)],
            Guard::Narrow,
        ),
    ];
    for (rows, expected) in cases {
        assert_eq!(guard::judge(&rows), expected, "{rows:?}");
        let change = guard::plan(&SERVERS[0], &name(ROLE), &rows, &libraries(&[]));
        assert_eq!(change.is_none(), expected == Guard::Whole, "{rows:?}");
    }
}

#[test]
fn the_association_follows_the_administrators() {
    let other = entra::Uuid::from_u128(9);
    let words = |found, tenants: &[entra::Uuid]| {
        plan_association(found, tenants).map(|change| change.map(|change| change.to_string()))
    };
    let gone = "removed the association with the tenant: there is no administrator".to_owned();
    let made = format!("associated the server with tenant {TENANT}");
    assert_eq!(words(None, &[]), Ok(None));
    assert_eq!(words(Some(TENANT), &[TENANT]), Ok(None));
    assert_eq!(words(Some(TENANT), &[]), Ok(Some(gone)));
    assert_eq!(words(None, &[TENANT]), Ok(Some(made.clone())));
    assert_eq!(words(Some(other), &[TENANT]), Ok(Some(made)));
    assert_eq!(words(Some(TENANT), &[TENANT, other]), Err(Obstacle::Tenants(TENANT, other)));
}
