//! Any bytes as the claims of a token that a known key has signed: what is shown of it, to those
//! whose session it is and to those who ask about a token.
#![no_main]
mod common;

use std::sync::LazyLock;

use entra::{KeySet, Step};
use issuer::Signer;
use serde_json::{Value, json};

const NOW: i64 = 1_700_000_000;

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new("k"));
static KEYS: LazyLock<KeySet> =
    LazyLock::new(|| KeySet::parse(json!({ "keys": [SIGNER.jwk()] }).to_string().as_bytes()).expect("a key"));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let token = SIGNER.token_of(br#"{"alg":"RS256","kid":"k"}"#, bytes);
    explain(&token);
    let Ok(verified) = entra::verify(token.as_bytes(), &*KEYS, &common::policy(), NOW) else { return };
    let claims = verified.shown_claims();
    let read: Value = serde_json::from_str(&claims).expect("JSON");
    for (name, value) in read.as_object().expect("an object") {
        assert_eq!(verified.shown_claim(name).is_none(), value.is_null());
    }
    // PostgreSQL's texts and its jsonb cannot hold this character.
    assert!(!claims.contains('\0') && !claims.contains(r"\u0000"));
});

/// What is shown about each check is one line without the signature.
fn explain(token: &str) {
    let (_, signature) = token.rsplit_once('.').expect("a signature");
    let time = |seconds: i64| seconds.to_string();
    for step in Step::ALL {
        for passed in [true, false] {
            let Some(shown) = entra::found(*step, passed, token.as_bytes(), &time) else { continue };
            assert!(!shown.contains(char::is_control) && !shown.contains(signature), "{step:?}: {shown}");
        }
    }
}
