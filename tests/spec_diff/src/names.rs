//! The names and types that the generator gives to parts of the document.

use serde_json::Value;

/// Keywords to which the generator appends an underscore.
const KEYWORDS: &str = " abstract as async await become box break const continue crate do dyn else enum extern false final \
                        fn for gen if impl in let loop macro match mod move mut override priv pub ref return self static \
                        struct super trait true try type typeof unsafe unsized use virtual where while yield ";

/// Returns the name of a type or a variant, as `FireTv` for `FireTV`.
#[must_use]
pub fn pascal(name: &str) -> String {
    let capital = |word: String| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    identifier(split_words(name).into_iter().map(capital).collect(), "X")
}

/// Returns the name of a field or a method, as `upload_events` for `uploadEvents`.
#[must_use]
pub fn snake(name: &str) -> String {
    identifier(split_words(name).join("_"), "x")
}

fn identifier(name: String, prefix: &str) -> String {
    if KEYWORDS.contains(&format!(" {name} ")) {
        format!("{name}_")
    } else if name.chars().next().is_none_or(char::is_numeric) {
        format!("{prefix}{name}")
    } else {
        name
    }
}

/// Splits a name into lower-case words: at characters that are not alphanumeric, before a capital after a small letter
/// (`smart|TV`), and before the last of several capitals if a small letter follows (`IOS|Image`).
fn split_words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in name.replace('\'', "").split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()) {
        let letters: Vec<char> = part.chars().collect();
        let mut word = String::new();
        for (index, letter) in letters.iter().enumerate() {
            let before = letters[..index].iter().rev().find(|letter| letter.is_alphabetic());
            let small_after = letters.get(index + 1).is_some_and(|letter| letter.is_lowercase());
            let begins = before.is_some_and(|before| before.is_lowercase() || small_after);
            if letter.is_uppercase() && begins {
                words.push(std::mem::take(&mut word));
            }
            word.extend(letter.to_lowercase());
        }
        words.push(word);
    }
    words
}

/// Returns the type of a required field with this schema. A type that is generated for the schema itself has the name `own`.
#[must_use]
pub fn rust_type(schema: &Value, own: &str) -> String {
    if let Some(target) = reference(schema) {
        return pascal(target);
    }
    if schema["allOf"].is_array() {
        return own.to_owned();
    }
    if let Some(branches) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        let values: Vec<_> = branches.iter().filter(|branch| !is_null(branch)).collect();
        return match values[..] {
            [value] if branches.len() > 1 => optional(&rust_type(value, own)),
            _ => own.to_owned(),
        };
    }
    if schema["enum"].is_array() {
        return if is_null(schema) { "()".to_owned() } else { own.to_owned() };
    }
    match schema["type"].as_str() {
        Some("string") => "String".to_owned(),
        Some("boolean") => "bool".to_owned(),
        Some("number") => if schema["format"] == "float" { "f32" } else { "f64" }.to_owned(),
        Some("integer") => integer(schema).to_owned(),
        Some("array") => format!("Vec<{}>", rust_type(&schema["items"], &format!("{own}Item"))),
        Some("object") if has_fields(schema) => own.to_owned(),
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("BTreeMap<String, {}>", rust_type(&schema["additionalProperties"], &format!("{own}Value")))
        }
        Some("object") if schema["additionalProperties"] == false => own.to_owned(),
        Some("object") => "serde_json::Map<String, serde_json::Value>".to_owned(),
        _ => "serde_json::Value".to_owned(),
    }
}

fn integer(schema: &Value) -> &'static str {
    let minimum = schema["minimum"].as_f64();
    let sized = match schema["format"].as_str() {
        Some("int8") => Some(("i8", "NonZeroU8")),
        Some("uint8") => Some(("u8", "NonZeroU8")),
        Some("int16") => Some(("i16", "NonZeroU16")),
        Some("uint16") => Some(("u16", "NonZeroU16")),
        Some("int" | "int32") => Some(("i32", "NonZeroU32")),
        Some("uint" | "uint32") => Some(("u32", "NonZeroU32")),
        Some("int64") => Some(("i64", "NonZeroU64")),
        Some("uint64") => Some(("u64", "NonZeroU64")),
        _ => None,
    };
    match (sized, minimum) {
        (Some((_, non_zero)), Some(1.0)) => non_zero,
        (Some((sized, _)), _) => sized,
        (None, Some(1.0)) => "NonZeroU64",
        (None, Some(0.0)) => "u64",
        (None, _) => "i64",
    }
}

/// Returns the type of an optional field: an `Option`, except for lists and maps, which are omitted when they are empty.
fn optional(kind: &str) -> String {
    let has_an_empty_value = ["Option<", "Vec<", "BTreeMap<", "serde_json::Map<"].iter().any(|of| kind.starts_with(of));
    if has_an_empty_value { kind.to_owned() } else { format!("Option<{kind}>") }
}

/// Returns the type of an optional field with this schema. A struct is boxed. `schemas` are the components of the document.
#[must_use]
pub fn optional_type(schema: &Value, own: &str, schemas: &Value) -> String {
    let kind = optional(&rust_type(schema, own));
    match kind.strip_prefix("Option<").and_then(|kind| kind.strip_suffix('>')) {
        Some(object) if is_object(schema, schemas) => format!("Option<Box<{object}>>"),
        _ => kind,
    }
}

/// Returns true if the type of a schema is a struct, also if null is allowed.
fn is_object(schema: &Value, schemas: &Value) -> bool {
    if let Some(target) = reference(schema) {
        return is_object(&schemas[target], schemas);
    }
    if let Some(branches) = schema["oneOf"].as_array() {
        let mut values = branches.iter().filter(|branch| !is_null(branch));
        return branches.len() == 2
            && values.next().is_some_and(|value| values.next().is_none() && is_object(value, schemas));
    }
    schema["allOf"].is_array() || has_fields(schema) || schema["additionalProperties"] == false
}

/// Returns the component that a schema refers to, by `$ref` or by an `allOf` with only a `$ref`.
#[must_use]
pub fn reference(schema: &Value) -> Option<&str> {
    let alone = schema["allOf"].as_array().filter(|branches| branches.len() == 1).and_then(|branches| branches.first());
    alone.unwrap_or(schema)["$ref"].as_str()?.rsplit('/').next()
}

/// Returns true if a schema describes an object with fields of its own.
#[must_use]
pub fn has_fields(schema: &Value) -> bool {
    schema["properties"].as_object().is_some_and(|fields| !fields.is_empty())
}

/// Returns true if the branch allows null.
#[must_use]
pub fn is_null(schema: &Value) -> bool {
    schema["enum"] == serde_json::json!([null])
}
