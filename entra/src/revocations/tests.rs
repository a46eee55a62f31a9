//! The rule and the text, as tables.

use super::*;
use crate::kinds::TokenKind;

const PERSON: Uuid = Uuid::from_u128(1);
const CLIENT: Uuid = Uuid::from_u128(2);

/// Every object is known.
fn known(_: Uuid) -> bool {
    true
}

fn holder(object_id: Uuid, kind: TokenKind) -> Holder {
    Holder { object_id, kind, application: Some(CLIENT) }
}

fn user(revocations: &Revocations, object: Uuid) -> Option<i64> {
    revocations.not_before(holder(object, TokenKind::User))
}

#[test]
fn the_latest_of_three_times_decides_to_the_second() {
    // The role's time, the object's, that of every object, and the one that decides.
    for (of_role, of_object, every_object, latest) in [
        (None, None, None, None),
        (Some(100), None, None, Some(100)),
        (None, Some(100), None, Some(100)),
        (None, None, Some(100), Some(100)),
        (Some(90), Some(100), None, Some(100)),
        (Some(100), Some(90), None, Some(100)),
        (Some(90), None, Some(100), Some(100)),
        (Some(100), None, Some(90), Some(100)),
        (None, Some(90), Some(100), Some(100)),
        (None, Some(100), Some(90), Some(100)),
        (Some(80), Some(90), Some(100), Some(100)),
        (Some(0), Some(0), Some(0), Some(0)),
    ] {
        let objects = of_object.map(|time| (PERSON, time)).into_iter().collect();
        let revocations = Revocations { every_object, objects };
        let of = |issued_at| revocations.revoked_before(holder(PERSON, TokenKind::User), issued_at, of_role);
        let case = format!("{of_role:?} {of_object:?} {every_object:?}");
        assert_eq!(of(latest.unwrap_or(i64::MIN)), None, "{case}: issued in that second");
        assert_eq!(of(i64::MAX), None, "{case}");
        if let Some(latest) = latest {
            assert_eq!(of(latest - 1), Some(latest), "{case}: issued a second before");
            assert_eq!(of(i64::MIN), Some(latest), "{case}");
        }
    }
}

#[test]
fn a_revocation_is_of_one_object_and_its_role() {
    let revocations = Revocations { every_object: None, objects: vec![(PERSON, 100), (CLIENT, 200)] };
    let other = Uuid::from_u128(9);
    for (holder, of_role, expected) in [
        (holder(other, TokenKind::User), None, None),
        (holder(other, TokenKind::User), Some(50), Some(50)),
        (holder(PERSON, TokenKind::User), None, Some(100)),
        // An application is named by its client id; its users are not.
        (holder(other, TokenKind::Service), None, Some(200)),
        (holder(PERSON, TokenKind::Service), Some(300), Some(300)),
    ] {
        assert_eq!(revocations.revoked_before(holder, 0, of_role), expected, "{holder:?} {of_role:?}");
    }
}

#[test]
fn a_written_text_is_read_back() {
    let mut revocations = Revocations::default();
    assert_eq!(Revocations::parse(&revocations.to_string()), Some(revocations.clone()));
    for n in 1..=60 {
        let time = 1_700_000_000 + i64::try_from(n).expect("small");
        revocations.revoke(Uuid::from_u128(n), time, |object| object.as_u128() % 2 == 0);
        let text = revocations.to_string();
        assert!(text.len() <= limits::MAX_REVOCATIONS_BYTES, "{}", text.len());
        assert_eq!(Revocations::parse(&text), Some(revocations.clone()));
    }
    assert_eq!(revocations.objects.len(), 2 * MAX_OBJECTS);
    let latest = Revocations {
        every_object: Some(limits::MAX_UNIX_SECONDS),
        objects: (0..32).map(|n| (Uuid::from_u128(n), limits::MAX_UNIX_SECONDS)).collect(),
    };
    assert!(latest.to_string().len() <= limits::MAX_REVOCATIONS_BYTES);
}

#[test]
fn an_object_is_revoked_until_its_time() {
    let mut revocations = Revocations::default();
    assert_eq!(user(&revocations, PERSON), None);
    revocations.revoke(PERSON, 100, known);
    revocations.revoke(PERSON, 50, known);
    assert_eq!(user(&revocations, PERSON), Some(100));
    assert_eq!(user(&revocations, Uuid::from_u128(9)), None);
}

#[test]
fn an_application_is_named_by_its_client_id_and_its_users_are_not() {
    let mut revocations = Revocations::default();
    revocations.revoke(CLIENT, 100, known);
    assert_eq!(revocations.not_before(holder(PERSON, TokenKind::Service)), Some(100));
    assert_eq!(user(&revocations, PERSON), None);
}

#[test]
fn no_revocation_is_lost_when_there_are_too_many() {
    let mut revocations = Revocations::default();
    for n in 1..=20_u32 {
        revocations.revoke(Uuid::from_u128(n.into()), n.into(), known);
    }
    for n in 1..=20_u32 {
        assert!(user(&revocations, Uuid::from_u128(n.into())) >= Some(n.into()), "{n}");
    }
    assert_eq!(user(&revocations, Uuid::from_u128(99)), Some(4));
}

#[test]
fn known_and_unknown_objects_have_room_of_their_own() {
    let (known_id, unknown_id) =
        (|n: u32| Uuid::from_u128(n.into()), |n: u32| Uuid::from_u128((1_000 + n).into()));
    let is_known = |object: Uuid| object.as_u128() < 1_000;
    let mut revocations = Revocations::default();
    for n in 1..=16 {
        assert!(revocations.has_room_for(unknown_id(n), is_known));
        revocations.revoke(unknown_id(n), n.into(), is_known);
    }
    assert!(!revocations.has_room_for(unknown_id(17), is_known));
    for n in 1..=16 {
        assert!(revocations.has_room_for(known_id(n), is_known));
        revocations.revoke(known_id(n), n.into(), is_known);
    }
    assert!(!revocations.has_room_for(known_id(17), is_known));
    assert_eq!(revocations.every_object, None);
    revocations.revoke(known_id(17), 20, is_known);
    assert_eq!((revocations.every_object, user(&revocations, unknown_id(1))), (Some(1), Some(1)));
    // Objects that are no longer known become one for every object first.
    let is_known = |object: Uuid| (17..1_000).contains(&object.as_u128());
    revocations.revoke(known_id(18), 21, is_known);
    assert_eq!(revocations.objects.len(), 32);
    for n in 1..=18 {
        assert!(user(&revocations, known_id(n)) >= Some(n.into()), "{n}");
    }
}

#[test]
fn entries_older_than_any_token_are_removed() {
    let mut revocations = Revocations::default();
    revocations.revoke(PERSON, 100, known);
    revocations.revoke(CLIENT, 200, known);
    revocations.forget(150 + LONGEST_LIFE);
    assert_eq!((user(&revocations, PERSON), user(&revocations, CLIENT)), (None, Some(200)));
    assert!(!revocations.clone().is_over(199 + LONGEST_LIFE));
    assert!(revocations.clone().is_over(200 + LONGEST_LIFE));
    assert!(Revocations::default().is_over(0));
    assert!(!Revocations::parse("revoked,*=1").expect("a text").is_over(0));
    assert!(revocations.has_room_for(PERSON, known));
    for n in 10..25_u32 {
        revocations.revoke(Uuid::from_u128(n.into()), 300, known);
    }
    assert!(!revocations.has_room_for(PERSON, known) && revocations.has_room_for(CLIENT, known));
}

#[test]
fn other_texts_are_none() {
    let id = PERSON.to_string();
    for text in [
        "",
        "managed",
        "revoked,",
        "revoked,*",
        "revoked,*=x",
        "revoked,*=-1",
        "revoked,*=1,*=2",
        "revoked,1=1",
        &format!("revoked,{id}=1,{id}=2"),
        &format!("revoked {id}=1"),
        &format!("revoked{}", ",*=1".repeat(400)),
    ] {
        assert_eq!(Revocations::parse(text), None, "{text}");
    }
}
