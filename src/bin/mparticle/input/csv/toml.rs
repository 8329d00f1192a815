//! A walk through TOML that knows where everything stands, and tells what it does not know.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// What is wrong with a map, and about which bytes of it.
#[derive(Debug)]
pub struct Wrong {
    pub span: Range<usize>,
    pub message: String,
}

impl Wrong {
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into() }
    }
}

/// A text, and where it stands.
#[derive(Clone, Debug)]
pub struct SpannedText {
    pub text: String,
    pub span: Range<usize>,
}

/// A table whose fields are taken one after the other; what is left at the end is unknown.
pub struct Section<'t> {
    /// As `event.attributes`; empty for the whole.
    path: String,
    pub span: Range<usize>,
    table: DeTable<'t>,
    known: Vec<&'static str>,
}

impl<'t> Section<'t> {
    pub fn parse(text: &'t str) -> Result<Self, Wrong> {
        let table = DeTable::parse(text).map_err(|error| {
            let message = error.message().lines().next().unwrap_or_default().to_owned();
            Wrong::new(error.span().unwrap_or(0..0), message)
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

    /// A section within this one.
    pub fn section(&mut self, name: &'static str) -> Result<Option<Self>, Wrong> {
        let path = self.path_string(name);
        self.field(name).map(|value| Self::of(path, value)).transpose()
    }

    fn of(path: String, value: Spanned<DeValue<'t>>) -> Result<Self, Wrong> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Ok(Self { path, span, table, known: Vec::new() }),
            _ => Err(Wrong::new(span, format!("{path} is not a section"))),
        }
    }

    pub fn text(&mut self, name: &'static str) -> Result<Option<SpannedText>, Wrong> {
        let path = self.path_string(name);
        self.field(name).map(|value| text(&path, value)).transpose()
    }

    /// A field that is a text or a section: whichever it is.
    pub fn text_or_section(&mut self, name: &'static str) -> Result<Option<Result<SpannedText, Self>>, Wrong> {
        let path = self.path_string(name);
        self.field(name).map(|value| Self::either(path, value)).transpose()
    }

    fn either(path: String, value: Spanned<DeValue<'t>>) -> Result<Result<SpannedText, Self>, Wrong> {
        match value.get_ref() {
            DeValue::Table(_) => Self::of(path, value).map(Err),
            _ => text(&path, value).map(Ok),
        }
    }

    /// A field has to be there and is not: perhaps it is mistyped.
    pub fn lacks(&self, name: &str) -> Wrong {
        match self.table.keys().find(|left| nearest(left.get_ref(), &[name]).is_some()) {
            Some(left) => self.unknown(left, &[name]),
            None => Wrong::new(self.span.clone(), format!("it has no {}", self.path_string(name))),
        }
    }

    fn unknown(&self, name: &Spanned<DeString<'_>>, known: &[&str]) -> Wrong {
        let message =
            format!("unknown field {}: {}", self.path_string(name.get_ref()), suggestion(name.get_ref(), known));
        Wrong::new(name.span(), message)
    }

    /// All fields, of a section whose names are free.
    pub fn fields(self) -> impl Iterator<Item = Result<(SpannedText, Result<SpannedText, Self>), Wrong>> {
        let path = self.path.clone();
        self.table.into_iter().map(move |(name, value)| {
            let path = format!("{path}.{}", name.get_ref());
            let name = SpannedText { span: name.span(), text: name.into_inner().into_owned() };
            Ok((name, Self::either(path, value)?))
        })
    }

    /// What was not taken is unknown.
    pub fn end(self) -> Result<(), Wrong> {
        let Some(name) = self.table.keys().min_by_key(|name| name.span().start) else { return Ok(()) };
        Err(self.unknown(name, &self.known))
    }
}

fn text(path: &str, value: Spanned<DeValue<'_>>) -> Result<SpannedText, Wrong> {
    let span = value.span();
    match value.into_inner() {
        DeValue::String(text) => Ok(SpannedText { text: text.into_owned(), span }),
        _ => Err(Wrong::new(span, format!("{path} is not a text"))),
    }
}

/// What there is instead of something that is not there: the nearest name, or all.
pub fn suggestion<S: AsRef<str>>(name: &str, known: &[S]) -> String {
    nearest(name, known)
        .map_or_else(|| format!("there is {}", join(known)), |nearest| format!("did you mean \"{nearest}\"?"))
}

fn join<S: AsRef<str>>(names: &[S]) -> String {
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

/// The name that somebody may have meant.
fn nearest<'a, S: AsRef<str>>(name: &str, known: &'a [S]) -> Option<&'a str> {
    // The cost grows with both lengths.
    const LONGEST: usize = 80;
    let plain = |name: &str| name.replace(['_', '-', ' '], "").to_lowercase();
    let sought = plain(name);
    let allowed = (sought.chars().count() / 3).max(1);
    let short = known.iter().map(AsRef::as_ref).filter(|known| known.len().max(name.len()) <= LONGEST);
    let distances = short.map(|known| (strsim::damerau_levenshtein(&sought, &plain(known)), known));
    distances.filter(|(distance, _)| *distance <= allowed).min().map(|(_, name)| name)
}
