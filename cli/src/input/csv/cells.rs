//! Parses the text of a cell: a number, a Boolean, a list, a time. Numbers are exact or rejected.

use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The type of an attribute's cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CellType {
    Text,
    Number,
    Boolean,
    /// Strings, separated by this.
    List(String),
    Json,
}

/// Parses the value of an attribute.
pub fn parse_value<V>(kind: &CellType, text: &str) -> Result<V, String>
where
    V: From<String> + From<i64> + From<f64> + From<bool> + DeserializeOwned,
{
    match kind {
        CellType::Text => Ok(text.to_owned().into()),
        CellType::Boolean => parse_boolean(text).map(V::from),
        CellType::Number => match parse_number(text)? {
            ParsedNumber::Integer(integer) => Ok(integer.into()),
            ParsedNumber::Decimal(decimal) => Ok(decimal.into()),
        },
        CellType::List(separator) => {
            let list: Vec<_> =
                text.split(separator.as_str()).map(str::trim).filter(|entry| !entry.is_empty()).collect();
            serde_json::from_value(list.into()).map_err(|_| "the attribute does not accept a list".to_owned())
        }
        CellType::Json => {
            let value: Value = serde_json::from_str(text).map_err(|_| format!("{} is not JSON", quote(text)))?;
            if let Value::Number(_) = value {
                parse_number(text)?;
            }
            serde_json::from_value(value).map_err(|_| format!("{} is not a valid attribute value", quote(text)))
        }
    }
}

enum ParsedNumber {
    Integer(i64),
    Decimal(f64),
}

/// Parses a number. Integers are never converted to floats: out of 64 bits they are rejected.
fn parse_number(text: &str) -> Result<ParsedNumber, String> {
    let trimmed = text.trim();
    let digits = trimmed.trim_start_matches(['+', '-']);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return parse_integer(text).map(ParsedNumber::Integer);
    }
    let is_decimal = trimmed.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let decimal: Option<f64> = trimmed.parse().ok().filter(|decimal: &f64| is_decimal && decimal.is_finite());
    decimal.map(ParsedNumber::Decimal).ok_or_else(|| format!("{} is not a number", quote(text)))
}

/// Parses an amount or a price as a decimal.
pub fn parse_decimal(text: &str) -> Result<f64, String> {
    let trimmed = text.trim();
    match parse_number(text)? {
        ParsedNumber::Decimal(decimal) => Ok(decimal),
        ParsedNumber::Integer(_) => trimmed.parse().map_err(|_| format!("{} is not a number", quote(text))),
    }
}

/// Parses an integer of 64 bits.
pub fn parse_integer(text: &str) -> Result<i64, String> {
    text.trim().parse().map_err(|error: std::num::ParseIntError| match error.kind() {
        std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
            format!("{} is out of the range of 64 bits", quote(text))
        }
        _ => format!("{} is not an integer", quote(text)),
    })
}

pub fn parse_boolean(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(format!("{} is not true or false, yes or no, 1 or 0", quote(text))),
    }
}

/// The format of times. A time without an offset is UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    Rfc3339,
    Seconds,
    Milliseconds,
    /// A pattern of `strftime`.
    Pattern(String),
}

impl TimeFormat {
    pub fn from_name(name: &str) -> Result<Self, String> {
        match name {
            "rfc3339" => Ok(Self::Rfc3339),
            "seconds" => Ok(Self::Seconds),
            "milliseconds" => Ok(Self::Milliseconds),
            _ if !name.contains('%') => Err(format!(
                "unknown format {}; use rfc3339, seconds, milliseconds, or a pattern, for example \"%d.%m.%Y %H:%M\"",
                quote(name)
            )),
            _ if StrftimeItems::new(name).any(|item| item == Item::Error) => {
                Err(format!("{} is not a strftime pattern", quote(name)))
            }
            _ => Ok(Self::Pattern(name.to_owned())),
        }
    }

    pub fn parse_time(&self, text: &str) -> Result<DateTime<Utc>, String> {
        let trimmed = text.trim();
        let (time, form) = match self {
            Self::Rfc3339 => {
                let time = DateTime::parse_from_rfc3339(trimmed).ok().map(|time| time.to_utc());
                (time, "an RFC 3339 time, for example 2026-01-31T12:00:00Z")
            }
            Self::Seconds => {
                (parse_seconds(trimmed).and_then(DateTime::from_timestamp_millis), "a time in seconds since 1970")
            }
            Self::Milliseconds => {
                let time = trimmed.parse().ok().and_then(DateTime::from_timestamp_millis);
                (time, "a time in milliseconds since 1970")
            }
            Self::Pattern(pattern) => {
                return parse_with_pattern(pattern, trimmed)
                    .ok_or_else(|| format!("{} does not match the pattern {}", quote(text), quote(pattern)));
            }
        };
        time.ok_or_else(|| format!("{} is not {form}", quote(text)))
    }
}

/// Converts seconds, with or without decimals, to milliseconds.
fn parse_seconds(text: &str) -> Option<i64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if decimals.is_empty() || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let millis: i64 = format!("{decimals:0<3}").get(..3)?.parse().ok()?;
    let seconds: i64 = whole.parse().ok()?;
    seconds.checked_mul(1000)?.checked_add(if whole.starts_with('-') { -millis } else { millis })
}

fn parse_with_pattern(pattern: &str, text: &str) -> Option<DateTime<Utc>> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, StrftimeItems::new(pattern)).ok()?;
    if let Ok(time) = parsed.to_datetime() {
        return Some(time.to_utc());
    }
    // A date without a time means midnight.
    let time = parsed.to_naive_datetime_with_offset(0).ok();
    let time = time.or_else(|| parsed.to_naive_date().ok()?.and_hms_opt(0, 0, 0))?;
    Some(time.and_utc())
}

/// Quotes foreign text for a message, truncated to 40 characters.
pub fn quote(text: &str) -> String {
    const MAX_CHARS: usize = 40;
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("\"{}…\"", &text[..end]),
        None => format!("\"{text}\""),
    }
}
