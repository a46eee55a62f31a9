//! Any bytes as a key document.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(keys) = entra::KeySet::parse(bytes) {
        assert!((1..=entra::limits::MAX_KEYS).contains(&keys.iter().len()));
        let _ = keys.clone().join(keys);
    }
});
