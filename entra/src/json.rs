//! A strict reader of JSON: every document has one meaning or is refused.
//!
//! Duplicate members are refused at every depth, because two parsers that pick different ones give
//! a token two meanings (RFC 8725 section 2.6). Numbers are kept as they are written; checks ask
//! for an integer. Depth and number of values are bounded. Errors never quote the document.
//!
//! In a list of independent entries, like the keys of a key document, a fault makes only the
//! smallest value around it unreadable ([`parse_object_leniently`]).

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
    /// A number in the digits of the document, so that no precision is lost.
    Number(String),
    Text(String),
    Array(Vec<Self>),
    Object(Object),
    /// A value that cannot be read, or has duplicate members. Only lenient reading makes it.
    Unreadable,
}

/// The members of a JSON object; each name once.
pub(crate) type Object = BTreeMap<String, Json>;

/// The reason why a document is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonFault {
    /// Two members of one object have the same name.
    DuplicateMember,
    /// The document is not JSON, or has bytes after its end.
    NotJson,
    /// The document is JSON, but not an object.
    NotAnObject,
    /// The document is nested deeper than [`limits::MAX_JSON_DEPTH`].
    TooDeep,
    /// The document has too many values.
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
    /// Returns the text, if this is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the number, if it is written as an integer of 64 bits: without fraction or exponent.
    pub(crate) fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// Appends the value as JSON that PostgreSQL's jsonb accepts.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Null | Self::Unreadable => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(digits) if is_of_usual_size(digits) => out.push_str(digits),
            // Neither jsonb nor other readers have numbers of that size.
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

    /// Returns the strings of an array, if it has no other values.
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
    // A PostgreSQL text cannot contain this character.
    out.push_str(&serde_json::Value::from(text.replace('\0', "\u{fffd}")).to_string());
}

/// Returns whether readers agree on a number's exponent (RFC 8259 section 6).
fn is_of_usual_size(digits: &str) -> bool {
    match digits.split_once(['e', 'E']) {
        None => true,
        Some((_, exponent)) => exponent
            .parse::<i32>()
            .is_ok_and(|exponent| (-MAX_SHOWN_EXPONENT..=MAX_SHOWN_EXPONENT).contains(&exponent)),
    }
}

/// The largest exponent of ten with which a number is shown as a number: that of a 64-bit
/// floating-point number.
const MAX_SHOWN_EXPONENT: i32 = 308;

/// Reads one object that fills the whole input.
pub(crate) fn parse_object(bytes: &[u8], max_values: usize) -> Result<Object, JsonFault> {
    parse(bytes, max_values, false)
}

/// Reads one object like [`parse_object`], but a fault within a value only makes the smallest value
/// around it [`Json::Unreadable`]. The bound on the number of values applies to the whole document.
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
        // The text of serde_json's error may quote the input, so it is dropped.
        Err(_) => Err(budget.fault.get().unwrap_or(JsonFault::NotJson)),
    }
}

/// The number of values that a document may still have, and the reason for which reading stopped.
struct Budget {
    values_left: Cell<usize>,
    fault: Cell<Option<JsonFault>>,
    /// A fault within a value leaves the other values readable.
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
    /// Returns the value in the place of one that cannot be read, or an error.
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

    /// Finds the end of the value first and reads it then. So a number keeps its digits, and
    /// reading can go on after a fault within the value.
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
mod tests;
