//! Answers that look right and are wrong.

use serde_json::{Value, json};
use testbed::idp::directory::{Kind, Place, SERVER_PRINCIPAL, STRANGER, Trouble};
use testbed::issuer::{GROUP, PERSON};

use crate::client::{Answer, Bed, bed};

fn scene() -> Bed {
    let bed = bed();
    bed.directory().add_user(PERSON, "ann@contoso.example");
    bed.directory().add_group(GROUP, "Readers");
    bed.directory().add_member(GROUP, PERSON);
    bed
}

fn by_ids(bed: &Bed) -> Answer {
    let ids = json!({ "ids": [PERSON, SERVER_PRINCIPAL] });
    bed.post("/directoryObjects/getByIds?$select=id,accountEnabled", &ids)
}

fn groups(bed: &Bed) -> Answer {
    bed.post(&format!("/users/{PERSON}/checkMemberGroups"), &json!({ "groupIds": [GROUP] }))
}

#[test]
fn everything_is_absent() {
    let bed = scene();
    bed.directory().fail(Place::Graph, Trouble::Empty);
    assert!(by_ids(&bed).all("id").is_empty());
    assert_eq!(bed.get(&format!("/users/{PERSON}")).status, 404);
    assert!(bed.get("/users").all("id").is_empty());
    assert!(bed.get(&format!("/groups/{GROUP}/members")).status == 404);
    assert_eq!(groups(&bed).status, 404);
}

#[test]
fn the_canary_is_missing() {
    let bed = scene();
    bed.directory().fail(Place::Graph, Trouble::Hide(vec![SERVER_PRINCIPAL.to_owned()]));
    assert_eq!(by_ids(&bed).all("id"), [PERSON]);
    bed.directory().fail(Place::Graph, Trouble::Hide(vec![PERSON.to_owned()]));
    assert_eq!(by_ids(&bed).all("id"), [SERVER_PRINCIPAL]);
    assert!(bed.get(&format!("/groups/{GROUP}/members")).all("id").is_empty());
}

#[test]
fn answers_are_about_somebody_else() {
    let bed = scene();
    bed.directory().fail(Place::Graph, Trouble::SomebodyElse);
    assert_eq!(by_ids(&bed).all("id"), [STRANGER, STRANGER]);
    assert_eq!(bed.get(&format!("/users/{PERSON}")).body["id"], json!(STRANGER));
    assert_eq!(groups(&bed).texts(), [STRANGER]);
}

#[test]
fn answers_hold_what_was_not_asked_for() {
    let bed = scene();
    bed.directory().fail(Place::Graph, Trouble::Unasked);
    assert_eq!(by_ids(&bed).all("id"), [PERSON, SERVER_PRINCIPAL, STRANGER]);
    assert_eq!(groups(&bed).texts(), [GROUP, STRANGER]);
    assert_eq!(bed.get("/users").all("id"), [PERSON, STRANGER]);
}

#[test]
fn lists_lack_their_end() {
    let bed = scene();
    bed.directory().fail(Place::Graph, Trouble::Truncated);
    assert_eq!(by_ids(&bed).all("id"), [PERSON]);
    assert!(groups(&bed).texts().is_empty());
}

#[test]
fn properties_are_null_missing_or_of_another_type() {
    let bed = scene();
    let enabled = |trouble: Trouble| {
        bed.directory().fail(Place::Only(Kind::GetByIds), trouble);
        by_ids(&bed).body["value"][0].as_object().expect("an object").get("accountEnabled").cloned()
    };
    assert_eq!(enabled(Trouble::Nulls), Some(Value::Null));
    assert_eq!(enabled(Trouble::Lacks("accountEnabled")), None);
    assert_eq!(enabled(Trouble::Says("accountEnabled", json!("false"))), Some(json!("false")));
    assert_eq!(enabled(Trouble::Says("appId", json!("x"))), Some(json!(true)));
}
