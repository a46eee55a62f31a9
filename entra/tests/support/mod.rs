//! A signer and documents shaped like Entra's, for the tests of this crate.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its part")]

use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaEncoding};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra::{Cloud, Key, KeyLookup, Policy, RawPolicy};
use serde_json::{Value, json};

pub const TENANT: &str = "11111111-aaaa-bbbb-cccc-000000000001";
pub const OTHER_TENANT: &str = "11111111-aaaa-bbbb-cccc-000000000099";
pub const PERSON: &str = "22222222-aaaa-bbbb-cccc-000000000002";
pub const APPLICATION: &str = "33333333-aaaa-bbbb-cccc-000000000003";
pub const CLIENT: &str = "44444444-aaaa-bbbb-cccc-000000000004";
pub const GROUP: &str = "55555555-aaaa-bbbb-cccc-000000000005";
pub const AUDIENCE: &str = "api://postgres";
pub const NOW: i64 = 1_700_000_000;

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key pair with an id.
pub struct Signer {
    pub id: &'static str,
    pub pair: KeyPair,
}

pub static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new("key-1", KeySize::Rsa2048));
pub static OTHER: LazyLock<Signer> = LazyLock::new(|| Signer::new("key-2", KeySize::Rsa2048));

impl Signer {
    pub fn new(id: &'static str, size: KeySize) -> Self {
        Self { id, pair: KeyPair::generate(size).unwrap() }
    }

    pub fn modulus(&self) -> Vec<u8> {
        self.pair.public_key().modulus().big_endian_without_leading_zero().to_owned()
    }

    pub fn exponent(&self) -> Vec<u8> {
        self.pair.public_key().exponent().big_endian_without_leading_zero().to_owned()
    }

    pub fn public_der(&self) -> Vec<u8> {
        self.pair.public_key().as_der().unwrap().as_ref().to_vec()
    }

    pub fn key(&self, issuer: Option<&str>) -> Key {
        Key::new(self.id, &self.modulus(), &self.exponent(), issuer).unwrap()
    }

    /// An entry of a key document as Entra writes it.
    pub fn jwk(&self) -> Value {
        json!({
            "kty": "RSA", "use": "sig", "kid": self.id, "x5t": self.id,
            "n": b64(self.modulus()), "e": b64(self.exponent()), "x5c": ["MIIC"],
            "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0",
        })
    }

    pub fn sign_with(&self, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    }

    /// Joins and signs two parts that need not be JSON.
    pub fn token_of(&self, header: &[u8], claims: &[u8]) -> String {
        let signed = format!("{}.{}", b64(header), b64(claims));
        let signature = self.sign_with(&RSA_PKCS1_SHA256, signed.as_bytes());
        format!("{signed}.{}", b64(signature))
    }

    pub fn header(&self) -> Value {
        json!({ "typ": "JWT", "alg": "RS256", "kid": self.id, "x5t": self.id })
    }

    pub fn token(&self, claims: &Value) -> String {
        self.token_of(self.header().to_string().as_bytes(), claims.to_string().as_bytes())
    }
}

/// The only keys there are.
pub struct Keys(pub Vec<Key>);

impl Keys {
    pub fn usual() -> Self {
        Self(vec![SIGNER.key(Some("https://login.microsoftonline.com/{tenantid}/v2.0"))])
    }
}

impl KeyLookup for Keys {
    fn find(&self, key_id: &str) -> Option<Key> {
        self.0.iter().find(|key| key.id() == key_id).cloned()
    }
}

pub fn raw_policy() -> RawPolicy<'static> {
    RawPolicy {
        tenant_id: TENANT,
        audience: AUDIENCE,
        cloud: Cloud::Public,
        issuers: "",
        allowed_clients: "",
        required_permission: "",
        clock_skew: 60,
    }
}

pub fn policy() -> Policy {
    Policy::parse(&raw_policy()).unwrap()
}

/// A person's token, version 1.0.
pub fn user_v1() -> Value {
    json!({
        "aud": AUDIENCE, "iss": format!("https://sts.windows.net/{TENANT}/"),
        "iat": NOW - 300, "nbf": NOW - 300, "exp": NOW + 3_600,
        "acr": "1", "aio": "opaque", "amr": ["pwd", "mfa"], "appid": CLIENT, "appidacr": "0",
        "family_name": "Example", "given_name": "Ann", "groups": [GROUP], "ipaddr": "127.0.0.1",
        "name": "Ann Example", "oid": PERSON, "rh": "0.x", "scp": "user_impersonation", "sub": "pairwise",
        "tid": TENANT, "unique_name": "ann@contoso.example", "upn": "ann@contoso.example",
        "uti": "token-1", "ver": "1.0",
    })
}

/// A person's token, version 2.0.
pub fn user_v2() -> Value {
    json!({
        "aud": AUDIENCE, "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
        "iat": NOW - 300, "nbf": NOW - 300, "exp": NOW + 3_600,
        "azp": CLIENT, "azpacr": "0", "name": "Ann Example", "oid": PERSON,
        "preferred_username": "ann@contoso.example", "scp": "access other", "sub": "pairwise",
        "tid": TENANT, "uti": "token-2", "ver": "2.0",
    })
}

/// An application's token, version 1.0.
pub fn app_v1() -> Value {
    json!({
        "aud": AUDIENCE, "iss": format!("https://sts.windows.net/{TENANT}/"),
        "iat": NOW - 300, "nbf": NOW - 300, "exp": NOW + 86_400,
        "appid": CLIENT, "appidacr": "2", "idp": format!("https://sts.windows.net/{TENANT}/"),
        "idtyp": "app", "oid": APPLICATION, "sub": APPLICATION, "tid": TENANT, "uti": "token-3", "ver": "1.0",
    })
}

/// An application's token, version 2.0, without `idtyp`.
pub fn app_v2() -> Value {
    json!({
        "aud": AUDIENCE, "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
        "iat": NOW - 300, "nbf": NOW - 300, "exp": NOW + 86_400,
        "azp": CLIENT, "azpacr": "2", "oid": APPLICATION, "sub": APPLICATION, "roles": ["Db.Login"],
        "tid": TENANT, "uti": "token-4", "ver": "2.0",
    })
}

/// The same claims with one member set, or removed when null.
pub fn with(mut claims: Value, name: &str, value: Value) -> Value {
    let members = claims.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
    claims
}
