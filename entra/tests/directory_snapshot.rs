//! The snapshot of who is out.

#![allow(missing_docs, reason = "a test's name says what it pins")]

use entra::directory::login::Pair;
use entra::directory::snapshot::{EndedSnapshot, EndedSnapshotFault};
use entra::directory::standing::{Known, Standing};
use entra::{JsonFault, Uuid, limits};
use serde_json::{Value, json};

const NOW: i64 = 1_795_000_000;
const HOUR: i64 = 3_600;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn known(standing: Standing, out_since: Option<i64>, revoked_at: Option<i64>) -> Known {
    Known { standing, out_since, revoked_at }
}

fn snapshot() -> EndedSnapshot {
    EndedSnapshot {
        tenant: id(9),
        written_at: NOW,
        principals: vec![
            (id(1), known(Standing::Disabled, Some(NOW - 5), None)),
            (id(2), known(Standing::Deleted, Some(NOW - 30 * HOUR), Some(NOW - 30 * HOUR))),
            (id(3), known(Standing::Active, None, Some(NOW - 6))),
            (id(4), known(Standing::Disabled, Some(NOW + 90 * HOUR), None)),
        ],
        memberships: vec![
            (Pair { person: id(5), group: id(6) }, NOW - 7),
            (Pair { person: id(5), group: id(7) }, NOW - 28 * HOUR),
        ],
    }
}

fn parsed(content: &Value) -> Result<EndedSnapshot, EndedSnapshotFault> {
    EndedSnapshot::parse(&EndedSnapshot::seal(content.to_string().as_bytes()))
}

#[test]
fn a_written_snapshot_is_read_back() {
    assert_eq!(EndedSnapshot::parse(&snapshot().to_bytes()), Ok(snapshot()));
    let most = limits::MAX_ENDED as u128;
    let full = EndedSnapshot {
        principals: (0..most)
            .map(|n| (id(u128::MAX - n), known(Standing::Disabled, Some(NOW), Some(NOW))))
            .collect(),
        memberships: (0..most).map(|n| (Pair { person: id(u128::MAX - n), group: id(n) }, NOW)).collect(),
        ..snapshot()
    };
    assert_eq!(EndedSnapshot::parse(&full.to_bytes()), Ok(full.clone()));
    let mut over = full;
    over.memberships.push((Pair { person: id(1), group: id(2) }, NOW));
    assert_eq!(EndedSnapshot::parse(&over.to_bytes()), Err(EndedSnapshotFault::Member("memberships")));
}

#[test]
fn what_still_counts_is_kept_for_the_same_tenant() {
    assert_eq!(snapshot().of(id(8), NOW), Err(EndedSnapshotFault::Foreign));
    let kept = snapshot().of(id(9), NOW).expect("of the tenant");
    assert_eq!(kept.principals.iter().map(|(id, _)| id.as_u128()).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!(kept.principals[2].1, snapshot().principals[3].1, "a clock was wrong");
    assert_eq!(kept.memberships, [(Pair { person: id(5), group: id(6) }, NOW - 7)]);
}

#[test]
fn a_clock_that_is_set_back_for_a_while_changes_no_time() {
    let kept = snapshot().of(id(9), 1_000_000).expect("of the tenant");
    assert_eq!((&kept.principals, &kept.memberships), (&snapshot().principals, &snapshot().memberships));
    assert_eq!(kept.of(id(9), NOW), snapshot().of(id(9), NOW));
}

#[test]
fn every_damaged_byte_and_every_missing_one_is_noticed() {
    let good = snapshot().to_bytes();
    for place in 0..good.len() {
        let mut damaged = good.clone();
        damaged[place] ^= 0x10;
        assert!(EndedSnapshot::parse(&damaged).is_err(), "byte {place}");
        assert!(EndedSnapshot::parse(&good[..place]).is_err(), "the first {place} bytes");
    }
    assert!(EndedSnapshot::parse(&[&good[..], b"\n"].concat()).is_err(), "a byte more");
}

#[test]
fn other_files_are_not_snapshots() {
    let text = String::from_utf8(snapshot().to_bytes()).expect("a text");
    let next = text.replacen("version 1", "version 2", 1);
    let keys = entra::Snapshot::seal(b"{}");
    for (bytes, fault) in [
        (&b""[..], EndedSnapshotFault::NotASnapshot),
        (&keys, EndedSnapshotFault::NotASnapshot),
        (next.as_bytes(), EndedSnapshotFault::OtherVersion),
        (&vec![b' '; limits::MAX_ENDED_SNAPSHOT_BYTES + 1], EndedSnapshotFault::TooLarge),
        (&EndedSnapshot::seal(b"[]"), EndedSnapshotFault::Json(JsonFault::NotAnObject)),
    ] {
        assert_eq!(EndedSnapshot::parse(bytes), Err(fault));
    }
}

#[test]
fn a_member_of_another_form_makes_all_of_it_unusable() {
    let tenant = id(9).to_string();
    let whole = |principal: Value, membership: Value| {
        parsed(
            &json!({"tenant": tenant, "written_at": NOW, "principals": [principal], "memberships": [membership]}),
        )
    };
    let principal = json!({"id": tenant, "state": "disabled", "out_since": NOW});
    let membership = json!({"id": tenant, "group": tenant, "ended_at": NOW});
    assert!(whole(principal.clone(), membership.clone()).is_ok());
    for (of_principal, name, value) in [
        (true, "id", json!("x")),
        (true, "state", json!("gone")),
        (true, "out_since", json!(-1)),
        (true, "revoked_at", Value::Null),
        (true, "revoked_at", json!(limits::MAX_UNIX_SECONDS + 1)),
        (false, "group", json!(1)),
        (false, "ended_at", json!("1")),
    ] {
        let (mut principal, mut membership) = (principal.clone(), membership.clone());
        let changed = if of_principal { &mut principal } else { &mut membership };
        changed[name] = value;
        assert_eq!(whole(principal, membership), Err(EndedSnapshotFault::Member(name)));
    }
    assert_eq!(whole(json!(1), membership), Err(EndedSnapshotFault::Member("principals")));
}
