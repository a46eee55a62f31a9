//! No change makes a valid token another one that is accepted.

mod support;

use std::sync::LazyLock;

use entra::{KeySet, Label, Unverified, verify};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::*;

static TOKEN: LazyLock<String> = LazyLock::new(|| SIGNER.token(&user_v1()));

fn accepted(token: &[u8]) -> bool {
    verify(token, &Keys::usual(), &policy(), NOW).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_bit_changed(position in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut token = TOKEN.clone().into_bytes();
        let at = position.index(token.len());
        token[at] ^= 1 << bit;
        prop_assert!(!accepted(&token));
    }

    #[test]
    fn one_byte_changed(position in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut token = TOKEN.clone().into_bytes();
        let at = position.index(token.len());
        prop_assume!(token[at] != byte);
        token[at] = byte;
        prop_assert!(!accepted(&token));
    }

    #[test]
    fn one_byte_inserted_or_removed(position in any::<prop::sample::Index>(), byte in any::<u8>(), remove in any::<bool>()) {
        let mut token = TOKEN.clone().into_bytes();
        let at = position.index(token.len());
        if remove { token.remove(at); } else { token.insert(at, byte); }
        prop_assert!(!accepted(&token));
    }

    #[test]
    fn one_claim_changed_under_the_old_signature(
        name in prop::sample::select(vec!["aud", "iss", "iat", "nbf", "exp", "oid", "tid", "scp", "groups", "ver", "upn", "new"]),
        value in prop_oneof![
            Just(Value::Null), any::<i64>().prop_map(|n| json!(n)), ".{0,40}".prop_map(|s| json!(s)),
            Just(json!(GROUP)), Just(json!([GROUP])), Just(json!({"groups": "src1"})),
        ],
    ) {
        let (signed, signature) = TOKEN.rsplit_once('.').unwrap();
        let (header, old) = signed.split_once('.').unwrap();
        let claims = b64(with(user_v1(), name, value).to_string());
        prop_assume!(claims != old);
        let forged = [header, &claims, signature].join(".");
        prop_assert!(!accepted(forged.as_bytes()));
    }

    #[test]
    fn no_bytes_crash_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Unverified::parse(&bytes).map(|token| could_open(&token, &persons_label()));
        let _ = KeySet::parse(&bytes);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = Label::parse(text);
            let _ = Label::parse_internal(text);
        }
        let token = SIGNER.header().to_string();
        let token = [b64(token), b64(&bytes), b64([1; 256])].join(".");
        if let Ok(token) = Unverified::parse(token.as_bytes()) {
            prop_assert!(could_open(&token, &persons_label()).is_err());
        }
    }

    #[test]
    fn a_label_that_parses_is_written_the_same_way(text in "aadauth(,(admin|mfa|type=(user|group|service)|not_before=[0-9]{1,10}|oid=[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})){0,5}") {
        if let Ok(label) = Label::parse(&text) {
            prop_assert_eq!(Label::parse(&label.to_string()), Ok(label));
        }
    }
}

#[test]
fn the_token_they_all_start_from_is_valid() {
    assert!(accepted(TOKEN.as_bytes()));
}
