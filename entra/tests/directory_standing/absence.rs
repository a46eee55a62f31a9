//! When absence counts.

use std::collections::BTreeMap;

use entra::directory::roll::Round;
use entra::directory::standing::{Moment, Out, Sight, Standing};
use proptest::prelude::*;

use crate::tenant::*;

#[test]
fn one_round_without_an_id_is_no_evidence() {
    let mut tenant = Tenant::of(100);
    for _ in 0..100 {
        tenant.shows(1, Sight::Absent);
        assert!(tenant.rounds(2).is_empty());
        tenant.shows(1, HERE);
        assert!(tenant.rounds(1).is_empty());
    }
    assert_eq!(tenant.standing(1), Standing::Active);
}

#[test]
fn three_rounds_over_five_minutes_are() {
    // Rounds more frequent than that must take three intervals, or five minutes if those are more.
    for (interval, rounds) in
        [(5 * MINUTE, 3), (HOUR, 3), (3 * MINUTE, 3), (2 * MINUTE, 4), (MINUTE, 4), (1_000, 4)]
    {
        let mut tenant = Tenant::of(100);
        tenant.interval = interval;
        tenant.shows(1, Sight::Absent);
        assert!(tenant.rounds(rounds - 1).is_empty(), "{interval}");
        assert_eq!(tenant.round().changed, [id(1)], "{interval}");
        assert_eq!(tenant.judge(1, tenant.unix_now()), Some(Out::Deleted));
    }
}

#[test]
fn looks_on_demand_that_follow_each_other_quickly_are_not_enough() {
    for interval in [0, 5 * MINUTE] {
        let mut tenant = Tenant::of(100);
        tenant.shows(1, Sight::Absent);
        for second in 1..300 {
            tenant.now += 1_000;
            let moment = Moment { interval, now: tenant.now, unix_now: tenant.unix_now() };
            let round =
                Round { sights: &tenant.sights, moment, administrators: &[], clients: &BTreeMap::new() };
            assert!(tenant.roll.note(&round).changed.is_empty(), "after {second} s");
        }
    }
}

#[test]
fn without_the_canary_nobody_is_absent() {
    let mut tenant = Tenant::of(100);
    tenant.has_canary = false;
    tenant.shows(1, Sight::Absent);
    assert!(tenant.rounds(300).is_empty());
    tenant.has_canary = true;
    assert!(tenant.rounds(2).is_empty());
    assert_eq!(tenant.round().changed, [id(1)]);
}

#[test]
fn what_is_not_confirmed_counts_for_the_mass_but_puts_nobody_out() {
    let mut tenant = Tenant::of(100);
    for user in 1..=30 {
        tenant.shows(user, if user == 1 { Sight::Absent } else { Sight::Missing });
    }
    for _ in 0..20 {
        let report = tenant.round();
        assert_eq!((report.held, report.changed.len()), (Some(30), 0));
    }
    for user in 10..=30 {
        tenant.shows(user, HERE);
    }
    assert_eq!(tenant.round().changed, [id(1)]);
    assert!(tenant.rounds(20).is_empty());
}

#[test]
fn many_at_once_are_held_back_for_two_hours() {
    let mut tenant = Tenant::of(100);
    for user in 1..=21 {
        tenant.shows(user, Sight::Absent);
    }
    let mut waited = 0;
    loop {
        let report = tenant.round();
        if report.held.is_none() {
            assert_eq!(report.changed.len(), 21);
            break;
        }
        assert_eq!((report.held, report.changed.len()), (Some(21), 0));
        waited += tenant.interval;
        assert!(waited < 3 * HOUR);
    }
    assert_eq!(waited, 2 * HOUR);
}

#[test]
fn an_administrator_can_believe_it_earlier() {
    let mut tenant = Tenant::of(20);
    for user in 1..=20 {
        tenant.shows(user, Sight::Absent);
    }
    assert!(tenant.rounds(5).is_empty());
    tenant.roll.believe();
    assert_eq!(tenant.round().changed.len(), 20);
}

#[test]
fn a_mass_that_stays_does_not_hide_another_one() {
    let mut tenant = Tenant::of(100);
    for user in 1..=25 {
        tenant.shows(user, Sight::Missing);
    }
    assert!(tenant.rounds(30).is_empty());
    assert_eq!(tenant.round().held, None, "after two hours");
    for user in 26..=90 {
        tenant.shows(user, Sight::Absent);
    }
    for _ in 0..24 {
        let report = tenant.round();
        assert_eq!((report.held, report.changed.len()), (Some(90), 0));
    }
    assert_eq!(tenant.round().changed.len(), 65);
}

#[test]
fn a_mass_that_shrinks_is_another_one_when_it_grows() {
    let mut tenant = Tenant::of(100);
    for user in 1..=50 {
        tenant.shows(user, if user <= 25 { Sight::Missing } else { Sight::Absent });
    }
    assert!(tenant.rounds(24).is_empty());
    assert_eq!(tenant.rounds(10).len(), 25);
    for user in 51..=60 {
        tenant.shows(user, Sight::Absent);
    }
    assert_eq!(tenant.round().held, Some(35));
}

#[test]
fn what_an_administrator_believes_is_no_more_than_was_there() {
    let mut tenant = Tenant::of(100);
    for user in 1..=40 {
        tenant.shows(user, Sight::Absent);
    }
    assert!(tenant.rounds(5).is_empty());
    tenant.roll.believe();
    for user in 41..=100 {
        tenant.shows(user, Sight::Absent);
    }
    assert_eq!(tenant.round().held, Some(100));
}

#[test]
fn a_fifth_or_five_are_not_many() {
    for (users, missing) in [(100, 20), (6, 5), (5, 5)] {
        let mut tenant = Tenant::of(users);
        for user in 1..=missing {
            tenant.shows(user, Sight::Absent);
        }
        tenant.rounds(2);
        let report = tenant.round();
        assert_eq!((report.held, report.changed.len() as u128), (None, missing), "{missing} of {users}");
    }
}

#[test]
fn the_last_administrator_is_out_by_positive_evidence_only() {
    let mut tenant = Tenant::of(10);
    tenant.administrators = vec![id(1), id(2)];
    tenant.shows(1, Sight::Absent);
    tenant.shows(2, Sight::Absent);
    assert_eq!(tenant.rounds(200), [id(1)]);
    assert_eq!(tenant.round().spared, Some(id(2)));
    tenant.shows(1, HERE);
    assert_eq!(tenant.round().changed, [id(1), id(2)], "back, and no longer the last");
    let mut tenant = Tenant::of(10);
    tenant.administrators = vec![id(1)];
    tenant.shows(1, Sight::Deleted);
    assert_eq!(tenant.round().changed, [id(1)]);
}

#[test]
fn one_who_is_linked_to_two_administrators_is_one() {
    let mut tenant = Tenant::of(10);
    tenant.administrators = vec![id(1), id(1)];
    tenant.shows(1, Sight::Absent);
    assert!(tenant.rounds(200).is_empty());
    assert_eq!(tenant.round().spared, Some(id(1)));
}

#[test]
fn an_administrator_who_is_out_does_not_count() {
    let mut tenant = Tenant::of(10);
    tenant.administrators = vec![id(1), id(2)];
    tenant.shows(1, DISABLED);
    tenant.shows(2, Sight::Absent);
    assert_eq!(tenant.rounds(200), [id(1)]);
}

proptest! {
    /// Whatever rounds say: nobody is out without positive evidence or three absences.
    #[test]
    fn nobody_is_out_without_evidence(script in proptest::collection::vec((0..5_u8, any::<bool>()), 1..200)) {
        let mut tenant = Tenant::of(12);
        let (mut absences, mut evidence) = (0, false);
        for (what, has_canary) in script {
            tenant.has_canary = has_canary;
            let sight = match what {
                0 => HERE,
                1 => DISABLED,
                2 => Sight::Absent,
                3 => Sight::Deleted,
                _ => Sight::Unknown,
            };
            match sight {
                HERE => (absences, evidence) = (0, false),
                DISABLED | Sight::Deleted => (absences, evidence) = (0, true),
                Sight::Absent if has_canary => absences += 1,
                _ => {}
            }
            tenant.shows(5, sight);
            tenant.round();
            let is_out = tenant.judge(5, tenant.unix_now()).is_some();
            prop_assert_eq!(is_out, evidence || absences >= 3);
            evidence = is_out;
            prop_assert!((1..=12).filter(|user| *user != 5).all(|user| tenant.standing(user) == Standing::Active));
        }
    }
}
