//! A strict reader of JSON: one meaning for every document, or none.
//!
//! Duplicate members are refused at every depth: two parsers that pick different ones are how a token is made to mean
//! two things (RFC 8725 section 2.6). Numbers are kept as they are written; whoever judges one asks for an integer. Depth
//! and number of values are bounded. What the parser says about a document never quotes it.
//!
//! In a list of which each entry stands for itself, as in a key document, a fault costs the smallest value around it only
//! ([`parse_object_leniently`]).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::limits;

/// A JSON value as far as tokens and key documents need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// A number in its own digits, so that nothing of it is lost.
    Number(String),
    Text(String),
    Array(Vec<Self>),
    Object(Object),
    /// A value that means nothing, or more than one thing. Only where a document is read leniently.
    Unreadable,
}

/// The members of a JSON object; each name once.
pub(crate) type Object = BTreeMap<String, Json>;

/// Why a document is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonFault {
    /// Two members of one object have the same name.
    DuplicateMember,
    /// The document is not JSON, or has bytes after its end.
    NotJson,
    /// The document is JSON, but not an object.
    NotAnObject,
    /// Nested deeper than [`limits::MAX_JSON_DEPTH`].
    TooDeep,
    /// More values than the document may have.
    TooManyValues,
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DuplicateMember => "a member occurs twice",
            Self::NotJson => "not JSON",
            Self::NotAnObject => "not an object",
            Self::TooDeep => "nested too deep",
            Self::TooManyValues => "too many values",
        })
    }
}

impl Json {
    /// The text, if this is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is written as an integer of 64 bits: without fraction or exponent.
    pub(crate) fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// Appends the value as JSON that PostgreSQL's jsonb takes.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Null | Self::Unreadable => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(digits) if is_of_usual_size(digits) => out.push_str(digits),
            // No jsonb, and no other reader, has numbers of that size.
            Self::Number(digits) => write_text(digits, out),
            Self::Text(text) => write_text(text, out),
            Self::Array(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => write_members(members.iter(), out),
        }
    }

    /// The strings of an array that has nothing else.
    pub(crate) fn as_texts(&self) -> Option<Vec<&str>> {
        match self {
            Self::Array(items) => items.iter().map(Self::as_text).collect(),
            _ => None,
        }
    }
}

/// Appends an object of these members as JSON.
pub(crate) fn write_members<'m>(members: impl Iterator<Item = (&'m String, &'m Json)>, out: &mut String) {
    out.push('{');
    for (n, (name, value)) in members.enumerate() {
        if n > 0 {
            out.push(',');
        }
        write_text(name, out);
        out.push(':');
        value.write(out);
    }
    out.push('}');
}

fn write_text(text: &str, out: &mut String) {
    // PostgreSQL's texts cannot have this character.
    out.push_str(&serde_json::Value::from(text.replace('\0', "\u{fffd}")).to_string());
}

/// Whether a number's exponent is one that readers agree on (RFC 8259 section 6).
fn is_of_usual_size(digits: &str) -> bool {
    match digits.split_once(['e', 'E']) {
        None => true,
        Some((_, exponent)) => exponent
            .parse::<i32>()
            .is_ok_and(|exponent| (-MAX_SHOWN_EXPONENT..=MAX_SHOWN_EXPONENT).contains(&exponent)),
    }
}

/// The largest exponent of ten with which a number is shown as a number: that of a 64-bit floating-point number.
const MAX_SHOWN_EXPONENT: i32 = 308;

/// Reads one object that fills the whole input.
pub(crate) fn parse_object(bytes: &[u8], max_values: usize) -> Result<Object, JsonFault> {
    parse(bytes, max_values, false)
}

/// The same, but what is wrong within a value of the object costs the smallest value around it, which is
/// [`Json::Unreadable`], and nothing else. Bounds on the whole document stay.
pub(crate) fn parse_object_leniently(bytes: &[u8], max_values: usize) -> Result<Object, JsonFault> {
    parse(bytes, max_values, true)
}

fn parse(bytes: &[u8], max_values: usize, lenient: bool) -> Result<Object, JsonFault> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonFault::NotJson)?;
    let budget = Budget { values_left: Cell::new(max_values), fault: Cell::new(None), lenient };
    let mut reader = serde_json::Deserializer::from_str(text);
    let parsed = Value { budget: &budget, depth: 0 }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value));
    match parsed {
        Ok(Json::Object(members)) => Ok(members),
        Ok(_) => Err(JsonFault::NotAnObject),
        // serde_json's own text may quote the input; ours never does.
        Err(_) => Err(budget.fault.get().unwrap_or(JsonFault::NotJson)),
    }
}

/// What one document may still cost, and why reading it was given up.
struct Budget {
    values_left: Cell<usize>,
    fault: Cell<Option<JsonFault>>,
    /// A fault within a value leaves the others readable.
    lenient: bool,
}

impl Budget {
    fn give_up<E: Error>(&self, fault: JsonFault) -> E {
        self.fault.set(Some(fault));
        E::custom("refused")
    }

    fn spend<E: Error>(&self) -> Result<(), E> {
        match self.values_left.get().checked_sub(1) {
            Some(left) => {
                self.values_left.set(left);
                Ok(())
            }
            None => Err(self.give_up(JsonFault::TooManyValues)),
        }
    }
}

#[derive(Clone, Copy)]
struct Value<'b> {
    budget: &'b Budget,
    depth: usize,
}

impl Value<'_> {
    /// What becomes of a value that cannot be read.
    fn forgive<E: Error>(self) -> Result<Json, E> {
        match self.budget.fault.get() {
            Some(JsonFault::TooManyValues) => {}
            _ if self.budget.lenient && self.depth > 0 => {
                self.budget.fault.set(None);
                return Ok(Json::Unreadable);
            }
            _ => {}
        }
        Err(E::custom("refused"))
    }

    fn inner<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > limits::MAX_JSON_DEPTH {
            return Err(self.budget.give_up(JsonFault::TooDeep));
        }
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Json;

    /// First finds where the value ends, then reads it: so a number keeps its digits, and a fault in it has an end.
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        self.budget.spend()?;
        let text = <&RawValue>::deserialize(deserializer)?.get();
        if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return Ok(Json::Number(text.to_owned()));
        }
        serde_json::Deserializer::from_str(text).deserialize_any(self).or_else(|_| self.forgive())
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let inner = self.inner()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let inner = self.inner()?;
        let mut object = Object::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(inner)?;
            if object.insert(name, value).is_some() {
                return Err(self.budget.give_up(JsonFault::DuplicateMember));
            }
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            shown,
            r#"{"a":[1.10,1e300,-0,18446744073709551616,9223372036854775807,"1e-400","1e400"]}"#
        );
        let Some(Json::Array(items)) = read.get("a") else { panic!("no array") };
        let integers: Vec<_> = items.iter().map(Json::as_integer).collect();
        assert_eq!(integers, [None, None, Some(0), None, Some(i64::MAX), None, None]);
    }

    #[test]
    fn what_is_written_is_what_was_read() {
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
}
