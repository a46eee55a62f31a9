//! Marks as they are written and read.

use proptest::collection::btree_set;
use proptest::option;
use proptest::prelude::*;

use super::*;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn ids(numbers: std::ops::Range<u128>) -> BTreeSet<Uuid> {
    numbers.map(id).collect()
}

#[test]
fn marks_as_they_are_written() {
    let (one, two) = (id(1), id(2));
    let synced = |has_linked, groups| Some(Synced { member: one, has_linked, groups });
    let cases = [
        ("managed".to_owned(), Mark { is_managed: true, ..Mark::default() }),
        (format!("member={one}"), Mark { synced: synced(false, ids(0..0)), ..Mark::default() }),
        (
            format!("member={one},groups={one}+{two}"),
            Mark { synced: synced(false, ids(1..3)), ..Mark::default() },
        ),
        (format!("serves={two}"), Mark { serves: ids(2..3), ..Mark::default() }),
        (
            format!("managed,member={one},linked,groups={two},serves={one}+{two}"),
            Mark { is_managed: true, synced: synced(true, ids(2..3)), serves: ids(1..3) },
        ),
    ];
    for (text, mark) in cases {
        assert_eq!(Mark::parse(&text), Some(mark.clone()), "{text}");
        assert_eq!(mark.text(), Some(text));
    }
    let (given, written) =
        (format!("groups={two},linked,member={one}"), format!("member={one},linked,groups={two}"));
    assert_eq!(Mark::parse(&given).and_then(|mark| mark.text()), Some(written), "in any order");
    assert_eq!(Mark::default().text(), None);
}

#[test]
fn other_texts_are_no_marks() {
    let one = id(1);
    for text in [
        String::new(),
        "Managed".to_owned(),
        "managed,".to_owned(),
        "managed,managed".to_owned(),
        "managed=1".to_owned(),
        "member".to_owned(),
        "member=".to_owned(),
        "member=x".to_owned(),
        format!("member={one},member={one}"),
        format!("member= {one}"),
        "linked".to_owned(),
        format!("linked,groups={one}"),
        format!("groups={one}"),
        format!("member={one},groups="),
        format!("member={one},groups={one}+{one}"),
        format!("member={one},groups={one}+"),
        format!("member={one},groups={one},groups={}", id(2)),
        format!("serves={one},serves={one}"),
        "serves=".to_owned(),
        "revoked".to_owned(),
    ] {
        assert_eq!(Mark::parse(&text), None, "{text}");
    }
}

#[test]
fn a_label_has_room_for_25_groups() {
    let full = |groups| Mark {
        is_managed: true,
        synced: Some(Synced { member: id(u128::MAX), has_linked: true, groups }),
        serves: BTreeSet::new(),
    };
    assert!(full(ids(0..25)).fits());
    let over = full(ids(0..26));
    assert!(!over.fits());
    assert_eq!(Mark::parse(&over.to_string()), None);
}

fn some_ids() -> impl Strategy<Value = BTreeSet<Uuid>> {
    btree_set(any::<u128>().prop_map(Uuid::from_u128), 0..12)
}

fn marks() -> impl Strategy<Value = Mark> {
    let synced = (any::<u128>(), any::<bool>(), some_ids()).prop_map(|(member, has_linked, groups)| Synced {
        member: id(member),
        has_linked,
        groups,
    });
    (any::<bool>(), option::of(synced), some_ids()).prop_map(|(is_managed, synced, serves)| Mark {
        is_managed,
        synced,
        serves,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_written_mark_is_read_back(mark in marks()) {
        prop_assert!(mark.fits());
        let read = mark.text().map(|text| Mark::parse(&text));
        prop_assert_eq!(read.unwrap_or_else(|| Some(Mark::default())), Some(mark));
    }

    #[test]
    fn whatever_is_read_is_written_the_same(text in "(managed|linked|member=|groups=|serves=|[-0-9a-f]{36}|[,+=]){0,12}") {
        if let Some(mark) = Mark::parse(&text) {
            prop_assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        }
    }
}
