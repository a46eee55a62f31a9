//! Defects in the form of a token: size, parts, base64url, characters around it.

use entra::{Code, FormatFault, Refusal, verify};
use serde_json::json;

use crate::code_of;
use crate::support::*;

#[test]
fn one_defect_in_the_form() {
    let good = SIGNER.token(&user_v1());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let cases = [
        ("nothing", String::new()),
        ("a password", "correct horse battery staple".to_owned()),
        ("one part", header.to_owned()),
        ("two parts", signed.to_owned()),
        ("four parts", format!("{good}.{signature}")),
        ("five parts, a JWE", format!("{header}.{claims}.{claims}.{claims}.{signature}")),
        ("JSON serialisation", json!({"payload": claims, "signature": signature}).to_string()),
        ("a blank before", format!(" {good}")),
        ("a newline after", format!("{good}\n")),
        ("a carriage return after", format!("{good}\r")),
        ("padding", format!("{signed}.{signature}==")),
        ("a NUL", format!("{good}\0")),
        ("the standard alphabet", good.replace(['-', '_'], "+")),
        ("Bearer", format!("Bearer {good}")),
        ("an empty header", format!(".{claims}.{signature}")),
        ("no JSON in the header", format!("{}.{claims}.{signature}", b64("{"))),
    ];
    for (name, token) in cases {
        assert_eq!(code_of(&token), Err(Code::InvalidFormat), "{name}");
    }
    for (name, token) in [
        ("an empty signature", format!("{signed}.")),
        ("a short signature", format!("{signed}.{}", b64([1; 255]))),
        ("a long signature", format!("{signed}.{}", b64([1; 257]))),
        ("the signature of another", format!("{signed}.{}", "A".repeat(signature.len()))),
        ("other claims", format!("{header}.{}.{signature}", b64(user_v2().to_string()))),
    ] {
        assert_eq!(code_of(&token), Err(Code::BadSignature), "{name}");
    }
}

#[test]
fn stray_bits_at_the_end_of_a_part_are_refused() {
    // 256 bytes of signature leave four stray bits in the last character, which a lenient decoder
    // ignores.
    let mut twisted = SIGNER.token(&user_v1());
    twisted.pop();
    twisted.push('B');
    assert_eq!(code_of(&twisted), Err(Code::InvalidFormat));
}

#[test]
fn size_is_limited_before_anything_else() {
    assert_eq!(code_of(&"A".repeat(65_531)), Err(Code::InvalidFormat));
    let of_length = |length| SIGNER.token_of_length(&user_v1(), length);
    assert_eq!(code_of(&of_length(65_530)), Ok(()), "the largest that fits is read");
    assert_eq!(code_of(&of_length(65_531)), Err(Code::InvalidFormat));
    let refusal = verify(of_length(65_531).as_bytes(), &Keys::usual(), &policy(), NOW).unwrap_err();
    assert!(matches!(refusal, Refusal::InvalidFormat { fault: FormatFault::TooLong, length: 65_531 }));
}

#[test]
fn characters_around_a_token_are_named_and_it_is_refused() {
    let good = SIGNER.token(&user_v1());
    for (token, problem) in [
        (format!("{good}\n"), "a line end after the token"),
        (format!("Bearer {good}"), "the word Bearer and blanks before the token"),
        (format!("\"{good}\""), "quotes before the token, quotes after it"),
        (format!("{good}=="), "other characters after the token"),
        (good.replacen('.', ".\n", 1), "blanks or line ends within the token"),
    ] {
        let refusal = verify(token.as_bytes(), &Keys::usual(), &policy(), NOW).unwrap_err();
        assert_eq!((refusal.code(), refusal.facts()[0].1.as_str()), (Code::InvalidFormat, problem));
    }
}
