//! What an id is, what a text could mean, and lists in pages.

#![allow(missing_docs, reason = "a test's name says what it pins")]

use entra::Uuid;
use entra::directory::answer::{Object, Page, parse_object};
use entra::directory::id::{Question, Reply, Unidentified, identify};
use entra::directory::lookup;
use entra::directory::pages::{Next, Pages, PagesFault};
use entra::directory::request::Kind;
use entra::limits;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn object(number: u128, more: &str) -> Object {
    parse_object(format!(r#"{{"id":"{}"{more}}}"#, id(number)).as_bytes(), None).expect("an object")
}

/// Replies that find nothing but this.
fn replies(question: Question, reply: &Reply) -> Vec<(Question, Reply)> {
    let reply_to = |asked| if asked == question { reply.clone() } else { Reply::NotFound };
    Question::ALL.into_iter().map(|asked| (asked, reply_to(asked))).collect()
}

fn found(number: u128, more: &str) -> Reply {
    Reply::Found(Box::new(object(number, more)))
}

#[test]
fn the_path_that_finds_an_id_tells_its_type() {
    for (kind, more) in [
        (Kind::User, r##","@odata.type":"#microsoft.graph.agentUser2""##),
        (Kind::Group, r#","securityEnabled":true"#),
        (Kind::Application, ""),
    ] {
        let replies = replies(Question::Object(kind), &found(1, more));
        for said in [None, Some(kind)] {
            let identified = identify(id(1), said, &replies).expect("an object");
            assert_eq!(
                (identified.kind, identified.object.id, identified.is_client_id),
                (kind, id(1), false)
            );
        }
        for said in Kind::ALL.into_iter().filter(|said| *said != kind) {
            let wrong = Unidentified::OtherType { said, found: kind };
            assert_eq!(identify(id(1), Some(said), &replies), Err(wrong));
        }
        assert_eq!(identify(id(2), None, &replies), Err(Unidentified::NoAnswer), "another object came");
    }
}

#[test]
fn a_client_id_is_accepted_and_an_app_registrations_is_not() {
    let client = format!(r#","appId":"{}""#, id(1));
    let replies_to_client = replies(Question::Client, &found(7, &client));
    let identified = identify(id(1), None, &replies_to_client).expect("an application");
    assert_eq!((identified.object.id, identified.is_client_id), (id(7), true));
    assert_eq!(
        identify(id(1), Some(Kind::User), &replies_to_client),
        Err(Unidentified::OtherType { said: Kind::User, found: Kind::Application })
    );
    let app = format!(r#","appId":"{}""#, id(8));
    let registration = Err(Unidentified::Registration { client_id: Some(id(8)) });
    assert_eq!(identify(id(1), None, &replies(Question::Registration, &found(1, &app))), registration);
}

#[test]
fn what_is_not_answered_decides_nothing() {
    let user = Question::Object(Kind::User);
    for (reply, fault) in [
        (Reply::NotFound, Unidentified::NotFound),
        (Reply::None, Unidentified::NoAnswer),
        (Reply::Forbidden, Unidentified::Forbidden(Kind::User)),
    ] {
        assert_eq!(identify(id(1), None, &replies(user, &reply)), Err(fault));
        let of_group = identify(id(1), Some(Kind::Group), &replies(user, &reply));
        assert_eq!(of_group, Err(Unidentified::NotFound), "not needed for a group");
    }
    let forbidden = replies(Question::Registration, &Reply::Forbidden);
    assert_eq!(identify(id(1), None, &forbidden), Err(Unidentified::NotFound), "it only serves a hint");
    assert_eq!(identify(id(1), None, &[]), Err(Unidentified::NoAnswer));
    let mut one_forbidden = replies(user, &found(1, ""));
    one_forbidden[1].1 = Reply::Forbidden;
    assert!(identify(id(1), None, &one_forbidden).is_ok(), "ids are unique");
}

#[test]
fn a_group_that_gives_no_access_is_not_accepted() {
    for (more, fault) in [
        (r#","securityEnabled":false"#, Unidentified::NotSecurityEnabled),
        (r#","securityEnabled":null"#, Unidentified::Forbidden(Kind::Group)),
    ] {
        let replies = replies(Question::Object(Kind::Group), &found(1, more));
        assert_eq!(identify(id(1), None, &replies), Err(fault));
    }
}

#[test]
fn a_look_up_asks_for_everything_that_a_text_could_mean() {
    let count = |text: &str, kind| lookup::questions(text, kind).expect("a name").len();
    assert_eq!(count("readers", None), 5);
    assert_eq!(count("readers", Some(Kind::Group)), 1);
    assert_eq!(count(&id(1).to_string(), None), 10);
    assert_eq!(count(&id(1).to_string(), Some(Kind::Application)), 4);
    assert!(lookup::questions("", None).is_err());
}

#[test]
fn a_look_up_shows_each_object_once_and_says_what_it_is_worth() {
    use lookup::Question::{DisplayName, Id, Mail, PrincipalName};
    let user = r#","userPrincipalName":"ann@t","userType":"Member","accountEnabled":true"#;
    let rows = lookup::rows(
        "readers",
        &[
            (PrincipalName, vec![object(1, user)]),
            (
                Mail,
                vec![
                    object(1, user),
                    object(2, r#","userType":"Guest""#),
                    object(3, r#","userType":"Member""#),
                ],
            ),
            (DisplayName(Kind::User), vec![object(4, "")]),
            (
                DisplayName(Kind::Group),
                vec![object(5, r#","displayName":"readers""#), object(6, r#","securityEnabled":false"#)],
            ),
            (DisplayName(Kind::Application), vec![object(7, r#","displayName":"Readers""#)]),
            (Id(id(8), Question::Registration), vec![object(8, "")]),
        ],
    );
    let details: Vec<_> = rows.iter().map(|row| (row.id.as_u128(), row.detail)).collect();
    let expected = [
        (1, "by user principal name"),
        (2, "guest, by mail address"),
        (3, "no guest: a mail address does not name it"),
        (4, "by display name, which does not name a user"),
        (5, "by display name"),
        (6, "not security-enabled: cannot be linked"),
        (7, "its display name differs: names are compared exactly"),
        (8, "app registration: its id is in no access token; use that of its service principal"),
    ];
    assert_eq!(details, expected);
    assert_eq!((rows[0].name.as_str(), rows[0].is_enabled, rows[7].kind), ("ann@t", Some(true), None));
}

fn page(objects: &[u128], next: Option<&str>) -> Page {
    Page {
        objects: objects.iter().map(|number| object(*number, "")).collect(),
        next: next.map(str::to_owned),
    }
}

#[test]
fn a_list_is_whole_when_no_page_follows() {
    let mut pages = Pages::default();
    assert_eq!(pages.add(page(&[1, 2], Some("/a"))), Ok(Next::Page("/a".to_owned())));
    assert_eq!(pages.add(page(&[], Some("/b"))), Ok(Next::Page("/b".to_owned())), "an empty page");
    let whole = pages.add(page(&[2, 3], None)).expect("a list");
    assert_eq!(whole, Next::Whole(vec![object(1, ""), object(2, ""), object(3, "")]));
}

#[test]
fn pages_that_go_in_a_circle_or_on_for_ever_are_given_up() {
    let mut pages = Pages::default();
    pages.add(page(&[], Some("/a"))).expect("a page");
    pages.add(page(&[], Some("/b"))).expect("a page");
    assert_eq!(pages.add(page(&[], Some("/a"))), Err(PagesFault::Circle));
    let mut pages = Pages::default();
    let count = (0..1_000).take_while(|n| pages.add(page(&[], Some(&format!("/{n}")))).is_ok()).count();
    assert_eq!(count, limits::MAX_PAGES - 1);
}
