//! Any bytes as the header of a token.
#![no_main]
mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(token) = entra::Unverified::parse(common::token_of(bytes, b"{}").as_bytes()) {
        assert!((1..=entra::limits::MAX_KEY_ID_BYTES).contains(&token.key_id().len()));
    }
});
