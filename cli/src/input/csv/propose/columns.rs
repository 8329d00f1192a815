//! The type of a column, from a sample of its cells.

use std::collections::HashSet;

use crate::input::csv::cells::{DecimalMark, parse_boolean, parse_decimal, parse_identity};
use crate::input::csv::map::is_null;
use crate::input::csv::rows::CsvRow;
use crate::input::csv::times::TimeFormat;

/// The patterns of times that programs write, most specific first. Of two that only exchange day and month, both are tried.
const PATTERNS: [&str; 16] = [
    "%Y-%m-%d %H:%M:%S%.f %z",
    "%Y-%m-%d %H:%M:%S%.f%:z",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y",
];

/// The times that a number is taken for: from 2001 to 2100.
const TIMES: std::ops::Range<i64> = 978_307_200_000..4_102_444_800_000;

/// The maximum number of examples in a comment, and the maximum length of each.
const EXAMPLES: usize = 3;
const EXAMPLE_CHARS: usize = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    Text,
    Number,
    /// A number with a decimal comma.
    NumberWithComma,
    Boolean,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact about the cells")]
pub struct SampledColumn {
    pub name: String,
    /// The name in lower case, without anything but letters and digits.
    pub plain_name: String,
    /// Set if another column has the same name, or the name is empty: a map cannot refer to it.
    pub is_ambiguous: bool,
    pub kind: ColumnType,
    /// The formats that read all of its cells.
    pub time_formats: Vec<String>,
    pub examples: Vec<String>,
    pub is_empty: bool,
    pub has_at_signs: bool,
    pub are_uuids: bool,
    /// Set if a cell is a number that lost digits.
    pub lost_digits: bool,
    /// Set if no cell occurs twice.
    pub is_unique: bool,
    /// Set if cells start with `#`, as the names of orders do.
    pub has_hash_signs: bool,
}

impl SampledColumn {
    pub fn new(header: &CsvRow, index: usize, rows: &[CsvRow]) -> Self {
        let name = header.field(index).into_owned();
        let same = (0..header.len()).filter(|other| header.field(*other) == name).count();
        let cells: Vec<_> = rows.iter().map(|row| row.field(index)).collect();
        let cells: Vec<_> =
            cells.iter().map(|cell| cell.trim()).filter(|cell| !cell.is_empty() && !is_null(cell)).collect();
        let distinct: HashSet<_> = cells.iter().collect();
        let mut examples: Vec<String> = Vec::new();
        for cell in &cells {
            let example = shorten(cell);
            if examples.len() < EXAMPLES && !examples.contains(&example) {
                examples.push(example);
            }
        }
        Self {
            plain_name: name
                .chars()
                .filter(|character| character.is_alphanumeric())
                .flat_map(char::to_lowercase)
                .collect(),
            is_ambiguous: same > 1 || name.is_empty(),
            kind: column_type(&cells),
            time_formats: time_formats(&cells),
            examples,
            is_empty: cells.is_empty(),
            has_at_signs: all(&cells, |cell| cell.contains('@')),
            are_uuids: all(&cells, |cell| uuid::Uuid::try_parse(cell).is_ok()),
            lost_digits: cells.iter().any(|cell| parse_identity(cell).is_err()),
            is_unique: distinct.len() == cells.len(),
            has_hash_signs: all(&cells, |cell| cell.starts_with('#')),
            name,
        }
    }
}

/// Returns whether there are cells, and all of them pass this test.
fn all(cells: &[&str], test: impl Fn(&str) -> bool) -> bool {
    !cells.is_empty() && cells.iter().all(|cell| test(cell))
}

fn column_type(cells: &[&str]) -> ColumnType {
    let is_number = |mark| move |cell: &str| !is_code(cell) && parse_decimal(mark, cell).is_ok();
    if all(cells, |cell| {
        ["true", "false", "yes", "no"].iter().any(|word| cell.eq_ignore_ascii_case(word)) && parse_boolean(cell).is_ok()
    }) {
        ColumnType::Boolean
    } else if all(cells, is_number(DecimalMark::Default)) {
        ColumnType::Number
    } else if all(cells, is_number(DecimalMark::Comma)) {
        ColumnType::NumberWithComma
    } else {
        ColumnType::Text
    }
}

/// Returns whether a number is written as a code: `007`, `+49…`.
fn is_code(cell: &str) -> bool {
    let digits = cell.trim_start_matches('-');
    let has_leading_zero = digits.starts_with('0') && digits[1..].starts_with(|next: char| next.is_ascii_digit());
    has_leading_zero || cell.starts_with('+')
}

fn time_formats(cells: &[&str]) -> Vec<String> {
    let reads = |name: &&str| {
        let Ok(format) = TimeFormat::from_name(name) else { return false };
        let is_number = ["seconds", "milliseconds"].contains(name);
        all(cells, |cell| {
            let time = format.parse_time(cell);
            time.is_ok_and(|time| !is_number || TIMES.contains(&time.timestamp_millis()))
        })
    };
    ["rfc3339", "milliseconds", "seconds"].into_iter().chain(PATTERNS).filter(reads).map(str::to_owned).collect()
}

fn shorten(cell: &str) -> String {
    let ellipsis = if cell.chars().nth(EXAMPLE_CHARS).is_some() { "…" } else { "" };
    crate::text::printable(&cell.chars().take(EXAMPLE_CHARS).collect::<String>()) + ellipsis
}
