//! Which verified tokens are accepted for a role.

mod support;

use entra::{Bearer, Code, Label, Principal, Refusal, Revocations, Token, Uuid, verify};
use serde_json::{Value, json};
use support::*;

fn verified(claims: &Value) -> Token {
    verify(SIGNER.token(claims).as_bytes(), &Keys::usual(), &policy(), NOW).unwrap()
}

/// Checks a token where nothing is revoked everywhere.
fn accepted(principal: &Principal, token: &Token) -> Result<(), Refusal> {
    principal.accepts(token, Some(&Revocations::default()))
}

fn accepts(label: &str, claims: &Value) -> Result<(), Code> {
    let principal = Principal::of(&Label::parse(label).unwrap()).unwrap();
    accepted(&principal, &verified(claims)).map_err(|refusal| refusal.code())
}

fn label(oid: &str, rest: &str) -> String {
    format!("aadauth,oid={oid}{rest},tenant_id={TENANT}")
}

#[test]
fn kinds_and_ids() {
    let mismatch = Err(Code::OidMismatch);
    let kind = Err(Code::WrongKind);
    let cases = [
        (label(PERSON, ",type=user"), user_v1(), Ok(())),
        (label(PERSON, ",type=user"), user_v2(), Ok(())),
        (label(&PERSON.to_uppercase(), ",type=user"), user_v2(), Ok(())),
        (label(APPLICATION, ",type=user"), user_v1(), mismatch),
        (label(CLIENT, ",type=user"), user_v1(), mismatch),
        (label(APPLICATION, ",type=user"), app_v1(), kind),
        (label(APPLICATION, ",type=service"), app_v1(), Ok(())),
        (label(APPLICATION, ",type=service"), app_v2(), Ok(())),
        (label(CLIENT, ",type=service"), app_v1(), Ok(())),
        (label(CLIENT, ",type=service"), app_v2(), Ok(())),
        (label(PERSON, ",type=service"), app_v2(), mismatch),
        (label(PERSON, ",type=service"), user_v1(), kind),
        (label(CLIENT, ",type=service"), user_v1(), kind),
        (label(PERSON, ""), user_v1(), Ok(())),
        (label(APPLICATION, ""), app_v1(), Ok(())),
        (label(CLIENT, ""), app_v1(), Ok(())),
        (label(CLIENT, ""), user_v1(), mismatch),
        (label(GROUP, ""), user_v1(), mismatch),
    ];
    for (label, claims, expected) in cases {
        assert_eq!(accepts(&label, &claims), expected, "{label}");
    }
}

/// The facts that a session keeps are enough to decide whether its token would be accepted on other
/// terms.
#[test]
fn a_session_is_judged_as_its_token_would_be() {
    let kinds = ["", ",type=user", ",type=group", ",type=service"];
    let terms: Vec<_> = kinds.iter().flat_map(|kind| [(*kind).to_owned(), format!("{kind},mfa")]).collect();
    let one_factor = |claims| with(claims, "amr", json!(["pwd"]));
    let tokens = [
        user_v1(),
        user_v2(),
        app_v1(),
        app_v2(),
        one_factor(user_v1()),
        with(app_v1(), "amr", json!(["mfa"])),
    ];
    let mut compared = 0;
    for token in tokens.iter().map(verified) {
        for oid in [PERSON, GROUP, APPLICATION, CLIENT] {
            let principals: Vec<_> = terms
                .iter()
                .map(|terms| Principal::of(&Label::parse(&label(oid, terms)).unwrap()).unwrap())
                .collect();
            for before in principals.iter().filter(|before| accepted(before, &token).is_ok()) {
                let bearer = Bearer::of(&token, before);
                for now in &principals {
                    let accepts = accepted(now, &token).is_ok();
                    assert_eq!(now.still_accepts(&bearer), accepts, "{before:?} {now:?} {token:?}");
                    compared += 1;
                }
                let elsewhere = Principal { tenant_id: Some(Uuid::nil()), ..*before };
                assert!(!elsewhere.still_accepts(&bearer));
            }
        }
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn groups() {
    let group = label(GROUP, ",type=group");
    let not_a_member = Err(Code::NotAMember);
    let overage = Err(Code::GroupsOverage);
    let cases = [
        (user_v1(), Ok(())),
        (with(user_v2(), "groups", json!([PERSON, GROUP.to_uppercase()])), Ok(())),
        (with(app_v2(), "groups", json!([GROUP])), Ok(())),
        (user_v2(), not_a_member),
        (with(user_v1(), "groups", json!([])), not_a_member),
        (with(user_v1(), "groups", json!(["DOMAIN\\\\dbas", "dbas"])), not_a_member),
        (with(user_v1(), "oid", json!(GROUP)), Ok(())),
        (with(user_v2(), "oid", json!(GROUP)), not_a_member),
        (with(user_v1(), "_claim_names", json!({"groups": "src1"})), overage),
        (with(user_v2(), "hasgroups", json!(true)), overage),
        (with(user_v2(), "_claim_names", json!({"other": "src1"})), not_a_member),
    ];
    for (claims, expected) in cases {
        assert_eq!(accepts(&group, &claims), expected, "{claims}");
    }
}

#[test]
fn the_pair_of_tenant_and_object_counts() {
    let elsewhere = format!("aadauth,oid={PERSON},type=user,tenant_id={OTHER_TENANT}");
    assert_eq!(accepts(&elsewhere, &user_v1()), Err(Code::OidMismatch));
    assert_eq!(accepts(&format!("aadauth,oid={PERSON},type=user"), &user_v1()), Ok(()));
}

#[test]
fn multi_factor_authentication() {
    let label = label(PERSON, ",type=user,mfa");
    assert_eq!(accepts(&label, &user_v1()), Ok(()));
    assert_eq!(accepts(&label, &with(user_v1(), "amr", json!(["pwd"]))), Err(Code::MfaRequired));
    assert_eq!(accepts(&label, &with(user_v1(), "amr", json!(["ngcmfa"]))), Err(Code::MfaRequired));
    assert_eq!(accepts(&label, &user_v2()), Err(Code::MfaRequired));
}

#[test]
fn revocation_at_the_second() {
    let at = |seconds: i64| accepts(&label(PERSON, &format!(",type=user,not_before={seconds}")), &user_v1());
    assert_eq!(at(NOW - 300), Ok(()));
    assert_eq!(at(NOW - 299), Err(Code::TokenRevoked));
}

#[test]
fn a_token_is_refused_if_its_role_or_its_object_is_revoked_or_revocations_are_unreadable() {
    let token = verified(&user_v1());
    let principal = |rest: &str| {
        Principal::of(&Label::parse(&label(PERSON, &format!(",type=user{rest}"))).unwrap()).unwrap()
    };
    let of_object = |time: i64| {
        let mut revocations = Revocations::default();
        revocations.revoke(principal("").object_id, time, |_| true);
        Some(revocations)
    };
    let revoked = |not_before| Err(Refusal::TokenRevoked { issued_at: NOW - 300, not_before });
    let at = |seconds: i64| format!(",not_before={seconds}");
    for (terms, revocations, expected) in [
        (String::new(), of_object(NOW - 300), Ok(())),
        (String::new(), of_object(NOW), revoked(NOW)),
        (at(NOW - 100), of_object(0), revoked(NOW - 100)),
        (at(NOW - 100), of_object(NOW), revoked(NOW)),
        (at(NOW), of_object(NOW - 100), revoked(NOW)),
        (String::new(), None, Err(Refusal::RevocationsUnreadable)),
        (at(0), None, Err(Refusal::RevocationsUnreadable)),
    ] {
        let outcome = principal(&terms).accepts(&token, revocations.as_ref());
        assert_eq!(outcome, expected, "{terms} {revocations:?}");
    }
    // Other defects come first, whether the revocations can be read or not.
    let mfa = principal(",mfa").accepts(&verified(&user_v2()), None);
    assert_eq!(mfa, Err(Refusal::MfaRequired { methods_listed: false }));
}

/// Checks a label and a token with these of the defects, in the order of the checks.
fn with_defects([kind, object, mfa, not_before]: [bool; 4]) -> Result<(), Code> {
    let label = label(
        if object { GROUP } else { PERSON },
        &format!(
            ",type={}{}{}",
            if kind { "service" } else { "user" },
            if mfa { ",mfa" } else { "" },
            if not_before { format!(",not_before={NOW}") } else { String::new() }
        ),
    );
    accepts(&label, &with(user_v1(), "amr", json!(["pwd"])))
}

#[test]
fn the_first_check_that_fails_is_the_reason() {
    let codes = [Code::WrongKind, Code::OidMismatch, Code::MfaRequired, Code::TokenRevoked];
    for defects in 0..16_u32 {
        let expected = codes.get(defects.trailing_zeros() as usize).map_or(Ok(()), |code| Err(*code));
        let outcome = with_defects([1, 2, 4, 8].map(|bit| defects & bit != 0));
        assert_eq!(outcome, expected, "{defects:04b}");
    }
}

#[test]
fn a_link_in_another_tenant_is_a_matter_of_the_object() {
    let label = format!("aadauth,oid={PERSON},type=service,mfa,tenant_id={OTHER_TENANT}");
    assert_eq!(accepts(&label, &user_v1()), Err(Code::WrongKind), "the kind comes first");
    assert_eq!(accepts(&label, &with(app_v1(), "oid", json!(PERSON))), Err(Code::OidMismatch));
}

#[test]
fn membership_comes_before_what_else_a_group_demands() {
    let demanding = |oid: &str| label(oid, &format!(",type=group,mfa,not_before={NOW}"));
    let claims = with(user_v1(), "amr", json!(["pwd"]));
    assert_eq!(accepts(&demanding(PERSON), &claims), Err(Code::NotAMember));
    let overage = with(claims.clone(), "_claim_names", json!({"groups": "src1"}));
    assert_eq!(accepts(&demanding(GROUP), &overage), Err(Code::GroupsOverage));
    assert_eq!(accepts(&demanding(GROUP), &claims), Err(Code::MfaRequired));
    assert_eq!(accepts(&demanding(GROUP), &user_v1()), Err(Code::TokenRevoked));
}

#[test]
fn the_log_has_both_ids() {
    let label = Label::parse(&label(APPLICATION, ",type=user")).unwrap();
    let refusal = accepted(&Principal::of(&label).unwrap(), &verified(&user_v1())).unwrap_err();
    assert!(matches!(refusal, Refusal::OidMismatch { .. }));
    let facts = refusal.facts();
    for fact in [("expected", APPLICATION), ("found", PERSON), ("found_app", CLIENT)] {
        assert!(facts.iter().any(|(name, value)| (*name, value.as_str()) == fact), "{facts:?}");
    }
}

#[test]
fn a_label_without_an_object_is_no_principal() {
    let association = Label::parse(&format!("aadauth,tenant_id={TENANT}")).unwrap();
    assert_eq!(Principal::of(&association), None);
}
