//! Answers of Graph.

#![allow(missing_docs, reason = "a test's name says what it pins")]

use entra::Uuid;
use entra::directory::answer::{
    AnswerFault, parse_batch, parse_memberships, parse_object, parse_page, parse_problem,
};
use entra::directory::credential::{describe_federated, parse_token, parse_token_problem};
use entra::directory::identity::{ARC_FOLDER, answer_challenge, parse_challenge};
use entra::directory::request::{Kind, by_ids, by_ids_of};
use entra::directory::retry::{Outcome, parse_retry_after};
use proptest::prelude::*;

const ROOT: &str = "https://graph.example:8443";
const ID: &str = "22222222-aaaa-bbbb-cccc-000000000002";

fn id() -> Uuid {
    Uuid::try_parse(ID).expect("a uuid")
}

#[test]
fn what_is_null_or_missing_is_unknown() {
    let object = parse_object(
        format!(r##"{{"@odata.type":"#microsoft.graph.user","id":"{ID}","accountEnabled":null}}"##)
            .as_bytes(),
        None,
    );
    let object = object.expect("an object");
    assert_eq!((object.id, object.kind, object.is_enabled), (id(), Some(Kind::User), None));
    assert_eq!((object.is_guest, object.sessions_valid_from, object.is_security_enabled), (None, None, None));
}

#[test]
fn types_that_are_new_are_no_fault() {
    for (name, kind) in [
        ("#microsoft.graph.group", Some(Kind::Group)),
        ("#microsoft.graph.servicePrincipal", Some(Kind::Application)),
        ("#microsoft.graph.agentIdentity", Some(Kind::Application)),
        ("#microsoft.graph.agentUser", Some(Kind::User)),
        ("#microsoft.graph.device", None),
    ] {
        let text = format!(r#"{{"@odata.type":"{name}","id":"{ID}"}}"#);
        assert_eq!(parse_object(text.as_bytes(), None).expect("an object").kind, kind, "{name}");
    }
}

#[test]
fn an_application_that_microsoft_has_disabled_is_disabled() {
    let text = format!(
        r#"{{"id":"{ID}","accountEnabled":true,"disabledByMicrosoftStatus":"DisabledDueToViolationOfServicesAgreement"}}"#
    );
    assert_eq!(parse_object(text.as_bytes(), None).expect("an object").is_enabled, Some(false));
}

#[test]
fn what_is_not_read_whole_is_no_answer() {
    for (text, fault) in [
        ("", "cannot be read"),
        ("<html>proxy</html>", "cannot be read"),
        ("[]", "cannot be read"),
        (r#"{"value":[],"value":[]}"#, "cannot be read"),
        (r#"{"value":{}}"#, "\"value\""),
        (r#"{"value":[{}]}"#, "\"id\""),
        (r#"{"value":["x"]}"#, "\"value\""),
        (r#"{"value":[{"id":"{22222222-aaaa-bbbb-cccc-000000000002}"}]}"#, "\"id\""),
        (r#"{"value":[],"@odata.nextLink":1}"#, "nextLink"),
        (r#"{"error":{"code":"x"}}"#, "\"value\""),
    ] {
        let found = parse_page(text.as_bytes(), None, ROOT).expect_err(text).to_string();
        assert!(found.contains(fault), "{text}: {found}");
    }
    assert_eq!(parse_page(&vec![b' '; 4 * 1_048_576 + 1], None, ROOT), Err(AnswerFault::TooLarge));
    assert!(parse_page(b"{\"value\":[\xff]}", None, ROOT).is_err());
}

#[test]
fn the_next_page_is_at_the_same_root() {
    let page = |link: &str| {
        parse_page(format!(r#"{{"value":[],"@odata.nextLink":"{link}"}}"#).as_bytes(), None, ROOT)
            .map(|page| page.next)
    };
    assert_eq!(
        page("https://graph.example:8443/v1.0/groups/x/members?$skiptoken=A%20b"),
        Ok(Some("/groups/x/members?$skiptoken=A%20b".to_owned()))
    );
    assert_eq!(page("https://GRAPH.example:8443/v1.0/users"), Ok(Some("/users".to_owned())));
    for foreign in [
        "https://graph.example:8443/v1.0/users#x",
        "https://ann@graph.example:8443/v1.0/users",
        "https://graph.example:8443\\\\@evil.example/v1.0/users",
        "https://graph.example:8443.evil.example/v1.0/users",
        "https://graph.example/v1.0/users",
        "http://graph.example:8443/v1.0/users",
        "https://evil.example/v1.0/users",
        "https://graph.example:8443@evil.example/v1.0/users",
        "https://graph.example:8443/beta/users",
        "https://graph.example:8443/v1.0@evil.example/",
        "https://graph.example:8443/v1.0/../beta/users",
        "/v1.0/users",
        "",
    ] {
        assert_eq!(page(foreign), Err(AnswerFault::ForeignLink), "{foreign}");
    }
}

#[test]
fn only_graph_itself_says_that_something_is_missing_or_forbidden() {
    let body = |code: &str| format!(r#"{{"error":{{"code":"{code}"}}}}"#);
    for (status, body, outcome) in [
        (404, body("Request_ResourceNotFound"), Outcome::NotFound),
        (404, body("Directory_ObjectNotFound"), Outcome::NotFound),
        (404, body("BadRequest"), Outcome::Refused),
        (404, "<html>".to_owned(), Outcome::Later),
        (403, body("Authorization_RequestDenied"), Outcome::Forbidden),
        (403, "<html>".to_owned(), Outcome::Later),
        (401, String::new(), Outcome::Renew),
        (400, body("Request_BadRequest"), Outcome::Refused),
        (429, String::new(), Outcome::Later),
    ] {
        assert_eq!(parse_problem(status, body.as_bytes()).outcome(), outcome, "{status} {body}");
    }
}

#[test]
fn a_part_that_failed_is_no_list() {
    let parts =
        parse_batch(br#"{"responses":[{"id":"0","status":503,"body":{"value":[]}}]}"#).expect("a batch");
    assert!(parts[&0].page(None, ROOT).is_err() && parts[&0].memberships().is_err());
}

#[test]
fn answers_of_a_batch_are_found_by_number() {
    let text = format!(
        r#"{{"responses":[
            {{"id":"2","status":429,"headers":{{"Retry-After":"7"}},"body":{{"error":{{"code":"TooManyRequests"}}}}}},
            {{"id":"0","status":200,"body":{{"value":[{{"id":"{ID}"}}]}}}},
            {{"id":"3","status":404,"headers":{{"retry-after":9}}}}]}}"#
    );
    let parts = parse_batch(text.as_bytes()).expect("a batch");
    assert_eq!(parts.keys().copied().collect::<Vec<_>>(), [0, 2, 3]);
    let page = parts[&0].page(Some(Kind::Group), ROOT).expect("a page");
    assert_eq!((page.objects[0].id, page.objects[0].kind), (id(), Some(Kind::Group)));
    assert_eq!((parts[&2].status, parts[&2].retry_after.as_deref()), (429, Some("7")));
    assert_eq!(parts[&2].problem().to_string(), "status 429, code TooManyRequests");
    assert_eq!(parts[&3].retry_after.as_deref(), Some("9"));
    assert!(parts[&3].object(None).is_err());
    for bad in [
        r#"{"responses":[{"id":"0","status":200},{"id":"0","status":200}]}"#,
        r#"{"responses":[{"id":"x","status":200}]}"#,
        r#"{"responses":[{"id":"0","status":"ok"}]}"#,
        r#"{"responses":{}}"#,
    ] {
        assert!(parse_batch(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn memberships_are_ids() {
    assert_eq!(parse_memberships(format!(r#"{{"value":["{ID}"]}}"#).as_bytes()), Ok(vec![id()]));
    assert_eq!(parse_memberships(br#"{"value":[]}"#), Ok(vec![]));
    for bad in [r#"{"value":["x"]}"#, r#"{"value":[null]}"#, r#"{"value":null}"#, "{}"] {
        assert!(parse_memberships(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn problems_show_codes_and_no_texts() {
    let body = br#"{"error":{"code":"Authorization_RequestDenied","message":"secret things",
        "innerError":{"request-id":"r1"}}}"#;
    assert_eq!(
        parse_problem(403, body).to_string(),
        "status 403, code Authorization_RequestDenied, request-id r1"
    );
    assert_eq!(parse_problem(502, b"<html>").to_string(), "status 502");
    let colours = parse_problem(400, b"{\"error\":{\"code\":\"a\\u001b[31m\\nb\"}}").to_string();
    assert!(!colours.contains(['\u{1b}', '\n']), "{colours}");
}

#[test]
fn requests_carry_no_header_that_asks_for_a_lagging_index() {
    let plain: Vec<_> = by_ids_of(Kind::User, &[id()]).headers(false).collect();
    assert_eq!(plain, [("Accept", "application/json")]);
    let polling: Vec<_> = by_ids(&[id()]).headers(true).collect();
    let expected = [
        ("Accept", "application/json"),
        ("Content-Type", "application/json"),
        ("x-ms-throttle-priority", "low"),
    ];
    assert_eq!(polling, expected);
}

proptest! {
    /// No bytes make a reader panic, whoever has sent them.
    #[test]
    fn no_bytes_crash_a_reader(bytes in proptest::collection::vec(any::<u8>(), 0..300), status in any::<u16>()) {
        let _ = (parse_object(&bytes, None), parse_page(&bytes, None, ROOT), parse_batch(&bytes), parse_memberships(&bytes));
        let _ = (parse_problem(status, &bytes).to_string(), parse_token(&bytes).is_ok());
        let _ = parse_token_problem(status, &bytes).to_string();
        let text = String::from_utf8_lossy(&bytes);
        let _ = (parse_challenge(&text, ARC_FOLDER).is_ok(), answer_challenge(&bytes).is_some(), describe_federated(&text).is_some());
        let _ = parse_retry_after(&text, 1_795_000_000);
    }
}
