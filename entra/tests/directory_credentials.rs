//! Requests for tokens, and the answers of the token endpoint and of identity endpoints.

#![allow(missing_docs, reason = "a test's name says what it pins")]

use entra::Uuid;
use entra::directory::credential::{
    Proof, TokenFault, advice, assertion_claims, assertion_header, describe_federated, parse_token,
    parse_token_problem, signing_input, token_request,
};
use entra::directory::identity::is_of_identity;

const ID: &str = "22222222-aaaa-bbbb-cccc-000000000002";

fn id() -> Uuid {
    Uuid::try_parse(ID).expect("a uuid")
}

#[test]
fn a_request_for_a_token_is_form_encoded() {
    let body = token_request(id(), "https://graph.microsoft.com/.default", &Proof::Secret("a+b&c=~é"));
    assert_eq!(
        body.as_str(),
        "grant_type=client_credentials&client_id=22222222-aaaa-bbbb-cccc-000000000002\
         &scope=https%3A%2F%2Fgraph.microsoft.com%2F.default&client_secret=a%2Bb%26c%3D~%C3%A9"
    );
    let body = token_request(id(), "s", &Proof::Assertion("h.p.s"));
    assert!(body.ends_with(
        "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
         &client_assertion=h.p.s"
    ));
}

#[test]
fn an_assertion_lives_for_less_than_ten_minutes() {
    let claims =
        assertion_claims(id(), "https://login.example/t/oauth2/v2.0/token", Uuid::from_u128(9), 1_000);
    for part in [
        r#""aud":"https://login.example/t/oauth2/v2.0/token""#,
        r#""iss":"22222222-aaaa-bbbb-cccc-000000000002""#,
        r#""sub":"22222222-aaaa-bbbb-cccc-000000000002""#,
        r#""jti":"00000000-0000-0000-0000-000000000009""#,
        r#""nbf":1000"#,
        r#""exp":1540"#,
    ] {
        assert!(claims.contains(part), "{part}: {claims}");
    }
}

#[test]
fn tokens_say_how_long_they_live() {
    for (text, lifetime, renew_after) in [
        (r#"{"access_token":"a.b","expires_in":3599}"#, 3_599_000, 3_299_000),
        (r#"{"access_token":"a.b","expires_in":"86399"}"#, 86_399_000, 43_199_500),
        (r#"{"access_token":"a.b","expires_in":60}"#, 60_000, 30_000),
    ] {
        let token = parse_token(text.as_bytes()).expect(text);
        assert_eq!(
            (token.text.as_str(), token.lifetime, token.renew_after()),
            ("a.b", lifetime, renew_after)
        );
        assert!(!format!("{token:?}").contains("a.b"));
    }
    for (text, fault) in [
        (r#"{"expires_in":1}"#, TokenFault::NoToken),
        (r#"{"access_token":"","expires_in":1}"#, TokenFault::NoToken),
        (r#"{"access_token":"a\r\nX: y","expires_in":1}"#, TokenFault::NoToken),
        (r#"{"access_token":"a"}"#, TokenFault::NoLifetime),
        (r#"{"access_token":"a","expires_in":0}"#, TokenFault::NoLifetime),
        (r#"{"access_token":"a","expires_in":-1}"#, TokenFault::NoLifetime),
        (r#"{"access_token":"a","expires_in":"soon"}"#, TokenFault::NoLifetime),
        ("no", TokenFault::Unreadable),
    ] {
        assert_eq!(parse_token(text.as_bytes()).map(|_| ()), Err(fault), "{text}");
    }
}

#[test]
fn numbers_of_entra_say_what_to_do() {
    let problem = |number: u32| {
        let body = format!(
            r#"{{"error":"invalid_client","error_description":"AADSTS{number}: text\r\nTrace ID: x","error_codes":[{number}]}}"#
        );
        parse_token_problem(401, body.as_bytes())
    };
    assert_eq!(
        problem(7_000_215).to_string(),
        "AADSTS7000215: the client secret is wrong; the file must have the secret's value, not its id"
    );
    assert_eq!(problem(1).to_string(), "AADSTS1");
    assert!(problem(50_196).is_loop() && !problem(50_196).is_transient());
    assert!(problem(90_033).is_transient());
    for lasting in [7_000_215, 7_000_222, 700_016, 90_002, 90_023, 90_038, 700_027] {
        assert!(!problem(lasting).is_transient(), "{lasting}");
    }
    assert!(advice(700_213).is_some_and(|text| text.contains("federated")));
    let html = parse_token_problem(503, b"<html>");
    assert_eq!((html.to_string().as_str(), html.is_transient()), ("status 503", true));
    let bare =
        parse_token_problem(400, br#"{"error":"invalid_request","error_description":"Identity not found"}"#);
    assert_eq!((bare.to_string().as_str(), bare.is_transient()), ("Identity not found", false));
}

#[test]
fn a_certificate_is_named_by_the_hash_of_its_der_form() {
    let header = assertion_header(&[0xfb; 32]);
    assert!(header.contains(r#""alg":"PS256""#) && header.contains(r#""typ":"JWT""#), "{header}");
    assert!(header.contains(r#""x5t#S256":"-_v7"#), "base64url: {header}");
    assert_eq!(signing_input("{}", "{\"a\":1}"), "e30.eyJhIjoxfQ");
}

#[test]
fn a_federated_token_is_shown_without_its_signature() {
    let of = |claims: &str| describe_federated(&format!("{}.secretsignature\n", signing_input("{}", claims)));
    let shown = of(r#"{"iss":"https://i","sub":"system:serviceaccount:a:b","aud":["api://X","y"],"exp":7}"#);
    let shown = shown.expect("a token");
    assert_eq!(shown.to_string(), r#"iss "https://i", sub "system:serviceaccount:a:b", aud "api://X""#);
    assert_eq!(shown.expires_at, Some(7));
    assert_eq!(of("{}").expect("a token").to_string(), "no iss, no sub, no aud");
    assert_eq!(of("[]"), None);
    for bad in ["", "a", "a.b", "a.b.c.d", "e30.!.x"] {
        assert_eq!(describe_federated(bad), None, "{bad}");
    }
}

#[test]
fn a_number_is_found_in_the_description_too() {
    let body = br#"{"error":"x","error_description":"AADSTS700016: Application not found.\r\nTrace ID: 1"}"#;
    assert_eq!(parse_token_problem(400, body).number, Some(700_016));
    let body = br#"{"error":"x","error_description":"AADSTS: none"}"#;
    assert_eq!(parse_token_problem(400, body).number, None);
}

#[test]
fn an_identity_that_was_not_asked_for_is_not_accepted() {
    let with = |more: &str| {
        parse_token(format!(r#"{{"access_token":"a","expires_in":"9"{more}}}"#).as_bytes()).expect("a token")
    };
    let named = with(&format!(r#","client_id":"{ID}""#));
    assert!(is_of_identity(&named, None) && is_of_identity(&named, Some(id())));
    assert!(!is_of_identity(&named, Some(Uuid::from_u128(1))) && !is_of_identity(&with(""), Some(id())));
}

#[test]
fn a_description_that_repeats_what_was_sent_is_not_shown() {
    let shown = |description: &str, sent: &Proof<'_>| {
        let body = format!(r#"{{"error":"x","error_description":"{description}"}}"#);
        parse_token_problem(400, body.as_bytes()).without_echo(sent).to_string()
    };
    let secret = Proof::Secret("8Q~secret+of/the=server");
    for echo in [
        "no: 8Q~secret+of/the=server",
        "client_secret=8Q%7Esecret%2Bof%2Fthe%3Dserver",
        "...et+of/the=serv",
        "+of/the=",
    ] {
        assert_eq!(shown(echo, &secret), "status 400", "{echo}");
    }
    assert_eq!(shown("+of/the", &secret), "+of/the", "too short a piece");
    assert_eq!(shown("invalid_client", &secret), "invalid_client");
    let assertion = Proof::Assertion("eyJhbGciOiJQUzI1NiJ9.e30.c2lnbmF0dXJl");
    assert_eq!(shown("bad assertion eyJhbGciOiJQ", &assertion), "status 400");
    assert_eq!(shown("the secret is a", &Proof::Secret("a")), "status 400");
    assert_eq!(shown("nothing was sent", &Proof::Secret("")), "nothing was sent");
}
