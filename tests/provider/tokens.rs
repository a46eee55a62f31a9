//! The token endpoint with a client secret, and what Graph says to tokens.

use serde_json::{Value, json};
use testbed::idp::directory::{Kind, SERVER_CLIENT, SERVER_PRINCIPAL, SERVER_SECRET};
use testbed::issuer::{OTHER_TENANT, TENANT};

use crate::client::{Bed, bed, encoded};

const SECRET: (&str, &str) = ("client_secret", SERVER_SECRET);

fn scope(bed: &Bed) -> String {
    format!("{}/.default", bed.directory().graph_url())
}

fn get_with(bed: &Bed, token: &str) -> crate::client::Answer {
    let url = format!("{}/v1.0/servicePrincipals/{SERVER_PRINCIPAL}", bed.directory().graph_url());
    bed.send("GET", &url, &[("authorization", &format!("Bearer {token}"))], "")
}

#[test]
fn a_secret_brings_a_token_that_graph_takes() {
    let bed = bed();
    let answer = bed.token_with(&[SECRET]);
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.body["token_type"], "Bearer");
    assert_eq!(answer.body["expires_in"], json!(3_599));
    assert_eq!(answer.body["refresh_in"], Value::Null);
    let token = answer.body["access_token"].as_str().expect("a token");
    assert!(!token.contains('.'), "the token is opaque");
    let answer = get_with(&bed, token);
    assert_eq!((answer.status, &answer.body["id"]), (200, &json!(SERVER_PRINCIPAL)));
    assert_eq!(bed.directory().requests(Kind::Token), 1);
    let sent = bed.directory().last(Kind::Token).expect("a request");
    assert_eq!(sent.field("client_secret").as_deref(), Some(SERVER_SECRET));
    assert!(sent.body.contains(&encoded(SERVER_SECRET)));
}

#[test]
fn a_resource_besides_graph_has_a_token_of_its_own() {
    let bed = bed();
    bed.directory().issue_for("api://postgres", "the token");
    let scope = ("scope", "api://postgres/.default");
    assert_eq!(bed.token_with(&[SECRET, scope]).body["access_token"], json!("the token"));
    assert_eq!(bed.token_with(&[("client_secret", "wrong"), scope]).number(), (401, 7_000_215));
}

#[test]
fn wrong_requests_have_the_numbers_of_entra() {
    let bed = bed();
    for (fields, expected) in [
        (vec![("client_secret", "wrong")], (401, 7_000_215)),
        (vec![("client_id", OTHER_TENANT), SECRET], (400, 700_016)),
        (vec![("scope", "https://graph.microsoft.com/.default"), SECRET], (400, 500_011)),
        (vec![("scope", "https://graph.microsoft.com"), SECRET], (400, 1_002_012)),
        (vec![("grant_type", "password"), SECRET], (400, 70_003)),
        (vec![("scope", ""), SECRET], (400, 900_144)),
        (vec![], (401, 7_000_218)),
        (vec![("client_assertion", "x.y.z")], (401, 7_000_218)),
    ] {
        let answer = bed.token_with(&fields);
        assert_eq!(answer.number(), expected, "{fields:?}: {}", answer.text);
        let description = answer.body["error_description"].as_str().expect("a description");
        assert!(description.starts_with(&format!("AADSTS{}: ", expected.1)), "{description}");
        assert!(description.contains("\r\nTrace ID: "), "{description}");
        assert_eq!(answer.body["access_token"], Value::Null);
    }
}

#[test]
fn tenants_are_told_apart() {
    let bed = bed();
    let scope = scope(&bed);
    let fields =
        [("client_id", SERVER_CLIENT), ("scope", &scope), ("grant_type", "client_credentials"), SECRET];
    for (tenant, expected) in [
        (OTHER_TENANT, (400, 700_016)),
        ("11111111-aaaa-bbbb-cccc-0000000000ff", (400, 90_002)),
        ("nobody.example", (400, 90_002)),
        ("nobody", (400, 900_023)),
    ] {
        assert_eq!(bed.token_at(tenant, &fields).number(), expected, "{tenant}");
    }
    let url = format!("{}/{TENANT}/oauth2/v2.0/token", bed.provider.url());
    assert_eq!(bed.send("GET", &url, &[], "").number(), (400, 900_561));
    let unnamed = bed.send("POST", &url, &[("content-type", "application/json")], "{}");
    assert_eq!(unnamed.number(), (400, 900_144));
}

#[test]
fn secrets_are_replaced_and_expire() {
    let bed = bed();
    bed.directory().set_secret("second");
    assert_eq!(bed.token_with(&[SECRET]).number(), (401, 7_000_215));
    assert_eq!(bed.token_with(&[("client_secret", "second")]).status, 200);
    bed.directory().expire_secrets();
    assert_eq!(bed.token_with(&[("client_secret", "second")]).number(), (401, 7_000_222));
}

#[test]
fn a_disabled_application_gets_no_token_and_a_deleted_one_is_unknown() {
    let bed = bed();
    bed.directory().disable(SERVER_PRINCIPAL);
    assert_eq!(bed.token_with(&[SECRET]).number(), (401, 7_000_112));
    bed.directory().enable(SERVER_PRINCIPAL);
    assert_eq!(bed.token_with(&[SECRET]).status, 200);
    bed.directory().delete(SERVER_PRINCIPAL);
    assert_eq!(bed.token_with(&[SECRET]).number(), (400, 700_016));
}

#[test]
fn a_test_chooses_how_long_tokens_live() {
    let bed = bed();
    bed.directory().token_lifetime(Some(86_400));
    let answer = bed.token_with(&[SECRET]);
    assert_eq!((&answer.body["expires_in"], &answer.body["refresh_in"]), (&json!(86_400), &json!(43_200)));
    bed.directory().numbers_as_strings(true);
    assert_eq!(bed.token_with(&[SECRET]).body["expires_in"], json!("86400"));
    bed.directory().token_lifetime(Some(0));
    let answer = get_with(&bed, &bed.new_token());
    assert_eq!((answer.status, answer.code()), (401, "InvalidAuthenticationToken"));
}

#[test]
fn graph_rejects_tokens_that_it_does_not_know_or_that_were_revoked() {
    let bed = bed();
    for token in ["", "unknown"] {
        let answer = get_with(&bed, token);
        assert_eq!((answer.status, answer.code()), (401, "InvalidAuthenticationToken"));
    }
    let token = bed.new_token();
    assert_eq!(get_with(&bed, &token).status, 200);
    bed.directory().revoke_tokens();
    let answer = get_with(&bed, &token);
    assert_eq!((answer.status, answer.code()), (401, "InvalidAuthenticationToken"));
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(challenge.contains("insufficient_claims"), "{challenge}");
    assert_eq!(get_with(&bed, &bed.new_token()).status, 200);
}

#[test]
fn a_token_is_for_one_root_of_graph() {
    let bed = bed();
    let other = format!("{}/dod", bed.provider.url());
    let scope = format!("{other}/.default");
    assert_eq!(bed.token_with(&[("scope", &scope), SECRET]).number(), (400, 500_011));
    bed.directory().serve_graph_at("/dod");
    let answer = bed.token_with(&[("scope", &scope), SECRET]);
    let token = answer.body["access_token"].as_str().expect("a token");
    let refused = get_with(&bed, token);
    assert_eq!((refused.status, refused.code()), (401, "InvalidAuthenticationToken"));
    for (root, token) in [
        (other, token.to_owned()),
        (bed.provider.url(), {
            let scope = format!("{}/.default", bed.provider.url());
            let answer = bed.token_with(&[("scope", &scope), SECRET]);
            answer.body["access_token"].as_str().expect("a token").to_owned()
        }),
    ] {
        let url = format!("{root}/v1.0/servicePrincipals/{SERVER_PRINCIPAL}");
        assert_eq!(bed.send("GET", &url, &[("authorization", &format!("Bearer {token}"))], "").status, 200);
    }
}
