//! Keys and tokens like those of Entra, for the tests of every crate.

#![allow(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a panic here fails a test, as it should"
)]

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaEncoding};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The tenant of all tests.
pub const TENANT: &str = "11111111-aaaa-bbbb-cccc-000000000001";
/// A tenant that no test is configured for.
pub const OTHER_TENANT: &str = "11111111-aaaa-bbbb-cccc-000000000099";
/// A person's object id.
pub const PERSON: &str = "22222222-aaaa-bbbb-cccc-000000000002";
/// An application's object id.
pub const APPLICATION: &str = "33333333-aaaa-bbbb-cccc-000000000003";
/// The client id that all tokens are issued to.
pub const CLIENT: &str = "44444444-aaaa-bbbb-cccc-000000000004";
/// A group's object id.
pub const GROUP: &str = "55555555-aaaa-bbbb-cccc-000000000005";
/// The resource that the server accepts tokens for.
pub const AUDIENCE: &str = "api://postgres";
/// The issuer template of Entra's version 2.0 keys.
pub const KEY_ISSUER: &str = "https://login.microsoftonline.com/{tenantid}/v2.0";

/// Encodes as base64url without padding.
pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key pair with an id.
pub struct Signer {
    /// `kid`.
    pub id: String,
    pair: KeyPair,
}

impl Signer {
    /// Makes a new key of 2048 bits.
    pub fn new(id: &str) -> Self {
        Self::of_size(id, KeySize::Rsa2048)
    }

    /// Makes a new key of this size.
    pub fn of_size(id: &str, size: KeySize) -> Self {
        Self { id: id.to_owned(), pair: KeyPair::generate(size).expect("a key pair") }
    }

    /// Returns `n`, big-endian.
    pub fn modulus(&self) -> Vec<u8> {
        self.pair.public_key().modulus().big_endian_without_leading_zero().to_owned()
    }

    /// Returns `e`, big-endian.
    pub fn exponent(&self) -> Vec<u8> {
        self.pair.public_key().exponent().big_endian_without_leading_zero().to_owned()
    }

    /// Returns the public key as SubjectPublicKeyInfo.
    pub fn public_der(&self) -> Vec<u8> {
        self.pair.public_key().as_der().expect("a public key").as_ref().to_vec()
    }

    /// Returns the key as an entry of a version 2.0 key document.
    pub fn jwk(&self) -> Value {
        json!({
            "kty": "RSA", "use": "sig", "kid": self.id, "x5t": self.id,
            "n": b64(self.modulus()), "e": b64(self.exponent()), "x5c": ["MIIC"], "issuer": KEY_ISSUER,
        })
    }

    /// Returns a signed token of exactly this many bytes.
    ///
    /// A part in base64url grows by two bytes, then by one, then by one, so that one part alone
    /// cannot have every length. Both parts are padded: the claims in a claim that no check reads,
    /// the header in a member that no check reads.
    pub fn token_of_length(&self, claims: &Value, length: usize) -> String {
        let padded = |claims_pad: usize, header_pad: usize| {
            let header = with(self.header(), "pad", json!("T".repeat(header_pad)));
            let claims = with(claims.clone(), "xms_pad", json!("x".repeat(claims_pad)));
            self.token_of(header.to_string().as_bytes(), claims.to_string().as_bytes())
        };
        let near = (length - padded(0, 0).len()) * 3 / 4;
        (0..3)
            .flat_map(|header_pad| (near - 4..near + 4).map(move |claims_pad| (claims_pad, header_pad)))
            .map(|(claims_pad, header_pad)| padded(claims_pad, header_pad))
            .find(|token| token.len() == length)
            .expect("a token of that length")
    }

    /// Signs a message in any encoding.
    pub fn sign_with(&self, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(encoding, &SystemRandom::new(), message, &mut signature).expect("a signature");
        signature
    }

    /// Joins and signs two parts, which need not be JSON.
    pub fn token_of(&self, header: &[u8], claims: &[u8]) -> String {
        let signed = format!("{}.{}", b64(header), b64(claims));
        let signature = self.sign_with(&RSA_PKCS1_SHA256, signed.as_bytes());
        format!("{signed}.{}", b64(signature))
    }

    /// Returns the header of this key's tokens.
    pub fn header(&self) -> Value {
        json!({ "typ": "JWT", "alg": "RS256", "kid": self.id, "x5t": self.id })
    }

    /// Returns a token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.token_of(self.header().to_string().as_bytes(), claims.to_string().as_bytes())
    }
}

/// Returns a person's claims, version 1.0, at `now` (Unix seconds).
pub fn user_v1(now: i64) -> Value {
    json!({
        "aud": AUDIENCE, "iss": format!("https://sts.windows.net/{TENANT}/"),
        "iat": now - 300, "nbf": now - 300, "exp": now + 3_600,
        "acr": "1", "aio": "opaque", "amr": ["pwd", "mfa"], "appid": CLIENT, "appidacr": "0",
        "family_name": "Example", "given_name": "Ann", "groups": [GROUP], "ipaddr": "127.0.0.1",
        "name": "Ann Example", "oid": PERSON, "rh": "0.x", "scp": "user_impersonation", "sub": "pairwise",
        "tid": TENANT, "unique_name": "ann@contoso.example", "upn": "ann@contoso.example",
        "uti": "token-1", "ver": "1.0",
    })
}

/// Returns a person's claims, version 2.0.
pub fn user_v2(now: i64) -> Value {
    json!({
        "aud": AUDIENCE, "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
        "iat": now - 300, "nbf": now - 300, "exp": now + 3_600,
        "azp": CLIENT, "azpacr": "0", "name": "Ann Example", "oid": PERSON,
        "preferred_username": "ann@contoso.example", "scp": "access other", "sub": "pairwise",
        "tid": TENANT, "uti": "token-2", "ver": "2.0",
    })
}

/// Returns an application's claims, version 1.0.
pub fn app_v1(now: i64) -> Value {
    json!({
        "aud": AUDIENCE, "iss": format!("https://sts.windows.net/{TENANT}/"),
        "iat": now - 300, "nbf": now - 300, "exp": now + 86_400,
        "appid": CLIENT, "appidacr": "2", "idp": format!("https://sts.windows.net/{TENANT}/"),
        "idtyp": "app", "oid": APPLICATION, "sub": APPLICATION, "tid": TENANT, "uti": "token-3", "ver": "1.0",
    })
}

/// Returns an application's claims, version 2.0, without `idtyp`.
pub fn app_v2(now: i64) -> Value {
    json!({
        "aud": AUDIENCE, "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
        "iat": now - 300, "nbf": now - 300, "exp": now + 86_400,
        "azp": CLIENT, "azpacr": "2", "oid": APPLICATION, "sub": APPLICATION, "roles": ["Db.Login"],
        "tid": TENANT, "uti": "token-4", "ver": "2.0",
    })
}

/// Returns the claims with one member set, or removed if `value` is null.
pub fn with(mut claims: Value, name: &str, value: Value) -> Value {
    let members = claims.as_object_mut().expect("an object");
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
    claims
}

/// Returns the present time in Unix seconds.
pub fn unix_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    i64::try_from(since.as_secs()).expect("a year below 292 billion")
}
