//! Parses the time of a row.

use std::fmt::Write;

use chrono::format::{Fixed, Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};

use super::cells::quote;
use super::toml::nearest;

/// The format of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    Rfc3339,
    Seconds,
    Milliseconds,
    /// A pattern of `strftime`, and the time zone of times without an offset: UTC if it is `None`.
    Pattern {
        pattern: String,
        zone: Option<Tz>,
    },
}

/// Times that differ in everything that a pattern can leave open.
const PROBES: [&str; 3] = ["2026-11-23T21:47:38Z", "2025-02-03T09:05:06Z", "2024-12-31T12:30:00Z"];

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
            _ => check_pattern(name).map(|()| Self::Pattern { pattern: name.to_owned(), zone: None }),
        }
    }

    /// Sets the time zone of local times, by its name in the IANA database.
    pub fn in_zone(self, name: &str) -> Result<Self, String> {
        let zone: Tz = name.parse().map_err(|_| {
            let known: Vec<_> = TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
            let suggestion = match nearest(name, &known) {
                Some(nearest) => format!("did you mean \"{nearest}\"?"),
                None => "use a name such as Europe/Berlin or UTC".to_owned(),
            };
            format!("unknown time zone {}: {suggestion}", quote(name))
        })?;
        match self {
            Self::Pattern { pattern, .. } if !has_offset(&pattern) => Ok(Self::Pattern { pattern, zone: Some(zone) }),
            _ => Err("only a pattern without an offset has a zone; times of the other formats determine it".to_owned()),
        }
    }

    /// Returns whether times are read as UTC because neither they nor the map name an offset.
    pub fn assumes_utc(&self) -> bool {
        matches!(self, Self::Pattern { pattern, zone: None } if !has_offset(pattern))
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
            Self::Pattern { pattern, zone } => {
                return match parse_with_pattern(pattern, trimmed) {
                    None => Err(format!("{} does not match the pattern {}", quote(text), quote(pattern))),
                    Some(ParsedTime::ShortYear) => Err(format!(
                        "the year of {} has fewer than four digits; use %y for one of two digits",
                        quote(text)
                    )),
                    Some(ParsedTime::Exact(time)) => Ok(time),
                    Some(ParsedTime::Day(day)) => first_moment(day, zone.unwrap_or(Tz::UTC)),
                    Some(ParsedTime::Local(time)) => to_utc(time, zone.unwrap_or(Tz::UTC)),
                };
            }
        };
        time.ok_or_else(|| format!("{} is not {form}", quote(text)))
    }
}

/// Converts a local time. Of the two times that a clock shows twice when it is set back, this is the first.
fn to_utc(time: NaiveDateTime, zone: Tz) -> Result<DateTime<Utc>, String> {
    match zone.from_local_datetime(&time) {
        LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => Ok(time.to_utc()),
        LocalResult::None => Err(format!("{time} does not exist in {zone}, where clocks were set forward")),
    }
}

/// Returns the first moment of a day, which is later than midnight where clocks are set forward at midnight.
fn first_moment(day: NaiveDate, zone: Tz) -> Result<DateTime<Utc>, String> {
    let midnight = day.and_time(NaiveTime::MIN);
    let mut times = (0..24 * 60).map(|minute| zone.from_local_datetime(&(midnight + TimeDelta::minutes(minute))));
    let first = times.find_map(LocalResult::earliest);
    first.map(|time| time.to_utc()).ok_or_else(|| format!("{day} does not exist in {zone}"))
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

enum ParsedTime {
    /// A time with an offset.
    Exact(DateTime<Utc>),
    Local(NaiveDateTime),
    /// A date without a time.
    Day(NaiveDate),
    /// A year with fewer than four digits in the place of a whole year.
    ShortYear,
}

fn parse_with_pattern(pattern: &str, text: &str) -> Option<ParsedTime> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, StrftimeItems::new(pattern)).ok()?;
    if parsed.year().is_some_and(|year| (0..1000).contains(&year)) {
        return Some(ParsedTime::ShortYear);
    }
    if let Ok(time) = parsed.to_datetime() {
        return Some(ParsedTime::Exact(time.to_utc()));
    }
    let time = parsed.to_naive_datetime_with_offset(0).ok().map(ParsedTime::Local);
    time.or_else(|| parsed.to_naive_date().ok().map(ParsedTime::Day))
}

/// Writes a time with a pattern and reads it back.
fn round_trip(pattern: &str, time: DateTime<Utc>) -> Option<ParsedTime> {
    let mut text = String::new();
    // This offset can only be read; it also reads what %z writes.
    write!(text, "{}", time.format(&pattern.replace("%#z", "%z"))).ok()?;
    parse_with_pattern(pattern, &text)
}

/// Returns whether the pattern has an offset from UTC, or is one of the seconds since 1970.
fn has_offset(pattern: &str) -> bool {
    matches!(round_trip(pattern, DateTime::UNIX_EPOCH), Some(ParsedTime::Exact(_)))
}

/// Refuses a pattern that leaves the time open: a time that is written with it must be the same when it is read.
fn check_pattern(pattern: &str) -> Result<(), String> {
    let items: Vec<_> = StrftimeItems::new(pattern).collect();
    if items.contains(&Item::Error) {
        return Err(format!("{} is not a strftime pattern", quote(pattern)));
    }
    if items.contains(&Item::Fixed(Fixed::TimezoneName)) {
        return Err("%Z is ignored when a time is read; use %z for an offset, or set zone".to_owned());
    }
    let has_time = !items.iter().all(is_of_date);
    let is_exact = |probe: &&str| {
        let Ok(time) = probe.parse::<DateTime<Utc>>() else { return false };
        let read = match round_trip(pattern, time) {
            Some(ParsedTime::Exact(time)) => time.naive_utc(),
            Some(ParsedTime::Local(time)) => time,
            Some(ParsedTime::Day(day)) => day.and_time(NaiveTime::MIN),
            Some(ParsedTime::ShortYear) | None => return false,
        };
        let time = time.naive_utc();
        let (to_minute, to_day) = (time.with_second(0).unwrap_or(time), time.date().and_time(NaiveTime::MIN));
        read == time || read == to_minute || (!has_time && read == to_day)
    };
    if PROBES.iter().all(is_exact) {
        Ok(())
    } else {
        Err(format!(
            "{} leaves the time open; it needs a full date, and then hours (%H, or %I with %p) with minutes, or no time",
            quote(pattern)
        ))
    }
}

/// Returns whether an item of a pattern is part of a date, or only text.
fn is_of_date(item: &Item<'_>) -> bool {
    use chrono::format::Numeric::{Hour, Hour12, Minute, Nanosecond, Second, Timestamp};
    match item {
        Item::Numeric(number, _) => !matches!(number, Hour | Hour12 | Minute | Second | Nanosecond | Timestamp),
        Item::Fixed(fixed) => matches!(
            fixed,
            Fixed::ShortMonthName | Fixed::LongMonthName | Fixed::ShortWeekdayName | Fixed::LongWeekdayName
        ),
        _ => true,
    }
}
