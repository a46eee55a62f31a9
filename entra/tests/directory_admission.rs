//! Whether a token is accepted with what the directory is known to say: it has the last word, and
//! only that.

#![allow(missing_docs, reason = "a test's name says what it pins")]

mod support;

use entra::directory::admission::{Verdict, end_of_session, judge, judge_bearer, judge_session};
use entra::directory::login::{GroupLookup, Knowledge, Pair, Refused};
use entra::directory::standing::{Known, Standing};
use entra::{
    Bearer, Code, Label, Principal, Refusal, Revocations, Step, Token, Trail, Unverified, Uuid, verify,
};
use serde_json::{Value, json};
use support::*;

const ON: Knowledge =
    Knowledge { is_on: true, may_ask: true, lookup: GroupLookup::Overage, ..Knowledge::OFF };
const ALWAYS: Knowledge = Knowledge { lookup: GroupLookup::Always, ..ON };

fn principal(object: &str, terms: &str) -> Principal {
    let label = format!("aadauth,oid={object},{terms},tenant_id={TENANT}");
    Principal::of(&Label::parse(&label).unwrap()).unwrap()
}

fn readers() -> Principal {
    principal(GROUP, "type=group")
}

fn token(claims: &Value) -> Token {
    verify(SIGNER.token(claims).as_bytes(), &Keys::usual(), &policy(), NOW).unwrap()
}

fn overage() -> Value {
    with(with(user_v1(), "groups", Value::Null), "hasgroups", json!(true))
}

fn unlisted() -> Value {
    with(user_v1(), "groups", json!([APPLICATION]))
}

fn known(standing: Standing) -> Knowledge {
    Knowledge { known: Some(Known { standing, out_since: Some(NOW - 7), revoked_at: None }), ..ON }
}

fn judged(principal: &Principal, claims: &Value, knowledge: &Knowledge) -> Result<Verdict, Code> {
    let none = Revocations::default();
    judge(principal, &token(claims), Some(&none), knowledge, &mut ()).map_err(|refusal| refusal.code())
}

#[test]
fn a_membership_is_left_open_only_for_the_directory_to_settle() {
    let ask = Verdict::Ask(Pair { person: PERSON.parse().unwrap(), group: GROUP.parse().unwrap() });
    let off = |knowledge| Knowledge { is_on: false, ..knowledge };
    let never = |knowledge| Knowledge { lookup: GroupLookup::Off, ..knowledge };
    let answered = |knowledge, is_member| Knowledge { is_member: Some(is_member), ..knowledge };
    let paused = |knowledge| Knowledge { may_ask: false, ..knowledge };
    for (claims, knowledge, expected) in [
        (user_v1(), ON, Ok(Verdict::Admit)),
        (user_v1(), off(ON), Ok(Verdict::Admit)),
        (overage(), ON, Ok(ask)),
        (overage(), ALWAYS, Ok(ask)),
        (overage(), paused(ON), Err(Code::DirectoryUnavailable)),
        (overage(), answered(ON, true), Ok(Verdict::Admit)),
        (overage(), answered(paused(ON), true), Ok(Verdict::Admit)),
        (overage(), answered(ON, false), Err(Code::NotAMember)),
        (overage(), off(ON), Err(Code::GroupsOverage)),
        (overage(), off(answered(ALWAYS, true)), Err(Code::GroupsOverage)),
        (overage(), never(answered(ON, true)), Err(Code::GroupsOverage)),
        (unlisted(), ON, Err(Code::NotAMember)),
        (unlisted(), answered(ON, true), Err(Code::NotAMember)),
        (unlisted(), ALWAYS, Ok(ask)),
        (unlisted(), answered(ALWAYS, true), Ok(Verdict::Admit)),
        (unlisted(), off(answered(ALWAYS, true)), Err(Code::NotAMember)),
    ] {
        assert_eq!(judged(&readers(), &claims, &knowledge), expected, "{knowledge:?} {claims}");
    }
    // No answer about a group makes a token that of another person.
    let ann = principal(APPLICATION, "type=user");
    assert_eq!(judged(&ann, &overage(), &answered(ALWAYS, true)), Err(Code::OidMismatch));
}

#[test]
fn the_directory_is_judged_last() {
    let disabled = known(Standing::Disabled);
    let ann = principal(PERSON, "type=user");
    assert_eq!(judged(&ann, &user_v1(), &disabled), Err(Code::AccountDisabled));
    for (role, claims, code) in [
        (principal(PERSON, "type=user,not_before=1900000000"), user_v1(), Code::TokenRevoked),
        (principal(PERSON, "type=user,mfa"), with(user_v1(), "amr", json!(["pwd"])), Code::MfaRequired),
        (principal(PERSON, "type=service"), user_v1(), Code::WrongKind),
        (principal(GROUP, "type=group,mfa"), with(overage(), "amr", json!(["pwd"])), Code::MfaRequired),
        (principal(GROUP, "type=group,not_before=1900000000"), overage(), Code::TokenRevoked),
    ] {
        for knowledge in [disabled, ON, ALWAYS] {
            assert_eq!(judged(&role, &claims, &knowledge), Err(code));
        }
    }
    let mut revocations = Revocations::default();
    revocations.revoke(PERSON.parse().unwrap(), NOW + 1, |_| true);
    for revocations in [Some(&revocations), None] {
        let refusal = judge(&readers(), &token(&overage()), revocations, &ON, &mut ()).unwrap_err();
        assert!(matches!(refusal.code(), Code::TokenRevoked | Code::Internal), "{refusal:?}");
    }
}

#[test]
fn the_step_is_taken_only_where_the_directory_is_on() {
    let none = Revocations::default();
    for (knowledge, last) in [(ON, Step::Directory), (Knowledge::OFF, Step::NotBefore)] {
        let mut trail = Trail::default();
        let verdict = judge(&readers(), &token(&user_v1()), Some(&none), &knowledge, &mut trail);
        assert_eq!((verdict, trail.steps().last()), (Ok(Verdict::Admit), Some(&last)));
    }
    let mut trail = Trail::default();
    assert_eq!(judge_bearer(&token(&overage()), &ALWAYS, &mut trail), Ok(()));
    let refusal = judge_bearer(&token(&overage()), &known(Standing::Deleted), &mut trail).unwrap_err();
    assert_eq!((refusal.code(), trail.steps().len()), (Code::AccountDeleted, 2));
}

#[test]
fn a_session_is_not_asked_about_again() {
    let group: Option<Uuid> = GROUP.parse().ok();
    let none = Revocations::default();
    let judged = |claims: &Value, knowledge: &Knowledge, by_group| {
        judge_session(&readers(), &token(claims), Some(&none), knowledge, by_group)
            .map_err(|refusal| refusal.code())
    };
    let left = |at| Knowledge { membership_ended: Some(at), ..ON };
    for (claims, knowledge, by_group, expected) in [
        (overage(), ON, group, Ok(())),
        (overage(), Knowledge { may_ask: false, ..ON }, group, Ok(())),
        (unlisted(), ALWAYS, group, Ok(())),
        // It was admitted for another reason than this membership.
        (overage(), ON, None, Err(Code::DirectoryUnavailable)),
        (overage(), ON, APPLICATION.parse().ok(), Err(Code::DirectoryUnavailable)),
        (overage(), Knowledge::OFF, group, Err(Code::GroupsOverage)),
        (user_v1(), left(NOW + 301), group, Err(Code::NotAMember)),
        (overage(), left(NOW + 301), group, Err(Code::NotAMember)),
        (user_v1(), left(NOW - 60), group, Ok(())),
        (user_v1(), known(Standing::Deleted), group, Err(Code::AccountDeleted)),
    ] {
        assert_eq!(judged(&claims, &knowledge, by_group), expected, "{knowledge:?}");
    }
    let bearer = Bearer::of(&token(&overage()), &readers());
    let issued_at = token(&overage()).issued_at;
    let end = |knowledge: &Knowledge| end_of_session(&bearer, issued_at, knowledge);
    assert_eq!((end(&ON), end(&ALWAYS), end(&Knowledge::OFF)), (None, None, None));
    assert_eq!(end(&Knowledge { is_member: Some(false), ..ALWAYS }), None, "one answer ends no session");
    assert_eq!(end(&left(issued_at + 301)), Some(Refused::NotAMember));
    assert_eq!(end(&left(issued_at + 300)), None);
    assert_eq!(end(&known(Standing::Disabled)), Some(Refused::AccountDisabled));
    assert_eq!(end(&Knowledge { is_on: false, ..known(Standing::Disabled) }), None);
}

#[test]
fn a_token_without_a_known_key_is_worth_a_wait_only_if_nothing_has_to_be_asked() {
    let could_pass = |claims: &Value, knowledge: Knowledge| {
        let token = OTHER.token(claims);
        let token = Unverified::parse(token.as_bytes()).unwrap();
        let none = Revocations::default();
        token.could_pass(&policy(), NOW, &readers(), Some(&none), |_| knowledge).is_ok()
    };
    assert!(could_pass(&user_v1(), ON));
    assert!(!could_pass(&user_v1(), known(Standing::Disabled)));
    assert!(!could_pass(&overage(), ON) && !could_pass(&unlisted(), ALWAYS));
    assert!(could_pass(&overage(), Knowledge { is_member: Some(true), ..ON }));
}

#[test]
fn the_facts_say_who_since_when_and_what_was_asked() {
    let none = Revocations::default();
    let facts = |claims: &Value, knowledge: &Knowledge| {
        let refusal = judge(&readers(), &token(claims), Some(&none), knowledge, &mut ()).unwrap_err();
        assert!(matches!(refusal, Refusal::Directory(_)));
        let facts = refusal.facts().into_iter().map(|(name, value)| format!("{name}={value}"));
        facts.collect::<Vec<_>>().join(" ")
    };
    let issued = token(&user_v1()).issued_at;
    let (since, moved) = (NOW - 7, issued + 301);
    let owner = format!("oid={PERSON}");
    assert_eq!(
        facts(&user_v1(), &known(Standing::Deleted)),
        format!("{owner} out_since={since} issued_at={issued}")
    );
    let revoked = Knowledge { known: Some(Known { revoked_at: Some(moved), ..Known::default() }), ..ON };
    assert_eq!(facts(&user_v1(), &revoked), format!("{owner} revoked_at={moved} issued_at={issued}"));
    let left = Knowledge { membership_ended: Some(moved), ..ON };
    assert_eq!(
        facts(&user_v1(), &left),
        format!("expected={GROUP} {owner} left_at={moved} issued_at={issued}")
    );
    let no = facts(&overage(), &Knowledge { is_member: Some(false), ..ON });
    assert!(no.starts_with(&format!("expected={GROUP} {owner} problem=not in the group, ")), "{no}");
    let unavailable = facts(&overage(), &Knowledge { may_ask: false, ..ON });
    assert_eq!(unavailable, format!("expected={GROUP} {owner} issued_at={issued}"));
    for refused in Refused::ALL {
        assert_eq!(refused.code().as_str(), refused.as_str());
    }
}
