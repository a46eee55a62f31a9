//! Measures what deciding about a token costs, without PostgreSQL: from the text to the decision.

#![allow(missing_docs, reason = "made by macros")]

use criterion::{Criterion, criterion_group, criterion_main};
use entra::directory::login::Knowledge;
use entra::{Key, KeyLookup, Label, Policy, Principal, RawPolicy, Revocations, Unverified, verify};
use serde_json::json;
use testbed::issuer::{AUDIENCE, KEY_ISSUER, PERSON, Signer, TENANT, unix_now, user_v1, with};

struct OneKey(Key);

impl KeyLookup for OneKey {
    fn find(&self, key_id: &str) -> Option<Key> {
        (self.0.id() == key_id).then(|| self.0.clone())
    }
}

fn admission(c: &mut Criterion) {
    let signer = Signer::new("key-1");
    let key = Key::new("key-1", &signer.modulus(), &signer.exponent(), Some(KEY_ISSUER)).expect("a key");
    let keys = OneKey(key);
    let policy = Policy::parse(&RawPolicy::for_tenant(TENANT, AUDIENCE)).expect("a policy");
    let label = Label::parse(&format!("aadauth,oid={PERSON},type=user,tenant_id={TENANT}")).expect("a label");
    let principal = Principal::of(&label).expect("a principal");
    let revocations = Revocations::default();
    let now = unix_now();
    // The sizes of tokens as users see them: of a managed identity, of a person, of a person with
    // 200 groups.
    for (name, padding) in [("2 KB", 700), ("7 KB", 4_500), ("12 KB", 8_200)] {
        let token = signer.token(&with(user_v1(now), "xms_pad", json!("x".repeat(padding))));
        c.bench_function(&format!("a token of {name}: {} bytes", token.len()), |b| {
            b.iter(|| {
                let token = verify(token.as_bytes(), &keys, &policy, now).expect("a good token");
                principal.accepts(&token, Some(&revocations)).expect("the right one");
            });
        });
        let stranger = Signer::new("key-2").token(&with(user_v1(now), "xms_pad", json!("x".repeat(padding))));
        c.bench_function(&format!("an unknown key, {name}"), |b| {
            b.iter(|| {
                Unverified::parse(stranger.as_bytes()).and_then(|token| {
                    token.could_pass(&policy, now, &principal, Some(&revocations), |_| Knowledge::OFF)
                })
            });
        });
    }
}

criterion_group!(benches, admission);
criterion_main!(benches);
