//! Lists, a page at a time.

use serde_json::{Value, json};
use testbed::idp::directory::{Place, Trouble};

use crate::client::{Answer, Bed, bed, id};

fn scene() -> Bed {
    let bed = bed();
    for number in 0..5 {
        bed.directory().add_user(&id(number), &format!("user {number}@contoso.example"));
    }
    bed.directory().page_length(Some(2));
    bed
}

fn next(answer: &Answer) -> Option<String> {
    answer.body["@odata.nextLink"].as_str().map(ToOwned::to_owned)
}

/// Follows links of pages. Returns the ids, and the status of the page that ended the list.
fn all(bed: &Bed, path: &str) -> (Vec<String>, u16) {
    let root = format!("{}/v1.0", bed.directory().graph_url());
    let (mut answer, mut ids) = (bed.get(path), Vec::new());
    for _ in 0..10 {
        if answer.status != 200 {
            break;
        }
        ids.extend(answer.all("id").into_iter().map(ToOwned::to_owned));
        let Some(link) = next(&answer) else { break };
        let path = link.strip_prefix(&root).expect("a link to the same root");
        answer = bed.get(path);
    }
    (ids, answer.status)
}

#[test]
fn pages_make_up_the_whole_list() {
    let bed = scene();
    let everybody: Vec<String> = (0..5).map(id).collect();
    for path in
        ["/users", "/users?$select=id&$top=999", "/users?$filter=startswith(displayName,'user%20')&$top=1"]
    {
        assert_eq!(all(&bed, path), (everybody.clone(), 200), "{path}");
    }
    bed.directory().add_group(&id(10), "Readers");
    for member in &everybody {
        bed.directory().add_member(&id(10), member);
    }
    assert_eq!(all(&bed, &format!("/groups/{}/members?$select=id", id(10))), (everybody, 200));
}

#[test]
fn a_page_has_a_hundred_objects_or_as_many_as_are_asked_for() {
    let bed = bed();
    for number in 0..120 {
        bed.directory().add_user(&id(number), &format!("{number}@contoso.example"));
    }
    assert_eq!(bed.get("/users?$select=id").all("id").len(), 100);
    let whole = bed.get("/users?$select=id&$top=999");
    assert_eq!((whole.all("id").len(), next(&whole)), (120, None));
    let short = bed.get("/users?$select=id&$top=3");
    assert_eq!(short.all("id").len(), 3);
    assert!(next(&short).expect("a link").contains("$top=3"));
    assert_eq!(bed.get("/users?$skiptoken=x").status, 400);
}

#[test]
fn the_first_page_can_be_empty() {
    let bed = scene();
    bed.directory().fail(Place::Graph, Trouble::EmptyFirstPage);
    assert_eq!(bed.get("/users").body["value"], json!([]));
    assert_eq!(all(&bed, "/users").0.len(), 5);
}

#[test]
fn pages_go_in_circles_and_elsewhere_and_fail() {
    let bed = scene();
    bed.directory().fail(Place::Graph, Trouble::CircularPages);
    let (ids, _) = all(&bed, "/users");
    assert_eq!(ids.len(), 20);
    assert_eq!((&ids[0], &ids[2]), (&id(0), &id(0)));
    let elsewhere = "https://elsewhere.example/v1.0/users?$skiptoken=1";
    bed.directory().fail(Place::Graph, Trouble::NextLink(elsewhere.to_owned()));
    assert_eq!(next(&bed.get("/users")).as_deref(), Some(elsewhere));
    bed.directory().fail(Place::Graph, Trouble::PageFails(2));
    assert_eq!(all(&bed, "/users"), ((0..4).map(id).collect(), 503));
    bed.directory().fail(Place::Graph, Trouble::Truncated);
    assert_eq!(all(&bed, "/users"), (vec![id(0)], 200));
    bed.directory().recover(Place::Graph);
    assert_eq!(all(&bed, "/users").0.len(), 5);
    assert_eq!(bed.get("/users").body["@odata.count"], Value::Null);
}
