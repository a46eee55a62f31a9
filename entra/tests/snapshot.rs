//! Which snapshots, and which keys in them, are used.

mod support;

use entra::{JsonFault, KeySetFault, Remembered, Snapshot, SnapshotFault, limits};
use serde_json::{Value, json};
use support::*;

const ORIGIN: &str = "a tenant\nan address";
const THEN: i64 = 1_700_000_000;
const HOUR: i64 = 3_600;

fn snapshot() -> Snapshot {
    let keys = vec![
        Remembered { key: key_of(&SIGNER, Some("https://issuer.example/\"{tenantid}\"")), first_seen: 1 },
        Remembered { key: key_of(&OTHER, None), first_seen: THEN },
    ];
    Snapshot { origin: ORIGIN.to_owned(), fetched_at: THEN, keys }
}

fn content() -> Value {
    json!({"origin": ORIGIN, "fetched_at": THEN, "keys": [SIGNER.jwk(), OTHER.jwk()]})
}

fn parsed(content: &Value) -> Result<Snapshot, SnapshotFault> {
    Snapshot::parse(&Snapshot::seal(content.to_string().as_bytes()))
}

#[test]
fn a_written_snapshot_is_read_back() {
    assert_eq!(Snapshot::parse(&snapshot().to_bytes()), Ok(snapshot()));
}

#[test]
fn an_older_snapshot_is_within_a_later_one_that_has_all_its_keys() {
    let both = snapshot();
    let one = Snapshot { keys: both.keys[..1].to_vec(), fetched_at: THEN - HOUR, ..both.clone() };
    assert!(one.is_within(&both) && both.is_within(&both));
    assert!(!both.is_within(&one), "a key is gone");
    assert!(!Snapshot { origin: "elsewhere".to_owned(), ..one }.is_within(&both));
    let issuer = Remembered { key: key_of(&OTHER, Some("https://issuer.example/")), first_seen: THEN };
    let changed = Snapshot { keys: vec![both.keys[0].clone(), issuer], ..both.clone() };
    assert!(!both.is_within(&changed), "a key is another");
}

#[test]
fn every_damaged_byte_and_every_missing_one_is_noticed() {
    let good = snapshot().to_bytes();
    for place in 0..good.len() {
        let mut damaged = good.clone();
        damaged[place] ^= 0x10;
        assert!(Snapshot::parse(&damaged).is_err(), "byte {place}");
        assert!(Snapshot::parse(&good[..place]).is_err(), "the first {place} bytes");
    }
    assert!(Snapshot::parse(&[&good[..], b"\n"].concat()).is_err(), "a byte more");
}

#[test]
fn other_files_are_not_snapshots() {
    let next_version =
        String::from_utf8(snapshot().to_bytes()).unwrap().replacen("version 1", "version 2", 1);
    let empty: &[u8] = b"";
    for (bytes, fault) in [
        (empty, SnapshotFault::NotASnapshot),
        (content().to_string().as_bytes(), SnapshotFault::NotASnapshot),
        (next_version.as_bytes(), SnapshotFault::OtherVersion),
        (&vec![b' '; limits::MAX_SNAPSHOT_BYTES + 1], SnapshotFault::TooLarge),
        (&Snapshot::seal(b"[]"), SnapshotFault::Json(JsonFault::NotAnObject)),
        (&Snapshot::seal(br#"{"a":1,"a":1}"#), SnapshotFault::Json(JsonFault::DuplicateMember)),
    ] {
        assert_eq!(Snapshot::parse(bytes), Err(fault));
    }
    for (member, value) in [
        ("origin", json!(1)),
        ("origin", Value::Null),
        ("origin", json!("x".repeat(limits::MAX_ORIGIN_BYTES + 1))),
        ("fetched_at", json!("1700000000")),
        ("fetched_at", json!(-1)),
        ("fetched_at", Value::Null),
        ("keys", json!({})),
        ("keys", Value::Null),
    ] {
        assert_eq!(parsed(&with(content(), member, value)), Err(SnapshotFault::Member(member)));
    }
}

#[test]
fn keys_are_read_by_the_rules_of_a_key_document() {
    let weak = with(SIGNER.jwk(), "n", json!("AQAB"));
    let secret = with(SIGNER.jwk(), "d", json!("AQAB"));
    for bad in [weak, secret, json!({"kid": "key-1"}), json!(7)] {
        let keys = |keys: Value| parsed(&with(content(), "keys", keys));
        assert_eq!(keys(json!([bad])), Err(SnapshotFault::Keys(KeySetFault::NoUsableKey(1))), "{bad}");
        assert_eq!(keys(json!([bad, OTHER.jwk()])).unwrap().keys.len(), 1, "{bad}");
    }
}

#[test]
fn a_key_was_not_first_seen_after_the_fetch_or_before_1970() {
    for (first_seen, expected) in
        [(json!(5), 5), (json!(THEN + 1), THEN), (json!(-5), THEN), (json!("5"), THEN)]
    {
        let key = with(SIGNER.jwk(), "first_seen", first_seen.clone());
        let snapshot = parsed(&with(content(), "keys", json!([key]))).unwrap();
        assert_eq!(snapshot.keys[0].first_seen, expected, "{first_seen}");
    }
}

#[test]
fn it_is_used_for_its_origin_and_up_to_its_age() {
    let age = |origin: &str, now| snapshot().age(origin, now, 24 * 3_600_000);
    assert_eq!(age(ORIGIN, THEN), Ok(0));
    assert_eq!(age(ORIGIN, THEN + HOUR), Ok(3_600_000));
    assert_eq!(age(ORIGIN, THEN + 24 * HOUR), Ok(24 * 3_600_000));
    assert_eq!(age(ORIGIN, THEN + 24 * HOUR + 1), Err(SnapshotFault::TooOld(24 * HOUR + 1)));
    assert_eq!(age(ORIGIN, i64::MAX), Err(SnapshotFault::TooOld(i64::MAX - THEN)));
    assert_eq!(age(ORIGIN, THEN - 300), Ok(0), "a clock put right");
    assert_eq!(age(ORIGIN, THEN - 301), Err(SnapshotFault::FromTheFuture(301)));
    assert_eq!(age(ORIGIN, i64::MIN), Err(SnapshotFault::FromTheFuture(i64::MAX)));
    assert_eq!(age("another", THEN), Err(SnapshotFault::Foreign));
    assert_eq!(age("", THEN), Err(SnapshotFault::Foreign));
}
