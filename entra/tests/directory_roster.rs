//! The members of groups: from answers, and as a file.

#![allow(missing_docs, reason = "a test's name says what it pins")]

use std::collections::{BTreeMap, BTreeSet};

use entra::directory::answer::parse_page;
use entra::directory::pages::{Next, Pages, PagesFault};
use entra::directory::request::{self, MAX_GROUPS, Method};
use entra::directory::roster::{Applications, List, Member, Roster, RosterFault, questions};
use entra::{JsonFault, Uuid, limits};
use proptest::prelude::*;
use serde_json::{Value, json};

const ROOT: &str = "https://graph.example";
const NOW: i64 = 1_795_000_000;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn ids(numbers: impl IntoIterator<Item = u128>) -> BTreeSet<Uuid> {
    numbers.into_iter().map(id).collect()
}

fn typed(kind: &str, number: u128, properties: &Value) -> Value {
    let mut object =
        json!({ "@odata.type": format!("#microsoft.graph.{kind}"), "id": id(number).to_string() });
    for (name, value) in properties.as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
    object
}

/// A list that comes in these pages.
fn list(pages: &[Vec<Value>]) -> Result<Vec<entra::directory::answer::Object>, String> {
    let mut found = Pages::default();
    for (n, objects) in pages.iter().enumerate() {
        let mut page = json!({ "value": objects });
        if n + 1 < pages.len() {
            page["@odata.nextLink"] = json!(format!("{ROOT}/v1.0/groups/x/members?$skiptoken={n}"));
        }
        let page = parse_page(page.to_string().as_bytes(), None, ROOT).map_err(|fault| fault.to_string())?;
        if let Next::Whole(objects) = found.add(page).map_err(|fault| fault.to_string())? {
            return Ok(objects);
        }
    }
    Err("the list breaks off".to_owned())
}

fn roster(lists: BTreeMap<Uuid, Result<Vec<entra::directory::answer::Object>, String>>) -> Roster {
    let applications =
        Applications::from([(id(8), Some(ids([100]))), (id(9), None), (id(7), Some(BTreeSet::new()))]);
    Roster::new(id(1), 17, NOW, lists, &applications)
}

fn some() -> Roster {
    let people = [
        vec![
            typed(
                "user",
                5,
                &json!({"userPrincipalName": "ann@x", "displayName": "Ann", "appId": id(2).to_string()}),
            ),
            typed("user", 6, &json!({"userPrincipalName": null})),
            typed("group", 60, &json!({"displayName": "nested"})),
        ],
        vec![],
        vec![
            typed("servicePrincipal", 10, &json!({"displayName": "loader", "appId": id(11).to_string()})),
            typed("device", 61, &json!({})),
            typed("agentUser", 12, &json!({"userPrincipalName": "bot\n@x"})),
            typed("user", 5, &json!({"userPrincipalName": "ann@x"})),
        ],
    ];
    roster(BTreeMap::from([(id(100), list(&people)), (id(101), Err("status 403\n".to_owned()))]))
}

#[test]
fn members_are_asked_for_by_these_requests() {
    let request = request::members(id(100));
    let path = format!("/groups/{}/members?$select=id,userPrincipalName,displayName,appId&$top=999", id(100));
    assert_eq!((request.method, request.path), (Method::Get, path));
    let groups: Vec<_> = (0..45).map(id).collect();
    let questions = questions(&[id(7), id(8)], &groups);
    assert_eq!(questions.len(), 6);
    let asked: BTreeSet<_> = questions.iter().flat_map(|question| &question.groups).copied().collect();
    assert_eq!(asked.len(), 45);
    for question in &questions {
        assert!(question.groups.len() <= MAX_GROUPS);
        let request = question.request();
        assert_eq!(request.path, format!("/servicePrincipals/{}/checkMemberGroups", question.application));
        assert!(request.body.is_some_and(|body| body.contains(&question.groups[0].to_string())));
    }
}

#[test]
fn an_application_is_known_if_every_question_about_it_is_answered() {
    let groups: Vec<_> = (0..25).map(id).collect();
    let asked = questions(&[id(700), id(800)], &groups);
    let mut applications = Applications::new();
    for question in &asked {
        let is_lost = question.application == id(800) && question.groups.contains(&id(3));
        // An id that was not asked for is no answer to the question.
        let answer = [id(3), id(24), id(99)];
        question.note((!is_lost).then_some(&answer), &mut applications);
    }
    assert_eq!(applications, Applications::from([(id(700), Some(ids([3, 24]))), (id(800), None)]));
}

#[test]
fn client_ids_are_added_to_applications_that_are_members() {
    let mut roster = some();
    let before = roster.clone();
    let client_ids = [(id(8), id(88)), (id(5), id(55)), (id(7), id(77)), (id(10), id(1010))];
    roster.add_client_ids(&BTreeMap::from(client_ids));
    let client_id = |roster: &Roster, member| roster.member(id(member)).and_then(|member| member.client_id);
    assert_eq!(client_id(&before, 8), None);
    assert_eq!(client_id(&roster, 8), Some(id(88)));
    assert_eq!(client_id(&roster, 5), None, "a user");
    assert_eq!(roster.member(id(7)), None, "no member");
    assert_eq!(client_id(&roster, 10), Some(id(11)), "the list has it");
}

#[test]
fn an_application_that_is_unknown_is_so_by_its_client_id() {
    let mut roster = some();
    roster.add_client_ids(&BTreeMap::from([(id(9), id(99)), (id(7), id(77))]));
    assert!(roster.is_unknown(id(9)) && roster.is_unknown(id(99)));
    assert!(!roster.is_unknown(id(77)), "it is known to be in no group");
}

#[test]
fn a_roster_has_whole_lists_and_reasons() {
    let roster = some();
    assert_eq!(roster.list_of(id(100)), Some(&List::Whole(ids([5, 6, 8, 10, 12, 60, 61]))));
    assert_eq!(roster.list_of(id(101)), Some(&List::None("status 403\u{fffd}".to_owned())));
    assert_eq!(roster.list_of(id(102)), None);
    let member = |is_application, name: Option<&str>, client_id| Member {
        is_application,
        name: name.map(str::to_owned),
        client_id,
    };
    let expected = [
        (id(5), member(false, Some("ann@x"), None)),
        (id(6), member(false, None, None)),
        (id(8), member(true, None, None)),
        (id(10), member(true, Some("loader"), Some(id(11)))),
        (id(12), member(false, Some("bot\u{fffd}@x"), None)),
    ];
    assert_eq!(roster.members().map(|(id, member)| (id, member.clone())).collect::<Vec<_>>(), expected);
    assert_eq!([7, 8, 9, 5].map(|number| roster.is_unknown(id(number))), [false, false, true, false]);
}

#[test]
fn what_breaks_off_is_no_list() {
    let user = typed("user", 5, &json!({}));
    let foreign = json!({ "value": [user], "@odata.nextLink": "https://other.example/v1.0/groups" });
    assert!(parse_page(foreign.to_string().as_bytes(), None, ROOT).is_err());
    let mut pages = Pages::default();
    let circle = json!({ "value": [user], "@odata.nextLink": format!("{ROOT}/v1.0/groups/x") });
    let page = parse_page(circle.to_string().as_bytes(), None, ROOT).expect("a page");
    assert!(pages.add(page.clone()).is_ok());
    assert_eq!(pages.add(page), Err(PagesFault::Circle));
}

#[test]
fn a_roster_is_bounded() {
    let most = limits::MAX_ROSTER_MEMBERS as u128;
    let users = |numbers: std::ops::Range<u128>| {
        let name = "\"".repeat(500);
        let user = typed("user", 1, &json!({"userPrincipalName": name}));
        let page = parse_page(json!({"value": [user]}).to_string().as_bytes(), None, ROOT).expect("a page");
        let user = page.objects.into_iter().next().expect("a user");
        Ok(numbers
            .map(|n| entra::directory::answer::Object { id: id(n), ..user.clone() })
            .collect::<Vec<_>>())
    };
    let two = BTreeMap::from([(id(100), users(1_000..1_000 + most - 1)), (id(101), users(0..2))]);
    let roster = Roster::new(id(1), u64::from(u32::MAX), NOW, two, &Applications::new());
    assert!(
        matches!(roster.list_of(id(100)), Some(List::Whole(ids)) if ids.len() == limits::MAX_ROSTER_MEMBERS - 1)
    );
    assert!(
        matches!(roster.list_of(id(101)), Some(List::None(reason)) if reason.contains("more than 100000 members"))
    );
    assert_eq!(roster.members().next().expect("a member").1.name, Some("\"".repeat(256)));
    let bytes = roster.to_bytes();
    assert!(bytes.len() <= limits::MAX_ROSTER_BYTES);
    assert_eq!(Roster::parse(&bytes), Ok(roster));
    let many = (0..=limits::MAX_ROSTER_GROUPS as u128).map(|n| (id(n), Err("x".repeat(5_000))));
    let roster = Roster::new(id(1), 1, NOW, many.collect(), &Applications::new());
    assert_eq!(roster.lists().count(), limits::MAX_ROSTER_GROUPS);
    assert_eq!(Roster::parse(&roster.to_bytes()), Ok(roster));
}

#[test]
fn a_written_roster_is_read_back() {
    assert_eq!(Roster::parse(&some().to_bytes()), Ok(some()));
    let empty = roster(BTreeMap::new());
    assert_eq!(Roster::parse(&empty.to_bytes()), Ok(empty));
}

#[test]
fn every_damaged_byte_and_every_missing_one_is_noticed() {
    let good = some().to_bytes();
    for place in 0..good.len() {
        let mut damaged = good.clone();
        damaged[place] ^= 0x10;
        assert!(Roster::parse(&damaged).is_err(), "byte {place}");
        assert!(Roster::parse(&good[..place]).is_err(), "the first {place} bytes");
    }
    assert!(Roster::parse(&[&good[..], b"\n"].concat()).is_err(), "a byte more");
}

#[test]
fn other_files_are_not_rosters() {
    let text = String::from_utf8(some().to_bytes()).expect("a text");
    let next = text.replacen("version 1", "version 2", 1);
    for (bytes, fault) in [
        (&b""[..], RosterFault::NotARoster),
        (&entra::Snapshot::seal(b"{}"), RosterFault::NotARoster),
        (next.as_bytes(), RosterFault::OtherVersion),
        (&vec![b' '; limits::MAX_ROSTER_BYTES + 1], RosterFault::TooLarge),
        (&Roster::seal(b"[]"), RosterFault::Json(JsonFault::NotAnObject)),
    ] {
        assert_eq!(Roster::parse(bytes), Err(fault));
    }
}

#[test]
fn a_member_of_another_form_makes_all_of_it_unusable() {
    let one = id(1).to_string();
    let whole = json!({
        "tenant": one, "run": 1, "asked_at": NOW, "unknown": [one],
        "members": [[one, "user", "ann@x", null]],
        "groups": [{"id": one, "members": [one]}],
    });
    let parsed = |content: &Value| Roster::parse(&Roster::seal(content.to_string().as_bytes()));
    assert!(parsed(&whole).is_ok());
    for (name, value) in [
        ("tenant", json!("x")),
        ("run", json!(-1)),
        ("run", json!("1")),
        ("asked_at", json!(limits::MAX_UNIX_SECONDS + 1)),
        ("unknown", Value::Null),
        ("unknown", json!([one, one])),
        ("members", json!({})),
        ("members", json!([[one, "user", "ann@x"]])),
        ("members", json!([[one, "group", "ann@x", null]])),
        ("members", json!([[one, "user", 1, null]])),
        ("members", json!([[one, "user", "a\nb", null]])),
        ("members", json!([[one, "user", "n".repeat(257), null]])),
        ("members", json!([[one, "user", null, one]])),
        ("members", json!([["x", "user", null, null]])),
        ("members", json!([[one, "user", null, null], [one, "user", null, null]])),
        ("groups", json!([{"id": one}])),
        ("groups", json!([{"id": one, "members": [one], "problem": "x"}])),
        ("groups", json!([{"id": one, "members": [one, one]}])),
        ("groups", json!([{"members": [one]}])),
        ("groups", json!([{"id": one, "problem": "x".repeat(513)}])),
        ("groups", json!([{"id": one, "members": []}, {"id": one, "problem": "x"}])),
        ("groups", json!([1])),
    ] {
        let mut content = whole.clone();
        content[name] = value.clone();
        assert_eq!(parsed(&content), Err(RosterFault::Member(name)), "{name}: {value}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever was answered, the file has it.
    #[test]
    fn every_roster_is_read_back(
        groups in proptest::collection::btree_map(0_u128..50, (proptest::collection::vec((0_u128..200, 0_u8..4, ".{0,40}"), 0..20), any::<bool>()), 0..6),
        applications in proptest::collection::btree_map(0_u128..200, proptest::option::of(proptest::collection::btree_set(0_u128..50, 0..5)), 0..6),
        run in 0..u64::try_from(i64::MAX).expect("a number"),
    ) {
        let kinds = ["user", "group", "servicePrincipal", "device"];
        let lists = groups.into_iter().map(|(group, (members, is_whole))| {
            let objects = members.into_iter().map(|(number, kind, name)| {
                let properties = json!({"userPrincipalName": name, "displayName": name, "appId": id(number + 1_000).to_string()});
                typed(kinds[usize::from(kind)], number, &properties)
            });
            let objects = list(&[objects.collect()]);
            (id(group), if is_whole { objects } else { Err("broken".to_owned()) })
        });
        let applications = applications.into_iter().map(|(application, groups)| (id(application), groups.map(ids)));
        let roster = Roster::new(id(1), run, NOW, lists.collect(), &applications.collect());
        prop_assert_eq!(Roster::parse(&roster.to_bytes()), Ok(roster));
    }
}
