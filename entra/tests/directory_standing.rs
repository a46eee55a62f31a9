//! Whole days of rounds: who is put out, when, and who is not.

#![allow(missing_docs, reason = "a test's name says what it pins")]

use std::collections::BTreeMap;

use entra::Uuid;
use entra::directory::membership::Membership;
use entra::directory::roll::{Report, Roll, Round};
use entra::directory::standing::{Moment, Out, Sight, Standing};
use proptest::prelude::*;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const START: i64 = 1_795_000_000;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

const HERE: Sight = Sight::Present { is_enabled: Some(true), valid_from: None };
const DISABLED: Sight = Sight::Present { is_enabled: Some(false), valid_from: None };

/// A tenant of so many users, polled every five minutes unless said otherwise.
struct Tenant {
    roll: Roll,
    sights: BTreeMap<Uuid, Sight>,
    has_canary: bool,
    interval: u64,
    now: u64,
    administrators: Vec<Uuid>,
}

impl Tenant {
    fn of(users: u128) -> Self {
        let sights = (1..=users).map(|user| (id(user), HERE)).collect();
        let mut tenant = Self {
            roll: Roll::default(),
            sights,
            has_canary: true,
            interval: 5 * MINUTE,
            now: HOUR,
            administrators: Vec::new(),
        };
        tenant.round();
        tenant
    }

    fn unix_now(&self) -> i64 {
        START + i64::try_from(self.now / 1_000).expect("a time")
    }

    /// Without a canary, no id is believed to be absent.
    fn round(&mut self) -> Report {
        self.now += self.interval;
        let unix_now = self.unix_now();
        let believed = |sight| if self.has_canary || sight != Sight::Absent { sight } else { Sight::Unknown };
        let sights: BTreeMap<_, _> = self.sights.iter().map(|(id, sight)| (*id, believed(*sight))).collect();
        self.roll.note(&Round {
            sights: &sights,
            moment: Moment { interval: self.interval, now: self.now, unix_now },
            administrators: &self.administrators,
        })
    }

    fn rounds(&mut self, number: usize) -> Vec<Uuid> {
        (0..number).flat_map(|_| self.round().changed).collect()
    }

    fn shows(&mut self, user: u128, sight: Sight) {
        self.sights.insert(id(user), sight);
    }

    fn standing(&self, user: u128) -> Standing {
        self.roll.get(id(user)).expect("a record").known.standing
    }

    fn judge(&self, user: u128, issued_at: i64) -> Option<Out> {
        self.roll.get(id(user)).expect("a record").known.judge(issued_at)
    }
}

#[test]
fn a_disabled_account_is_out_at_once_and_back_with_the_next_round() {
    let mut tenant = Tenant::of(10);
    tenant.shows(3, DISABLED);
    assert_eq!(tenant.round().changed, [id(3)]);
    assert_eq!(tenant.judge(3, tenant.unix_now()), Some(Out::Disabled));
    tenant.shows(3, HERE);
    assert_eq!(tenant.round().changed, [id(3)]);
    assert_eq!(tenant.judge(3, 0), None);
}

#[test]
fn a_deleted_object_is_out_at_once_however_many_are() {
    let mut tenant = Tenant::of(10);
    for user in 1..=9 {
        tenant.shows(user, Sight::Deleted);
    }
    assert_eq!(tenant.round().changed.len(), 9);
    assert_eq!(tenant.judge(1, tenant.unix_now()), Some(Out::Deleted));
    tenant.shows(1, HERE);
    tenant.round();
    assert_eq!(tenant.standing(1), Standing::Active);
}

#[test]
fn tokens_from_before_a_revocation_are_void_and_entra_dates_back() {
    let mut tenant = Tenant::of(2);
    let revoked_at = tenant.unix_now();
    tenant.shows(1, Sight::Present { is_enabled: Some(true), valid_from: Some(revoked_at) });
    assert_eq!(tenant.round().changed, [id(1)]);
    for (offset, out) in
        [(-600, Some(Out::Revoked)), (-301, Some(Out::Revoked)), (-300, None), (-200, None), (10, None)]
    {
        assert_eq!(tenant.judge(1, revoked_at + offset), out, "{offset}");
    }
    // A replica that lags takes nothing back.
    tenant.shows(1, Sight::Present { is_enabled: Some(true), valid_from: Some(revoked_at - 86_400) });
    tenant.round();
    assert_eq!(tenant.judge(1, revoked_at - 600), Some(Out::Revoked));
}

#[test]
fn what_cannot_be_read_changes_nothing() {
    let unreadable = Sight::Present { is_enabled: None, valid_from: None };
    let mut tenant = Tenant::of(2);
    for sight in [unreadable, Sight::Unknown] {
        tenant.shows(1, sight);
        assert!(tenant.rounds(50).is_empty());
        assert_eq!(tenant.standing(1), Standing::Active);
    }
    tenant.shows(1, DISABLED);
    tenant.round();
    for sight in [unreadable, Sight::Unknown, Sight::Absent] {
        tenant.shows(1, sight);
        assert!(tenant.rounds(50).is_empty());
        assert_eq!(tenant.standing(1), Standing::Disabled);
    }
}

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
            let round = Round { sights: &tenant.sights, moment, administrators: &[] };
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
fn an_administrator_who_is_out_does_not_count() {
    let mut tenant = Tenant::of(10);
    tenant.administrators = vec![id(1), id(2)];
    tenant.shows(1, DISABLED);
    tenant.shows(2, Sight::Absent);
    assert_eq!(tenant.rounds(200), [id(1)]);
}

#[test]
fn a_revocation_that_lies_ahead_is_not_believed() {
    let mut tenant = Tenant::of(2);
    let now = tenant.unix_now();
    tenant.shows(1, Sight::Present { is_enabled: Some(true), valid_from: Some(now + 86_400) });
    assert!(tenant.round().changed.is_empty());
    assert_eq!(tenant.judge(1, now), None);
}

#[test]
fn the_first_look_changes_nobody_whose_tokens_are_of_today() {
    let mut tenant = Tenant::of(2);
    let created = Sight::Present { is_enabled: Some(true), valid_from: Some(START - 90 * 86_400) };
    tenant.shows(1, created);
    assert!(tenant.round().changed.is_empty());
}

#[test]
fn of_too_many_the_first_ones_are_left_out() {
    let mut tenant = Tenant::of(50);
    for user in 1..=40 {
        tenant.shows(user, DISABLED);
        tenant.round();
    }
    let ended = tenant.roll.ended(tenant.unix_now(), 10);
    assert_eq!(ended.iter().map(|(id, _)| *id).collect::<Vec<_>>(), (31..=40).map(id).collect::<Vec<_>>());
    assert_eq!(tenant.roll.ended(tenant.unix_now(), 100).len(), 40);
    assert!(tenant.roll.ended(tenant.unix_now() + 30 * 3_600, 100).is_empty());
}

#[test]
fn other_settings_forget_all_but_who_is_out() {
    let mut tenant = Tenant::of(5);
    tenant.shows(1, DISABLED);
    tenant.shows(2, Sight::Absent);
    tenant.rounds(2);
    tenant.roll.restart(tenant.unix_now());
    assert_eq!(tenant.roll.iter().map(|(id, _)| id).collect::<Vec<_>>(), [id(1)]);
    assert!(tenant.rounds(2).is_empty(), "counting begins anew");
}

#[test]
fn a_day_without_answers_changes_nobody() {
    let mut tenant = Tenant::of(50);
    tenant.shows(1, DISABLED);
    tenant.round();
    for user in 1..=50 {
        tenant.shows(user, Sight::Unknown);
    }
    assert!(tenant.rounds(24 * 12).is_empty());
    assert_eq!((tenant.standing(1), tenant.standing(2)), (Standing::Disabled, Standing::Active));
}

#[test]
fn what_logins_look_at_is_forgotten_after_the_longest_life_of_a_token() {
    let mut tenant = Tenant::of(3);
    tenant.shows(1, DISABLED);
    tenant.round();
    let since = tenant.unix_now();
    let record = *tenant.roll.get(id(1)).expect("a record");
    assert!(record.known.matters(since + 28 * 3_600 - 1) && !record.known.matters(since + 28 * 3_600));
    tenant.roll.forget(|_| false, since + 3_600);
    assert_eq!(tenant.roll.iter().map(|(id, _)| id).collect::<Vec<_>>(), [id(1)]);
    tenant.roll.forget(|_| false, since + 29 * 3_600);
    assert_eq!(tenant.roll.iter().count(), 0);
}

#[test]
fn what_was_known_before_a_restart_counts_until_an_answer_says_otherwise() {
    let mut tenant = Tenant::of(3);
    tenant.shows(1, DISABLED);
    tenant.round();
    let record = *tenant.roll.get(id(1)).expect("a record");
    let mut later = Tenant::of(0);
    later.roll.restore(id(1), record.known);
    later.shows(1, Sight::Unknown);
    later.round();
    assert_eq!(later.judge(1, later.unix_now()), Some(Out::Disabled));
    later.shows(1, HERE);
    later.round();
    assert_eq!(later.judge(1, later.unix_now()), None);
}

#[test]
fn a_membership_ends_in_two_rounds_and_not_for_young_tokens() {
    let after = |answers: &[(Option<bool>, i64)]| {
        let mut membership = Membership::default();
        answers.iter().for_each(|(is_member, now)| membership.note(*is_member, 0, *now));
        membership.ended_at()
    };
    let (yes, no) = (Some(true), Some(false));
    assert_eq!(after(&[(no, 600)]), None);
    assert_eq!(after(&[(no, 600), (None, 900), (no, 1_200), (no, 1_500)]), Some(1_200));
    assert_eq!(after(&[(no, 598), (no, 599), (no, 600)]), None, "the token is young");
    assert_eq!(after(&[(no, 700), (yes, 800), (no, 900)]), None);
    assert_eq!(after(&[(no, 700), (no, 800), (yes, 900)]), None, "a member again");
    let ended = Membership::ended(1_000);
    assert!(ended.matters(1_000 + 28 * 3_600 - 1) && !ended.matters(1_000 + 28 * 3_600));
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
