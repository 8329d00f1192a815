//! Parses the text of a cell: an identity, a number, a Boolean, a list. Numbers are exact or rejected.

use std::borrow::Cow;

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

/// The decimal mark of the numbers in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecimalMark {
    /// A point; numbers have no separators of thousands.
    #[default]
    Default,
    /// As the default, in a file without a map.
    Unmapped,
    /// A point; thousands can be separated.
    Point,
    /// A comma; thousands can be separated.
    Comma,
}

impl DecimalMark {
    /// Returns the number with a decimal point and without separators of thousands; `None` if they are not at every third digit.
    fn plain(self, text: &str) -> Option<Cow<'_, str>> {
        let (mark, separators) = match self {
            Self::Default | Self::Unmapped => return Some(text.into()),
            Self::Point => ('.', [',', ' ', '\u{a0}', '\u{202f}', '\'', '\u{2019}']),
            Self::Comma => (',', ['.', ' ', '\u{a0}', '\u{202f}', '\'', '\u{2019}']),
        };
        let (whole, fraction) = text.split_once(mark).map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
        let (sign, whole) = whole.split_at(whole.len() - whole.trim_start_matches(['+', '-']).len());
        let mut plain = sign.to_owned();
        match whole.chars().find(|character| separators.contains(character)) {
            None => plain += whole,
            Some(separator) => {
                for (index, group) in whole.split(separator).enumerate() {
                    let is_whole = if index == 0 { (1..=3).contains(&group.len()) } else { group.len() == 3 };
                    if !is_whole || !group.bytes().all(|byte| byte.is_ascii_digit()) {
                        return None;
                    }
                    plain += group;
                }
            }
        }
        if let Some(fraction) = fraction {
            plain.push('.');
            plain += fraction;
        }
        Some(plain.into())
    }
}

/// Parses an identity: any text but a number that a spreadsheet or a data frame has changed. Its lost digits cannot be restored,
/// and those of several users may be the same.
pub fn parse_identity(text: &str) -> Result<String, String> {
    let trimmed = text.trim();
    let number = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_decimal = |text: &str| {
        let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
        is_digits(whole) && (fraction.is_empty() || is_digits(fraction))
    };
    // Programs write a sign in the exponent or a decimal mark. Digits around an `e` alone can be a hexadecimal id.
    if let Some((mantissa, exponent)) = number.split_once(['e', 'E'])
        && let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent)
        && (digits.len() < exponent.len() || mantissa.contains(['.', ',']))
        && is_decimal(mantissa)
        && is_digits(digits)
    {
        return Err(format!("{} is a number that lost digits; export the column as text", quote(text)));
    }
    // Two equal marks are those of a version, as in `1.2.0`.
    if let Some((whole, zeros)) = number.rsplit_once(['.', ','])
        && is_decimal(whole)
        && !whole.contains(&number[whole.len()..=whole.len()])
        && zeros.bytes().all(|byte| byte == b'0')
    {
        return Err(format!("{} is an identity that became a decimal number; export the column as text", quote(text)));
    }
    Ok(text.to_owned())
}

/// Parses the value of an attribute.
pub fn parse_value<V>(kind: &CellType, mark: DecimalMark, text: &str) -> Result<V, String>
where
    V: From<String> + From<i64> + From<f64> + From<bool> + DeserializeOwned,
{
    match kind {
        CellType::Text => Ok(text.to_owned().into()),
        CellType::Boolean => parse_boolean(text).map(V::from),
        CellType::Number => match parse_number(mark, text)? {
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
                parse_number(DecimalMark::Default, text)?;
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
fn parse_number(mark: DecimalMark, text: &str) -> Result<ParsedNumber, String> {
    let not_a_number = || {
        let hint = match mark {
            DecimalMark::Default if text.contains(',') => {
                "; if the comma is the decimal mark, set decimal = \",\" in [csv]"
            }
            DecimalMark::Unmapped if text.contains(',') => "; the decimal mark is a point",
            _ => "",
        };
        format!("{} is not a number{hint}", quote(text))
    };
    let plain = mark.plain(text.trim()).ok_or_else(not_a_number)?;
    let digits = plain.trim_start_matches(['+', '-']);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return parse_integer(&plain).map(ParsedNumber::Integer);
    }
    let is_decimal = plain.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let decimal: Option<f64> = plain.parse().ok().filter(|decimal: &f64| is_decimal && decimal.is_finite());
    decimal.map(ParsedNumber::Decimal).ok_or_else(not_a_number)
}

/// Parses an amount or a price as a decimal.
pub fn parse_decimal(mark: DecimalMark, text: &str) -> Result<f64, String> {
    match parse_number(mark, text)? {
        ParsedNumber::Decimal(decimal) => Ok(decimal),
        #[expect(clippy::cast_precision_loss, reason = "an amount is a decimal")]
        ParsedNumber::Integer(integer) => Ok(integer as f64),
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
        "true" | "yes" | "wahr" | "ja" | "1" => Ok(true),
        "false" | "no" | "falsch" | "nein" | "0" => Ok(false),
        _ => Err(format!("{} is not true or false, yes or no, 1 or 0", quote(text))),
    }
}

/// Quotes foreign text for a message, truncated to 40 characters.
pub fn quote(text: &str) -> String {
    const MAX_CHARS: usize = 40;
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("\"{}…\"", &text[..end]),
        None => format!("\"{text}\""),
    }
}
