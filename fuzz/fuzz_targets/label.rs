//! Any text as a security label of each of the three providers.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    match entra::Label::parse(text) {
        Ok(label) => {
            assert_eq!(entra::Label::parse(&label.to_string()), Ok(label));
            assert_eq!(label.completed_by(&entra::Label::default()), label);
        }
        Err(fault) => assert!(!fault.to_string().contains(char::is_control)),
    }
    let _ = entra::Label::parse_written(text);
    if let Ok(label) = entra::Label::parse_internal(text) {
        let revoked = entra::Label::with_internal_item(Some(text), "not_before", Some("7")).expect("an item");
        let expected = entra::Label { not_before: Some(7), ..label };
        assert_eq!(entra::Label::parse_internal(&revoked), Ok(expected));
    }
    if let Some(mark) = entra::Mark::parse(text) {
        assert_eq!(entra::Mark::parse(&mark.to_string()), Some(mark));
    }
});
