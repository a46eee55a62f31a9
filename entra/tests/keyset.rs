//! Which keys of a document are used.

mod support;

use entra::{JsonFault, KeyLookup, KeySet, KeySetFault, limits};
use serde_json::{Value, json};
use support::*;

fn document(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

fn ids(set: &KeySet) -> Vec<&str> {
    set.iter().map(entra::Key::id).collect()
}

#[test]
fn a_document_of_entra() {
    let set = KeySet::parse(&document(&[SIGNER.jwk(), with(OTHER.jwk(), "issuer", Value::Null)])).unwrap();
    assert_eq!(ids(&set), ["key-1", "key-2"]);
    assert_eq!(set.dropped(), 0);
    assert_eq!(
        set.find("key-1"),
        Some(key_of(&SIGNER, Some("https://login.microsoftonline.com/{tenantid}/v2.0")))
    );
    assert_eq!(set.find("key-2"), Some(key_of(&OTHER, None)));
    assert_eq!(set.find("KEY-1"), None);
}

/// 65537^130: a power of 65537 modulo every prime, which is the fingerprint of ROCA; 2,081 bits.
fn roca_modulus() -> Vec<u8> {
    let mut number = vec![0_u8; 261];
    *number.last_mut().unwrap() = 1;
    for _ in 0..130 {
        let mut carry = 0_u32;
        for byte in number.iter_mut().rev() {
            let product = u32::from(*byte) * 65_537 + carry;
            *byte = u8::try_from(product & 0xff).unwrap();
            carry = product >> 8;
        }
    }
    number.into_iter().skip_while(|byte| *byte == 0).collect()
}

#[test]
fn weak_and_foreign_keys_are_dropped_and_counted() {
    let good = || SIGNER.jwk();
    let mut even = SIGNER.modulus();
    *even.last_mut().unwrap() -= 1;
    let mut zero = vec![0];
    zero.extend(SIGNER.modulus());
    let short = SIGNER.modulus().get(..255).unwrap().to_vec();
    let mut long = SIGNER.modulus().repeat(3);
    *long.last_mut().unwrap() |= 1;
    let cases = vec![
        ("kty", json!("EC")),
        ("kty", json!("oct")),
        ("kty", json!("rsa")),
        ("kty", Value::Null),
        ("use", json!("enc")),
        ("use", json!(["sig"])),
        ("alg", json!("RS512")),
        ("alg", json!("RSA-OAEP")),
        ("alg", json!("HS256")),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!("verify")),
        ("kid", Value::Null),
        ("kid", json!("")),
        ("kid", json!(1)),
        ("kid", json!("k".repeat(129))),
        ("issuer", json!(["x"])),
        ("issuer", json!("")),
        ("issuer", json!("x".repeat(257))),
        ("n", Value::Null),
        ("n", json!("")),
        ("n", json!(b64(&even))),
        ("n", json!(b64(&zero))),
        ("n", json!(b64(&short))),
        ("n", json!(b64(&long))),
        ("n", json!(b64(roca_modulus()))),
        ("n", json!(format!("{}=", b64(SIGNER.modulus())))),
        ("e", json!(b64([1]))),
        ("e", json!(b64([3]))),
        ("e", json!(b64([1, 0, 0]))),
        ("e", json!(b64([0, 1, 0, 1]))),
        ("e", json!(b64([2, 0, 0, 0, 1]))),
        ("e", json!(b64([1; 9]))),
        ("e", json!("")),
        ("d", json!("AQAB")),
        ("p", json!("AQAB")),
        ("k", json!("AQAB")),
    ];
    for (name, value) in cases {
        let bad = with(good(), name, value.clone());
        assert_eq!(
            KeySet::parse(&document(std::slice::from_ref(&bad))),
            Err(KeySetFault::NoUsableKey(1)),
            "{name}: {value}"
        );
        let set = KeySet::parse(&document(&[bad, OTHER.jwk()])).unwrap();
        assert_eq!((ids(&set), set.dropped()), (vec!["key-2"], 1), "{name}: {value}");
    }
    let mut not_roca = roca_modulus();
    *not_roca.last_mut().unwrap() ^= 2;
    for fine in [
        with(good(), "n", json!(b64(&not_roca))),
        with(good(), "alg", json!("RS256")),
        with(good(), "use", Value::Null),
        with(good(), "key_ops", json!(["verify"])),
        with(good(), "x5c", Value::Null),
        with(good(), "unheard_of", json!({})),
    ] {
        assert!(KeySet::parse(&document(&[fine])).is_ok());
    }
}

#[test]
fn keys_that_are_no_objects_are_dropped() {
    let set =
        KeySet::parse(&document(&[json!(1), json!("x"), json!([]), Value::Null, SIGNER.jwk()])).unwrap();
    assert_eq!((ids(&set), set.dropped()), (vec!["key-1"], 4));
}

#[test]
fn an_id_given_twice_belongs_to_no_key() {
    let twin = with(OTHER.jwk(), "kid", json!("key-1"));
    let keys = [SIGNER.jwk(), twin.clone(), OTHER.jwk()];
    let set = KeySet::parse(&document(&keys)).unwrap();
    assert_eq!((ids(&set), set.dropped()), (vec!["key-2"], 2));
    // Neither a third key nor the same key again brings it back.
    let keys = [SIGNER.jwk(), SIGNER.jwk(), twin, OTHER.jwk()];
    assert_eq!(ids(&KeySet::parse(&document(&keys)).unwrap()), ["key-2"]);
}

#[test]
fn the_same_key_listed_again_counts_once() {
    let without = |jwk: Value| with(jwk, "issuer", Value::Null);
    let keys = [OTHER.jwk(), SIGNER.jwk(), SIGNER.jwk(), without(SIGNER.jwk()), SIGNER.jwk()];
    let set = KeySet::parse(&document(&keys)).unwrap();
    assert_eq!((ids(&set), set.dropped()), (vec!["key-1", "key-2"], 0));
    assert!(set.find("key-1").unwrap().issuer().is_some());
    // With two issuers it is dropped.
    let elsewhere = with(SIGNER.jwk(), "issuer", json!("https://elsewhere.example/"));
    let set = KeySet::parse(&document(&[OTHER.jwk(), SIGNER.jwk(), elsewhere])).unwrap();
    assert_eq!((ids(&set), set.dropped()), (vec!["key-2"], 2));
}

#[test]
fn an_id_for_two_keys_in_one_document_is_none_in_the_other_either() {
    let twin = with(OTHER.jwk(), "kid", json!("key-1"));
    let third = Signer::new("key-3");
    let torn = KeySet::parse(&document(&[SIGNER.jwk(), twin, OTHER.jwk()])).unwrap();
    let whole = KeySet::parse(&document(&[SIGNER.jwk(), third.jwk()])).unwrap();
    for joined in [torn.clone().join(whole.clone()), whole.clone().join(torn.clone())] {
        let joined = joined.unwrap();
        assert_eq!((ids(&joined), joined.dropped()), (vec!["key-2", "key-3"], 3));
        // Nor does a third document bring it back.
        assert_eq!(ids(&joined.join(whole.clone()).unwrap()), ["key-2", "key-3"]);
    }
}

#[test]
fn an_entry_that_cannot_be_read_costs_no_other() {
    let good = SIGNER.jwk().to_string();
    let member = |text: &str| good.replacen('{', &format!("{{{text},"), 1);
    let deep = format!("{}{}", "[".repeat(50), "]".repeat(50));
    for (bad, is_dropped) in [
        (r#"{"kid":"a","kid":"b"}"#.to_owned(), true),
        (member(r#""kty":"RSA""#), true),
        (member(r#""kid":"key-9""#), true),
        (member(r#""exp":1.5"#), false),
        (member(r#""exp":1e999"#), false),
        (member(r#""x":{"a":1,"a":2}"#), false),
        (member(&format!("\"x\":{deep}")), false),
        (member(r#""x":"\ud800""#), false),
        (member(r#""use2":{"a":1,"a":2},"key_ops":{"a":1,"a":2}"#), true),
        (deep.clone(), true),
        ("1.5".to_owned(), true),
    ] {
        let document = format!("{{\"more\":1.5,\"keys\":[{bad},{}]}}", OTHER.jwk());
        let set = KeySet::parse(document.as_bytes()).unwrap();
        let expected = if is_dropped { vec!["key-2"] } else { vec!["key-1", "key-2"] };
        assert_eq!((ids(&set), set.dropped()), (expected, usize::from(is_dropped)), "{bad}");
    }
}

#[test]
fn a_document_that_cannot_be_meant() {
    let big = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(limits::MAX_KEY_DOCUMENT_BYTES));
    let cases: Vec<(Vec<u8>, KeySetFault)> = vec![
        (b"".to_vec(), KeySetFault::Json(JsonFault::NotJson)),
        (b"<html>".to_vec(), KeySetFault::Json(JsonFault::NotJson)),
        (b"[]".to_vec(), KeySetFault::Json(JsonFault::NotAnObject)),
        (b"{}".to_vec(), KeySetFault::NoKeys),
        (br#"{"keys":{}}"#.to_vec(), KeySetFault::NoKeys),
        (br#"{"keys":[]}"#.to_vec(), KeySetFault::NoUsableKey(0)),
        (br#"{"keys":[],"keys":[]}"#.to_vec(), KeySetFault::Json(JsonFault::DuplicateMember)),
        (br#"{"keys":[{"kid":"a","kid":"b"}]}"#.to_vec(), KeySetFault::NoUsableKey(1)),
        (big.into_bytes(), KeySetFault::TooLarge),
    ];
    for (document, fault) in cases {
        assert_eq!(KeySet::parse(&document), Err(fault));
    }
    let good = document(&[SIGNER.jwk()]);
    let cut = good.get(..good.len() - 1).unwrap();
    assert_eq!(KeySet::parse(cut), Err(KeySetFault::Json(JsonFault::NotJson)));
}

#[test]
fn too_many_keys() {
    let keys: Vec<Value> =
        (0..=limits::MAX_KEYS).map(|n| with(SIGNER.jwk(), "kid", json!(n.to_string()))).collect();
    assert_eq!(KeySet::parse(&document(&keys)), Err(KeySetFault::TooManyKeys(limits::MAX_KEYS + 1)));
    assert!(KeySet::parse(&document(keys.get(1..).unwrap())).is_ok());
}

#[test]
fn the_documents_of_both_versions_are_joined() {
    let parse = |keys: &[Value]| KeySet::parse(&document(keys)).unwrap();
    let without = |jwk: Value| with(jwk, "issuer", Value::Null);
    let third = Signer::new("key-3");
    // In both, the issuer of the one that has it; in one only; an id for two keys.
    let v2 = parse(&[SIGNER.jwk(), OTHER.jwk()]);
    let v1 = parse(&[without(SIGNER.jwk()), without(third.jwk())]);
    for joined in [v2.clone().join(v1.clone()).unwrap(), v1.clone().join(v2.clone()).unwrap()] {
        assert_eq!(ids(&joined), ["key-1", "key-2", "key-3"]);
        assert!(joined.find("key-1").unwrap().issuer().is_some());
        assert!(joined.find("key-3").unwrap().issuer().is_none());
    }
    let twin = parse(&[with(third.jwk(), "kid", json!("key-1"))]);
    let joined = v2.clone().join(twin.clone()).unwrap();
    assert_eq!((ids(&joined), joined.dropped()), (vec!["key-2"], 2));
    assert_eq!(parse(&[SIGNER.jwk()]).join(twin), Err(KeySetFault::NoUsableKey(2)));
    let foreign = parse(&[with(SIGNER.jwk(), "issuer", json!("https://elsewhere.example/"))]);
    assert_eq!(ids(&v2.join(foreign).unwrap()), ["key-2"]);
}
