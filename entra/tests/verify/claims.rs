//! Defects in the claims, one at a time.

use entra::{Code, Policy, RawPolicy, TokenKind, verify};
use serde_json::{Value, json};

use crate::support::*;
use crate::{code_of, outcome_of};

#[test]
fn one_defect_in_the_claims() {
    let invalid = Err(Code::InvalidClaims);
    let v2_issuer = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    let cases: Vec<(&str, Value, Result<(), Code>)> = vec![
        ("ver", Value::Null, invalid),
        ("ver", json!("3.0"), invalid),
        ("ver", json!(1), invalid),
        ("tid", Value::Null, invalid),
        ("tid", json!("common"), invalid),
        ("tid", json!("contoso.example"), invalid),
        ("tid", json!([TENANT]), invalid),
        ("tid", json!(OTHER_TENANT), Err(Code::WrongTenant)),
        ("tid", json!("9188040d-6c67-4c5b-b112-36a304b66dad"), Err(Code::WrongTenant)),
        ("tid", json!(TENANT.to_uppercase()), Ok(())),
        ("iss", Value::Null, invalid),
        ("iss", json!(format!("https://sts.windows.net/{OTHER_TENANT}/")), Err(Code::WrongIssuer)),
        ("iss", json!(format!("https://sts.windows.net/{TENANT}")), Err(Code::WrongIssuer)),
        ("iss", json!(format!("https://STS.windows.net/{TENANT}/")), Err(Code::WrongIssuer)),
        ("iss", json!("https://sts.windows.net/{tenantid}/"), Err(Code::WrongIssuer)),
        ("iss", json!(format!("https://evil.example/{TENANT}/")), Err(Code::WrongIssuer)),
        ("iss", json!(format!("http://sts.windows.net/{TENANT}/")), Err(Code::WrongIssuer)),
        ("iss", json!(format!("https://login.microsoftonline.us/{TENANT}/v2.0")), Err(Code::WrongIssuer)),
        // The issuer of the other version.
        ("iss", json!(v2_issuer), invalid),
        ("cnf", json!({"jwk": {"kty": "RSA"}}), invalid),
        ("cnf", json!({}), invalid),
        ("cnf", json!(""), invalid),
        ("aud", Value::Null, invalid),
        ("aud", json!([AUDIENCE]), invalid),
        ("aud", json!({"aud": AUDIENCE}), invalid),
        ("aud", json!("https://graph.microsoft.com"), Err(Code::WrongAudience)),
        ("aud", json!("00000003-0000-0000-c000-000000000000"), Err(Code::WrongAudience)),
        ("aud", json!("api://postgres2"), Err(Code::WrongAudience)),
        ("aud", json!("API://postgres"), Err(Code::WrongAudience)),
        ("aud", json!("api://postgres\0"), Err(Code::WrongAudience)),
        ("aud", json!("api://postgres/"), Ok(())),
        ("exp", Value::Null, invalid),
        ("exp", json!((NOW + 3_600).to_string()), invalid),
        ("exp", json!(1_800_000_000.5), invalid),
        ("exp", json!(1_800_000_000.0), invalid),
        ("exp", json!(1e300), invalid),
        ("exp", json!(u64::MAX), invalid),
        ("nbf", json!(0.5), invalid),
        ("iat", json!(-1e300), invalid),
        ("exp", json!(-1), Err(Code::Expired)),
        ("exp", json!(0), Err(Code::Expired)),
        ("exp", json!(i64::MAX), Ok(())),
        ("nbf", Value::Null, invalid),
        ("nbf", json!(i64::MAX), Err(Code::NotYetValid)),
        ("nbf", json!(i64::MIN), Ok(())),
        ("nbf", json!(true), invalid),
        ("iat", Value::Null, invalid),
        ("iat", json!(NOW + 3_000), Err(Code::NotYetValid)),
        ("oid", Value::Null, invalid),
        ("oid", json!("ann@contoso.example"), invalid),
        ("oid", json!(format!("{PERSON}\0")), invalid),
        ("oid", json!([PERSON]), invalid),
        ("appid", Value::Null, Ok(())),
        ("appid", json!("psql"), invalid),
        ("scp", Value::Null, invalid),
        ("scp", json!(""), invalid),
        ("scp", json!(["user_impersonation"]), invalid),
        ("idtyp", json!("user"), Ok(())),
        ("idtyp", json!(1), invalid),
        ("groups", json!(GROUP), invalid),
        ("groups", json!([1]), invalid),
        ("amr", json!("mfa"), invalid),
        ("_claim_names", json!("groups"), invalid),
        ("upn", Value::Null, Ok(())),
        ("upn", json!(1), Ok(())),
        ("unheard_of", json!({"a": [1, {"b": null}]}), Ok(())),
        ("unheard_of", json!([1.5, 1e300, -1e-300, u64::MAX, {"a": 0.1}]), Ok(())),
    ];
    for (name, value, expected) in cases {
        let token = SIGNER.token(&with(user_v1(), name, value.clone()));
        assert_eq!(code_of(&token), expected, "{name}: {value}");
    }
    for (name, raw) in [
        ("a duplicate member", r#"{"tid":"x","tid":"y"}"#),
        ("a duplicate deep inside", r#"{"a":{"b":1,"b":2}}"#),
        ("an array", "[]"),
        ("nothing", ""),
    ] {
        let token = SIGNER.token_of(SIGNER.header().to_string().as_bytes(), raw.as_bytes());
        assert_eq!(code_of(&token), Err(Code::InvalidFormat), "{name}");
    }
}

/// A proof-of-possession token, a token of another type, or a version that does not fit the issuer
/// is refused.
#[test]
fn only_a_bearers_access_token_is_accepted() {
    let typed = |typ: Value| {
        let header = with(SIGNER.header(), "typ", typ).to_string();
        code_of(&SIGNER.token_of(header.as_bytes(), user_v1().to_string().as_bytes()))
    };
    for good in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/JWT"] {
        assert_eq!(typed(json!(good)), Ok(()), "{good}");
    }
    assert_eq!(typed(Value::Null), Ok(()), "none");
    for bad in [
        "",
        "pop",
        "dpop+jwt",
        "id+jwt",
        "logout+jwt",
        "secevent+jwt",
        "JOSE",
        "at+jwt;a=b",
        " JWT",
        "application/",
        "application/application/jwt",
        "text/jwt",
        "at jwt",
    ] {
        assert_eq!(typed(json!(bad)), Err(Code::InvalidClaims), "{bad}");
    }
    for bad in [json!(1), json!(["JWT"]), json!({}), json!(true)] {
        assert_eq!(typed(bad.clone()), Err(Code::InvalidClaims), "{bad}");
    }
    // An issuer that is not a cloud's own does not decide the version.
    let issuers = "https://sts.example/{tenantid}/";
    let policy = Policy::parse(&RawPolicy { issuers, ..raw_policy() }).unwrap();
    let keys = Keys(vec![key_of(&SIGNER, None)]);
    for claims in [user_v1(), user_v2()] {
        let claims = with(claims, "iss", json!(format!("https://sts.example/{TENANT}/")));
        assert!(verify(SIGNER.token(&claims).as_bytes(), &keys, &policy, NOW).is_ok());
    }
    let swapped = with(user_v2(), "iss", json!(format!("https://sts.windows.net/{TENANT}/")));
    assert_eq!(code_of(&SIGNER.token(&swapped)), Err(Code::InvalidClaims));
}

/// Claims are shown as the token has them, whatever the size of a number.
#[test]
fn claims_are_shown_as_they_came() {
    let claims = user_v1().to_string().replacen(
        '{',
        r#"{"level":1.50,"big":1e300,"bigger":18446744073709551616,"huge":1e999999,"list":[0.1,"x",null],"none":null,"#,
        1,
    );
    let token = SIGNER.token_of(SIGNER.header().to_string().as_bytes(), claims.as_bytes());
    let token = verify(token.as_bytes(), &Keys::usual(), &policy(), NOW).unwrap();
    for (name, shown) in [
        ("level", Some("1.50")),
        ("big", Some("1e300")),
        ("bigger", Some("18446744073709551616")),
        ("huge", Some("1e999999")),
        ("list", Some(r#"[0.1,"x",null]"#)),
        ("none", None),
        ("name", Some("Ann Example")),
        ("aio", None),
        ("nothing", None),
    ] {
        assert_eq!(token.shown_claim(name).as_deref(), shown, "{name}");
    }
    let all = token.shown_claims();
    for part in [r#""level":1.50,"#, r#""big":1e300,"#, r#""huge":"1e999999","#, r#""list":[0.1,"x",null],"#]
    {
        assert!(all.contains(part), "{part} in {all}");
    }
    assert!(!all.contains("aio") && serde_json::from_str::<Value>(&all).is_ok());
}

#[test]
fn clock_edges_one_second_either_side() {
    let at = |claim: &str, value: i64, now: i64| {
        let token = SIGNER.token(&with(user_v1(), claim, json!(value)));
        verify(token.as_bytes(), &Keys::usual(), &policy(), now).map(|_| ()).map_err(|refusal| refusal.code())
    };
    let edge = NOW + 1_000;
    assert_eq!(at("exp", edge, edge + 59), Ok(()), "the last second of the leeway");
    assert_eq!(at("exp", edge, edge + 60), Err(Code::Expired), "at exp plus leeway it has expired");
    assert_eq!(at("nbf", edge, edge - 60), Ok(()));
    assert_eq!(at("nbf", edge, edge - 61), Err(Code::NotYetValid));
    assert_eq!(at("iat", edge, edge - 60), Ok(()));
    assert_eq!(at("iat", edge, edge - 61), Err(Code::NotYetValid));
}

#[test]
fn the_issuer_of_the_key_counts() {
    let checked = |issuer: Option<&str>, claims: &Value| {
        let keys = Keys(vec![key_of(&SIGNER, issuer)]);
        verify(SIGNER.token(claims).as_bytes(), &keys, &policy(), NOW)
            .map(|_| ())
            .map_err(|refusal| refusal.code())
    };
    let wrong = Err(Code::WrongIssuer);
    let personal = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0";
    assert_eq!(checked(None, &user_v2()), Ok(()));
    assert_eq!(checked(Some("https://login.microsoftonline.com/{tenantid}/v2.0"), &user_v1()), Ok(()));
    assert_eq!(checked(Some("https://sts.windows.net/{tenantid}/"), &user_v2()), Ok(()));
    assert_eq!(checked(Some(personal), &user_v2()), wrong);
    assert_eq!(checked(Some("https://login.microsoftonline.us/{tenantid}/v2.0"), &user_v2()), wrong);
    assert_eq!(checked(Some("{tenantid}"), &user_v2()), wrong);
}

#[test]
fn clients_and_permissions() {
    let checked = |allowed: &str, required: &str, claims: Value| {
        let raw = RawPolicy { allowed_clients: allowed, required_permission: required, ..raw_policy() };
        outcome_of(SIGNER.token(&claims).as_bytes(), &Policy::parse(&raw).unwrap())
    };
    let upper = CLIENT.to_uppercase();
    let denied = Err(Code::ClientNotAllowed);
    let missing = Err(Code::PermissionMissing);
    assert_eq!(checked(&upper, "", user_v1()), Ok(()));
    assert_eq!(checked(CLIENT, "", user_v2()), Ok(()));
    assert_eq!(checked(PERSON, "", user_v1()), denied);
    assert_eq!(checked(CLIENT, "", with(user_v1(), "appid", Value::Null)), denied);
    // Each version names its client in its own claim.
    assert_eq!(checked(CLIENT, "", with(user_v1(), "appid", json!(PERSON))), denied);
    let both = with(with(user_v2(), "azp", json!(PERSON)), "appid", json!(CLIENT));
    assert_eq!(checked(CLIENT, "", both), denied);
    assert_eq!(checked("", "user_impersonation", user_v1()), Ok(()));
    assert_eq!(checked("", "access", user_v2()), Ok(()));
    assert_eq!(checked("", "acc", user_v2()), missing);
    assert_eq!(checked("", "Access", user_v2()), missing);
    assert_eq!(checked("", "Db.Login", app_v2()), Ok(()));
    assert_eq!(checked("", "Db.Login", app_v1()), missing);
    assert_eq!(checked("", "Db.Login", with(user_v1(), "roles", json!(["Db.Login"]))), missing);
    assert_eq!(checked("", "Db.Login", with(app_v2(), "roles", json!("Db.Login"))), Err(Code::InvalidClaims));
}

#[test]
fn kinds() {
    let kind = |claims: &Value| {
        verify(SIGNER.token(claims).as_bytes(), &Keys::usual(), &policy(), NOW)
            .map(|token| token.kind)
            .map_err(|refusal| refusal.code())
    };
    let invalid = Err(Code::InvalidClaims);
    assert_eq!(kind(&with(app_v1(), "idtyp", Value::Null)), Ok(TokenKind::Service));
    assert_eq!(kind(&with(app_v2(), "sub", json!(APPLICATION.to_uppercase()))), Ok(TokenKind::Service));
    assert_eq!(kind(&with(app_v2(), "sub", json!("pairwise"))), invalid);
    assert_eq!(kind(&with(user_v1(), "idtyp", json!("app"))), Ok(TokenKind::Service));
    // An ID token: no scope, a pairwise subject, the audience of the client itself.
    let id_token = with(with(user_v2(), "scp", Value::Null), "nonce", json!("n"));
    assert_eq!(kind(&id_token), invalid);
}
