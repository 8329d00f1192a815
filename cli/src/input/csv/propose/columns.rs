//! The type of a column, from a sample of its cells.

use std::collections::HashSet;

use crate::input::csv::cells::{DecimalMark, parse_boolean, parse_decimal, parse_identity};
use crate::input::csv::map::is_null;
use crate::input::csv::rows::CsvRow;
use crate::input::csv::times::TimeFormat;

/// The patterns of times that programs write, most specific first. Of two that only exchange day and month, both are tried.
const PATTERNS: [&str; 17] = [
    "%Y-%m-%d %H:%M:%S%.f UTC",
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

/// The cells that do not fit the type of their column.
#[derive(Debug, Default)]
pub struct Misfits {
    pub count: usize,
    pub example: String,
}

impl Misfits {
    fn of(cells: &[&str], fits: impl Fn(&str) -> bool) -> Self {
        let mut misfits = cells.iter().filter(|cell| !fits(cell)).peekable();
        let example = misfits.peek().map_or(String::new(), |cell| shorten(cell));
        Self { count: misfits.count(), example }
    }

    /// Returns whether nine of ten cells fit.
    fn are_few(&self, cells: usize) -> bool {
        self.count * 10 <= cells
    }
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact about the cells")]
pub struct SampledColumn {
    pub name: String,
    /// The name in lower case, without anything but letters and digits.
    pub plain_name: String,
    /// Set if another column has the same name, or the name is empty: a map cannot refer to it.
    pub is_ambiguous: bool,
    pub kind: ColumnType,
    /// The cells that are no numbers, in a column of them.
    pub not_numbers: Misfits,
    /// The formats that read all of its cells, or else most of them.
    pub time_formats: Vec<String>,
    /// The cells that none of these formats reads.
    pub not_times: Misfits,
    /// The number of cells with a value.
    pub cells: usize,
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
        let (kind, not_numbers) = column_type(&cells);
        let (time_formats, not_times) = time_formats(&cells);
        Self {
            plain_name: name
                .chars()
                .filter(|character| character.is_alphanumeric())
                .flat_map(char::to_lowercase)
                .collect(),
            is_ambiguous: same > 1 || name.is_empty(),
            kind,
            not_numbers,
            time_formats,
            not_times,
            cells: cells.len(),
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

fn column_type(cells: &[&str]) -> (ColumnType, Misfits) {
    if all(cells, |cell| {
        ["true", "false", "yes", "no"].iter().any(|word| cell.eq_ignore_ascii_case(word)) && parse_boolean(cell).is_ok()
    }) {
        return (ColumnType::Boolean, Misfits::default());
    }
    let kinds = [(ColumnType::Number, DecimalMark::Default), (ColumnType::NumberWithComma, DecimalMark::Comma)];
    let kinds = kinds.map(|(kind, mark)| (kind, Misfits::of(cells, |cell| parse_decimal(mark, cell).is_ok())));
    let best = kinds.into_iter().min_by_key(|(_, misfits)| misfits.count);
    best.filter(|(_, misfits)| {
        !cells.is_empty() && misfits.are_few(cells.len()) && !cells.iter().any(|cell| is_code(cell))
    })
    .unwrap_or((ColumnType::Text, Misfits::default()))
}

/// Returns whether a number is written as a code: `007`, `+49…`.
fn is_code(cell: &str) -> bool {
    let digits = cell.trim_start_matches('-');
    let has_leading_zero = digits.starts_with('0') && digits[1..].starts_with(|next: char| next.is_ascii_digit());
    has_leading_zero || cell.starts_with('+')
}

/// Returns the formats that read the most cells, if those are most of the cells, and the cells that they do not read.
fn time_formats(cells: &[&str]) -> (Vec<String>, Misfits) {
    let formats = ["rfc3339", "milliseconds", "seconds"].into_iter().chain(PATTERNS);
    let tried = formats.filter_map(|name| {
        let format = TimeFormat::from_name(name).ok()?;
        let is_number = ["seconds", "milliseconds"].contains(&name);
        let misfits = Misfits::of(cells, |cell| {
            let time = format.parse_time(cell);
            time.is_ok_and(|time| !is_number || TIMES.contains(&time.timestamp_millis()))
        });
        Some((name, misfits))
    });
    let mut tried: Vec<_> = tried.collect();
    let fewest = tried.iter().map(|(_, misfits)| misfits.count).min().unwrap_or_default();
    tried.retain(|(_, misfits)| misfits.count == fewest);
    // In a few rows, one wrong cell is more than a tenth.
    let is_one_of_few = |misfits: &Misfits| misfits.count == 1 && cells.len() > 2;
    match tried.first() {
        Some((_, misfits)) if !cells.is_empty() && (misfits.are_few(cells.len()) || is_one_of_few(misfits)) => {
            let names = tried.iter().map(|(name, _)| (*name).to_owned()).collect();
            (names, tried.swap_remove(0).1)
        }
        _ => (Vec::new(), Misfits::default()),
    }
}

fn shorten(cell: &str) -> String {
    let ellipsis = if cell.chars().nth(EXAMPLE_CHARS).is_some() { "…" } else { "" };
    crate::text::printable(&cell.chars().take(EXAMPLE_CHARS).collect::<String>()) + ellipsis
}
