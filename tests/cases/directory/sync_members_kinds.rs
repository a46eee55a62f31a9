//! What can be a member: users, also disabled ones, applications, and groups, which are not
//! followed.

use testbed::client::Outcome;
use testbed::idp::directory::{Kind, Place, Trouble};
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON, app_v1, unix_now};
use testbed::scene::{KEY, Scene};
use testbed::waits::eventually;

use crate::common::directory::{NESTED, refresh};
use crate::common::login::{token_of, valid_token, value};
use crate::common::statements::link;
use crate::common::sync::{linked, mark_of, synchronise, with_members};

const DAN: &str = "77777777-aaaa-bbbb-cccc-000000000008";

#[test]
fn groups_in_groups_are_not_followed() {
    let (cluster, provider) = with_members(Scene::new());
    let directory = provider.directory();
    directory.add_group(NESTED, "Nested");
    directory.add_member(GROUP, NESTED);
    directory.add_user(DAN, "dan@contoso.example");
    directory.add_member(NESTED, DAN);
    let rows = synchronise(&cluster);
    assert!(!rows.contains("dan@") && !rows.contains("Nested"), "{rows}");
    assert_eq!(linked(&cluster), "3");
    // With a role of its own the nested group is one like any other.
    cluster.sql(&format!("SELECT azure_ad_auth.create_principal('nested', '{NESTED}', 'group')"));
    let rows = synchronise(&cluster);
    assert!(rows.contains("dan@contoso.example granted nested"), "{rows}");
    assert!(!rows.contains("granted readers"), "{rows}");
}

#[test]
fn applications_are_asked_from_their_own_side() {
    let (cluster, provider) = with_members(Scene::new());
    let directory = provider.directory();
    directory.add_service_principal(APPLICATION, CLIENT, "etl");
    directory.add_member(GROUP, APPLICATION);
    // Of an application without a role nothing is known: Graph leaves it out of the list.
    assert!(!synchronise(&cluster).contains("etl"));
    link(&cluster, "by_object", APPLICATION, "service");
    link(&cluster, "by_client", CLIENT, "service");
    refresh(&cluster);
    assert_eq!(synchronise(&cluster), "by_client granted readers\nby_object granted readers");
    let mut session = cluster.session("by_object", &KEY.token(&app_v1(unix_now())));
    assert_eq!(value(&mut session, "SELECT pg_has_role('readers', 'USAGE')"), "t");
    assert_eq!(synchronise(&cluster), "");
    // No answer is no leaving, by whichever id the role is linked.
    let place = Place::Only(Kind::Membership);
    directory.fail(place, Trouble::Refuse(503, "serviceNotAvailable"));
    let rows = synchronise(&cluster);
    assert!(!rows.contains("revoked"), "{rows}");
    directory.recover(place);
    directory.remove_member(GROUP, APPLICATION);
    assert_eq!(synchronise(&cluster), "by_client revoked readers\nby_object revoked readers");
    // The links were made by hand.
    assert_eq!(value(&mut session, "SELECT pg_has_role('readers', 'USAGE')"), "f");
    assert!(!mark_of(&cluster, "by_object").contains("member="));
}

#[test]
fn applications_that_are_listed_are_named_by_their_display_names() {
    let (cluster, provider) = with_members(Scene::new());
    let directory = provider.directory();
    directory.list_service_principals(true);
    directory.add_service_principal(APPLICATION, CLIENT, "etl");
    directory.add_service_principal(DAN, "44444444-aaaa-bbbb-cccc-000000000044", "boss@contoso.example");
    directory.add_member(GROUP, APPLICATION);
    directory.add_member(GROUP, DAN);
    let rows = synchronise(&cluster);
    assert!(rows.contains(&format!("etl created application {APPLICATION}")), "{rows}");
    assert!(rows.contains("the name of an application could be taken for a user's"), "{rows}");
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'boss@%'"), "0");
    drop(cluster.session("etl", &KEY.token(&app_v1(unix_now()))));
    // From now on it is asked from its own side, whether it is listed or not.
    directory.list_service_principals(false);
    assert!(!synchronise(&cluster).contains("etl"));
    directory.remove_member(GROUP, APPLICATION);
    assert!(synchronise(&cluster).contains(&format!("etl unlinked {APPLICATION} has left")));
}

#[test]
fn a_disabled_member_has_a_role_and_comes_back() {
    let (cluster, provider) = with_members(Scene::new());
    provider.directory().disable(PERSON);
    assert!(synchronise(&cluster).contains("ann@contoso.example granted readers"));
    refresh(&cluster);
    assert_ne!(cluster.login("ann@contoso.example", &valid_token()), Outcome::Ready);
    cluster.await_log(0, "refused code=account_disabled role=ann@contoso.example");
    assert_eq!(synchronise(&cluster), "", "it has not left");
    provider.directory().enable(PERSON);
    refresh(&cluster);
    assert!(eventually(|| cluster.login("ann@contoso.example", &valid_token()) == Outcome::Ready));
}

#[test]
fn a_renamed_member_keeps_the_role_by_its_old_name() {
    let (cluster, provider) = with_members(Scene::new());
    synchronise(&cluster);
    provider.directory().rename(PERSON, "ann.new@contoso.example");
    assert_eq!(synchronise(&cluster), "");
    drop(cluster.session("ann@contoso.example", &valid_token()));
    // A role that was renamed is found by what it is linked to.
    cluster.sql("ALTER ROLE \"ann@contoso.example\" RENAME TO ann");
    assert_eq!(synchronise(&cluster), "");
    provider.directory().remove_member(GROUP, PERSON);
    assert!(synchronise(&cluster).contains("ann revoked readers"));
}

#[test]
fn every_role_of_a_member_is_granted() {
    let (cluster, provider) = with_members(Scene::new());
    link(&cluster, "ann1", PERSON, "user");
    link(&cluster, "ann2", PERSON, "user");
    let rows = synchronise(&cluster);
    assert!(rows.contains("ann1 granted readers\nann2 granted readers"), "{rows}");
    assert!(!rows.contains("ann@contoso.example"), "{rows}");
    provider.directory().remove_member(GROUP, PERSON);
    let rows = synchronise(&cluster);
    assert_eq!(rows, "ann1 revoked readers\nann2 revoked readers", "links made by hand stay");
}

#[test]
fn an_account_that_was_created_anew_gets_nothing_of_the_old_one() {
    let (cluster, provider) = with_members(Scene::new());
    synchronise(&cluster);
    provider.directory().purge(PERSON);
    provider.directory().add_user(DAN, "ann@contoso.example");
    provider.directory().add_member(GROUP, DAN);
    let rows = synchronise(&cluster);
    assert!(rows.contains(&format!("ann@contoso.example unlinked {PERSON} has left")), "{rows}");
    assert!(rows.contains("the name is taken by role \"ann@contoso.example\""), "{rows}");
    assert_ne!(cluster.login("ann@contoso.example", &token_of(DAN)), Outcome::Ready);
}
