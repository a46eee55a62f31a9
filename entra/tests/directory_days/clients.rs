//! Roles that are linked to client ids.

use entra::directory::request::Kind;
use entra::directory::standing::Standing;

use crate::DAY;
use crate::tenant::*;

#[test]
fn a_role_may_be_linked_to_a_client_id() {
    let mut tenant = Tenant::of(20);
    tenant.entries.insert(id(700), (Kind::Application, Entry::Enabled));
    tenant.clients.insert(id(7_000), id(700));
    tenant.linked.insert(id(7_000));
    assert!(tenant.looks(DAY).is_empty());
    assert_eq!((tenant.standing(7_000), tenant.standing(700)), (Standing::Active, Standing::Active));
    tenant.entries.insert(id(700), (Kind::Application, Entry::Disabled));
    assert_eq!(tenant.look().changed, [id(700), id(7_000)]);
    tenant.entries.insert(id(700), (Kind::Application, Entry::Deleted));
    tenant.look();
    assert_eq!((tenant.standing(7_000), tenant.standing(700)), (Standing::Deleted, Standing::Deleted));
}

#[test]
fn the_last_administrator_may_be_linked_to_a_client_id() {
    let mut tenant = Tenant::of(20);
    tenant.entries.insert(id(700), (Kind::Application, Entry::Enabled));
    tenant.clients.insert(id(7_000), id(700));
    tenant.linked.insert(id(7_000));
    tenant.administrators = vec![id(7_000)];
    tenant.looks(2);
    tenant.entries.insert(id(700), (Kind::Application, Entry::Gone));
    assert!(tenant.looks(10).is_empty());
    assert_eq!(tenant.look().spared, Some(id(700)));
    assert_eq!((tenant.standing(7_000), tenant.standing(700)), (Standing::Active, Standing::Active));
    tenant.administrators.clear();
    assert_eq!(tenant.look().changed, [id(700), id(7_000)]);
}

#[test]
fn an_application_may_be_created_anew_under_its_client_id() {
    for entry in [Entry::Gone, Entry::Deleted] {
        let mut tenant = Tenant::of(20);
        tenant.entries.insert(id(700), (Kind::Application, Entry::Enabled));
        tenant.clients.insert(id(7_000), id(700));
        tenant.linked.insert(id(7_000));
        tenant.looks(2);
        tenant.entries.insert(id(700), (Kind::Application, entry));
        tenant.looks(5);
        assert_eq!((tenant.standing(7_000), tenant.standing(700)), (Standing::Deleted, Standing::Deleted));
        tenant.entries.insert(id(701), (Kind::Application, Entry::Enabled));
        tenant.clients.insert(id(7_000), id(701));
        tenant.look();
        assert_eq!((tenant.standing(7_000), tenant.standing(700)), (Standing::Active, Standing::Deleted));
        tenant.entries.insert(id(701), (Kind::Application, Entry::Disabled));
        tenant.look();
        assert_eq!((tenant.standing(7_000), tenant.standing(701)), (Standing::Disabled, Standing::Disabled));
    }
}

/// One client id has one application at a time.
#[test]
fn the_application_that_another_one_has_replaced_is_gone() {
    let mut tenant = Tenant::of(20);
    tenant.entries.insert(id(700), (Kind::Application, Entry::Enabled));
    tenant.clients.insert(id(7_000), id(700));
    tenant.linked.insert(id(7_000));
    tenant.looks(2);
    tenant.entries.insert(id(700), (Kind::Application, Entry::Gone));
    tenant.entries.insert(id(701), (Kind::Application, Entry::Enabled));
    tenant.clients.insert(id(7_000), id(701));
    assert_eq!(tenant.look().changed, [id(700)]);
    assert_eq!((tenant.standing(7_000), tenant.standing(701)), (Standing::Active, Standing::Active));
}

#[test]
fn an_id_that_is_no_client_id_may_become_one() {
    let mut tenant = Tenant::of(20);
    tenant.linked.insert(id(7_000));
    tenant.looks(5);
    assert_eq!(tenant.standing(7_000), Standing::Deleted);
    tenant.entries.insert(id(700), (Kind::Application, Entry::Enabled));
    tenant.clients.insert(id(7_000), id(700));
    tenant.looks(12);
    assert_eq!((tenant.standing(7_000), tenant.standing(700)), (Standing::Active, Standing::Active));
    assert_eq!(tenant.memory.application_of(id(7_000)), Some(id(700)));
    tenant.linked.remove(&id(7_000));
    tenant.look();
    assert_eq!(tenant.memory.application_of(id(7_000)), None, "no role is linked to it");
}
