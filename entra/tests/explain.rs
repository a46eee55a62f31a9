//! Observing the checks changes no decision, the checks come in their order, and no part of a token
//! is shown.

mod support;

use entra::{
    Code, Label, Observer, Policy, Principal, RawPolicy, Revocations, Step, Trail, Untrusted, Unverified,
    expected, expected_by, found, verify,
};
use serde_json::{Value, json};
use support::*;

const LINK: &str = "aadauth,oid=22222222-aaaa-bbbb-cccc-000000000002,type=user,mfa,not_before=1699999000";

fn principal(label: &str) -> Principal {
    Principal::of(&Label::parse(label).unwrap()).unwrap()
}

/// Returns the decision of `verify` and `accepts`, which nothing observes.
fn decided(token: &str, policy: &Policy, keys: &Keys, principal: &Principal) -> Result<(), Code> {
    verify(token.as_bytes(), keys, policy, NOW)
        .and_then(|token| principal.accepts(&token, Some(&Revocations::default())))
        .map_err(|refusal| refusal.code())
}

/// Returns the decision of the traced functions, and the checks that were made.
fn traced(token: &str, policy: &Policy, keys: &Keys, principal: &Principal) -> (Result<(), Code>, Vec<Step>) {
    let mut trail = Trail::default();
    let outcome = (|| {
        let token = Unverified::parse_traced(token.as_bytes(), &mut trail)?;
        trail.step(Step::Key);
        let key = entra::KeyLookup::find(keys, token.key_id())
            .ok_or_else(|| entra::Refusal::UnknownKey { key_id: Untrusted::new(token.key_id()) })?;
        let token = token.verify_traced(&key, policy, NOW, &mut trail)?;
        principal.accepts_traced(&token, Some(&Revocations::default()), &mut trail)
    })();
    (outcome.map_err(|refusal| refusal.code()), trail.steps().to_vec())
}

fn claims(name: &str, value: Value) -> String {
    SIGNER.token(&with(user_v1(), name, value))
}

fn header(name: &str, value: Value) -> String {
    SIGNER
        .token_of(with(SIGNER.header(), name, value).to_string().as_bytes(), user_v1().to_string().as_bytes())
}

fn restricted() -> Policy {
    let raw =
        RawPolicy { allowed_clients: CLIENT, required_permission: "user_impersonation", ..raw_policy() };
    Policy::parse(&raw).unwrap()
}

/// Tokens, each with the last check that is made of it.
fn cases() -> Vec<(String, Step)> {
    let good = SIGNER.token(&user_v1());
    let raw = |claims: &str| SIGNER.token_of(SIGNER.header().to_string().as_bytes(), claims.as_bytes());
    vec![
        ("A".repeat(65_531), Step::Size),
        (String::new(), Step::Parts),
        ("a password".to_owned(), Step::Parts),
        (good.rsplit_once('.').unwrap().0.to_owned(), Step::Parts),
        (format!("{good}\n"), Step::Parts),
        (format!("{}.e30.AAAA", b64("[]")), Step::Header),
        (header("alg", json!("none")), Step::Algorithm),
        (header("alg", Value::Null), Step::Algorithm),
        (header("kid", Value::Null), Step::KeyId),
        (header("crit", json!(["exp"])), Step::KeyId),
        (header("kid", json!("key-9")), Step::Key),
        (OTHER.token(&user_v1()), Step::Key),
        (
            OTHER.token_of(SIGNER.header().to_string().as_bytes(), user_v1().to_string().as_bytes()),
            Step::Signature,
        ),
        (raw("[]"), Step::Claims),
        (raw(r#"{"exp":1,"exp":1}"#), Step::Claims),
        (claims("ver", json!("3.0")), Step::Version),
        (claims("tid", json!(OTHER_TENANT)), Step::Tenant),
        (claims("tid", Value::Null), Step::Tenant),
        (claims("iss", json!("https://evil.example/")), Step::Issuer),
        (claims("aud", json!("https://graph.microsoft.com")), Step::Audience),
        (claims("aud", json!([AUDIENCE])), Step::Audience),
        (claims("nbf", json!(NOW + 61)), Step::Validity),
        (claims("iat", json!("now")), Step::Validity),
        (claims("exp", json!(NOW - 61)), Step::Validity),
        (claims("exp", json!(1.5)), Step::Validity),
        (claims("cnf", json!({"kid": "k"})), Step::Bearer),
        (header("typ", json!("pop")), Step::Bearer),
        (claims("iss", json!(format!("https://login.microsoftonline.com/{TENANT}/v2.0"))), Step::Bearer),
        (claims("appid", json!(PERSON)), Step::Client),
        (claims("appid", json!("psql")), Step::Client),
        (claims("scp", json!("other")), Step::Permission),
        (claims("scp", json!("")), Step::Permission),
        (claims("idtyp", json!(1)), Step::Permission),
        (claims("oid", json!("ann@contoso.example")), Step::Object),
        (claims("groups", json!("everyone")), Step::Object),
        (claims("amr", json!("mfa")), Step::Object),
        (SIGNER.token(&with(app_v2(), "roles", json!(["user_impersonation"]))), Step::Principal),
        (claims("oid", json!(APPLICATION)), Step::Principal),
        (claims("amr", json!(["pwd"])), Step::Mfa),
        (claims("iat", json!(NOW - 5_000)), Step::NotBefore),
        (good, Step::NotBefore),
    ]
}

#[test]
fn an_observer_changes_no_decision_and_is_told_of_the_checks_in_order() {
    let (policy, keys, principal) = (restricted(), Keys::usual(), principal(LINK));
    for (token, last) in cases() {
        let (outcome, steps) = traced(&token, &policy, &keys, &principal);
        assert_eq!(outcome, decided(&token, &policy, &keys, &principal), "{last:?}");
        let of_tokens = Step::ALL.iter().filter(|step| **step >= Step::Size && **step != Step::Link);
        let until: Vec<_> = of_tokens.copied().take_while(|step| *step <= last).collect();
        assert_eq!(steps, until, "{last:?} {outcome:?}");
    }
}

#[test]
fn an_id_token_is_of_no_kind() {
    let token = SIGNER.token(&with(user_v2(), "scp", Value::Null));
    let (outcome, steps) = traced(&token, &policy(), &Keys::usual(), &principal(LINK));
    assert_eq!((outcome, steps.last()), (Err(Code::InvalidClaims), Some(&Step::Kind)));
    let shown = found(Step::Kind, false, token.as_bytes(), &|_| String::new());
    assert_eq!(shown.as_deref(), Some("no scp, no idtyp, sub pairwise"));
}

#[test]
fn no_part_of_the_token_is_shown() {
    let (policy, time) = (restricted(), |seconds: i64| format!("at {seconds}"));
    let groups: Vec<_> = (0..500).map(|n| format!("{n}-{}", b64("group"))).collect();
    let many = [claims("groups", json!(groups)), header("kid", json!("evil\n\u{1b}[2J"))];
    for token in cases().into_iter().map(|(token, _)| token).chain(many) {
        let mut shown = String::new();
        for step in Step::ALL {
            for passed in [true, false] {
                let text = found(*step, passed, token.as_bytes(), &time).unwrap_or_default();
                assert!(text.len() < 1_000, "{step:?}: {text}");
                assert!(!text.chars().any(char::is_control), "{step:?}: {text}");
                shown += &text;
            }
            shown += &expected(*step, &policy, NOW, &time).unwrap_or_default();
            shown += &expected_by(*step, &principal(LINK), &time).unwrap_or_default();
        }
        for part in token.split('.').filter(|part| part.len() >= 12) {
            for at in 0..=part.len() - 12 {
                if let Some(piece) = part.get(at..at + 12) {
                    assert!(!shown.contains(piece), "{piece} in {shown}");
                }
            }
        }
    }
}

#[test]
fn claims_are_not_shown_before_the_signature_is_verified() {
    let token = SIGNER.token(&user_v1());
    let time = |seconds: i64| seconds.to_string();
    for step in Step::ALL.iter().filter(|step| **step < Step::Claims) {
        let text = found(*step, false, token.as_bytes(), &time).unwrap_or_default();
        assert!(!text.contains(PERSON) && !text.contains(AUDIENCE), "{step:?}: {text}");
    }
    let shown = |step| found(step, true, token.as_bytes(), &time).unwrap();
    assert_eq!(shown(Step::Audience), format!("aud {AUDIENCE}"));
    assert_eq!(shown(Step::Validity), format!("nbf {}, iat {}, exp {}", NOW - 300, NOW - 300, NOW + 3_600));
    assert_eq!(
        shown(Step::Principal),
        format!("a user's token, oid {PERSON}, appid {CLIENT}, tid {TENANT}, 1 groups")
    );
    assert_eq!(shown(Step::Mfa), "amr pwd mfa");
}

#[test]
fn steps_have_names_of_their_own() {
    let mut names: Vec<_> = Step::ALL.iter().map(|step| step.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Step::ALL.len());
}
