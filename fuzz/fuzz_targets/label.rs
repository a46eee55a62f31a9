//! Any text as a security label.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(label) = entra::Label::parse(text) {
        assert_eq!(entra::Label::parse(&label.to_string()), Ok(label));
    }
    let _ = entra::Label::parse_internal(text);
});
