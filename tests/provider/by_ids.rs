//! Several ids at once, and deleted objects.

use serde_json::{Value, json};
use testbed::idp::directory::{Kind, Object};
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON};

use crate::client::{Bed, bed, id};

const PATH: &str = "/directoryObjects/getByIds?$select=id,accountEnabled,signInSessionsValidFromDateTime";

fn scene() -> Bed {
    let bed = bed();
    bed.directory().add_user(PERSON, "ann@contoso.example");
    bed.directory().add_group(GROUP, "Readers");
    bed.directory().add_service_principal(APPLICATION, CLIENT, "app");
    bed
}

#[test]
fn unknown_ids_are_absent() {
    let bed = scene();
    let asked = json!({ "ids": [PERSON, id(1), GROUP, APPLICATION] });
    let answer = bed.post(PATH, &asked);
    assert_eq!(
        answer.body["value"],
        json!([
            { "@odata.type": "#microsoft.graph.user", "id": PERSON, "accountEnabled": true },
            { "@odata.type": "#microsoft.graph.group", "id": GROUP },
            { "@odata.type": "#microsoft.graph.servicePrincipal", "id": APPLICATION, "accountEnabled": true },
        ])
    );
    assert_eq!(bed.directory().requests(Kind::GetByIds), 1);
    bed.directory().show_session_times_in_get_by_ids(true);
    let answer = bed.post(PATH, &json!({ "ids": [PERSON], "types": ["user", "group"] }));
    assert_ne!(answer.body["value"][0]["signInSessionsValidFromDateTime"], Value::Null);
}

#[test]
fn types_narrow_the_search() {
    let bed = scene();
    let answer = bed.post(PATH, &json!({ "ids": [PERSON, GROUP, APPLICATION], "types": ["group"] }));
    assert_eq!(answer.all("id"), [GROUP]);
}

#[test]
fn a_thousand_ids_are_the_limit_and_each_must_be_one() {
    let bed = scene();
    let ids = |number: usize| json!({ "ids": (0..number).map(id).collect::<Vec<_>>() });
    assert_eq!(bed.post(PATH, &ids(1_000)).status, 200);
    for body in [ids(1_001), json!({ "ids": [PERSON, "nobody"] }), json!({ "ids": [1] }), json!({})] {
        let answer = bed.post(PATH, &body);
        assert_eq!((answer.status, answer.code()), (400, "Request_BadRequest"));
    }
}

#[test]
fn session_times_are_found_by_ids_in_a_filter() {
    let bed = scene();
    let filter = format!("id in ('{PERSON}','{}')", id(1));
    let answer = bed.find("users", &filter, "id,accountEnabled,signInSessionsValidFromDateTime");
    assert_eq!(answer.all("id"), [PERSON]);
    assert_ne!(answer.body["value"][0]["signInSessionsValidFromDateTime"], Value::Null);
}

#[test]
fn deleted_objects_are_kept_until_they_are_restored_or_deleted_for_good() {
    let bed = scene();
    let alive = || bed.get(&format!("/users/{PERSON}")).status;
    let deleted = || bed.get(&format!("/directory/deletedItems/{PERSON}")).status;
    let listed = || bed.post(PATH, &json!({ "ids": [PERSON] })).all("id").len();
    assert_eq!((alive(), deleted(), listed()), (200, 404, 1));
    bed.directory().delete(PERSON);
    assert_eq!((alive(), deleted(), listed()), (404, 200, 0));
    let all = bed.get("/directory/deletedItems/microsoft.graph.user");
    assert_eq!(all.all("id"), [PERSON]);
    assert_eq!(bed.find("users", "userPrincipalName eq 'ann@contoso.example'", "id").all("id").len(), 0);
    bed.directory().restore(PERSON);
    assert_eq!((alive(), deleted(), listed()), (200, 404, 1));
    bed.directory().purge(PERSON);
    assert_eq!((alive(), deleted(), listed()), (404, 404, 0));
    bed.directory().add(Object::user(&id(9), "ann@contoso.example"));
    let anew = bed.find("users", "userPrincipalName eq 'ann@contoso.example'", "id");
    assert_eq!(anew.all("id"), [id(9)], "a name is used again, an id is not");
    assert_eq!(bed.directory().requests(Kind::Deleted), 5);
}
