//! The helpers of this crate's tests: a fixed time, a policy, keys.
#![allow(dead_code, unused_imports, unreachable_pub, missing_docs, reason = "each test file uses its part")]

use std::sync::LazyLock;

use entra::directory::login::Knowledge;
use entra::{Key, KeyLookup, Label, Policy, Principal, RawPolicy, Refusal, Revocations, Unverified};
pub use issuer::{
    APPLICATION, AUDIENCE, CLIENT, GROUP, KEY_ISSUER, OTHER_TENANT, PERSON, Signer, TENANT, b64, with,
};
use serde_json::Value;

pub const NOW: i64 = 1_700_000_000;

pub static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new("key-1"));
pub static OTHER: LazyLock<Signer> = LazyLock::new(|| Signer::new("key-2"));

pub fn key_of(signer: &Signer, issuer: Option<&str>) -> Key {
    Key::new(&signer.id, &signer.modulus(), &signer.exponent(), issuer).unwrap()
}

/// The keys that tokens are verified by.
pub struct Keys(pub Vec<Key>);

impl Keys {
    pub fn usual() -> Self {
        Self(vec![key_of(&SIGNER, Some(KEY_ISSUER))])
    }
}

impl KeyLookup for Keys {
    fn find(&self, key_id: &str) -> Option<Key> {
        self.0.iter().find(|key| key.id() == key_id).cloned()
    }
}

pub fn raw_policy() -> RawPolicy<'static> {
    RawPolicy::for_tenant(TENANT, AUDIENCE)
}

pub fn policy() -> Policy {
    Policy::parse(&raw_policy()).unwrap()
}

pub fn user_v1() -> Value {
    issuer::user_v1(NOW)
}

pub fn user_v2() -> Value {
    issuer::user_v2(NOW)
}

pub fn app_v1() -> Value {
    issuer::app_v1(NOW)
}

pub fn app_v2() -> Value {
    issuer::app_v2(NOW)
}

/// Checks whether a token would be accepted for a role with this label, if a key that is not known
/// yet had signed it.
pub fn could_open(token: &Unverified<'_>, label: &str) -> Result<(), Refusal> {
    let principal = Principal::of(&Label::parse(label).unwrap()).unwrap();
    token.could_pass(&policy(), NOW, &principal, Some(&Revocations::default()), |_| Knowledge::OFF)
}

/// Returns the label of a role linked to the person of the tokens.
pub fn persons_label() -> String {
    format!("aadauth,oid={PERSON},type=user,tenant_id={TENANT}")
}
