//! What the provider tells about the requests that have arrived.

use serde_json::json;
use testbed::idp::directory::{Kind, SERVER_PRINCIPAL, SERVER_SECRET};
use testbed::issuer::{PERSON, TENANT};

use crate::client::{bed, encoded};

#[test]
fn the_last_request_of_a_kind_is_kept_whole() {
    let bed = bed();
    let body = json!({ "ids": [PERSON] });
    let low = [("x-ms-throttle-priority", "low")];
    bed.graph("POST", "/directoryObjects/getByIds?$select=id", &low, &body);
    let last = bed.directory().last(Kind::GetByIds).expect("a request");
    assert_eq!((last.method.as_str(), last.path()), ("POST", "/graph/v1.0/directoryObjects/getByIds"));
    assert_eq!(last.header("X-MS-Throttle-Priority"), Some("low"));
    assert_eq!((last.parameter("$select").as_deref(), last.body), (Some("id"), body.to_string()));
    assert_eq!(bed.directory().last(Kind::Deleted), None);
    let kinds: Vec<Kind> = bed.directory().arrived().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [Kind::Token, Kind::GetByIds]);
    bed.directory().forget_requests();
    assert!(bed.directory().arrived().is_empty());
    assert_eq!(bed.directory().requests(Kind::GetByIds), 0);
}

#[test]
fn resource_units_are_counted() {
    let bed = bed();
    for (path, units) in [
        (format!("/users/{PERSON}"), 2),
        ("/users?$select=id".to_owned(), 1),
        ("/users?$select=id&$top=5".to_owned(), 1),
        (format!("/servicePrincipals/{SERVER_PRINCIPAL}"), 1),
        (format!("/groups/{PERSON}/members?$top=999"), 3),
    ] {
        bed.directory().forget_requests();
        bed.get(&path);
        assert_eq!(bed.directory().units(), units, "{path}");
    }
    bed.directory().forget_requests();
    bed.post(&format!("/users/{PERSON}/checkMemberGroups"), &json!({ "groupIds": [] }));
    bed.post("/directoryObjects/getByIds?$select=id", &json!({ "ids": [] }));
    bed.post(
        "/$batch",
        &json!({ "requests": [{ "id": "1", "method": "GET", "url": format!("/users/{PERSON}") }] }),
    );
    assert_eq!(bed.directory().units(), 4 + 2 + 2);
}

#[test]
fn secrets_at_their_place_are_no_fault() {
    let bed = bed();
    bed.get("/users");
    let secrets = bed.directory().secrets();
    assert!(secrets.contains(&SERVER_SECRET.to_owned()));
    assert_eq!(secrets.len(), 2, "the secret and the token");
    assert_eq!(bed.directory().misplaced_secrets(), Vec::<String>::new());
}

#[test]
fn secrets_at_a_wrong_place_are_told() {
    let bed = bed();
    let token = bed.new_token();
    let (graph, provider) = (bed.directory().graph_url(), bed.provider.url());
    let machine = bed.directory().virtual_machine();
    let bearer = format!("Bearer {token}");
    let secret = encoded(SERVER_SECRET);
    for (url, headers, told) in [
        (
            format!("{graph}/v1.0/users?x={secret}"),
            vec![],
            "a credential in the head of GET /graph/v1.0/users",
        ),
        (format!("{graph}/v1.0/users"), vec![("x-more", token.as_str())], "a token in the head of"),
        (
            format!("{provider}/{TENANT}/discovery/v2.0/keys"),
            vec![("authorization", bearer.as_str())],
            "a token in the header Authorization of GET",
        ),
        (
            format!("{}/metadata/identity/oauth2/token", machine.url()),
            vec![("authorization", bearer.as_str())],
            "a token in the header Authorization of GET /metadata/",
        ),
        (
            format!("{provider}/{TENANT}/oauth2/v2.0/token?client_secret=x"),
            vec![],
            "a field for a credential in the head of",
        ),
    ] {
        bed.directory().forget_requests();
        bed.send("GET", &url, &headers, "");
        let found = bed.directory().misplaced_secrets();
        assert!(found.iter().any(|line| line.starts_with(told)), "{told}: {found:?}");
        assert!(found.iter().all(|line| !line.contains(&token) && !line.contains(SERVER_SECRET)));
    }
    bed.directory().forget_requests();
    bed.post("/directoryObjects/getByIds", &json!({ "ids": [SERVER_SECRET] }));
    assert_eq!(bed.directory().misplaced_secrets().len(), 1);
}

#[test]
fn a_text_that_a_test_names_is_looked_for() {
    let bed = bed();
    bed.directory().keep_secret("the content of a file");
    bed.post("/$batch", &json!({ "requests": "the content of a file" }));
    assert_eq!(bed.directory().misplaced_secrets().len(), 1);
}

#[test]
fn requests_to_no_endpoint_are_kept_too() {
    let bed = bed();
    assert_eq!(bed.send("GET", &format!("{}/graph/beta/users", bed.provider.url()), &[], "").status, 404);
    assert_eq!(bed.directory().requests(Kind::Other), 1);
}
