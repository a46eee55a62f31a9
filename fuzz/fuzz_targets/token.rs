//! Any bytes as a token.
#![no_main]
mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(token) = entra::Unverified::parse(bytes) {
        let _ = common::could_pass(&token);
    }
});
