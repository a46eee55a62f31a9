//! Any bytes as a key document.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match entra::KeySet::parse(bytes) {
        Ok(keys) => {
            assert!((1..=entra::limits::MAX_KEYS).contains(&keys.iter().len()));
            let _ = keys.clone().join(keys);
        }
        Err(fault) => assert!(!fault.to_string().contains(char::is_control)),
    }
});
