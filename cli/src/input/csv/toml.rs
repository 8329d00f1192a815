//! Reads TOML with positions, and reports unknown fields.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// An error in a map, with the range of its bytes.
#[derive(Debug)]
pub struct MapError {
    pub span: Range<usize>,
    pub message: String,
}

impl MapError {
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into() }
    }
}

/// A string with its range.
#[derive(Clone, Debug)]
pub struct SpannedText {
    pub text: String,
    pub span: Range<usize>,
}

/// A table whose fields are removed as they are read. Fields left at the end are unknown.
pub struct Section<'t> {
    /// The path, for example `event.attributes`; empty for the root.
    path: String,
    pub span: Range<usize>,
    table: DeTable<'t>,
    known: Vec<&'static str>,
}

impl<'t> Section<'t> {
    pub fn parse(text: &'t str) -> Result<Self, MapError> {
        let table = DeTable::parse(text).map_err(|error| {
            let message = error.message().lines().next().unwrap_or_default().to_owned();
            MapError::new(error.span().unwrap_or(0..0), message)
        })?;
        let span = table.span();
        Ok(Self { path: String::new(), span, table: table.into_inner(), known: Vec::new() })
    }

    fn field(&mut self, name: &'static str) -> Option<Spanned<DeValue<'t>>> {
        self.known.push(name);
        self.table.remove(name)
    }

    fn path_string(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Reads a subsection.
    pub fn section(&mut self, name: &'static str) -> Result<Option<Self>, MapError> {
        let path = self.path_string(name);
        self.field(name).map(|value| Self::from_value(path, value)).transpose()
    }

    fn from_value(path: String, value: Spanned<DeValue<'t>>) -> Result<Self, MapError> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Ok(Self { path, span, table, known: Vec::new() }),
            _ => Err(MapError::new(span, format!("{path} is not a table"))),
        }
    }

    pub fn text(&mut self, name: &'static str) -> Result<Option<SpannedText>, MapError> {
        let path = self.path_string(name);
        self.field(name).map(|value| text(&path, value)).transpose()
    }

    /// Reads a field that is a list of strings.
    pub fn texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>, MapError> {
        let path = self.path_string(name);
        let Some(value) = self.field(name) else { return Ok(None) };
        let span = value.span();
        let DeValue::Array(values) = value.into_inner() else {
            return Err(MapError::new(span, format!("{path} is not a list of strings")));
        };
        values.into_iter().map(|value| text(&path, value).map(|text| text.text)).collect::<Result<_, _>>().map(Some)
    }

    /// Reads a field that is a string or a section.
    pub fn text_or_section(&mut self, name: &'static str) -> Result<Option<Result<SpannedText, Self>>, MapError> {
        let path = self.path_string(name);
        self.field(name).map(|value| Self::text_or_section_from(path, value)).transpose()
    }

    fn text_or_section_from(path: String, value: Spanned<DeValue<'t>>) -> Result<Result<SpannedText, Self>, MapError> {
        match value.get_ref() {
            DeValue::Table(_) => Self::from_value(path, value).map(Err),
            _ => text(&path, value).map(Ok),
        }
    }

    /// Returns the error of a missing required field, or of its likely misspelling.
    pub fn missing(&self, name: &str) -> MapError {
        match self.table.keys().find(|left| nearest(left.get_ref(), &[name]).is_some()) {
            Some(left) => self.unknown(left, &[name]),
            None => MapError::new(self.span.clone(), format!("missing {}", self.path_string(name))),
        }
    }

    fn unknown(&self, name: &Spanned<DeString<'_>>, known: &[&str]) -> MapError {
        let message =
            format!("unknown field {}: {}", self.path_string(name.get_ref()), suggestion(name.get_ref(), known));
        MapError::new(name.span(), message)
    }

    /// Returns all fields of a section with arbitrary names.
    pub fn fields(self) -> impl Iterator<Item = Result<(SpannedText, Result<SpannedText, Self>), MapError>> {
        let path = self.path.clone();
        self.table.into_iter().map(move |(name, value)| {
            let path = format!("{path}.{}", name.get_ref());
            let name = SpannedText { span: name.span(), text: name.into_inner().into_owned() };
            Ok((name, Self::text_or_section_from(path, value)?))
        })
    }

    /// Returns an error if a field was not read.
    pub fn finish(self) -> Result<(), MapError> {
        let Some(name) = self.table.keys().min_by_key(|name| name.span().start) else { return Ok(()) };
        Err(self.unknown(name, &self.known))
    }
}

fn text(path: &str, value: Spanned<DeValue<'_>>) -> Result<SpannedText, MapError> {
    let span = value.span();
    match value.into_inner() {
        DeValue::String(text) => Ok(SpannedText { text: text.into_owned(), span }),
        _ => Err(MapError::new(span, format!("{path} is not a string"))),
    }
}

/// Returns a suggestion for an unknown name: the nearest known name, or all of them.
pub fn suggestion<S: AsRef<str>>(name: &str, known: &[S]) -> String {
    nearest(name, known)
        .map_or_else(|| format!("expected one of {}", join(known)), |nearest| format!("did you mean \"{nearest}\"?"))
}

fn join<S: AsRef<str>>(names: &[S]) -> String {
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

/// Returns the known name that is probably meant.
pub fn nearest<'a, S: AsRef<str>>(name: &str, known: &'a [S]) -> Option<&'a str> {
    // The cost is proportional to the product of the lengths.
    const MAX_LENGTH: usize = 80;
    let normalize = |name: &str| name.replace(['_', '-', ' '], "").to_lowercase();
    let sought = normalize(name);
    let allowed = (sought.chars().count() / 3).max(1);
    let short = known.iter().map(AsRef::as_ref).filter(|known| known.len().max(name.len()) <= MAX_LENGTH);
    let distances = short.map(|known| (strsim::damerau_levenshtein(&sought, &normalize(known)), known));
    distances.filter(|(distance, _)| *distance <= allowed).min().map(|(_, name)| name)
}
