//! Keys and device flows, beside which the directory stands.

use serde_json::json;
use testbed::idp::directory::Kind;
use testbed::idp::{USER_NAME, USER_PASSWORD};
use testbed::issuer::TENANT;

use crate::client::{bed, form};

#[test]
fn keys_and_discovery_are_published() {
    let bed = bed();
    let base = format!("{}/{TENANT}", bed.provider.url());
    let keys = bed.send("GET", &format!("{base}/discovery/v2.0/keys"), &[], "");
    assert_eq!((keys.status, &keys.body["keys"][0]["kid"]), (200, &json!("key-1")));
    assert_eq!(bed.provider.requests(), 1);
    let document = bed.send("GET", &format!("{base}/v2.0/.well-known/openid-configuration"), &[], "");
    assert_eq!(document.body["token_endpoint"], json!(format!("{base}/oauth2/v2.0/token")));
    assert_eq!((bed.directory().requests(Kind::Other), bed.directory().requests(Kind::Token)), (2, 0));
}

#[test]
fn device_flows_end_at_the_same_token_endpoint() {
    let bed = bed();
    bed.provider.grant("the token");
    let base = format!("{}/{TENANT}/oauth2/v2.0", bed.provider.url());
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let begin = form(&[("client_id", "client"), ("scope", "api://postgres/.default")]);
    let code = bed.send("POST", &format!("{base}/devicecode"), &kind, &begin);
    let code = code.body["device_code"].as_str().expect("a code");
    let poll = form(&[
        ("client_id", "client"),
        ("device_code", code),
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
    ]);
    let ask = || bed.send("POST", &format!("{base}/token"), &kind, &poll).body;
    assert_eq!(ask()["error"], json!("authorization_pending"));
    assert_eq!(ask()["access_token"], json!("the token"));
    assert_eq!(bed.directory().requests(Kind::Token), 0);
}

#[test]
fn users_with_a_password_get_the_token_that_is_granted() {
    let bed = bed();
    bed.provider.grant("the token");
    let address = format!("{}/{TENANT}/oauth2/v2.0/token", bed.provider.url());
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let ask = |password: &str| {
        let fields = [("grant_type", "password"), ("username", USER_NAME), ("password", password)];
        bed.send("POST", &address, &kind, &form(&fields)).body
    };
    assert_eq!(ask(USER_PASSWORD)["access_token"], json!("the token"));
    assert_eq!(ask("another")["error"], json!("invalid_grant"));
}
