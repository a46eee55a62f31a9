//! What rounds of polling say about principals: who is put out, when, and who is not.

#![allow(missing_docs, reason = "a test's name says what it pins")]

mod absence;
mod tenant;

use entra::Uuid;
use entra::directory::membership::Membership;
use entra::directory::standing::{Known, Out, Sight, Standing};
use tenant::*;

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
    let ids = |ended: &[(Uuid, Known)]| ended.iter().map(|(id, _)| *id).collect::<Vec<_>>();
    let (ended, left_out) = tenant.roll.ended(tenant.unix_now(), 10, |_| false);
    assert_eq!((ids(&ended), left_out), ((31..=40).map(id).collect(), 30));
    let (ended, left_out) = tenant.roll.ended(tenant.unix_now(), 100, |_| false);
    assert_eq!((ended.len(), left_out), (40, 0));
    // Nobody has a token from before any more.
    let later = tenant.unix_now() + 30 * 3_600;
    assert_eq!(tenant.roll.ended(later, 100, |_| false).0.len(), 40, "for views");
    assert_eq!(tenant.roll.ended(later, 10, |_| false).1, 0);
}

#[test]
fn of_too_many_those_count_first_who_are_logged_in_and_then_those_who_were_active() {
    let mut tenant = Tenant::of(2);
    tenant.shows(1, DISABLED);
    tenant.round();
    // Accounts that have long been disabled, which roles are linked to later.
    (100..200).for_each(|user| tenant.shows(user, DISABLED));
    tenant.round();
    let revoked = Sight::Present { is_enabled: Some(true), valid_from: Some(tenant.unix_now()) };
    tenant.shows(2, revoked);
    tenant.round();
    let ended = |most| {
        let (ended, left_out) = tenant.roll.ended(tenant.unix_now(), most, |who| who == id(150));
        (ended.iter().map(|(id, _)| id.as_u128()).collect::<Vec<_>>(), left_out)
    };
    assert_eq!(ended(1), (vec![150], 101));
    assert_eq!(ended(2), (vec![1, 150], 100));
    assert!(!ended(101).0.contains(&2), "who is out comes before whose sessions began anew");
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
        for (is_member, now) in answers {
            membership.note(*is_member, 0, *now);
        }
        membership.ended_at()
    };
    let (yes, no) = (Some(true), Some(false));
    // Entra dates `iat` back by 300 seconds.
    assert_eq!(after(&[(no, 900)]), None);
    assert_eq!(after(&[(no, 900), (None, 1_200), (no, 1_500), (no, 1_800)]), Some(1_500));
    assert_eq!(after(&[(no, 898), (no, 899), (no, 900)]), None, "the token is young");
    assert_eq!(after(&[(no, 1_000), (yes, 1_100), (no, 1_200)]), None);
    assert_eq!(after(&[(no, 1_000), (no, 1_100), (yes, 1_200)]), None, "a member again");
    let ended = Membership::ended(1_000);
    assert!(ended.matters(1_000 + 28 * 3_600 - 1) && !ended.matters(1_000 + 28 * 3_600));
}
