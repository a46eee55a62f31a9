//! Changes that are seen late.

use std::time::Duration;

use serde_json::json;
use testbed::idp::directory::Lag;
use testbed::issuer::{GROUP, PERSON};
use testbed::waits::eventually;

use crate::client::{Bed, bed};

fn status(bed: &Bed) -> u16 {
    bed.get(&format!("/users/{PERSON}")).status
}

#[test]
fn a_change_is_seen_after_some_requests() {
    let bed = bed();
    bed.directory().lag(Lag::Requests(2));
    bed.directory().add_user(PERSON, "ann@contoso.example");
    assert_eq!([status(&bed), status(&bed), status(&bed)], [404, 404, 200]);
    bed.directory().delete(PERSON);
    assert_eq!(status(&bed), 200);
    bed.directory().lag(Lag::None);
    assert_eq!(status(&bed), 404);
}

#[test]
fn a_batch_counts_as_one_request() {
    let bed = bed();
    bed.directory().lag(Lag::Requests(1));
    bed.directory().add_user(PERSON, "ann@contoso.example");
    let items = json!({ "requests": [
        { "id": "1", "method": "GET", "url": format!("/users/{PERSON}") },
        { "id": "2", "method": "GET", "url": format!("/users/{PERSON}") },
    ] });
    let statuses = || {
        let answer = bed.post("/$batch", &items);
        [answer.body["responses"][0]["status"].clone(), answer.body["responses"][1]["status"].clone()]
    };
    assert_eq!(statuses(), [404, 404]);
    assert_eq!(statuses(), [200, 200]);
}

#[test]
fn a_change_is_seen_after_a_time() {
    let bed = bed();
    bed.directory().lag(Lag::Time(Duration::from_hours(1)));
    bed.directory().add_user(PERSON, "ann@contoso.example");
    assert_eq!(status(&bed), 404);
    bed.directory().lag(Lag::None);
    assert_eq!(status(&bed), 200);
    bed.directory().lag(Lag::Time(Duration::from_millis(100)));
    bed.directory().delete(PERSON);
    assert!(eventually(|| status(&bed) == 404));
}

#[test]
fn changes_are_seen_in_the_order_they_were_made() {
    let bed = bed();
    bed.directory().lag(Lag::Requests(1));
    bed.directory().add_user(PERSON, "ann@contoso.example");
    bed.directory().lag(Lag::OldReplica);
    bed.directory().delete(PERSON);
    let seen = [status(&bed), status(&bed), status(&bed)];
    assert_eq!(seen, [404, 404, 404]);
}

#[test]
fn an_old_replica_answers_every_other_request() {
    let bed = bed();
    bed.directory().add_user(PERSON, "ann@contoso.example");
    bed.directory().add_group(GROUP, "Readers");
    bed.directory().lag(Lag::OldReplica);
    bed.directory().add_member(GROUP, PERSON);
    let members = || bed.get(&format!("/groups/{GROUP}/members")).all("id").len();
    assert_eq!([members(), members(), members(), members()], [0, 1, 0, 1]);
}
