//! Documents that are read, and those that are not.

use super::*;

fn parse(text: &str) -> Result<Object, JsonFault> {
    parse_object(text.as_bytes(), 64)
}

#[test]
fn one_defect_each() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let many = format!("{{\"a\":[{}1]}}", "1,".repeat(64));
    let cases: &[(&str, Result<(), JsonFault>)] = &[
        ("{}", Ok(())),
        (r#" {"a":[null,true,-1,"x",{"b":{}}]} "#, Ok(())),
        (r#"{"a":1,"a":1}"#, Err(JsonFault::DuplicateMember)),
        (r#"{"a":1,"\u0061":2}"#, Err(JsonFault::DuplicateMember)),
        (r#"{"a":[{"b":{"c":1,"c":2}}]}"#, Err(JsonFault::DuplicateMember)),
        (r#"{"a":1.0,"b":1e300,"c":-0.5E-7,"d":1e999999}"#, Ok(())),
        (r#"{"a":9223372036854775808}"#, Ok(())),
        (r#"{"a":01}"#, Err(JsonFault::NotJson)),
        (r#"{"a":+1}"#, Err(JsonFault::NotJson)),
        (r#"{"a":1.}"#, Err(JsonFault::NotJson)),
        (r#"{"a":.5}"#, Err(JsonFault::NotJson)),
        (r#"{"a":1e}"#, Err(JsonFault::NotJson)),
        (r#"{"a":-}"#, Err(JsonFault::NotJson)),
        (r#"{"a":NaN}"#, Err(JsonFault::NotJson)),
        ("[]", Err(JsonFault::NotAnObject)),
        ("\"x\"", Err(JsonFault::NotAnObject)),
        ("", Err(JsonFault::NotJson)),
        ("{}x", Err(JsonFault::NotJson)),
        ("{} {}", Err(JsonFault::NotJson)),
        ("\u{feff}{}", Err(JsonFault::NotJson)),
        (r#"{"a":"\ud800"}"#, Err(JsonFault::NotJson)),
        (r"{'a':1}", Err(JsonFault::NotJson)),
        (r#"{"a":1,}"#, Err(JsonFault::NotJson)),
        (&deep, Err(JsonFault::TooDeep)),
        (&many, Err(JsonFault::TooManyValues)),
    ];
    for (text, expected) in cases {
        let shown: String = text.chars().take(60).collect();
        assert_eq!(parse(text).map(|_| ()), *expected, "{shown}");
    }
}

#[test]
fn numbers_keep_their_digits() {
    let read = parse(r#"{"a":[1.10,1e300,-0,18446744073709551616,9223372036854775807,1e-400,1e400]}"#);
    let read = read.expect("JSON");
    let mut shown = String::new();
    write_members(read.iter(), &mut shown);
    assert_eq!(shown, r#"{"a":[1.10,1e300,-0,18446744073709551616,9223372036854775807,"1e-400","1e400"]}"#);
    let Some(Json::Array(items)) = read.get("a") else { panic!("no array") };
    let integers: Vec<_> = items.iter().map(Json::as_integer).collect();
    assert_eq!(integers, [None, None, Some(0), None, Some(i64::MAX), None, None]);
}

#[test]
fn a_document_is_written_as_it_was_read() {
    let text = r#"{"a":[null,true,-1,"x\"\n",{"b":{}}],"z":"\u001f","é":[]}"#;
    let mut shown = String::new();
    write_members(parse(text).expect("JSON").iter(), &mut shown);
    assert_eq!(shown, text);
}

#[test]
fn leniently_a_fault_costs_the_smallest_value_around_it() {
    let lenient = |text: &str| parse_object_leniently(text.as_bytes(), 64);
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    for bad in [r#"{"b":1,"b":2}"#, r#"{"b":{"c":1}, "b":{"c":1}}"#, r#""\ud800""#] {
        let read = lenient(&format!(r#"{{"keys":[1,{bad},{{"x":{bad},"y":2}},{deep}]}}"#)).expect("JSON");
        let Some(Json::Array(items)) = read.get("keys") else { panic!("no array") };
        let [one, unreadable, Json::Object(members), _] = items.as_slice() else { panic!("{items:?}") };
        assert_eq!((one, unreadable), (&Json::Number("1".to_owned()), &Json::Unreadable), "{bad}");
        assert_eq!(members.get("x"), Some(&Json::Unreadable));
        assert_eq!(members.get("y"), Some(&Json::Number("2".to_owned())));
    }
    assert_eq!(lenient(r#"{"a":1,"a":2}"#), Err(JsonFault::DuplicateMember));
    assert_eq!(lenient(r#"{"a":{"b":}}"#), Err(JsonFault::NotJson));
    assert_eq!(lenient(&format!("{{\"a\":[{}1]}}", "1,".repeat(64))), Err(JsonFault::TooManyValues));
}

#[test]
fn bytes_that_are_not_utf8_are_not_json() {
    assert_eq!(parse_object(b"{\"a\":\"\xff\"}", 64), Err(JsonFault::NotJson));
}
