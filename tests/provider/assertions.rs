//! The token endpoint with assertions: by certificate and by a federated issuer.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs1KeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use testbed::idp::directory::{ClientCertificate, Federation, SERVER_CLIENT};
use testbed::issuer::{Signer, TENANT, b64, unix_now, with};

use crate::client::{Answer, Bed, KEY, bed};

static CERTIFICATE: LazyLock<ClientCertificate> = LazyLock::new(ClientCertificate::new);

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn ask(bed: &Bed, assertion: &str) -> Answer {
    bed.token_with(&[("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)])
}

fn claims(bed: &Bed) -> Value {
    let now = unix_now();
    json!({
        "aud": format!("{}/{TENANT}/oauth2/v2.0/token", bed.provider.url()),
        "iss": SERVER_CLIENT, "sub": SERVER_CLIENT, "jti": b64(now.to_string().repeat(3)) + &unique(),
        "iat": now, "nbf": now, "exp": now + 300,
    })
}

fn unique() -> String {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    COUNT.fetch_add(1, Ordering::SeqCst).to_string()
}

fn header(certificate: &ClientCertificate) -> Value {
    json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": certificate.thumbprint() })
}

fn signed(
    certificate: &ClientCertificate,
    header: &Value,
    claims: &Value,
    encoding: &'static dyn RsaEncoding,
) -> String {
    let der = PrivatePkcs8KeyDer::from_pem_slice(certificate.key_pem.as_bytes()).expect("a key");
    let key = KeyPair::from_pkcs8(der.secret_pkcs8_der()).expect("an RSA key");
    let text = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(encoding, &SystemRandom::new(), text.as_bytes(), &mut signature).expect("a signature");
    format!("{text}.{}", b64(signature))
}

fn by_certificate(certificate: &ClientCertificate, claims: &Value) -> String {
    signed(certificate, &header(certificate), claims, &RSA_PSS_SHA256)
}

#[test]
fn a_registered_certificate_brings_a_token() {
    let bed = bed();
    let assertion = by_certificate(&CERTIFICATE, &claims(&bed));
    assert_eq!(ask(&bed, &assertion).number(), (401, 700_027));
    bed.directory().register(&CERTIFICATE);
    let answer = ask(&bed, &assertion);
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(ask(&bed, &assertion).number(), (400, 50_027), "an assertion is used once");
    bed.directory().remove_certificates();
    let answer = ask(&bed, &by_certificate(&CERTIFICATE, &claims(&bed)));
    let description = answer.body["error_description"].as_str().expect("a description");
    assert!(description.contains(CERTIFICATE.thumbprint()), "{description}");
}

#[test]
fn an_assertion_has_the_claims_that_entra_wants() {
    let bed = bed();
    bed.directory().register(&CERTIFICATE);
    let now = unix_now();
    for (name, value, expected) in [
        ("aud", json!(bed.provider.url()), (401, 700_023)),
        ("aud", json!([claims(&bed)["aud"]]), (401, 700_023)),
        ("iss", json!(TENANT), (401, 700_021)),
        ("sub", json!(TENANT), (401, 700_021)),
        ("exp", json!(now - 3_600), (401, 700_024)),
        ("exp", json!(now + 700), (401, 700_024)),
        ("exp", Value::Null, (401, 700_024)),
        ("nbf", json!(now + 3_600), (401, 700_024)),
        ("iat", Value::Null, (401, 700_024)),
        ("jti", Value::Null, (400, 50_027)),
        ("jti", json!("1"), (400, 50_027)),
    ] {
        let claims = with(claims(&bed), name, value);
        assert_eq!(ask(&bed, &by_certificate(&CERTIFICATE, &claims)).number(), expected, "{name}: {claims}");
    }
}

#[test]
fn an_assertion_is_signed_with_ps256_by_the_certificate_it_names() {
    let bed = bed();
    bed.directory().register(&CERTIFICATE);
    let (claims, right) = (claims(&bed), header(&CERTIFICATE));
    let rs256 = with(right.clone(), "alg", json!("RS256"));
    let sha1 = json!({ "alg": "PS256", "typ": "JWT", "x5t": CERTIFICATE.thumbprint() });
    for assertion in [
        signed(&CERTIFICATE, &rs256, &claims, &RSA_PKCS1_SHA256),
        signed(&CERTIFICATE, &right, &claims, &RSA_PKCS1_SHA256),
        signed(&CERTIFICATE, &rs256, &claims, &RSA_PSS_SHA256),
        signed(&CERTIFICATE, &sha1, &claims, &RSA_PSS_SHA256),
        signed(&ClientCertificate::new(), &right, &claims, &RSA_PSS_SHA256),
        signed(&CERTIFICATE, &with(right.clone(), "typ", Value::Null), &claims, &RSA_PSS_SHA256),
    ] {
        assert_eq!(ask(&bed, &assertion).number(), (401, 700_027), "{assertion}");
    }
    for assertion in ["x", "x.y.z", "e30.e30."] {
        assert!([(400, 50_027), (401, 70_021)].contains(&ask(&bed, assertion).number()), "{assertion}");
    }
    assert_eq!(ask(&bed, &by_certificate(&CERTIFICATE, &claims)).status, 200);
}

#[test]
fn certificates_expire_and_are_revoked() {
    let bed = bed();
    let expired = ClientCertificate::expired();
    bed.directory().register(&expired);
    assert_eq!(ask(&bed, &by_certificate(&expired, &claims(&bed))).number(), (401, 1_000_502));
    bed.directory().register(&CERTIFICATE);
    bed.directory().revoke_certificates();
    assert_eq!(ask(&bed, &by_certificate(&CERTIFICATE, &claims(&bed))).number(), (401, 7_000_214));
}

#[test]
fn a_clock_that_is_off_by_an_hour_makes_assertions_late() {
    let bed = bed();
    bed.directory().register(&CERTIFICATE);
    for ahead in [3_600, -3_600] {
        bed.provider.set_clock_ahead(ahead);
        assert_eq!(ask(&bed, &by_certificate(&CERTIFICATE, &claims(&bed))).number(), (401, 700_024));
    }
}

#[test]
fn keys_of_certificates_come_in_both_formats() {
    let pkcs1 = PrivatePkcs1KeyDer::from_pem_slice(CERTIFICATE.key_pem_pkcs1().as_bytes()).expect("a key");
    let key = KeyPair::from_der(pkcs1.secret_pkcs1_der()).expect("an RSA key");
    let pkcs8 = PrivatePkcs8KeyDer::from_pem_slice(CERTIFICATE.key_pem.as_bytes()).expect("a key");
    let same = KeyPair::from_pkcs8(pkcs8.secret_pkcs8_der()).expect("an RSA key");
    let modulus = |key: &KeyPair| {
        use aws_lc_rs::signature::KeyPair as _;
        key.public_key().modulus().big_endian_without_leading_zero().to_owned()
    };
    assert_eq!(modulus(&key), modulus(&same));
    let elliptic = ClientCertificate::elliptic();
    let der = PrivatePkcs8KeyDer::from_pem_slice(elliptic.key_pem.as_bytes()).expect("a key");
    assert!(KeyPair::from_pkcs8(der.secret_pkcs8_der()).is_err());
}

const ISSUER: &str = "https://oidc.example/cluster";
const SUBJECT: &str = "system:serviceaccount:Databases:postgres";
const AUDIENCE: &str = "api://AzureADTokenExchange";

fn federated(key: &Signer, changes: &[(&str, Value)]) -> String {
    let now = unix_now();
    let claims = json!({
        "iss": ISSUER, "sub": SUBJECT, "aud": [AUDIENCE], "iat": now, "nbf": now, "exp": now + 3_600,
    });
    let claims = changes.iter().fold(claims, |claims, (name, value)| with(claims, name, value.clone()));
    let header = json!({ "alg": "RS256", "kid": key.id });
    key.token_of(header.to_string().as_bytes(), claims.to_string().as_bytes())
}

#[test]
fn a_federated_token_brings_a_token_when_everything_matches() {
    let bed = bed();
    assert_eq!(ask(&bed, &federated(&KEY, &[])).number(), (401, 70_021));
    bed.directory().trust(Federation {
        issuer: ISSUER.to_owned(),
        subject: SUBJECT.to_owned(),
        audience: AUDIENCE.to_owned(),
        key: Arc::clone(&KEY),
    });
    let token = federated(&KEY, &[]);
    for assertion in [&token, &token, &federated(&KEY, &[("aud", json!(AUDIENCE))])] {
        assert_eq!(ask(&bed, assertion).status, 200);
    }
    let now = unix_now();
    for (change, expected) in [
        (("iss", json!(ISSUER.to_uppercase())), 700_211),
        (("sub", json!(SUBJECT.to_lowercase())), 700_213),
        (("aud", json!("api://other")), 700_212),
        (("aud", json!([AUDIENCE, "api://other"])), 700_212),
        (("exp", json!(now - 3_600)), 700_024),
        (("nbf", json!(now + 3_600)), 700_024),
    ] {
        assert_eq!(
            ask(&bed, &federated(&KEY, std::slice::from_ref(&change))).number(),
            (401, expected),
            "{change:?}"
        );
    }
    assert_eq!(ask(&bed, &federated(&Signer::new("key-1"), &[])).number(), (401, 50_013));
}
