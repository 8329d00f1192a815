//! Whole numbers: as JSON writes them, and floats and texts in their place.

use std::ops::RangeInclusive;

use jsonschema::{Keyword, ValidationError};
use serde_json::{Map, Number, Value};

use super::describe::{describe_schema, describe_value, type_name};
use super::fields;
use crate::diagnostics::{Code, Diagnostic, Fix, Severity, walk};

/// The keyword that rejects floats in the place of whole numbers. For OpenAPI 3.0 an integer has no fraction and no exponent, but
/// validators accept one whose fraction is zero.
///
/// It accepts floats that `type` or the range rejects, so that one error is reported. A whole number just below the range of 64 bits
/// is parsed as a float that is rounded into the range, and is rejected here.
pub(super) struct WrittenWhole {
    range: RangeInclusive<i128>,
}

impl WrittenWhole {
    pub(super) fn new(schema: &Map<String, Value>) -> Self {
        Self { range: range(|name| schema.get(name)) }
    }
}

impl<'i> Keyword<'i> for WrittenWhole {
    fn validate(&self, value: &'i Value) -> Result<(), ValidationError<'i>> {
        if self.is_valid(value) { Ok(()) } else { Err(ValidationError::custom("a float")) }
    }

    fn is_valid(&self, value: &'i Value) -> bool {
        let Some(float) = value.as_f64().filter(|_| value.is_f64()) else { return true };
        // The conversion saturates, and every number in the range of 64 bits is exact.
        #[expect(clippy::cast_possible_truncation, reason = "floats with a fraction are rejected by `type`")]
        let whole = float as i128;
        float.fract() != 0.0 || !self.range.contains(&whole)
    }
}

/// Returns the range of an integer from the keywords of its schema.
fn range<'s>(keyword: impl Fn(&str) -> Option<&'s Value>) -> RangeInclusive<i128> {
    let bound = |name| keyword(name).and_then(Value::as_number).and_then(Number::as_i128);
    bound("minimum").unwrap_or(i128::MIN)..=bound("maximum").unwrap_or(i128::MAX)
}

/// Returns the integer that a float certainly stands for: one without a fraction, below the numbers that have lost digits.
pub(super) fn exact_integer(value: &Value) -> Option<i64> {
    /// The first whole number that a float cannot distinguish from another.
    const INEXACT: f64 = 9_007_199_254_740_992.0;
    let float = value.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "it has no fraction, and is in the range")]
    let integer = float as i64;
    (float.fract() == 0.0 && float.abs() < INEXACT).then_some(integer)
}

/// Diagnoses a float in the place of a whole number.
pub(super) fn diagnose_float(at: &str, schema: &Value, value: &Value) -> Diagnostic {
    let mismatch = |code| Diagnostic::mismatch(code, at, describe_schema(schema), describe_value(value));
    let float = value.as_f64().unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    let seconds = float as i64;
    let name = at.rsplit('/').next().unwrap_or_default();
    if fields::is_time(name, schema) && walk::SECONDS.contains(&seconds) {
        #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
        let milliseconds = (float * 1000.0).round() as i64;
        let mut found = mismatch(Code::LooksLikeSeconds);
        found.severity = Severity::Error;
        found.message += ", which looks like seconds instead of milliseconds";
        return Diagnostic { fix: Some(Fix::Replace(milliseconds.to_string())), ..found };
    }
    match exact_integer(value) {
        Some(integer) => Diagnostic { fix: Some(Fix::Replace(integer.to_string())), ..mismatch(Code::WholeNumber) },
        None if float.fract() == 0.0 => {
            let mut found = mismatch(Code::LostDigits);
            found.message += ", a float that can have lost digits";
            found
        }
        None => mismatch(Code::WholeNumber),
    }
}

/// Returns the fix of a number or a boolean that is written as text, if JSON would write it in the same way.
pub(super) fn unquote_fix(schema: &Value, value: &Value) -> Option<Fix> {
    let text = value.as_str()?;
    let is_right = match type_name(schema)? {
        "integer" => {
            let number: i128 = text.parse().ok()?;
            text == number.to_string() && range(|name| schema.get(name)).contains(&number)
        }
        "number" => text.trim_ascii() == text && serde_json::from_str::<Number>(text).is_ok(),
        "boolean" => matches!(text, "true" | "false"),
        _ => false,
    };
    is_right.then(|| Fix::Replace(text.to_owned()))
}
