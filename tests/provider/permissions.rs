//! What a missing permission does: an error, nulls, or nothing to see.

use serde_json::{Value, json};
use testbed::idp::directory::{RECOMMENDED, SERVER_PRINCIPAL};
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON};

use crate::client::{Bed, bed};

fn scene() -> Bed {
    let bed = bed();
    bed.directory().add_user(PERSON, "ann@contoso.example");
    bed.directory().add_group(GROUP, "Readers");
    bed.directory().add_service_principal(APPLICATION, CLIENT, "app");
    bed.directory().add_member(GROUP, PERSON);
    bed
}

fn membership(bed: &Bed, holder: &str) -> u16 {
    bed.post(&format!("/{holder}/checkMemberGroups"), &json!({ "groupIds": [GROUP] })).status
}

#[test]
fn each_type_has_its_permission() {
    let bed = scene();
    for (missing, path, id) in [
        ("User.Read.All", "users", PERSON),
        ("GroupMember.Read.All", "groups", GROUP),
        ("Application.Read.All", "servicePrincipals", APPLICATION),
    ] {
        bed.directory().withdraw(missing);
        for path in [format!("/{path}/{id}"), format!("/{path}?$filter=displayName%20eq%20'x'")] {
            let answer = bed.get(&path);
            assert_eq!((answer.status, answer.code()), (403, "Authorization_RequestDenied"), "{path}");
        }
        for other in [("users", PERSON), ("groups", GROUP), ("servicePrincipals", APPLICATION)] {
            let expected = if other.0 == path { 403 } else { 200 };
            assert_eq!(bed.get(&format!("/{}/{}", other.0, other.1)).status, expected, "{missing} {other:?}");
        }
        bed.directory().grant(missing);
    }
    bed.directory().permit_only(&["User.ReadBasic.All"]);
    assert_eq!(bed.get("/users").status, 403);
    bed.directory().permit_only(&["Directory.Read.All"]);
    assert_eq!(bed.get("/users").status, 200);
}

#[test]
fn membership_wants_the_permissions_of_both_sides() {
    let bed = scene();
    let (user, application) = (format!("users/{PERSON}"), format!("servicePrincipals/{APPLICATION}"));
    assert_eq!((membership(&bed, &user), membership(&bed, &application)), (200, 200));
    bed.directory().permit_only(&["User.Read.All", "GroupMember.Read.All"]);
    assert_eq!((membership(&bed, &user), membership(&bed, &application)), (200, 403));
    bed.directory().permit_only(&["User.Read.All", "Application.Read.All"]);
    assert_eq!((membership(&bed, &user), membership(&bed, &application)), (403, 403));
}

#[test]
fn objects_that_may_not_be_read_have_null_properties() {
    let bed = scene();
    let path = "/directoryObjects/getByIds?$select=id,accountEnabled";
    let ids = json!({ "ids": [PERSON, APPLICATION, SERVER_PRINCIPAL] });
    bed.directory().permit_only(&["GroupMember.Read.All"]);
    let user = json!({ "@odata.type": "#microsoft.graph.user", "id": PERSON, "accountEnabled": null });
    let answer = bed.post(path, &ids);
    assert_eq!(answer.body["value"][0], user);
    assert_eq!(answer.body["value"][1]["accountEnabled"], Value::Null);
    assert_eq!(answer.body["value"][2]["accountEnabled"], json!(true), "an application sees itself");
    let members = bed.get(&format!("/groups/{GROUP}/members?$select=id,accountEnabled"));
    assert_eq!(members.body["value"], json!([user]));
    bed.directory().permit_only(&[]);
    assert_eq!(bed.post(path, &ids).code(), "Authorization_RequestDenied");
    bed.directory().permit_only(&RECOMMENDED);
    bed.directory().get_by_ids_needs_directory(true);
    assert_eq!(bed.post(path, &ids).code(), "Authorization_RequestDenied");
    bed.directory().grant("Directory.Read.All");
    assert_eq!(bed.post(path, &ids).status, 200);
}

#[test]
fn deleted_groups_want_a_permission_of_their_own() {
    let bed = scene();
    let status = |id: &str| bed.get(&format!("/directory/deletedItems/{id}")).status;
    for id in [PERSON, GROUP, APPLICATION] {
        bed.directory().delete(id);
    }
    assert_eq!((status(PERSON), status(GROUP), status(APPLICATION)), (200, 403, 200));
    bed.directory().permit_only(&["Group.Read.All"]);
    assert_eq!((status(PERSON), status(GROUP), status(APPLICATION)), (403, 200, 403));
}

#[test]
fn tokens_can_keep_what_was_permitted_when_they_were_issued() {
    let bed = scene();
    bed.directory().tokens_keep_permissions(true);
    assert_eq!(bed.get("/users").status, 200);
    bed.directory().withdraw("User.Read.All");
    assert_eq!(bed.get("/users").status, 200);
    bed.directory().tokens_keep_permissions(false);
    assert_eq!(bed.get("/users").status, 403);
}
