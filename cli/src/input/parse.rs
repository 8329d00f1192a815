//! Parses JSON, and rejects duplicate names in an object.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use super::decode::describe_invalid;
use super::position::LineIndex;

/// The error of a text that is not one JSON value.
#[derive(Debug, PartialEq, Eq)]
pub struct JsonError {
    pub offset: usize,
    pub message: String,
}

/// Parses one value with at most 127 levels of nesting, which bounds the stack.
pub fn parse<'t>(text: &'t [u8], lines: &LineIndex<'_>) -> Result<(&'t str, Value), JsonError> {
    let text = str::from_utf8(text).map_err(|error| JsonError {
        offset: error.valid_up_to(),
        message: describe_invalid(&text[error.valid_up_to()..]).into(),
    })?;
    parse_str(text).map(|value| (text, value)).map_err(|error| {
        // Removes the position, which is reported separately.
        let position = format!(" at line {} column {}", error.line(), error.column());
        let message = error.to_string();
        let message = message.strip_suffix(&position).unwrap_or(&message).to_owned();
        let found = if error.is_eof() { text.len() } else { lines.offset(error.line(), error.column()) };
        // The parser notices a trailing comma at the bracket after it.
        let comma = text[..found].trim_ascii_end().strip_suffix(',').filter(|_| message == "trailing comma");
        let offset = comma.map_or(found, str::len);
        JsonError { offset, message }
    })
}

/// Parses a text that should be one value; returns `None` if it is not.
pub fn parse_valid(text: &[u8]) -> Option<Value> {
    parse_str(str::from_utf8(text).ok()?).ok()
}

fn parse_str(text: &str) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = StrictValue.deserialize(&mut deserializer)?;
    deserializer.end().map(|()| value)
}

/// Returns whether the text begins with an object that is likely a batch. An event and its data are not.
pub fn begins_with_batch(text: &[u8]) -> bool {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<Map<String, Value>>();
    let names = ["environment", "events", "user_identities", "mpid"];
    values.next().is_some_and(|object| object.is_ok_and(|object| names.iter().any(|name| object.contains_key(*name))))
}

#[derive(Clone, Copy)]
struct StrictValue;

impl<'de> DeserializeSeed<'de> for StrictValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Value, S::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(Self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Value, M::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            match members.entry(name) {
                Entry::Vacant(position) => _ = position.insert(map.next_value_seed(Self)?),
                Entry::Occupied(position) => {
                    return Err(M::Error::custom(format_args!("duplicate name {:?} in an object", position.key())));
                }
            }
        }
        Ok(Value::Object(members))
    }
}
