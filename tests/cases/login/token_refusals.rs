//! Logins that are refused because of the form or the signature of the token: each code as the
//! client reads it and as the log has it.

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use testbed::client::Outcome;
use testbed::cluster::Cluster;
use testbed::door::Door;
use testbed::expect::{Refusal, lacks_token, refused};
use testbed::issuer::{APPLICATION, b64, unix_now, user_v1, with};
use testbed::scene::{KEY, NEW_KEY};

use crate::common::doors::at_every_door_with_ann;
use crate::common::login::{UNVERIFIED, valid_token};

const ALGORITHM: &str = "the access token's signature algorithm is not accepted";

/// Returns whether OAUTHBEARER can carry a token (RFC 6750, section 2.1). Others do not reach the
/// library.
fn is_bearer_token(token: &str) -> bool {
    let bare = token.trim_end_matches('=');
    !bare.is_empty() && bare.chars().all(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c))
}

/// Expects PostgreSQL's own refusal of a token that OAUTHBEARER cannot carry.
fn malformed(cluster: &Cluster, token: &str) {
    match cluster.login("ann", token) {
        Outcome::Refused(error) => {
            assert_eq!(error.message, "OAuth bearer authentication failed for user \"ann\"");
        }
        other => panic!("{other:?}"),
    }
    lacks_token(cluster, token);
}

#[test]
fn invalid_format() {
    at_every_door_with_ann("", |door, cluster, _provider| {
        let good = valid_token();
        let (signed, signature) = good.rsplit_once('.').expect("a token");
        let (header, claims) = signed.split_once('.').expect("a token");
        let text = |parts: &str, token: &str| {
            format!("the access token has an invalid format ({parts}{} bytes)", token.len())
        };
        let cases = [
            ("a password".to_owned(), "1 part instead of 3, ", "problem=\"1 parts instead of 3\""),
            (signed.to_owned(), "2 parts instead of 3, ", "problem=\"2 parts instead of 3\""),
            (format!("{good}.{signature}"), "4 parts instead of 3, ", "problem=\"4 parts instead of 3\""),
            (format!("{header}=.{claims}.{signature}"), "", "problem=\"header is not base64url\""),
            (format!("{header}.{claims}+.{signature}"), "", "problem=\"claims is not base64url\""),
            (format!("{}.{claims}.{signature}", b64("[]")), "", "problem=\"header: not an object\""),
            (
                KEY.token_of(br#"{"alg":"RS256","kid":"key-1","kid":"key-2"}"#, b"{}"),
                "",
                "problem=\"header: a member occurs twice\"",
            ),
            (KEY.token_of(br#"{"alg":"RS256"}"#, b"{}"), "", "problem=\"header: no usable \\\"kid\\\"\""),
            (
                KEY.token_of(br#"{"alg":"RS256","kid":"key-1","crit":["exp"]}"#, b"{}"),
                "",
                "problem=\"header: has \\\"crit\\\"\"",
            ),
            (
                KEY.token_of(KEY.header().to_string().as_bytes(), br#"{"exp":1,"exp":1}"#),
                "",
                "problem=\"claims: a member occurs twice\"",
            ),
            (
                KEY.token_of(KEY.header().to_string().as_bytes(), br#"{"tid":"a","tid":"b"}"#),
                "",
                "problem=\"claims: a member occurs twice\"",
            ),
        ];
        for (token, parts, fact) in cases {
            if door == Door::OAuth && !is_bearer_token(&token) {
                malformed(&cluster, &token);
                continue;
            }
            let length = format!("length={}", token.len());
            refused(
                &cluster,
                "ann",
                &token,
                &Refusal::sqlstate_28p01("invalid_format", &text(parts, &token), &[fact, &length]),
            );
        }
        // A terminal cuts pasted lines at this length, which is the likely reason.
        let cut = good.chars().cycle().filter(|c| *c != '.').take(4_095).collect::<String>();
        let hint = "Terminals cut pasted lines at 4095 bytes; pass the token in the environment variable PGPASSWORD.";
        let message = text("1 part instead of 3, ", &cut);
        refused(
            &cluster,
            "ann",
            &cut,
            &Refusal { hint: Some(hint), ..Refusal::sqlstate_28p01("invalid_format", &message, &[]) },
        );
        if door != Door::Password {
            return without_a_token(&cluster);
        }
        // One byte more than a message of PostgreSQL may hold.
        let long = "A".repeat(65_531);
        refused(
            &cluster,
            "ann",
            &long,
            &Refusal::sqlstate_28p01("invalid_format", &text("", &long), &["problem=\"too long\""]),
        );
        let mark = cluster.log_mark();
        let outcome = cluster.login("ann", "");
        let message = text("1 part instead of 3, ", "");
        testbed::expect::check_refusal(
            &cluster,
            mark,
            "ann",
            "",
            &outcome,
            &Refusal::sqlstate_28p01("invalid_format", &message, &["length=0"]),
        );
    });
}

/// Logs in with an empty token at the doors where PostgreSQL itself refuses it.
fn without_a_token(cluster: &Cluster) {
    match (cluster.door, cluster.login("ann", "")) {
        (Door::Pam, Outcome::Refused(error)) => {
            assert_eq!(error.message, "empty password returned by client");
        }
        (Door::OAuth, Outcome::Refused(error)) => {
            assert_eq!(error.message, "OAuth bearer authentication failed for user \"ann\"");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn unsupported_algorithm() {
    at_every_door_with_ann("", |_, cluster, _provider| {
        let claims = user_v1(unix_now()).to_string();
        for (algorithm, fact) in [
            (json!("none"), "found=none"),
            (json!("nOnE"), "found=nOnE"),
            (json!("RS512"), "found=RS512"),
            (json!("PS256"), "found=PS256"),
            (json!("rs256\n\u{1b}[2J"), "found=\"rs256\\n\\u{1b}[2J\""),
            (Value::Null, "found=none"),
        ] {
            let header = with(KEY.header(), "alg", algorithm).to_string();
            let token = KEY.token_of(header.as_bytes(), claims.as_bytes());
            refused(
                &cluster,
                "ann",
                &token,
                &Refusal::sqlstate_28p01("unsupported_algorithm", ALGORITHM, &[fact]),
            );
        }
        // The public key as the secret of an HMAC.
        let signed = format!("{}.{}", b64(json!({"alg": "HS256", "kid": "key-1"}).to_string()), b64(&claims));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &KEY.public_der()), signed.as_bytes());
        let token = format!("{signed}.{}", b64(tag));
        refused(
            &cluster,
            "ann",
            &token,
            &Refusal::sqlstate_28p01("unsupported_algorithm", ALGORITHM, &["found=HS256"]),
        );
    });
}

#[test]
fn unknown_key_and_bad_signature() {
    // No login here waits for a key; `keys::key_wait` tests that.
    at_every_door_with_ann("azure_ad_auth.unknown_key_wait = 0", |_, cluster, _provider| {
        let claims = user_v1(unix_now());
        refused(
            &cluster,
            "ann",
            &NEW_KEY.token(&claims),
            &Refusal::sqlstate_28p01("unknown_key", UNVERIFIED, &["key_id=key-2"]),
        );
        for (kid, fact) in [
            (json!("../../../dev/null"), "key_id=../../../dev/null"),
            (json!("key-1' OR '1'='1"), "key_id=\"key-1\\' OR \\'1\\'=\\'1\""),
            (json!("key-1\0"), "key_id=\"key-1\\0\""),
        ] {
            let header = with(KEY.header(), "kid", kid).to_string();
            let token = KEY.token_of(header.as_bytes(), claims.to_string().as_bytes());
            refused(&cluster, "ann", &token, &Refusal::sqlstate_28p01("unknown_key", UNVERIFIED, &[fact]));
        }
        let bad = Refusal::sqlstate_28p01("bad_signature", UNVERIFIED, &["key_id=key-1"]);
        let forged = NEW_KEY.token_of(KEY.header().to_string().as_bytes(), claims.to_string().as_bytes());
        refused(&cluster, "ann", &forged, &bad);
        let good = KEY.token(&claims);
        let (signed, signature) = good.rsplit_once('.').expect("a token");
        let (header, _) = signed.split_once('.').expect("a token");
        let other = b64(with(claims.clone(), "oid", json!(APPLICATION)).to_string());
        refused(&cluster, "ann", &format!("{header}.{other}.{signature}"), &bad);
        refused(&cluster, "ann", &format!("{signed}."), &bad);
        for brought in
            [json!({"jwk": NEW_KEY.jwk()}), json!({"jku": "https://evil.example/"}), json!({"x5c": ["MIIC"]})]
        {
            let mut header = KEY.header();
            header
                .as_object_mut()
                .expect("an object")
                .extend(brought.as_object().expect("an object").clone());
            let token = NEW_KEY.token_of(header.to_string().as_bytes(), claims.to_string().as_bytes());
            refused(&cluster, "ann", &token, &bad);
        }
    });
}
