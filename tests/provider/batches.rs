//! Batches.

use serde_json::{Value, json};
use testbed::idp::directory::{Kind, Place, Trouble};
use testbed::issuer::{APPLICATION, CLIENT, GROUP, PERSON};

use crate::client::{Answer, Bed, bed, id};

fn scene() -> Bed {
    let bed = bed();
    bed.directory().add_user(PERSON, "ann@contoso.example");
    bed.directory().add_group(GROUP, "Readers");
    bed.directory().add_service_principal(APPLICATION, CLIENT, "app");
    bed.directory().add_member(GROUP, PERSON);
    bed
}

fn get(id: &str, url: &str) -> Value {
    json!({ "id": id, "method": "GET", "url": url, "headers": {} })
}

/// Asks three paths for the id of a person.
fn three(bed: &Bed) -> Answer {
    let items: Vec<Value> = ["users", "groups", "servicePrincipals"]
        .iter()
        .map(|path| get(path, &format!("/{path}/{PERSON}?$select=id")))
        .collect();
    bed.post("/$batch", &json!({ "requests": items }))
}

fn status(answer: &Answer, id: &str) -> Vec<u64> {
    let responses = answer.body["responses"].as_array().expect("responses");
    let found = responses.iter().filter(|response| response["id"] == json!(id));
    found.map(|response| response["status"].as_u64().expect("a status")).collect()
}

#[test]
fn each_item_has_its_own_answer_in_any_order() {
    let bed = scene();
    let answer = three(&bed);
    assert_eq!(answer.status, 200);
    for (id, expected) in [("users", 200), ("groups", 404), ("servicePrincipals", 404)] {
        assert_eq!(status(&answer, id), [expected], "{id}");
    }
    let responses = answer.body["responses"].as_array().expect("responses");
    assert_eq!(responses.last().expect("a response")["body"]["id"], json!(PERSON), "the first comes last");
    assert_eq!((bed.directory().requests(Kind::Batch), bed.directory().requests(Kind::Lookup)), (1, 0));
    assert_eq!(bed.directory().questions(Kind::Lookup), 3);
}

#[test]
fn items_with_a_body_name_its_type() {
    let bed = scene();
    let url = format!("/users/{PERSON}/checkMemberGroups");
    let body = json!({ "groupIds": [GROUP] });
    let headers = json!({ "Content-Type": "application/json" });
    let by_name = "/users?$filter=userPrincipalName%20eq%20'ann%40contoso.example'";
    let items = json!([
        { "id": "1", "method": "POST", "url": url, "body": body, "headers": headers },
        { "id": "2", "method": "POST", "url": url, "body": body },
        { "id": "3", "method": "GET", "url": "https://elsewhere.example/users" },
        { "id": "4", "method": "GET", "url": by_name },
    ]);
    let answer = bed.post("/$batch", &json!({ "requests": items }));
    for (id, expected) in [("1", 200), ("2", 400), ("3", 400), ("4", 200)] {
        assert_eq!(status(&answer, id), [expected], "{id}");
    }
    let responses = answer.body["responses"].as_array().expect("responses");
    assert_eq!(responses[3]["body"]["value"], json!([GROUP]));
    assert_eq!(responses[0]["body"]["value"][0]["id"], json!(PERSON));
}

#[test]
fn a_batch_that_is_wrong_is_refused_as_a_whole() {
    let bed = scene();
    let items = |number: usize| {
        let items = (0..number).map(|item| get(&item.to_string(), &format!("/users/{}", id(item))));
        json!({ "requests": items.collect::<Vec<_>>() })
    };
    assert_eq!(bed.post("/$batch", &items(20)).status, 200);
    let twice = json!({ "requests": [get("1", "/users"), get("1", "/groups")] });
    for body in [items(21), items(0), twice, json!({}), json!({ "requests": [{ "id": "1" }] })] {
        let answer = bed.post("/$batch", &body);
        assert_eq!((answer.status, answer.code()), (400, "Request_BadRequest"), "{body}");
    }
}

#[test]
fn single_items_are_throttled_fail_and_lie() {
    let bed = scene();
    bed.directory().fail_times(1, Place::Only(Kind::Lookup), Trouble::Throttle(Some("7".to_owned())));
    let answer = three(&bed);
    assert_eq!((status(&answer, "users"), status(&answer, "groups")), (vec![429], vec![404]));
    let responses = answer.body["responses"].as_array().expect("responses");
    assert_eq!(responses[2]["headers"]["Retry-After"], json!("7"));
    bed.directory().fail(Place::Only(Kind::Lookup), Trouble::Refuse(503, "ServiceUnavailable"));
    assert_eq!(status(&three(&bed), "users"), [503]);
    bed.directory().fail(Place::Only(Kind::Lookup), Trouble::Empty);
    assert_eq!(status(&three(&bed), "users"), [404]);
    bed.directory().recover(Place::Only(Kind::Lookup));
    bed.directory().fail(Place::Graph, Trouble::Hide(vec![PERSON.to_owned()]));
    assert_eq!(status(&three(&bed), "users"), [404]);
    bed.directory().recover(Place::Graph);
    assert_eq!(status(&three(&bed), "users"), [200]);
}

#[test]
fn items_are_lost_and_answered_twice() {
    let bed = scene();
    bed.directory().fail(Place::Graph, Trouble::LosesItem);
    let answer = three(&bed);
    assert_eq!((status(&answer, "users"), status(&answer, "groups")), (vec![], vec![404]));
    bed.directory().fail(Place::Graph, Trouble::RepeatsItem);
    assert_eq!(status(&three(&bed), "users"), [200, 404]);
    bed.directory().fail(Place::Only(Kind::Batch), Trouble::Throttle(None));
    let answer = three(&bed);
    assert_eq!((answer.status, answer.header("retry-after")), (429, None));
}
