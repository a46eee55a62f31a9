//! Answers that fail: errors, silence, bodies that are none.

use std::time::{Duration, SystemTime};

use testbed::idp::Behavior;
use testbed::idp::directory::{Kind, Place, SERVER_SECRET, Trouble};
use testbed::issuer::{PERSON, TENANT};
use testbed::waits::eventually;

use crate::client::{Bed, bed};

fn scene() -> Bed {
    let bed = bed();
    bed.directory().add_user(PERSON, "ann@contoso.example");
    // The token that later requests use.
    bed.get("/users");
    bed.directory().forget_requests();
    bed
}

const SECRET: (&str, &str) = ("client_secret", SERVER_SECRET);

#[test]
fn graph_throttles_as_it_is_told() {
    let bed = scene();
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_mins(2));
    for retry_after in [Some("120"), Some(date.as_str()), Some("soon"), None] {
        bed.directory().fail(Place::Graph, Trouble::Throttle(retry_after.map(ToOwned::to_owned)));
        let answer = bed.get("/users");
        assert_eq!((answer.status, answer.code()), (429, "TooManyRequests"));
        assert_eq!(answer.header("retry-after"), retry_after);
        assert_eq!(bed.token_with(&[SECRET]).status, 200, "the token endpoint is another place");
    }
}

#[test]
fn the_token_endpoint_fails_without_graph() {
    let bed = scene();
    for (status, number) in [(400, "50196"), (400, "90033"), (503, "900382"), (429, "90002")] {
        bed.directory().fail(Place::Token, Trouble::Refuse(status, number));
        let expected = (status, number.parse().expect("a number"));
        assert_eq!(bed.token_with(&[SECRET]).number(), expected);
        assert_eq!(bed.get("/users").status, 200);
    }
    bed.directory().fail(Place::Token, Trouble::Throttle(Some("9".to_owned())));
    assert_eq!(bed.token_with(&[SECRET]).header("retry-after"), Some("9"));
    bed.directory().recover(Place::Token);
    assert_eq!(bed.token_with(&[SECRET]).status, 200);
}

#[test]
fn faults_come_in_the_order_they_were_set_and_end() {
    let bed = scene();
    bed.directory().fail_times(2, Place::Graph, Trouble::Refuse(404, "Request_ResourceNotFound"));
    bed.directory().fail_times(1, Place::Graph, Trouble::Refuse(504, "GatewayTimeout"));
    bed.directory().fail_times(1, Place::Only(Kind::Deleted), Trouble::Refuse(500, "InternalServerError"));
    let statuses: Vec<u16> = (0..4).map(|_| bed.get("/users").status).collect();
    assert_eq!(statuses, [404, 404, 504, 200]);
    let deleted = || bed.get(&format!("/directory/deletedItems/{PERSON}")).status;
    assert_eq!([deleted(), deleted()], [500, 404]);
}

#[test]
fn keys_fail_without_the_directory_and_the_directory_without_keys() {
    let bed = scene();
    let keys = format!("{}/{TENANT}/discovery/v2.0/keys", bed.provider.url());
    bed.provider.behave(Behavior::Status(503, ""));
    assert_eq!(bed.send("GET", &keys, &[], "").status, 503);
    assert_eq!(bed.get("/users").status, 200);
    bed.provider.behave(Behavior::Good);
    bed.directory().fail(Place::Graph, Trouble::Refuse(503, "ServiceUnavailable"));
    bed.directory().fail(Place::Token, Trouble::Refuse(503, "90033"));
    assert_eq!(bed.send("GET", &keys, &[], "").status, 200);
}

#[test]
fn answers_do_not_come_or_never_end() {
    let bed = scene().impatient();
    for trouble in [Trouble::Hang, Trouble::Drip, Trouble::EndlessHead] {
        bed.directory().fail(Place::Graph, trouble.clone());
        assert!(bed.try_get("/users").is_err(), "{trouble:?}");
    }
    bed.directory().recover(Place::Graph);
    assert!(eventually(|| bed.try_get("/users").is_ok_and(|answer| answer.status == 200)));
    bed.directory().fail(Place::Token, Trouble::Hang);
    let url = format!("{}/{TENANT}/oauth2/v2.0/token", bed.provider.url());
    assert!(bed.try_send("POST", &url, &[], "").is_err());
}

#[test]
fn a_delay_delays_one_answer_and_no_other() {
    let bed = scene();
    bed.directory().fail_times(1, Place::Graph, Trouble::Slow(Duration::from_millis(50)));
    assert_eq!(bed.get("/users").status, 200);
    let bed = bed.impatient();
    bed.directory().fail_times(1, Place::Graph, Trouble::Slow(Duration::from_mins(1)));
    assert!(bed.try_get("/users").is_err());
    assert!(eventually(|| bed.try_get("/users").is_ok_and(|answer| answer.status == 200)));
}

#[test]
fn answers_are_cut_missing_or_unusual() {
    let bed = scene();
    bed.directory().fail(Place::Graph, Trouble::Cut);
    assert!(bed.try_get("/users").is_err());
    bed.directory().fail(Place::Graph, Trouble::Raw(Vec::new()));
    assert!(bed.try_get("/users").is_err());
    let raw = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}";
    bed.directory().fail(Place::Graph, Trouble::Raw(raw.to_vec()));
    assert_eq!(bed.get("/users").header("content-encoding"), Some("gzip"));
    bed.directory().recover(Place::Graph);
    assert_eq!(bed.get("/users").status, 200);
}

#[test]
fn bodies_are_anything() {
    let bed = scene();
    let deep = "[".repeat(100_000).into_bytes();
    for (status, kind, body) in [
        (200, "text/html", b"<html>proxy</html>".to_vec()),
        (502, "text/html", b"<html>bad gateway</html>".to_vec()),
        (200, "application/json", deep),
        (200, "application/json", vec![0xff, 0xfe, b'{']),
        (200, "application/json", Vec::new()),
    ] {
        for place in [Place::Graph, Place::Token] {
            bed.directory().fail(place, Trouble::Body(status, kind, body.clone()));
        }
        for answer in [bed.get("/users"), bed.token_with(&[SECRET])] {
            assert_eq!((answer.status, answer.header("content-type")), (status, Some(kind)));
            assert_eq!(answer.text, String::from_utf8_lossy(&body));
        }
    }
    bed.directory().fail(Place::Graph, Trouble::Huge(10_000_000));
    let huge = bed.get("/users");
    assert!(huge.text.len() > 10_000_000);
    assert_eq!(huge.all("id"), [PERSON], "it is JSON all the same");
}

#[test]
fn answers_send_the_client_elsewhere() {
    let bed = scene();
    let other = crate::client::bed();
    let target = format!("{}/v1.0/users", other.directory().graph_url());
    bed.directory().fail(Place::Graph, Trouble::Redirect(target.clone()));
    let answer = bed.get("/users");
    assert_eq!((answer.status, answer.header("location")), (302, Some(target.as_str())));
    assert!(other.directory().arrived().is_empty());
}
