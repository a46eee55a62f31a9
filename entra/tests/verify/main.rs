//! Which tokens are accepted: valid ones here, tokens with defects in the modules.

#[path = "../support/mod.rs"]
mod support;

mod claims;
mod form;
mod header;
mod order;

use entra::directory::login::Knowledge;
use entra::{Cloud, Code, Label, Policy, Principal, RawPolicy, Revocations, TokenKind, Unverified, verify};
use serde_json::{Value, json};
use support::*;

fn code_of(token: &str) -> Result<(), Code> {
    outcome_of(token.as_bytes(), &policy())
}

fn outcome_of(token: &[u8], policy: &Policy) -> Result<(), Code> {
    verify(token, &Keys::usual(), policy, NOW).map(|_| ()).map_err(|refusal| refusal.code())
}

#[test]
fn tokens_of_both_versions_and_kinds_are_accepted() {
    for (claims, kind, name) in [
        (user_v1(), TokenKind::User, Some("ann@contoso.example")),
        (user_v2(), TokenKind::User, Some("ann@contoso.example")),
        (app_v1(), TokenKind::Service, None),
        (app_v2(), TokenKind::Service, None),
    ] {
        let token = verify(SIGNER.token(&claims).as_bytes(), &Keys::usual(), &policy(), NOW).unwrap();
        assert_eq!(token.kind, kind);
        assert_eq!(token.tenant.to_string(), TENANT);
        assert_eq!(token.object_id.to_string(), claims["oid"].as_str().unwrap());
        assert_eq!(token.application.unwrap().to_string(), CLIENT);
        assert_eq!(token.display_name.map(|name| name.to_string()).as_deref(), name);
        assert_eq!(token.key_id, "key-1");
        assert_eq!((token.issued_at, token.expires_at), (NOW - 300, claims["exp"].as_i64().unwrap()));
    }
}

#[test]
fn tokens_of_every_cloud() {
    for (cloud, v1, v2) in [
        (Cloud::Public, "https://sts.windows.net/", "https://login.microsoftonline.com/"),
        (Cloud::UsGov, "https://sts.windows.net/", "https://login.microsoftonline.us/"),
        (Cloud::China, "https://sts.chinacloudapi.cn/", "https://login.partner.microsoftonline.cn/"),
    ] {
        let policy = Policy::parse(&RawPolicy { cloud, ..raw_policy() }).unwrap();
        let keys = Keys(vec![key_of(&SIGNER, Some(&format!("{v2}{{tenantid}}/v2.0")))]);
        for (claims, issuer) in
            [(user_v1(), format!("{v1}{TENANT}/")), (user_v2(), format!("{v2}{TENANT}/v2.0"))]
        {
            let token = SIGNER.token(&with(claims, "iss", json!(issuer)));
            assert!(verify(token.as_bytes(), &keys, &policy, NOW).is_ok(), "{cloud:?} {issuer}");
        }
    }
}

#[test]
fn only_a_token_that_would_be_accepted_is_worth_a_request() {
    let label = persons_label();
    let as_role = |claims: &Value, label: &str| {
        let token = OTHER.token(claims);
        could_open(&Unverified::parse(token.as_bytes()).unwrap(), label).map_err(|refusal| refusal.code())
    };
    let stranger = |claims: &Value| as_role(claims, &label);
    assert_eq!(stranger(&user_v1()), Ok(()));
    assert_eq!(stranger(&with(user_v1(), "aud", json!("other"))), Err(Code::WrongAudience));
    assert_eq!(stranger(&with(user_v1(), "tid", json!(OTHER_TENANT))), Err(Code::WrongTenant));
    assert_eq!(stranger(&with(user_v1(), "exp", json!(NOW - 61))), Err(Code::Expired));
    assert_eq!(stranger(&with(user_v1(), "scp", Value::Null)), Err(Code::InvalidClaims));
    // These are valid tokens, but not for this role.
    assert_eq!(stranger(&with(user_v1(), "oid", json!(APPLICATION))), Err(Code::OidMismatch));
    assert_eq!(stranger(&app_v1()), Err(Code::WrongKind));
    let group = |id: &str| format!("aadauth,oid={id},type=group,tenant_id={TENANT}");
    assert_eq!(as_role(&user_v1(), &group(GROUP)), Ok(()));
    assert_eq!(as_role(&user_v1(), &group(APPLICATION)), Err(Code::NotAMember));
    let stricter = format!("{label},not_before={}", NOW + 1);
    assert_eq!(as_role(&user_v1(), &stricter), Err(Code::TokenRevoked));
    let mfa = label.replace(",tenant_id", ",mfa,tenant_id");
    assert_eq!(as_role(&with(user_v1(), "amr", json!(["pwd"])), &mfa), Err(Code::MfaRequired));
    // A token whose object is revoked everywhere is not worth a request either.
    let token = OTHER.token(&user_v1());
    let token = Unverified::parse(token.as_bytes()).unwrap();
    let principal = Principal::of(&Label::parse(&label).unwrap()).unwrap();
    let mut revocations = Revocations::default();
    revocations.revoke(principal.object_id, NOW + 1, |_| true);
    let refusal =
        token.could_pass(&policy(), NOW, &principal, Some(&revocations), |_| Knowledge::OFF).unwrap_err();
    assert_eq!(refusal.code(), Code::TokenRevoked);
}

#[test]
fn no_refusal_shows_the_token() {
    let token = SIGNER.token(&with(user_v1(), "aud", json!("evil\n\u{1b}[2J")));
    let refusal = verify(token.as_bytes(), &Keys::usual(), &policy(), NOW).unwrap_err();
    let shown = format!("{refusal:?} {:?}", refusal.facts());
    for part in token.split('.') {
        assert!(!shown.contains(part));
    }
}
