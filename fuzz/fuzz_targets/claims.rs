//! Any bytes as the claims of a token.
#![no_main]
mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let token = common::token_of(br#"{"alg":"RS256","kid":"k"}"#, bytes);
    if let Ok(token) = entra::Unverified::parse(token.as_bytes()) {
        if let Err(refusal) = common::could_pass(&token) {
            let _ = refusal.facts();
        }
    }
});
