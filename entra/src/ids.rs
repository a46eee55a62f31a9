//! Directory ids: uuids in the form that Entra writes.

use uuid::Uuid;

/// Reads a uuid in its hyphenated form, in either case, and in no other form.
///
/// Ids are compared as 128-bit numbers, so case never matters.
#[must_use]
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    // The crate also accepts braces, URNs and bare digits, which have other lengths.
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_form() {
        let id = parse_uuid("0F0e0d0c-0b0a-0908-0706-050403020100");
        assert_eq!(id, parse_uuid("0f0e0d0c-0b0a-0908-0706-050403020100"));
        assert!(id.is_some());
        for text in [
            "",
            "0f0e0d0c0b0a09080706050403020100",
            "{0f0e0d0c-0b0a-0908-0706-050403020100}",
            "urn:uuid:0f0e0d0c-0b0a-0908-0706-050403020100",
            " f0e0d0c-0b0a-0908-0706-050403020100",
            "0f0e0d0c-0b0a-0908-0706-05040302010",
            "0f0e0d0c-0b0a-0908-0706-05040302010g",
            "0f0e0d0c0b0a-0908-0706-0504030201000",
            "0f0e0d0c-0b0a-0908-0706-05040302010\0",
        ] {
            assert_eq!(parse_uuid(text), None, "{text}");
        }
    }
}
