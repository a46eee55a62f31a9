//! A user who signs in with a browser, and the application that redeems the code.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use testbed::idp::{USER_NAME, USER_PASSWORD};
use testbed::issuer::{TENANT, b64};

use crate::client::{Answer, Bed, bed, form};

const ADDRESS: &str = "http://localhost:1234";
const VERIFIER: &str = "a verifier of at least forty-three characters.";

fn challenge() -> String {
    b64(digest(&SHA256, VERIFIER.as_bytes()))
}

/// Posts a form to the page where users sign in, which is asked for with these parameters instead
/// of the usual ones.
fn sign_in(bed: &Bed, other: &[(&str, &str)], fields: &[(&str, &str)]) -> Answer {
    let challenge = challenge();
    let usual = [
        ("client_id", "client"),
        ("response_type", "code"),
        ("response_mode", "form_post"),
        ("redirect_uri", ADDRESS),
        ("state", "a state & more"),
        ("scope", "openid api://postgres/.default"),
        ("nonce", "a nonce"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    let is_other = |name: &str| other.iter().any(|(found, _)| *found == name);
    let mut all: Vec<_> = usual.into_iter().filter(|(name, _)| !is_other(name)).collect();
    all.extend(other);
    let url = format!("{}/{TENANT}/oauth2/v2.0/authorize?{}", bed.provider.url(), form(&all));
    bed.send("POST", &url, &[("content-type", "application/x-www-form-urlencoded")], &form(fields))
}

/// Signs in, and returns the code that the browser is to take to the application.
fn code(bed: &Bed) -> String {
    let page = sign_in(bed, &[], &[("login", USER_NAME), ("passwd", USER_PASSWORD)]).text;
    assert!(page.contains(&format!("action=\"{ADDRESS}\"")), "{page}");
    assert!(page.contains("name=\"state\" value=\"a state &amp; more\""), "{page}");
    let (_, rest) = page.split_once("name=\"code\" value=\"").expect("a code");
    rest.split('"').next().unwrap_or_default().to_owned()
}

fn redeem(bed: &Bed, code: &str, client: &str, address: &str, verifier: &str) -> Value {
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("redirect_uri", address),
        ("code", code),
        ("code_verifier", verifier),
    ];
    bed.token_at(TENANT, &fields).body
}

#[test]
fn a_code_is_redeemed_once_by_the_application_that_asked() {
    let bed = bed();
    bed.provider.grant("the token");
    let refused = json!("invalid_grant");
    for (client, address, verifier) in [
        ("another", ADDRESS, VERIFIER),
        ("client", "http://localhost:4321", VERIFIER),
        ("client", ADDRESS, "another verifier of forty-three characters."),
    ] {
        let answer = redeem(&bed, &code(&bed), client, address, verifier);
        assert_eq!(answer["error"], refused, "{client} {address} {verifier}");
    }
    let code = code(&bed);
    let answer = redeem(&bed, &code, "client", ADDRESS, VERIFIER);
    assert_eq!(answer["access_token"], json!("the token"));
    assert_eq!(answer["scope"], json!("openid api://postgres/.default"));
    assert_eq!(answer["id_token"].as_str().map(|token| token.split('.').count()), Some(3));
    assert_eq!(redeem(&bed, &code, "client", ADDRESS, VERIFIER)["error"], refused, "for the second time");
}

#[test]
fn nobody_signs_in_without_the_password_or_to_a_stranger() {
    let bed = bed();
    for fields in [&[][..], &[("login", USER_NAME), ("passwd", "another")]] {
        let page = sign_in(&bed, &[], fields);
        assert_eq!(page.status, 200);
        assert!(
            page.text.contains("name=\"passwd\"") && !page.text.contains("name=\"code\""),
            "{}",
            page.text
        );
    }
    for other in [
        ("redirect_uri", "https://elsewhere.example"),
        ("response_mode", "query"),
        ("response_type", "token"),
        ("code_challenge_method", "plain"),
        ("code_challenge", ""),
    ] {
        let page = sign_in(&bed, &[other], &[("login", USER_NAME), ("passwd", USER_PASSWORD)]);
        assert_eq!(page.status, 400, "{other:?}: {}", page.text);
    }
}
