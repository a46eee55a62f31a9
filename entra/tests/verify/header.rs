//! Defects in the header, and signatures by another algorithm.

use aws_lc_rs::signature::{RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding};
use aws_lc_rs::{hmac, rsa};
use entra::{Code, verify};
use serde_json::{Value, json};

use crate::code_of;
use crate::support::*;

#[test]
fn one_defect_in_the_header() {
    let header = |name: &str, value: Value| with(SIGNER.header(), name, value);
    let sign =
        |header: &Value| SIGNER.token_of(header.to_string().as_bytes(), user_v1().to_string().as_bytes());
    let algorithms = [
        json!("none"),
        json!("None"),
        json!("nOnE"),
        json!(""),
        json!("rs256"),
        json!("RS256 "),
        json!("RS384"),
        json!("RS512"),
        json!("PS256"),
        json!("HS256"),
        json!("ES256"),
        json!("EdDSA"),
        json!(["RS256"]),
        json!(256),
        Value::Null,
    ];
    for algorithm in algorithms {
        let token = sign(&header("alg", algorithm.clone()));
        assert_eq!(code_of(&token), Err(Code::UnsupportedAlgorithm), "{algorithm}");
        // The same without a signature, as `none` prescribes.
        let bare = token.rsplit_once('.').unwrap().0;
        assert_eq!(code_of(&format!("{bare}.")), Err(Code::UnsupportedAlgorithm), "{algorithm}");
    }
    let cases = [
        ("crit", header("crit", json!(["exp"])), Err(Code::InvalidFormat)),
        ("empty crit", header("crit", json!([])), Err(Code::InvalidFormat)),
        ("b64", with(header("b64", json!(false)), "crit", json!(["b64"])), Err(Code::InvalidFormat)),
        ("no kid", header("kid", Value::Null), Err(Code::InvalidFormat)),
        ("a number as kid", header("kid", json!(1)), Err(Code::InvalidFormat)),
        ("an array as kid", header("kid", json!(["key-1"])), Err(Code::InvalidFormat)),
        ("an empty kid", header("kid", json!("")), Err(Code::InvalidFormat)),
        ("a kid of 10 kB", header("kid", json!("k".repeat(10_000))), Err(Code::InvalidFormat)),
        ("an unknown kid", header("kid", json!("key-9")), Err(Code::UnknownKey)),
        ("a kid in another case", header("kid", json!("KEY-1")), Err(Code::UnknownKey)),
        ("a path as kid", header("kid", json!("../../../dev/null")), Err(Code::UnknownKey)),
        ("SQL as kid", header("kid", json!("key-1' OR '1'='1")), Err(Code::UnknownKey)),
        ("a NUL in kid", header("kid", json!("key-1\0")), Err(Code::UnknownKey)),
        ("another x5t", header("x5t", json!("elsewhere")), Ok(())),
    ];
    for (name, header, expected) in cases {
        assert_eq!(code_of(&sign(&header)), expected, "{name}");
    }
    for (name, raw) in [
        ("alg twice", r#"{"alg":"RS256","alg":"none","kid":"key-1"}"#),
        ("alg twice, the same", r#"{"alg":"RS256","alg":"RS256","kid":"key-1"}"#),
        ("kid twice", r#"{"alg":"RS256","kid":"key-1","kid":"key-2"}"#),
        ("an array", r#"["RS256"]"#),
        ("bytes after it", r#"{"alg":"RS256","kid":"key-1"}x"#),
    ] {
        let token = SIGNER.token_of(raw.as_bytes(), user_v1().to_string().as_bytes());
        assert_eq!(code_of(&token), Err(Code::InvalidFormat), "{name}");
    }
}

#[test]
fn a_key_brought_by_the_token_is_ignored() {
    let own = OTHER.jwk();
    for header in [
        json!({"alg": "RS256", "kid": "key-1", "jwk": own}),
        json!({"alg": "RS256", "kid": "key-1", "jku": "https://evil.example/keys"}),
        json!({"alg": "RS256", "kid": "key-1", "x5u": "https://evil.example/cert"}),
        json!({"alg": "RS256", "kid": "key-1", "x5c": ["MIIC"]}),
    ] {
        let forged = OTHER.token_of(header.to_string().as_bytes(), user_v1().to_string().as_bytes());
        assert_eq!(code_of(&forged), Err(Code::BadSignature), "{header}");
        let honest = SIGNER.token_of(header.to_string().as_bytes(), user_v1().to_string().as_bytes());
        assert_eq!(code_of(&honest), Ok(()), "{header}");
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let header = json!({"alg": "HS256", "kid": "key-1"}).to_string();
    let signed = format!("{}.{}", b64(header), b64(user_v1().to_string()));
    let jwk = SIGNER.jwk().to_string();
    for secret in [SIGNER.public_der(), SIGNER.modulus(), jwk.into_bytes(), Vec::new()] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes());
        assert_eq!(code_of(&format!("{signed}.{}", b64(tag))), Err(Code::UnsupportedAlgorithm));
    }
}

#[test]
fn signatures_by_other_algorithms_are_refused() {
    let signed = format!("{}.{}", b64(SIGNER.header().to_string()), b64(user_v1().to_string()));
    for encoding in [&RSA_PKCS1_SHA512 as &'static dyn RsaEncoding, &RSA_PSS_SHA256] {
        let signature = SIGNER.sign_with(encoding, signed.as_bytes());
        assert_eq!(code_of(&format!("{signed}.{}", b64(signature))), Err(Code::BadSignature));
    }
}

#[test]
fn a_key_of_the_largest_size_verifies() {
    let signer = Signer::of_size("key-1", rsa::KeySize::Rsa4096);
    let keys = Keys(vec![key_of(&signer, None)]);
    assert!(verify(signer.token(&user_v1()).as_bytes(), &keys, &policy(), NOW).is_ok());
}
