//! A strict reader of JSON: one meaning for every document, or none.
//!
//! Duplicate members are refused at every depth: two parsers that pick different ones are how a token is made to mean
//! two things (RFC 8725 section 2.6). Numbers are integers. Depth and number of values are bounded. What the parser says
//! about a document never quotes it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::limits;

/// A JSON value as far as tokens and key documents need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Integer(i64),
    Text(String),
    Array(Vec<Self>),
    Object(Object),
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
    /// A number has a fraction or an exponent, or does not fit 64 bits.
    NotAnInteger,
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
            Self::NotAnInteger => "a number is not an integer",
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

    /// The same in the type that everybody knows.
    pub(crate) fn to_value(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Integer(value) => (*value).into(),
            // PostgreSQL's texts cannot have this character.
            Self::Text(text) => text.replace('\0', "\u{fffd}").into(),
            Self::Array(items) => items.iter().map(Self::to_value).collect(),
            Self::Object(members) => {
                members.iter().map(|(name, value)| (name.clone(), value.to_value())).collect()
            }
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

/// Reads one object that fills the whole input.
pub(crate) fn parse_object(bytes: &[u8], max_values: usize) -> Result<Object, JsonFault> {
    let budget = Budget { values_left: Cell::new(max_values), fault: Cell::new(None) };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
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

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        self.budget.spend()?;
        deserializer.deserialize_any(self)
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

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        i64::try_from(value).map(Json::Integer).map_err(|_| self.budget.give_up(JsonFault::NotAnInteger))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Json, E> {
        Err(self.budget.give_up(JsonFault::NotAnInteger))
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
            (r#"{"a":1.0}"#, Err(JsonFault::NotAnInteger)),
            (r#"{"a":1e300}"#, Err(JsonFault::NotAnInteger)),
            (r#"{"a":1e3}"#, Err(JsonFault::NotAnInteger)),
            (r#"{"a":9223372036854775808}"#, Err(JsonFault::NotAnInteger)),
            (r#"{"a":9223372036854775807}"#, Ok(())),
            (r#"{"a":-9223372036854775808}"#, Ok(())),
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
    fn bytes_that_are_not_utf8_are_not_json() {
        assert_eq!(parse_object(b"{\"a\":\"\xff\"}", 64), Err(JsonFault::NotJson));
    }
}
