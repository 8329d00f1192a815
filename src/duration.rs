//! Durations as text, for settings in files: `250ms`, `30s`, `5m`, `2h`, `28d`.
//!
//! A unit is required, so that the file shows it. Fractions are not supported: write one and a half seconds as `1500ms`.
//! [`Duration::MAX`] is `unlimited`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

use crate::error::Error;
use crate::text::serde_as_text;

const UNLIMITED: &str = "unlimited";

/// The units and their nanoseconds, the largest first.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A duration with a text form.
struct DurationText(Duration);

serde_as_text!(DurationText, "a duration such as \"250ms\", \"30s\" or \"5m\"");

impl fmt::Display for DurationText {
    /// Writes a whole number of the largest exact unit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.as_nanos();
        let exact = |(_, unit): &&(&str, u128)| nanoseconds.is_multiple_of(*unit);
        match UNITS.iter().find(exact) {
            _ if self.0 == Duration::MAX => f.write_str(UNLIMITED),
            _ if self.0.is_zero() => f.write_str("0s"),
            Some((name, unit)) => write!(f, "{}{name}", nanoseconds / unit),
            None => write!(f, "{nanoseconds}ns"),
        }
    }
}

impl FromStr for DurationText {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == UNLIMITED {
            return Ok(Self(Duration::MAX));
        }
        let digits = text.len() - text.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
        let (number, name) = text.split_at(digits);
        let unit = UNITS.iter().find(|(unit, _)| *unit == name.trim_start());
        let nanoseconds = unit.and_then(|(_, unit)| number.parse::<u128>().ok()?.checked_mul(*unit));
        let duration = nanoseconds.and_then(|nanoseconds| {
            let seconds = u64::try_from(nanoseconds / 1_000_000_000).ok()?;
            Some(Duration::new(seconds, u32::try_from(nanoseconds % 1_000_000_000).ok()?))
        });
        duration.map(Self).ok_or_else(|| {
            Error::config(
                "invalid duration (expected a whole number and a unit: ms, s, m, h or d, such as 250ms or 30s, or `unlimited`)",
            )
        })
    }
}

pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&DurationText(*duration))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    DurationText::deserialize(deserializer).map(|text| text.0)
}

pub(crate) mod option {
    //! Optional durations.

    use super::{Deserialize, Deserializer, Duration, DurationText, Serializer};

    #[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
    pub(crate) fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<DurationText>::deserialize(deserializer)?.map(|text| text.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_largest_exact_unit_and_parses_it() {
        let cases = [
            (Duration::ZERO, "0s"),
            (Duration::from_nanos(1), "1ns"),
            (Duration::from_micros(1_500), "1500us"),
            (Duration::from_millis(250), "250ms"),
            (Duration::from_secs(30), "30s"),
            (Duration::from_secs(90), "90s"),
            (Duration::from_secs(120), "2m"),
            (Duration::from_secs(7_200), "2h"),
            (Duration::from_secs(28 * 86_400), "28d"),
            (Duration::MAX, "unlimited"),
            (Duration::new(u64::MAX, 999_999_998), "18446744073709551615999999998ns"),
        ];
        for (duration, text) in cases {
            assert_eq!(DurationText(duration).to_string(), text);
            assert_eq!(text.parse::<DurationText>().expect(text).0, duration, "{text}");
        }
        assert_eq!("5 s".parse::<DurationText>().expect("a space before the unit").0, Duration::from_secs(5));
    }

    #[test]
    fn rejects_a_number_without_a_unit() {
        for text in
            ["", "30", "s", "1.5s", "-1s", "30 seconds", "30S", "1h30m", "99999999999999999999999999999999999999d"]
        {
            let error = text.parse::<DurationText>().err().expect(text).to_string();
            assert!(error.starts_with("invalid duration (expected a whole number and a unit"), "{error}");
        }
    }
}
