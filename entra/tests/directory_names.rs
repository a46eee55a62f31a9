//! Which object a name means, and that a name stays a name in a request.

#![allow(missing_docs, reason = "a test's name says what it pins")]

use entra::Uuid;
use entra::directory::answer::{Object, parse_page};
use entra::directory::name::{Match, Question, Reply, Sought, Unresolved};
use entra::directory::request::{self, Kind, Literal, NameFault};
use proptest::prelude::*;

const ROOT: &str = "https://graph.microsoft.com";

fn id(number: u8) -> Uuid {
    Uuid::from_bytes([number; 16])
}

fn objects(kind: Kind, json: &str) -> Vec<Object> {
    parse_page(format!("{{\"value\":[{json}]}}").as_bytes(), Some(kind), ROOT).expect("a page").objects
}

fn user(number: u8, name: &str, mail: &str, kind: &str) -> String {
    format!(
        r#"{{"id":"{}","userPrincipalName":"{name}","mail":"{mail}","userType":"{kind}","accountEnabled":true}}"#,
        id(number)
    )
}

fn named(number: u8, name: &str, more: &str) -> String {
    format!(r#"{{"id":"{}","displayName":"{name}"{more}}}"#, id(number))
}

/// Answers each question by a list; questions without one find nothing.
fn resolve(name: &str, kind: Option<Kind>, found: &[(Question, String)]) -> Result<Match, Unresolved> {
    let sought = Sought::new(name, kind).expect("a name");
    let replies: Vec<_> = sought
        .questions()
        .into_iter()
        .map(|question| {
            let lists = found.iter().filter(|(asked, _)| *asked == question);
            let list: Vec<_> = lists.map(|(_, list)| list.as_str()).collect();
            (question, Reply::Found(objects(question.kind(), &list.join(","))))
        })
        .collect();
    sought.resolve(&replies)
}

const SECURITY: &str = r#","securityEnabled":true"#;

#[test]
fn a_user_is_found_by_principal_name_without_case() {
    let found = resolve(
        "ann@contoso.com",
        None,
        &[(Question::PrincipalName, user(1, "Ann@Contoso.com", "x@y", "Member"))],
    );
    let found = found.expect("a user");
    assert_eq!((found.id, found.kind, found.name.as_str()), (id(1), Kind::User, "Ann@Contoso.com"));
    assert_eq!(found.is_enabled, Some(true));
}

#[test]
fn a_name_with_an_at_is_never_a_display_name_unless_the_type_is_named() {
    let sought = Sought::new("ann@contoso.com", None).expect("a name");
    assert_eq!(sought.questions(), [Question::PrincipalName, Question::GuestMail]);
    let group = named(2, "ann@contoso.com", SECURITY);
    let list = [(Question::DisplayName(Kind::Group), group)];
    assert_eq!(resolve("ann@contoso.com", None, &list), Err(Unresolved::NotFound));
    let found = resolve("ann@contoso.com", Some(Kind::Group), &list).expect("a group");
    assert_eq!((found.id, found.kind), (id(2), Kind::Group));
}

#[test]
fn a_guest_is_found_by_mail_if_it_is_the_only_one() {
    let guest = |number| user(number, "ann_home.org#EXT#@contoso.onmicrosoft.com", "ann@home.org", "Guest");
    let by_mail = |list: &str| resolve("ann@home.org", None, &[(Question::GuestMail, list.to_owned())]);
    assert_eq!(by_mail(&guest(1)).map(|found| found.id), Ok(id(1)));
    let two = format!("{},{}", guest(1), guest(2));
    assert_eq!(by_mail(&two), Err(Unresolved::NotUnique(vec![(Kind::User, id(1)), (Kind::User, id(2))])));
    assert_eq!(by_mail(&user(1, "boss@contoso.com", "ann@home.org", "Member")), Err(Unresolved::NotFound));
    let untyped = format!(r#"{{"id":"{}","mail":"ann@home.org"}}"#, id(1));
    assert_eq!(by_mail(&untyped), Err(Unresolved::Forbidden(Kind::User)), "null: it may not be read");
    assert_eq!(by_mail(&format!("{},{untyped}", guest(2))), Err(Unresolved::Forbidden(Kind::User)));
}

#[test]
fn a_principal_name_wins_over_a_guests_mail() {
    let list = [
        (Question::PrincipalName, user(1, "ann@home.org", "", "Member")),
        (Question::GuestMail, user(2, "ann_home.org#EXT#@t", "ann@home.org", "Guest")),
    ];
    assert_eq!(resolve("ann@home.org", None, &list).map(|found| found.id), Ok(id(1)));
}

#[test]
fn display_names_are_exact_and_unique_over_groups_and_applications() {
    let groups = Question::DisplayName(Kind::Group);
    let applications = Question::DisplayName(Kind::Application);
    let readers = named(1, "readers", SECURITY);
    assert_eq!(resolve("readers", None, &[(groups, readers.clone())]).map(|found| found.id), Ok(id(1)));
    assert_eq!(
        resolve("readers", None, &[(groups, format!("{readers},{}", named(2, "readers", SECURITY)))]),
        Err(Unresolved::NotUnique(vec![(Kind::Group, id(1)), (Kind::Group, id(2))]))
    );
    assert_eq!(
        resolve("readers", None, &[(groups, readers.clone()), (applications, named(3, "readers", ""))]),
        Err(Unresolved::NotUnique(vec![(Kind::Group, id(1)), (Kind::Application, id(3))]))
    );
    assert_eq!(
        resolve("READERS", None, &[(groups, readers.clone())]),
        Err(Unresolved::Near(vec!["readers".to_owned()]))
    );
    assert_eq!(
        resolve("readers", None, &[(groups, format!("{readers},{}", named(2, "Readers", SECURITY)))])
            .map(|found| found.id),
        Ok(id(1))
    );
}

#[test]
fn two_users_of_one_principal_name_are_not_unique() {
    let list = format!("{},{}", user(1, "ann@t", "", "Member"), user(2, "Ann@t", "", "Member"));
    let found = resolve("ann@t", None, &[(Question::PrincipalName, list)]);
    assert_eq!(found, Err(Unresolved::NotUnique(vec![(Kind::User, id(1)), (Kind::User, id(2))])));
    let kelvin = user(1, "\u{212a}im@t", "", "Member");
    assert!(resolve("kim@t", None, &[(Question::PrincipalName, kelvin)]).is_err(), "a look-alike");
}

#[test]
fn blanks_around_a_name_count() {
    let groups = Question::DisplayName(Kind::Group);
    let found = |name: &str, list: &str| resolve(name, None, &[(groups, named(1, list, SECURITY))]);
    assert_eq!(found("readers ", "Readers"), Err(Unresolved::Near(vec!["Readers".to_owned()])));
    assert_eq!(
        found("readers ", "readers "),
        found("readers", "readers").map(|one| Match { name: "readers ".to_owned(), ..one })
    );
}

#[test]
fn a_group_must_be_security_enabled() {
    let groups = Question::DisplayName(Kind::Group);
    let list = |more: &str| [(groups, named(1, "news", more))];
    assert_eq!(
        resolve("news", None, &list(r#","securityEnabled":false"#)),
        Err(Unresolved::NotSecurityEnabled(id(1)))
    );
    assert_eq!(
        resolve("news", None, &list(r#","securityEnabled":null"#)),
        Err(Unresolved::Forbidden(Kind::Group))
    );
}

#[test]
fn an_application_is_found_by_client_id_too() {
    let client = id(7);
    let application = format!(r#"{{"id":"{}","appId":"{client}","displayName":"billing"}}"#, id(1));
    let list = [(Question::ClientId(client), application)];
    for kind in [None, Some(Kind::Application)] {
        let found = resolve(&client.to_string(), kind, &list).expect("an application");
        assert_eq!((found.id, found.kind), (id(1), Kind::Application));
    }
}

#[test]
fn a_missing_answer_decides_nothing() {
    let sought = Sought::new("readers", None).expect("a name");
    let group = Reply::Found(objects(Kind::Group, &named(1, "readers", SECURITY)));
    let groups = Question::DisplayName(Kind::Group);
    let applications = Question::DisplayName(Kind::Application);
    for (reply, expected) in
        [(Reply::Forbidden, Unresolved::Forbidden(Kind::Application)), (Reply::None, Unresolved::NoAnswer)]
    {
        assert_eq!(sought.resolve(&[(groups, group.clone()), (applications, reply)]), Err(expected));
    }
    assert_eq!(sought.resolve(&[(groups, group)]), Err(Unresolved::NoAnswer));
}

#[test]
fn a_list_that_goes_on_says_only_that_a_name_is_not_unique() {
    let sought = Sought::new("readers", Some(Kind::Group)).expect("a name");
    let groups = |ids: &[u8]| {
        let group = |number: &u8| objects(Kind::Group, &named(*number, "readers", SECURITY));
        Reply::More(ids.iter().flat_map(group).collect())
    };
    for (ids, expected) in [
        (&[][..], Unresolved::NoAnswer),
        (&[1], Unresolved::NoAnswer),
        (&[1, 2], Unresolved::NotUnique(vec![(Kind::Group, id(1)), (Kind::Group, id(2))])),
    ] {
        let replies = [(Question::DisplayName(Kind::Group), groups(ids))];
        assert_eq!(sought.resolve(&replies), Err(expected));
    }
}

#[test]
fn an_object_of_another_type_than_its_path_says_is_none() {
    let mut odd = objects(Kind::User, &user(1, "ann@contoso.com", "", "Member"));
    for object in &mut odd {
        object.kind = Some(Kind::Group);
    }
    let sought = Sought::new("ann@contoso.com", None).expect("a name");
    let replies = [(Question::PrincipalName, Reply::Found(odd)), (Question::GuestMail, Reply::Found(vec![]))];
    assert!(sought.resolve(&replies).is_err());
}

#[test]
fn a_name_stays_one_literal_of_one_filter() {
    for (name, literal) in [
        ("o'brien@contoso.com", "%27o%27%27brien%40contoso.com%27"),
        ("x' or displayName ne '", "%27x%27%27%20or%20displayName%20ne%20%27%27%27"),
        ("a#EXT#@t", "%27a%23EXT%23%40t%27"),
        ("50%&$top=1", "%2750%25%26%24top%3D1%27"),
        ("Ünï", "%27%C3%9Cn%C3%AF%27"),
    ] {
        let request = request::user_by_name(&Literal::of(name).expect("a name"));
        let expected = format!(
            "/users?$filter=userPrincipalName%20eq%20{literal}\
             &$select=id,userPrincipalName,mail,userType,displayName,accountEnabled"
        );
        assert_eq!(request.path, expected, "{name}");
    }
    let request = request::by_display_name(Kind::Group, &Literal::of("readers ").expect("a name"));
    assert!(
        request
            .path
            .starts_with("/groups?$filter=displayName%20in%20%28%27readers%20%27%2C%27readers%27%29&")
    );
    assert_eq!(Literal::of(""), Err(NameFault::Empty));
    assert_eq!(Literal::of(" "), Err(NameFault::Empty));
    assert_eq!(Literal::of("a\nb"), Err(NameFault::ControlCharacter));
    assert_eq!(Literal::of("a\0"), Err(NameFault::ControlCharacter));
    assert_eq!(Literal::of(&"x".repeat(257)), Err(NameFault::TooLong));
    assert!(Literal::of(&"x".repeat(256)).is_ok());
}

#[test]
fn lists_of_ids_are_bounded() {
    let ids: Vec<_> = (0..2_000_u32).map(|n| Uuid::from_u128(u128::from(n))).collect();
    let count = |request: request::Request| request.body.expect("a body").matches("00000000-0000").count();
    assert_eq!(count(request::by_ids(&ids)), request::MAX_IDS);
    assert_eq!(count(request::memberships(Kind::User, id(1), &ids).expect("a request")), request::MAX_GROUPS);
    assert_eq!(request::by_ids_of(Kind::User, &ids).path.matches("%2C").count(), request::MAX_IN - 1);
    assert!(request::memberships(Kind::Group, id(1), &ids).is_none());
    let many = vec![request::by_id(Kind::User, id(1)); 30];
    assert_eq!(request::batch(&many).body.expect("a body").matches("\"url\"").count(), request::MAX_BATCH);
}

proptest! {
    #[test]
    fn nothing_of_a_name_leaves_its_literal(name in "\\PC{1,64}") {
        prop_assume!(name.trim() == name);
        let literal = Literal::of(&name).expect("a name");
        let path = request::by_display_name(Kind::Group, &literal).path;
        let (before, rest) = path.split_once("%20eq%20").expect("a filter");
        prop_assert_eq!(before, "/groups?$filter=displayName");
        let (value, select) = rest.split_once('&').expect("a selection");
        prop_assert_eq!(select, "$select=id,displayName,securityEnabled,visibility");
        prop_assert!(value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
        let mut decoded = Vec::new();
        let mut bytes = value.bytes();
        while let Some(byte) = bytes.next() {
            if byte == b'%' {
                let digits = [bytes.next().expect("a digit"), bytes.next().expect("a digit")];
                let digits = std::str::from_utf8(&digits).expect("digits");
                decoded.push(u8::from_str_radix(digits, 16).expect("a byte"));
            } else {
                decoded.push(byte);
            }
        }
        let decoded = String::from_utf8(decoded).expect("a text");
        let inner = decoded.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).expect("a literal");
        prop_assert_eq!(inner.replace("''", "\u{0}").matches('\'').count(), 0);
        prop_assert_eq!(inner.replace("''", "'"), name);
    }
}
