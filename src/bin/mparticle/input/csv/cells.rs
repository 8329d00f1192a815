//! What the text of a cell means: a number, a truth, a list, a time. Numbers are exact or refused.

use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What the text of an attribute's cell is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CellType {
    Text,
    Number,
    Boolean,
    /// Texts, parted by this.
    List(String),
    Json,
}

/// A value of an attribute.
pub fn value<V>(kind: &CellType, text: &str) -> Result<V, String>
where
    V: From<String> + From<i64> + From<f64> + From<bool> + DeserializeOwned,
{
    match kind {
        CellType::Text => Ok(text.to_owned().into()),
        CellType::Boolean => boolean(text).map(V::from),
        CellType::Number => match number(text)? {
            Number::Integer(integer) => Ok(integer.into()),
            Number::Decimal(decimal) => Ok(decimal.into()),
        },
        CellType::List(separator) => {
            let list: Vec<_> =
                text.split(separator.as_str()).map(str::trim).filter(|entry| !entry.is_empty()).collect();
            serde_json::from_value(list.into()).map_err(|_| "it takes no list".to_owned())
        }
        CellType::Json => {
            let value: Value = serde_json::from_str(text).map_err(|_| format!("{} is not JSON", quote(text)))?;
            if let Value::Number(_) = value {
                number(text)?;
            }
            serde_json::from_value(value).map_err(|_| format!("{} cannot be the value of an attribute", quote(text)))
        }
    }
}

enum Number {
    Integer(i64),
    Decimal(f64),
}

/// A whole number never goes through a float: what does not fit is refused.
fn number(text: &str) -> Result<Number, String> {
    let trimmed = text.trim();
    let digits = trimmed.trim_start_matches(['+', '-']);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return integer(text).map(Number::Integer);
    }
    let is_decimal = trimmed.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let decimal: Option<f64> = trimmed.parse().ok().filter(|decimal: &f64| is_decimal && decimal.is_finite());
    decimal.map(Number::Decimal).ok_or_else(|| format!("{} is not a number", quote(text)))
}

/// An amount or a price, for which the service takes decimals.
pub fn decimal(text: &str) -> Result<f64, String> {
    let trimmed = text.trim();
    match number(text)? {
        Number::Decimal(decimal) => Ok(decimal),
        Number::Integer(_) => trimmed.parse().map_err(|_| format!("{} is not a number", quote(text))),
    }
}

/// A whole number of 64 bits.
pub fn integer(text: &str) -> Result<i64, String> {
    text.trim().parse().map_err(|error: std::num::ParseIntError| match error.kind() {
        std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
            format!("{} does not fit into 64 bits", quote(text))
        }
        _ => format!("{} is not a whole number", quote(text)),
    })
}

pub fn boolean(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(format!("{} is not true or false, yes or no, 1 or 0", quote(text))),
    }
}

/// How a time is written. One without an offset is UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    Rfc3339,
    Seconds,
    Milliseconds,
    /// As `strftime` has it.
    Pattern(String),
}

impl TimeFormat {
    pub fn of(name: &str) -> Result<Self, String> {
        match name {
            "rfc3339" => Ok(Self::Rfc3339),
            "seconds" => Ok(Self::Seconds),
            "milliseconds" => Ok(Self::Milliseconds),
            _ if !name.contains('%') => Err(format!(
                "there is no format {}: rfc3339, seconds, milliseconds, or a pattern as \"%d.%m.%Y %H:%M\"",
                quote(name)
            )),
            _ if StrftimeItems::new(name).any(|item| item == Item::Error) => {
                Err(format!("{} is not a pattern of strftime", quote(name)))
            }
            _ => Ok(Self::Pattern(name.to_owned())),
        }
    }

    pub fn time(&self, text: &str) -> Result<DateTime<Utc>, String> {
        let trimmed = text.trim();
        let (time, form) = match self {
            Self::Rfc3339 => {
                let time = DateTime::parse_from_rfc3339(trimmed).ok().map(|time| time.to_utc());
                (time, "a time as 2026-01-31T12:00:00Z")
            }
            Self::Seconds => {
                (seconds(trimmed).and_then(DateTime::from_timestamp_millis), "a time in seconds since 1970")
            }
            Self::Milliseconds => {
                let time = trimmed.parse().ok().and_then(DateTime::from_timestamp_millis);
                (time, "a time in milliseconds since 1970")
            }
            Self::Pattern(pattern) => {
                return parse_with_pattern(pattern, trimmed)
                    .ok_or_else(|| format!("{} is not a time as {}", quote(text), quote(pattern)));
            }
        };
        time.ok_or_else(|| format!("{} is not {form}", quote(text)))
    }
}

/// Milliseconds, of seconds with or without decimals.
fn seconds(text: &str) -> Option<i64> {
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
    // A date alone is its midnight.
    let time = parsed.to_naive_datetime_with_offset(0).ok();
    let time = time.or_else(|| parsed.to_naive_date().ok()?.and_hms_opt(0, 0, 0))?;
    Some(time.and_utc())
}

/// A text of somebody else in a message: not more of it than is needed to find it.
pub fn quote(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("\"{}…\"", &text[..end]),
        None => format!("\"{text}\""),
    }
}
