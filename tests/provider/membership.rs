//! Who is in which group.

use serde_json::json;
use testbed::idp::directory::{Kind, Object};
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON};

use crate::client::{Answer, Bed, bed, id};

/// Ann and an application in a group that is in the group `Readers`.
fn scene() -> Bed {
    let bed = bed();
    bed.directory().add_user(PERSON, "ann@contoso.example");
    bed.directory().add_service_principal(APPLICATION, CLIENT, "app");
    bed.directory().add_group(GROUP, "Readers");
    bed.directory().add_group(&id(1), "Inner");
    bed.directory().add_member(GROUP, &id(1));
    bed.directory().add_member(&id(1), PERSON);
    bed.directory().add_member(&id(1), APPLICATION);
    bed
}

fn check(bed: &Bed, path: &str, groups: &[&str]) -> Answer {
    bed.post(&format!("/{path}/checkMemberGroups"), &json!({ "groupIds": groups }))
}

#[test]
fn groups_in_groups_count() {
    let bed = scene();
    let inner = id(1);
    let asked = [GROUP, &inner, &id(2)];
    for holder in [format!("users/{PERSON}"), format!("servicePrincipals/{APPLICATION}")] {
        assert_eq!(check(&bed, &holder, &asked).texts(), [GROUP, &inner], "{holder}");
    }
    let answer = check(&bed, &format!("directoryObjects/{inner}"), &asked);
    assert_eq!(answer.texts(), [GROUP]);
    let objects = bed.post(&format!("/users/{PERSON}/checkMemberObjects"), &json!({ "ids": [GROUP] }));
    assert_eq!(objects.texts(), [GROUP]);
    let all = bed.post(&format!("/users/{PERSON}/getMemberGroups"), &json!({ "securityEnabledOnly": true }));
    assert_eq!(all.texts(), [GROUP, &inner]);
    bed.directory().remove_member(GROUP, &inner);
    assert_eq!(check(&bed, &format!("users/{PERSON}"), &asked).texts(), [inner.as_str()]);
    assert_eq!(bed.directory().requests(Kind::Membership), 6);
}

#[test]
fn groups_that_hold_each_other_are_no_trap() {
    let bed = scene();
    bed.directory().add_member(&id(1), GROUP);
    assert_eq!(check(&bed, &format!("users/{PERSON}"), &[GROUP]).texts(), [GROUP]);
    let members = bed.get(&format!("/groups/{GROUP}/transitiveMembers?$select=id"));
    assert_eq!(members.all("id"), [PERSON, GROUP, &id(1)]);
}

#[test]
fn a_question_has_twenty_ids_at_most_and_each_must_be_one() {
    let bed = scene();
    let ids: Vec<String> = (0..21).map(id).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let holder = format!("users/{PERSON}");
    assert_eq!(check(&bed, &holder, &ids[..20]).status, 200);
    for groups in [ids.as_slice(), &[GROUP, "Readers"]] {
        assert_eq!(check(&bed, &holder, groups).code(), "Request_BadRequest");
    }
    let unknown = check(&bed, &format!("users/{}", id(7)), &[GROUP]);
    assert_eq!((unknown.status, unknown.code()), (404, "Request_ResourceNotFound"));
}

#[test]
fn a_deleted_group_has_no_members_until_it_is_restored() {
    let bed = scene();
    let holder = format!("users/{PERSON}");
    bed.directory().delete(&id(1));
    assert!(check(&bed, &holder, &[GROUP]).texts().is_empty());
    bed.directory().restore(&id(1));
    assert_eq!(check(&bed, &holder, &[GROUP]).texts(), [GROUP]);
}

#[test]
fn members_are_direct_and_applications_are_left_out() {
    let bed = scene();
    bed.directory().add_guest(&id(2), "bob@home.example");
    bed.directory().add(Object::device(&id(3), "laptop"));
    for member in [PERSON, APPLICATION, &id(2), &id(3)] {
        bed.directory().add_member(GROUP, member);
    }
    let select = "id,userPrincipalName,displayName,appId,accountEnabled";
    let answer = bed.get(&format!("/groups/{GROUP}/members?$select={select}&$top=999"));
    assert_eq!(answer.all("id"), [PERSON, &id(1), &id(2), &id(3)]);
    assert_eq!(
        answer.all("@odata.type"),
        [
            "#microsoft.graph.user",
            "#microsoft.graph.group",
            "#microsoft.graph.user",
            "#microsoft.graph.device"
        ]
    );
    assert_eq!(answer.body["value"][0]["userPrincipalName"], json!("ann@contoso.example"));
    let groups = bed.get(&format!("/users/{PERSON}/memberOf?$select=id"));
    assert_eq!(groups.all("id"), [GROUP, &id(1)]);
    assert_eq!(bed.get(&format!("/groups/{}/members", id(8))).status, 404);
    assert_eq!(bed.directory().requests(Kind::Members), 2);
}

#[test]
fn hidden_memberships_are_left_out_without_their_permission() {
    let bed = scene();
    bed.directory().add(Object::group(GROUP, "Readers").with_hidden_membership());
    let holder = format!("users/{PERSON}");
    let members = || bed.get(&format!("/groups/{GROUP}/members")).all("id").len();
    assert!(check(&bed, &holder, &[GROUP]).texts().is_empty());
    assert_eq!(members(), 0);
    bed.directory().grant("Member.Read.Hidden");
    assert_eq!(check(&bed, &holder, &[GROUP]).texts(), [GROUP]);
    assert_eq!(members(), 1);
}
