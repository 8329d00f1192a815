//! Tests of the values of cells: numbers, identities and times.

use proptest::prelude::*;

use crate::input::csv::cells::{CellType, DecimalMark, parse_decimal, parse_identity, parse_value};
use crate::input::csv::times::TimeFormat;

#[test]
fn parses_cells_exactly_or_rejects_them() {
    let list = CellType::List("|".into());
    let right = [
        (&CellType::Text, " 007 ", r#"" 007 ""#),
        (&CellType::Number, "9223372036854775807", "9223372036854775807"),
        (&CellType::Number, "-9223372036854775808", "-9223372036854775808"),
        (&CellType::Number, " 9007199254740993 ", "9007199254740993"),
        (&CellType::Number, "12.90", "12.9"),
        (&CellType::Number, "-1.5e3", "-1500.0"),
        (&CellType::Boolean, "TRUE", "true"),
        (&CellType::Boolean, "no", "false"),
        (&CellType::Boolean, "WAHR", "true"),
        (&CellType::Boolean, "Nein", "false"),
        (&list, "tea| |coffee", r#"["tea","coffee"]"#),
        (&CellType::Json, "[\"a\",\"b\"]", r#"["a","b"]"#),
        (&CellType::Json, "9007199254740993", "9007199254740993"),
        (&CellType::Json, "null", "null"),
    ];
    for (kind, text, json) in right {
        let value = parse_value::<mparticle::types::UserAttributeValue>(kind, DecimalMark::Default, text)
            .unwrap_or_else(|message| panic!("{message}"));
        assert_eq!(serde_json::to_string(&value).expect("JSON"), json, "{text}");
    }
    let invalid = [
        (CellType::Number, "many", "\"many\" is not a number"),
        (CellType::Number, "9223372036854775808", "\"9223372036854775808\" is out of the range of 64 bits"),
        (
            CellType::Number,
            "1,5",
            "\"1,5\" is not a number; if the comma is the decimal mark, set decimal = \",\" in [csv]",
        ),
        (CellType::Number, "NaN", "\"NaN\" is not a number"),
        (CellType::Number, "1e999", "\"1e999\" is not a number"),
        (CellType::Number, "0x10", "\"0x10\" is not a number"),
        (CellType::Number, "-", "\"-\" is not a number"),
        (CellType::Boolean, "si", "\"si\" is not true or false, yes or no, 1 or 0"),
        (CellType::Json, "{", "\"{\" is not JSON"),
        (CellType::Json, "{}", "\"{}\" is not a valid attribute value"),
        (CellType::Json, "18446744073709551615", "\"18446744073709551615\" is out of the range of 64 bits"),
    ];
    for (kind, text, message) in invalid {
        assert_eq!(
            parse_value::<mparticle::types::AttributeValue>(&kind, DecimalMark::Default, text),
            Err(message.into()),
            "{text}"
        );
    }
    let long =
        parse_value::<mparticle::types::AttributeValue>(&CellType::Number, DecimalMark::Default, &"é".repeat(100));
    assert_eq!(long, Err(format!("\"{}…\" is not a number", "é".repeat(40))));
}

#[test]
fn parses_times_in_the_format_of_the_map() {
    let right = [
        ("rfc3339", "2026-01-31T13:00:00.25+01:00", 1_769_860_800_250),
        ("seconds", "1769860800", 1_769_860_800_000),
        ("seconds", "1769860800.2509", 1_769_860_800_250),
        ("seconds", "-1.5", -1_500),
        ("milliseconds", " 1769860800250 ", 1_769_860_800_250),
        ("%d.%m.%Y %H:%M", "31.01.2026 12:00", 1_769_860_800_000),
        ("%Y-%m-%d", "2026-01-31", 1_769_817_600_000),
        ("%Y-%m-%d %H:%M:%S %z", "2026-01-31 13:00:00 +0100", 1_769_860_800_000),
    ];
    for (format, text, millis) in right {
        let time = TimeFormat::from_name(format)
            .expect("a format")
            .parse_time(text)
            .unwrap_or_else(|message| panic!("{message}"));
        assert_eq!(time.timestamp_millis(), millis, "{format} {text}");
    }
    let invalid = [
        ("rfc3339", "2026-01-31", "\"2026-01-31\" is not an RFC 3339 time, for example 2026-01-31T12:00:00Z"),
        ("seconds", "now", "\"now\" is not a time in seconds since 1970"),
        ("seconds", "9223372036854775807", "\"9223372036854775807\" is not a time in seconds since 1970"),
        ("seconds", "1.", "\"1.\" is not a time in seconds since 1970"),
        ("milliseconds", "1.5", "\"1.5\" is not a time in milliseconds since 1970"),
        ("milliseconds", "9223372036854775807", "\"9223372036854775807\" is not a time in milliseconds since 1970"),
        (
            "%d.%m.%Y %H:%M",
            "01.01.26 12:00",
            "the year of \"01.01.26 12:00\" has fewer than four digits; use %y for one of two digits",
        ),
        ("%d.%m.%Y", "30.02.2026", "\"30.02.2026\" does not match the pattern \"%d.%m.%Y\""),
    ];
    for (format, text, message) in invalid {
        assert_eq!(TimeFormat::from_name(format).expect("a format").parse_time(text), Err(message.into()), "{format}");
    }
}

#[test]
fn patterns_that_leave_the_time_open_are_refused() {
    let open = [
        "%Y-%m-%d %I:%M",
        "%Y-%m-%d %H",
        "%Y-%m-%d %I %p",
        "%H:%M",
        "%d.%m. %H:%M",
        "%Y-%m %H:%M",
        "%Y",
        "%Y-%m-%d %p",
        "%Y-%m-%d %M",
        "%Y-%m-%d %S",
        "%Y-%m-%d %I:%M:%S",
        "%A %H:%M",
        "%U %Y",
        "%Y-%m-%d %H:%S",
        "%m/%d %I:%M %p",
        "%%",
    ];
    for pattern in open {
        let error = TimeFormat::from_name(pattern).expect_err(pattern);
        assert!(error.contains("leaves the time open"), "{pattern}: {error}");
    }
    for pattern in ["%Y-%m-%d %H:%M %Z", "%a %b %d %H:%M:%S %Z %Y"] {
        let error = TimeFormat::from_name(pattern).expect_err(pattern);
        assert_eq!(error, "%Z is ignored when a time is read; use %z for an offset, or set zone");
    }
    let whole = [
        "%d.%m.%Y",
        "%F",
        "%F %T",
        "%F %R",
        "%Y-%j",
        "%G-W%V-%u",
        "%m/%d/%Y %I:%M %p",
        "%D %r",
        "%d-%b-%y %H:%M",
        "%s",
        "%c",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.3f %z",
        "%+",
        "%Y%m%d%H%M%S",
        "%e %B %Y, %k:%M",
        "%Y-%m-%d %H:%M %#z",
        "%d/%m/%Y %P %I:%M",
    ];
    for pattern in whole {
        assert!(TimeFormat::from_name(pattern).is_ok(), "{pattern}: {:?}", TimeFormat::from_name(pattern));
    }
}

#[test]
fn local_times_are_read_in_the_zone_of_the_map() {
    let format = |pattern: &str, zone: &str| TimeFormat::from_name(pattern).and_then(|format| format.in_zone(zone));
    let berlin = format("%Y-%m-%d %H:%M:%S", "Europe/Berlin").expect("a zone");
    let right = [
        ("2026-03-29 01:59:59", "2026-03-29T00:59:59Z"),
        ("2026-03-29 03:00:00", "2026-03-29T01:00:00Z"),
        ("2026-07-01 12:00:00", "2026-07-01T10:00:00Z"),
        // The first of the two hours that clocks show when they are set back.
        ("2026-10-25 02:30:00", "2026-10-25T00:30:00Z"),
        ("2026-10-25 03:00:00", "2026-10-25T02:00:00Z"),
        ("2026-12-01 12:00:00", "2026-12-01T11:00:00Z"),
    ];
    for (text, utc) in right {
        let time = berlin.parse_time(text).unwrap_or_else(|message| panic!("{message}"));
        assert_eq!(time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true), utc, "{text}");
    }
    assert_eq!(
        berlin.parse_time("2026-03-29 02:30:00"),
        Err("2026-03-29 02:30:00 does not exist in Europe/Berlin, where clocks were set forward".into())
    );
    let day = format("%d.%m.%Y", "America/New_York").expect("a zone").parse_time("01.07.2026").expect("a time");
    assert_eq!(day.to_rfc3339(), "2026-07-01T04:00:00+00:00");
    // Midnight is skipped in some zones.
    let days = [
        ("America/Havana", "2026-03-08", "2026-03-08T05:00:00+00:00"),
        ("Africa/Cairo", "2023-04-28", "2023-04-27T22:00:00+00:00"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00+00:00"),
    ];
    for (zone, day, utc) in days {
        assert_eq!(format("%F", zone).expect("a zone").parse_time(day).map(|time| time.to_rfc3339()), Ok(utc.into()));
        assert!(
            format("%F %T", zone).expect("a zone").parse_time(&[day, " 00:00:00"].concat()).is_err(),
            "an hour is exact"
        );
    }
    assert!(format("%F", "Pacific/Apia").expect("a zone").parse_time("2011-12-30").is_err(), "a skipped day");
    for pattern in ["rfc3339", "seconds", "milliseconds", "%F %T %z", "%s"] {
        assert!(format(pattern, "Europe/Berlin").is_err(), "{pattern} determines the offset");
        assert!(!TimeFormat::from_name(pattern).expect("a format").assumes_utc());
    }
    assert!(TimeFormat::from_name("%F %T").expect("a format").assumes_utc() && !berlin.assumes_utc());
}

#[test]
fn decimal_marks_and_separators_of_thousands_are_exact() {
    let table = [
        (DecimalMark::Comma, "12,90", Some(12.9)),
        (DecimalMark::Comma, "1.234,50", Some(1234.5)),
        (DecimalMark::Comma, "-1.234.567,5", Some(-1_234_567.5)),
        (DecimalMark::Comma, "1 234,5", Some(1234.5)),
        (DecimalMark::Comma, "1\u{a0}234,5", Some(1234.5)),
        (DecimalMark::Comma, "1.234", Some(1234.0)),
        (DecimalMark::Comma, "1234", Some(1234.0)),
        (DecimalMark::Comma, ",5", Some(0.5)),
        (DecimalMark::Comma, "12.90", None),
        (DecimalMark::Comma, "1.23.456", None),
        (DecimalMark::Comma, "1,234,567", None),
        (DecimalMark::Comma, "1.234 567,5", None),
        (DecimalMark::Comma, "1,234.5", None),
        (DecimalMark::Point, "1,234.50", Some(1234.5)),
        (DecimalMark::Point, "1'234.50", Some(1234.5)),
        (DecimalMark::Point, "12,90", None),
        (DecimalMark::Point, "1.5e3", Some(1500.0)),
        (DecimalMark::Point, "1.234.5", None),
        (DecimalMark::Point, "", None),
        (DecimalMark::Default, "12.90", Some(12.9)),
        (DecimalMark::Default, "1,234.50", None),
    ];
    for (mark, text, value) in table {
        assert_eq!(parse_decimal(mark, text).ok(), value, "{mark:?} {text}");
    }
    let value =
        parse_value::<mparticle::types::AttributeValue>(&CellType::Number, DecimalMark::Comma, "9.007.199.254.740.993");
    assert_eq!(value, Ok(9_007_199_254_740_993_i64.into()));
}

#[test]
fn a_number_that_lost_digits_is_no_identity() {
    for text in [
        "7.346e+18",
        "4,711E+12",
        "1E+05",
        " 7.3E+18 ",
        "-7.3e+18",
        "4711.0",
        "491701234567.0",
        "-1.0",
        "4.7E12",
        "4711.00",
        "4711.",
        "4711,0",
        "4,7E12",
        "+4711.0",
        "4.7E-05",
        "4,711.00",
    ] {
        let error = parse_identity(text).expect_err(text);
        assert!(error.ends_with("export the column as text"), "{error}");
    }
    for text in
        ["4711", "007", "12e4567", "e+5", "1e5", "a.0", "507e77", "1.5", "v1.0", "+491701234567", "E+", "1.2.0", ".0"]
    {
        assert_eq!(parse_identity(text), Ok(text.into()));
    }
}

proptest! {
    #[test]
    fn accepts_any_cell_without_panic(text in ".*", pattern in "%.{0,6}", separator in ".{1,2}") {
        for kind in [CellType::Text, CellType::Number, CellType::Boolean, CellType::Json, CellType::List(separator)] {
            for mark in [DecimalMark::Default, DecimalMark::Point, DecimalMark::Comma] {
                let _ = parse_value::<mparticle::types::UserAttributeValue>(&kind, mark, &text);
            }
        }
        for format in ["rfc3339", "seconds", "milliseconds", &pattern] {
            let _ = TimeFormat::from_name(format).map(|format| format.parse_time(&text));
        }
    }
}
