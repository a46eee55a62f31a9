//! Whole days of looks at a tenant whose directory lags, throttles, lies and breaks: who is out,
//! and when. The answers are Graph's JSON, read by the same code as in the server.

#![allow(missing_docs, reason = "a test's name says what it pins")]

mod clients;
mod tenant;

use entra::directory::answer::{Object, parse_page};
use entra::directory::look::{FollowUp, Found, Look, Memory, Polled};
use entra::directory::request::{Kind, MAX_IDS};
use entra::directory::standing::{Known, Out, Sight, Standing};
use proptest::prelude::*;
use serde_json::json;
use tenant::*;

pub(crate) const DAY: usize = 288;

#[test]
fn a_day_of_outages_and_throttling_changes_nobody() {
    let mut tenant = Tenant::of(30);
    tenant.shows(3, Entry::Disabled);
    assert_eq!(tenant.look().changed, [id(3)]);
    for weather in [Weather::Down, Weather::Empty, Weather::Throttled, Weather::Forbidden] {
        tenant.weather = weather;
        assert!(tenant.looks(DAY).is_empty(), "{weather:?}");
        assert_eq!((tenant.standing(3), tenant.standing(4)), (Standing::Disabled, Standing::Active));
    }
}

#[test]
fn a_deleted_user_is_out_with_the_next_look_and_one_deleted_for_good_with_the_third() {
    let mut tenant = Tenant::of(300);
    tenant.shows(7, Entry::Deleted);
    assert_eq!(tenant.look().changed, [id(7)]);
    assert_eq!(tenant.judge(7, tenant.unix_now()), Some(Out::Deleted));
    tenant.shows(8, Entry::Gone);
    assert!(tenant.looks(2).is_empty());
    assert_eq!(tenant.look().changed, [id(8)]);
    tenant.shows(7, Entry::Enabled);
    tenant.shows(8, Entry::Enabled);
    assert_eq!(tenant.look().changed, [id(7), id(8)], "restored");
    assert_eq!(tenant.judge(8, 0), None);
}

#[test]
fn who_is_known_to_be_deleted_takes_no_question_from_others() {
    let mut tenant = Tenant::of(5_000);
    let deleted =
        Known { standing: Standing::Deleted, out_since: Some(tenant.unix_now()), ..Known::default() };
    for user in 101..=2_000 {
        tenant.shows(user, Entry::Gone);
        tenant.roll.restore(id(user), deleted);
    }
    tenant.look();
    tenant.shows(4_999, Entry::Deleted);
    assert_eq!(tenant.look().changed, [id(4_999)]);
    tenant.shows(4_998, Entry::Gone);
    assert_eq!(tenant.looks(3), [id(4_998)]);
    tenant.shows(200, Entry::Enabled);
    assert_eq!(tenant.look().changed, [id(200)], "restored");
}

#[test]
fn who_is_logged_in_is_asked_about_first() {
    let mut tenant = Tenant::of(300);
    (101..=300).for_each(|user| tenant.shows(user, Entry::Gone));
    assert!(tenant.look().changed.is_empty());
    tenant.shows(5, Entry::Deleted);
    assert_eq!(tenant.look().changed, [id(5)]);
}

#[test]
fn a_directory_that_lags_puts_nobody_out() {
    let mut tenant = Tenant::of(40);
    for look in 0..DAY as u128 {
        // Each look meets a replica that lacks another two.
        let missing = [look % 40 + 1, (look + 1) % 40 + 1];
        for user in missing {
            tenant.shows(user, Entry::Gone);
        }
        assert!(tenant.look().changed.is_empty(), "look {look}");
        for user in missing {
            tenant.shows(user, Entry::Enabled);
        }
    }
}

#[test]
fn a_mass_that_is_gone_is_held_back_and_one_that_was_deleted_is_not() {
    let mut tenant = Tenant::of(200);
    for user in 101..=200 {
        tenant.shows(user, Entry::Gone);
    }
    assert_eq!(tenant.look().held, Some(100));
    assert!(tenant.looks(23).is_empty(), "for two hours");
    assert!(tenant.looks(3).len() >= 60);
    let mut tenant = Tenant::of(200);
    for user in 101..=200 {
        tenant.shows(user, Entry::Deleted);
    }
    assert_eq!(tenant.looks(2).len(), 100, "eighty in each look are asked about singly");
}

#[test]
fn if_all_is_absent_nobody_is() {
    let mut tenant = Tenant::of(3);
    (1..=3).for_each(|user| tenant.shows(user, Entry::Gone));
    assert!(tenant.looks(DAY).is_empty(), "only the server's own application is there: another tenant");
    let mut alone = Tenant::of(1);
    alone.shows(1, Entry::Gone);
    assert_eq!(alone.looks(3), [id(1)], "the only one");
}

#[test]
fn an_account_that_is_created_anew_is_another() {
    let mut tenant = Tenant::of(20);
    tenant.shows(5, Entry::Deleted);
    tenant.shows(500, Entry::Enabled);
    tenant.linked.insert(id(500));
    assert_eq!(tenant.looks(DAY), [id(5)]);
    assert_eq!((tenant.standing(5), tenant.standing(500)), (Standing::Deleted, Standing::Active));
}

#[test]
fn nulls_are_unknown() {
    let mut tenant = Tenant::of(20);
    tenant.shows(5, Entry::Null);
    tenant.shows(6, Entry::Null);
    tenant.linked.insert(id(600));
    tenant.shows(600, Entry::Null);
    assert!(tenant.looks(DAY).is_empty());
    assert_eq!((tenant.standing(5), tenant.standing(600)), (Standing::Active, Standing::Unknown));
}

#[test]
fn a_revocation_is_found_for_who_has_sessions_even_if_lists_lack_it() {
    for has_no_times in [false, true] {
        let mut tenant = Tenant::of(50);
        tenant.has_no_times = has_no_times;
        let at = tenant.unix_now();
        tenant.revoked.insert(id(5), at);
        assert_eq!(tenant.look().changed, [id(5)]);
        let out = [-600, -200, 10].map(|offset| tenant.judge(5, at + offset));
        assert_eq!(out, [Some(Out::Revoked), None, None]);
    }
}

#[test]
fn a_revocation_is_found_in_the_end_for_who_has_no_session() {
    for (users, looks) in [(1_000, 1), (3_000, 3)] {
        let mut tenant = Tenant::of(users);
        tenant.has_no_times = true;
        tenant.look();
        let at = tenant.unix_now();
        tenant.revoked.extend((1..=users).map(|user| (id(user), at)));
        let mut found: Vec<_> = tenant.looks(looks);
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), usize::try_from(users).expect("a number"));
        assert_eq!(tenant.judge(users, at - 600), Some(Out::Revoked));
    }
}

#[test]
fn a_replica_that_lags_takes_back_nothing_that_the_same_look_has_found() {
    let page = |is_enabled: bool, time: Option<&str>| {
        let page = json!({ "value": [{
            "id": id(1).to_string(),
            "accountEnabled": is_enabled,
            "signInSessionsValidFromDateTime": time,
        }] });
        parse_page(page.to_string().as_bytes(), Some(Kind::User), ROOT).expect("a page").objects
    };
    let time = Some("2026-11-27T08:09:10Z");
    for (first, second, is_enabled) in [(false, true, false), (true, false, false), (true, true, true)] {
        let mut memory = Memory::default();
        let polled = Polled { id: id(1), kind: Some(Kind::User), has_session: true, is_deleted: false };
        let mut look = Look::new([polled], None, &memory);
        look.note(&[id(1)], &page(first, None));
        let question = FollowUp::Users(vec![id(1)]);
        assert_eq!(look.follow_ups(&mut memory), std::slice::from_ref(&question));
        look.note_follow_up(&question, &Found::Objects(page(second, time)), &mut memory);
        let seen = look.finish(&mut memory);
        let expected = Sight::Present { is_enabled: Some(is_enabled), valid_from: Some(1_795_766_950) };
        assert_eq!(seen.sights.get(&id(1)), Some(&expected), "{first} {second}");
    }
}

#[test]
fn a_group_is_active_while_it_is_there() {
    let mut tenant = Tenant::of(20);
    tenant.entries.insert(id(800), (Kind::Group, Entry::Enabled));
    tenant.linked.insert(id(800));
    assert!(tenant.looks(3).is_empty());
    assert_eq!(tenant.standing(800), Standing::Active);
    tenant.entries.insert(id(800), (Kind::Group, Entry::Gone));
    assert_eq!(tenant.looks(3), [id(800)]);
}

#[test]
fn a_hundred_thousand_take_a_hundred_and_ten_requests_at_most() {
    let template = json!({ "value": [{ "id": id(1).to_string(), "accountEnabled": true }] }).to_string();
    let template = parse_page(template.as_bytes(), Some(Kind::User), ROOT).expect("a page").objects.remove(0);
    let polled = (1..=101_000).map(|user| Polled {
        id: id(user),
        kind: None,
        has_session: user > 100_000,
        is_deleted: false,
    });
    let mut look = Look::new(polled, Some(id(OWN << 32)), &Memory::default());
    let chunks = look.chunks();
    for chunk in &chunks {
        assert!(chunk.len() <= MAX_IDS && chunk.contains(&id(OWN << 32)));
        let there = chunk.iter().filter(|id| id.as_u128() > 500);
        let objects: Vec<_> = there.map(|id| Object { id: *id, ..template.clone() }).collect();
        look.note(chunk, &objects);
    }
    let mut memory = Memory::default();
    let follow_ups = look.follow_ups(&mut memory).len();
    // Five hundred that are missing could be client ids; once that is known, they are not asked
    // for.
    assert_eq!(follow_ups, 80 + 500_usize.div_ceil(15) + 80);
    let clients = 500_usize.div_ceil(15).div_ceil(20);
    assert!(chunks.len() + follow_ups.div_ceil(20) <= 110 + clients);
    let seen = look.finish(&mut memory);
    assert!(seen.is_whole);
    assert_eq!(seen.sights.len(), 101_000);
}

#[test]
fn memberships_are_asked_about_in_turn() {
    let mut memory = Memory::default();
    let mut turn = || {
        let members = memory.next_members((1..=10).chain(1..=10).map(id), 4);
        members.into_iter().map(|id| id.as_u128()).collect::<Vec<_>>()
    };
    assert_eq!([turn(), turn(), turn()], [vec![1, 2, 3, 4], vec![5, 6, 7, 8], vec![1, 2, 9, 10]]);
    assert_eq!(memory.next_members([id(7)].into_iter(), 4), [id(7)].into());
}

fn entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        4 => Just(Entry::Enabled), 1 => Just(Entry::Disabled), 1 => Just(Entry::Null), 1 => Just(Entry::Deleted), 2 => Just(Entry::Gone)
    ]
}

fn weather() -> impl Strategy<Value = Weather> {
    prop_oneof![
        5 => Just(Weather::Fine), 1 => Just(Weather::Down), 1 => Just(Weather::Throttled), 1 => Just(Weather::Empty), 1 => Just(Weather::Forbidden)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever one object's entries and the weather are: it is out only by positive evidence or by
    /// three confirmed absences since it was last there, and nobody else ever is.
    #[test]
    fn nobody_is_out_without_evidence(script in proptest::collection::vec((entry(), weather()), 1..80)) {
        let mut tenant = Tenant::of(12);
        let (mut absences, mut is_out) = (0, false);
        for (entry, weather) in script {
            tenant.shows(5, entry);
            tenant.weather = weather;
            let is_listed = matches!(weather, Weather::Fine | Weather::Throttled);
            match (entry, weather) {
                (_, Weather::Down) => {}
                (Entry::Enabled, _) if is_listed => (absences, is_out) = (0, false),
                (Entry::Disabled, _) if is_listed => (absences, is_out) = (0, true),
                (Entry::Null, _) if is_listed => {
                    absences = 0;
                    is_out &= tenant.standing(5) == Standing::Disabled;
                }
                (Entry::Deleted, Weather::Fine | Weather::Empty) => (absences, is_out) = (0, true),
                (Entry::Gone, Weather::Fine) if !is_out => {
                    absences += 1;
                    is_out = absences >= 3;
                }
                _ => {}
            }
            tenant.look();
            prop_assert_eq!(tenant.standing(5).is_out(), is_out);
            prop_assert!((1..=12).filter(|user| *user != 5).all(|user| !tenant.standing(user).is_out()));
        }
    }
}
