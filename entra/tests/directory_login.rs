//! What the directory has to say about a login, in a table.

#![allow(missing_docs, reason = "a test's name says what it pins")]

use entra::directory::login::{
    Answered, Decision, GroupLookup, Knowledge, Pair, Refused, Shown, decide, decide_after_wait,
    membership_ended,
};
use entra::directory::standing::{Known, Standing};
use entra::{TokenKind, Uuid};
use proptest::prelude::*;

const IAT: i64 = 1_795_000_000;
const PERSON: Uuid = Uuid::from_u128(1);
const GROUP: Uuid = Uuid::from_u128(2);

const KNOWS_NOTHING: Knowledge = Knowledge {
    is_on: true,
    may_ask: true,
    lookup: GroupLookup::Overage,
    known: None,
    membership_ended: None,
    is_member: None,
};

fn shown(group: Option<Uuid>, lists_group: Option<bool>) -> Shown {
    Shown { person: PERSON, kind: TokenKind::User, issued_at: IAT, group, lists_group }
}

const fn known(standing: Standing, revoked_at: Option<i64>) -> Knowledge {
    Knowledge { known: Some(Known { standing, out_since: None, revoked_at }), ..KNOWS_NOTHING }
}

#[test]
fn who_is_out_is_refused_for_every_role() {
    for (knowledge, refused) in [
        (known(Standing::Active, None), None),
        (known(Standing::Unknown, None), None),
        (known(Standing::Disabled, None), Some(Refused::AccountDisabled)),
        (known(Standing::Deleted, None), Some(Refused::AccountDeleted)),
        (known(Standing::Active, Some(IAT + 300)), None),
        (known(Standing::Active, Some(IAT + 301)), Some(Refused::SessionsRevoked)),
        (known(Standing::Unknown, Some(IAT + 301)), Some(Refused::SessionsRevoked)),
        (known(Standing::Disabled, Some(IAT + 301)), Some(Refused::AccountDisabled)),
        (Knowledge { is_on: false, ..known(Standing::Disabled, Some(IAT + 301)) }, None),
    ] {
        let expected = refused.map_or(Decision::Admit, Decision::Refuse);
        for shown in [shown(None, Some(false)), shown(None, None), shown(Some(GROUP), Some(true))] {
            assert_eq!(decide(&shown, &knowledge), expected, "{knowledge:?}");
        }
    }
}

#[test]
fn membership_is_asked_for_as_the_setting_says() {
    use GroupLookup::{Always, Off, Overage};
    let ask = Decision::Ask(Pair { person: PERSON, group: GROUP });
    let overage = Decision::Refuse(Refused::GroupsOverage);
    let no_member = Decision::Refuse(Refused::NotAMember);
    for (lists_group, lookup, is_on, decision) in [
        (Some(true), Off, true, Decision::Admit),
        (Some(true), Always, true, Decision::Admit),
        (Some(true), Always, false, Decision::Admit),
        (Some(false), Off, true, no_member),
        (Some(false), Overage, true, no_member),
        (Some(false), Always, true, ask),
        (Some(false), Always, false, no_member),
        (None, Off, true, overage),
        (None, Overage, true, ask),
        (None, Always, true, ask),
        (None, Overage, false, overage),
        (None, Always, false, overage),
    ] {
        let knowledge = Knowledge { is_on, lookup, ..KNOWS_NOTHING };
        let shown = shown(Some(GROUP), lists_group);
        assert_eq!(decide(&shown, &knowledge), decision, "{lists_group:?} {lookup:?} {is_on}");
    }
}

#[test]
fn an_answer_decides_and_none_refuses() {
    let overage = shown(Some(GROUP), None);
    for (is_member, may_ask, decision) in [
        (Some(true), true, Decision::Admit),
        (Some(true), false, Decision::Admit),
        (Some(false), true, Decision::Refuse(Refused::NotAMember)),
        (Some(false), false, Decision::Refuse(Refused::NotAMember)),
        (None, false, Decision::Refuse(Refused::DirectoryUnavailable)),
    ] {
        let knowledge = Knowledge { is_member, may_ask, ..KNOWS_NOTHING };
        assert_eq!(decide(&overage, &knowledge), decision, "{is_member:?} {may_ask}");
        assert_eq!(decide_after_wait(&overage, &knowledge), decision, "{is_member:?} {may_ask}");
    }
    let none = decide_after_wait(&overage, &KNOWS_NOTHING);
    assert_eq!(none, Decision::Refuse(Refused::DirectoryUnavailable));
}

#[test]
fn a_membership_that_ended_refuses_older_tokens_that_list_it() {
    let ended = |at| Knowledge { membership_ended: Some(at), ..KNOWS_NOTHING };
    let lists = shown(Some(GROUP), Some(true));
    assert_eq!(decide(&lists, &ended(IAT + 301)), Decision::Refuse(Refused::NotAMember));
    assert_eq!(decide(&lists, &ended(IAT + 300)), Decision::Admit, "the token is newer");
    assert_eq!(decide(&lists, &Knowledge { is_on: false, ..ended(IAT + 301) }), Decision::Admit);
    let asks = Decision::Ask(Pair { person: PERSON, group: GROUP });
    let overage = shown(Some(GROUP), None);
    assert_eq!(decide(&overage, &ended(IAT + 301)), asks, "the directory is asked anew");
    // An answer that says more than that ends what is known to have ended.
    let earlier = Knowledge { is_member: Some(true), ..ended(IAT + 301) };
    assert_eq!(decide(&overage, &earlier), Decision::Refuse(Refused::NotAMember));
    assert_eq!(decide(&overage, &Knowledge { membership_ended: None, ..earlier }), Decision::Admit);
    assert_eq!(decide(&overage, &Knowledge { is_member: Some(true), ..ended(IAT + 300) }), Decision::Admit);
}

#[test]
fn nobody_is_in_a_group_that_is_deleted() {
    let group = |standing, out_since| Some(Known { standing, out_since, revoked_at: None });
    for (left_at, group, ended) in [
        (None, None, None),
        (Some(7), None, Some(7)),
        (Some(7), group(Standing::Active, None), Some(7)),
        (None, group(Standing::Deleted, Some(9)), Some(9)),
        (Some(7), group(Standing::Deleted, Some(9)), Some(9)),
        (Some(11), group(Standing::Deleted, Some(9)), Some(11)),
        (None, group(Standing::Deleted, None), Some(i64::MAX)),
        (None, group(Standing::Disabled, Some(9)), None),
        (None, group(Standing::Unknown, Some(9)), None),
    ] {
        assert_eq!(membership_ended(left_at, group), ended, "{left_at:?} {group:?}");
    }
}

#[test]
fn a_yes_counts_for_the_cache_and_not_past_the_token_and_a_no_for_a_tenth() {
    for (is_member, cache, token_left, lasts) in [
        (true, 300_000, 3_600_000, 300_000),
        (true, 300_000, 60_000, 60_000),
        (false, 300_000, 60_000, 30_000),
        (false, 300_000, 1_000, 30_000),
        // The login that waits must be able to read it.
        (true, 300_000, 0, 5_000),
        (true, 1_000, 60_000, 5_000),
        (false, 1_000, 60_000, 5_000),
    ] {
        let answered = Answered::at(1_000, is_member, cache, token_left);
        assert_eq!(answered.until, 1_000 + lasts);
        assert_eq!(answered.counts(1_000 + lasts), None);
        assert_eq!(answered.counts(999 + lasts), Some(is_member));
    }
}

#[test]
fn names_of_settings_and_codes() {
    assert_eq!(GroupLookup::parse("always"), Some(GroupLookup::Always));
    assert_eq!(GroupLookup::parse("Always"), None);
    let mut codes: Vec<_> = Refused::ALL.iter().map(|refused| refused.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Refused::ALL.len());
}

proptest! {
    /// A login that is admitted is of somebody who is not out, by the token's list or by an answer.
    #[test]
    fn nobody_is_admitted_without_a_reason(
        is_on in any::<bool>(), may_ask in any::<bool>(), lookup in 0..3_usize, standing in 0..4_usize,
        revoked in proptest::option::of(-600..600_i64), ended in proptest::option::of(-600..600_i64),
        is_member in any::<Option<bool>>(), lists_group in any::<Option<bool>>(), is_group in any::<bool>(),
    ) {
        let lookup = [GroupLookup::Off, GroupLookup::Overage, GroupLookup::Always][lookup];
        let known = Known { standing: Standing::ALL[standing], out_since: None, revoked_at: revoked.map(|at| IAT + at) };
        let membership_ended = ended.map(|at| IAT + at);
        let knowledge = Knowledge { is_on, may_ask, lookup, known: Some(known), membership_ended, is_member };
        let shown = shown(is_group.then_some(GROUP), lists_group);
        let out = is_on && (known.standing.is_out() || revoked.is_some_and(|at| at > 300));
        match decide(&shown, &knowledge) {
            Decision::Admit => {
                prop_assert!(!out);
                let is_asked = is_on && lookup != GroupLookup::Off && is_member == Some(true);
                let is_listed = lists_group == Some(true) && !(is_on && ended.is_some_and(|at| at > 300));
                let has_left = is_on && ended.is_some_and(|at| at > 300);
                prop_assert!(!is_group || !has_left);
                prop_assert!(!is_group || is_listed || (is_asked && lists_group != Some(true)));
            }
            Decision::Ask(pair) => {
                prop_assert!(is_on && may_ask && !out && is_member.is_none() && lookup != GroupLookup::Off);
                prop_assert_eq!(pair, Pair { person: PERSON, group: GROUP });
            }
            Decision::Refuse(_) => {}
        }
    }
}
