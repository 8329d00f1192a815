//! The map from the columns of a file to the fields of a batch.

use std::ops::Range;

use mparticle::{Environment, IdentityType};

use super::cells::{CellType, DecimalMark, quote};
use super::event_map::{EventFamily, EventMap};
use super::rows::{CsvRow, Dialect, RowReader};
use super::schema::{self, TypedField};
use super::toml::{MapError, Section, SpannedText, suggestion};
use crate::input::position::tokens;

/// The cells that are absent if a map does not list others: those that databases, data frames and spreadsheets write for no value.
const NULLS: [&str; 20] = [
    "\\N",
    "NULL",
    "null",
    "NaN",
    "nan",
    "NaT",
    "NA",
    "na",
    "N/A",
    "n/a",
    "<NA>",
    "#N/A",
    "#REF!",
    "#VALUE!",
    "#NAME?",
    "#DIV/0!",
    "#NULL!",
    "#NUM!",
    "0000-00-00",
    "0000-00-00 00:00:00",
];

/// Returns whether a cell is one of the default nulls.
pub fn is_null(text: &str) -> bool {
    NULLS.contains(&text)
}

/// The delimiters that a message suggests.
const DELIMITERS: [u8; 4] = [b';', b',', b'\t', b'|'];

/// A column of the file, by the name in its header.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    /// The position of the name in the map.
    pub span: Range<usize>,
    /// The index in a row, once the header is known.
    pub index: usize,
}

/// The source of a field: a column, or a constant for all rows.
#[derive(Clone, Debug)]
pub enum FieldSource {
    Constant(String),
    Column(Column),
}

#[derive(Clone, Debug)]
pub struct AttributeColumn {
    pub name: String,
    pub column: Column,
    pub kind: CellType,
}

/// An identity of the user, from one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityField {
    Mpid,
    DeviceId,
    Of(IdentityType),
}

#[derive(Clone, Debug)]
pub struct ColumnMap {
    pub environment: Option<Environment>,
    pub dialect: Dialect,
    pub mark: DecimalMark,
    /// The cells that are absent, as empty ones are.
    pub nulls: Vec<String>,
    pub identities: Vec<(IdentityField, Column)>,
    pub device: Vec<(TypedField, Column)>,
    pub user_attributes: Vec<AttributeColumn>,
    pub event: Option<EventMap>,
}

impl FieldSource {
    pub fn column(&self) -> Option<&Column> {
        match self {
            Self::Column(column) => Some(column),
            Self::Constant(_) => None,
        }
    }
}

impl ColumnMap {
    pub fn parse(text: &str) -> Result<Self, MapError> {
        let mut whole = Section::parse(text)?;
        let environment = whole.text("environment")?.map(|text| {
            text.text.parse().map_err(|_| {
                MapError::new(text.span, format!("{} is not development or production", quote(&text.text)))
            })
        });
        let format = whole.section("csv")?.map_or(Ok(FileFormat::default()), FileFormat::parse)?;
        let FileFormat { dialect, mark, nulls } = format;
        let identities = whole.section("identities")?.map_or(Ok(Vec::new()), identities)?;
        let device = whole.section("device")?.map_or(Ok(Vec::new()), device)?;
        let user_attributes = whole.section("user_attributes")?;
        let user_attributes = user_attributes.map_or(Ok(Vec::new()), |section| attributes(section, true))?;
        let event = whole.section("event")?.map(EventMap::parse).transpose()?;
        let span = whole.span.clone();
        whole.finish()?;
        if identities.is_empty() && device.is_empty() {
            return Err(MapError::new(span, "[identities] is missing or empty: events need a user"));
        }
        Ok(Self {
            environment: environment.transpose()?,
            dialect,
            mark,
            nulls,
            identities,
            device,
            user_attributes,
            event,
        })
    }

    /// Returns whether a cell has no value.
    pub fn is_absent(&self, text: &str) -> bool {
        let text = text.trim();
        text.is_empty() || self.nulls.iter().any(|null| null == text)
    }

    /// Finds the index of each column in the header.
    pub fn bind(&mut self, header: &CsvRow, dialect: Dialect) -> Result<(), MapError> {
        let map = self.clone();
        let fits = |dialect: &Dialect| {
            read_header(&header.text, *dialect).is_some_and(|header| map.clone().find_columns(&header).is_ok())
        };
        let is_other = |delimiter: &u8| *delimiter != dialect.delimiter && dialect.quote != Some(*delimiter);
        self.find_columns(header).map_err(|error| {
            let mut others = DELIMITERS.into_iter().filter(is_other).map(|delimiter| Dialect { delimiter, ..dialect });
            match others.find(fits) {
                None => error,
                Some(Dialect { delimiter, .. }) => {
                    let delimiter = char::from(delimiter).escape_default();
                    let hint =
                        format!("the header is separated by \"{delimiter}\": set delimiter = \"{delimiter}\" in [csv]");
                    let problem = error.message.split(": ").next().unwrap_or_default();
                    MapError::new(error.span, format!("{problem}: {hint}"))
                }
            }
        })
    }

    fn find_columns(&mut self, header: &CsvRow) -> Result<(), MapError> {
        let names: Vec<_> = (0..header.len()).map(|index| header.field(index)).collect();
        for column in self.columns_mut() {
            let mut found = (0..names.len()).filter(|index| names[*index] == column.name);
            let error = |message: String| Err(MapError::new(column.span.clone(), message));
            match (found.next(), found.next()) {
                (Some(index), None) => column.index = index,
                (Some(_), Some(_)) => {
                    return error(format!("column {} occurs twice in the header", quote(&column.name)));
                }
                (None, _) => {
                    return error(format!("no column {}: {}", quote(&column.name), suggestion(&column.name, &names)));
                }
            }
        }
        Ok(())
    }

    /// Returns the column that a JSON pointer into the batch of one row refers to.
    pub fn column_for(&self, pointer: &str) -> Option<&Column> {
        let tokens: Vec<_> = tokens(pointer).collect();
        let tokens: Vec<_> = tokens.iter().map(String::as_str).collect();
        let identity =
            |wanted| self.identities.iter().find(|(identity, _)| *identity == wanted).map(|(_, column)| column);
        let event = self.event.as_ref();
        match *tokens.as_slice() {
            ["mpid"] => identity(IdentityField::Mpid),
            ["mp_deviceid"] => identity(IdentityField::DeviceId),
            ["user_identities", name] => identity(IdentityField::Of(name.parse().ok()?)),
            ["device_info", name] => {
                self.device.iter().find(|(field, _)| field.path[1] == name).map(|(_, column)| column)
            }
            ["user_attributes", name, ..] => attribute_column(&self.user_attributes, name),
            ["events", "0", "data", "custom_attributes", name, ..] => attribute_column(&event?.attributes, name),
            ["events", "0", "data", "timestamp_unixtime_ms"] => event?.time.as_ref().map(|(column, _)| column),
            ["events", "0", "data", "source_message_id"] => event?.source_message_id.as_ref(),
            ["events", "0", "data", "currency_code"] => event?.family.purchase()?.currency_code.as_ref()?.column(),
            ["events", "0", "data", "product_action", ref path @ ..] => event?.family.purchase()?.column_for(path),
            ["events", "0", "data", "event_name" | "screen_name"] => match &event?.family {
                EventFamily::Custom { name: FieldSource::Column(name), .. }
                | EventFamily::Screen { name: FieldSource::Column(name) } => Some(name),
                _ => None,
            },
            _ => None,
        }
    }

    fn columns_mut(&mut self) -> Vec<&mut Column> {
        let mut columns: Vec<_> = self.identities.iter_mut().map(|(_, column)| column).collect();
        columns.extend(self.device.iter_mut().map(|(_, column)| column));
        columns.extend(self.user_attributes.iter_mut().map(|attribute| &mut attribute.column));
        if let Some(EventMap { family, time, source_message_id, attributes }) = &mut self.event {
            columns.extend(family.sources_mut().into_iter().filter_map(|field| match field {
                FieldSource::Column(column) => Some(column),
                FieldSource::Constant(_) => None,
            }));
            columns.extend(time.iter_mut().map(|(column, _)| column));
            columns.extend(source_message_id.iter_mut());
            columns.extend(attributes.iter_mut().map(|attribute| &mut attribute.column));
        }
        columns
    }
}

fn attribute_column<'a>(attributes: &'a [AttributeColumn], name: &str) -> Option<&'a Column> {
    attributes.iter().find(|attribute| attribute.name == name).map(|attribute| &attribute.column)
}

impl From<SpannedText> for Column {
    fn from(SpannedText { text, span }: SpannedText) -> Self {
        Self { name: text, span, index: 0 }
    }
}

/// Parses `{ column = "…" }`.
pub fn column(mut section: Section<'_>) -> Result<Column, MapError> {
    let column = required(&mut section, "column", Section::text)?;
    section.finish()?;
    Ok(column.into())
}

pub fn required<'t, T>(
    section: &mut Section<'t>,
    name: &'static str,
    take: impl FnOnce(&mut Section<'t>, &'static str) -> Result<Option<T>, MapError>,
) -> Result<T, MapError> {
    take(section, name)?.ok_or_else(|| section.missing(name))
}

/// The section `csv`: how the file is written.
struct FileFormat {
    dialect: Dialect,
    mark: DecimalMark,
    nulls: Vec<String>,
}

impl Default for FileFormat {
    fn default() -> Self {
        Self { dialect: Dialect::default(), mark: DecimalMark::default(), nulls: NULLS.map(str::to_owned).into() }
    }
}

impl FileFormat {
    fn parse(mut section: Section<'_>) -> Result<Self, MapError> {
        let delimiter = section.text("delimiter")?;
        let quote_text = section.text("quote")?;
        let decimal = section.text("decimal")?;
        let nulls = section.texts("null")?;
        section.finish()?;
        let parse_character = |SpannedText { text, span }: SpannedText| match text.as_bytes() {
            [byte] if byte.is_ascii() && !b"\r\n".contains(byte) => Ok(*byte),
            _ => Err(MapError::new(span, format!("{} is not one ASCII character", quote(&text)))),
        };
        let mut format = Self::default();
        if let Some(text) = delimiter {
            format.dialect.delimiter = parse_character(text)?;
        }
        if let Some(text) = quote_text {
            let span = text.span.clone();
            format.dialect.quote = if text.text.is_empty() { None } else { Some(parse_character(text)?) };
            if format.dialect.quote == Some(format.dialect.delimiter) {
                return Err(MapError::new(span, "the quote and the delimiter are the same"));
            }
        }
        if let Some(SpannedText { text, span }) = decimal {
            format.mark = match text.as_str() {
                "." => DecimalMark::Point,
                "," => DecimalMark::Comma,
                _ => return Err(MapError::new(span, format!("{} is not \".\" or \",\"", quote(&text)))),
            };
        }
        if let Some(nulls) = nulls {
            format.nulls = nulls.iter().map(|null| null.trim().to_owned()).collect();
        }
        Ok(format)
    }
}

/// Reads a header again with another dialect.
fn read_header(text: &str, dialect: Dialect) -> Option<CsvRow> {
    RowReader::new(text.as_bytes(), dialect).ok()?.next().ok()??.ok()
}

fn device(section: Section<'_>) -> Result<Vec<(TypedField, Column)>, MapError> {
    let mut fields = Vec::new();
    for field in section.fields() {
        let (name, value) = field?;
        let column = match value {
            Ok(text) => text.into(),
            Err(section) => column(section)?,
        };
        let field = schema::device_field(&name.text).ok_or_else(|| {
            let suggestion = suggestion(&name.text, &schema::device_fields());
            MapError::new(name.span, format!("unknown field {} of a device: {suggestion}", quote(&name.text)))
        })?;
        fields.push((field, column));
    }
    Ok(fields)
}

fn identities(section: Section<'_>) -> Result<Vec<(IdentityField, Column)>, MapError> {
    let mut identities = Vec::new();
    for field in section.fields() {
        let (name, value) = field?;
        let identity = match name.text.as_str() {
            "mpid" => IdentityField::Mpid,
            "mp_deviceid" => IdentityField::DeviceId,
            other => IdentityField::Of(other.parse().map_err(|_| {
                let known = identity_names();
                MapError::new(name.span, format!("unknown identity {}: {}", quote(other), suggestion(other, &known)))
            })?),
        };
        let column = match value {
            Ok(text) => text.into(),
            Err(section) => column(section)?,
        };
        identities.push((identity, column));
    }
    Ok(identities)
}

fn identity_names() -> Vec<&'static str> {
    IdentityType::ALL.iter().map(IdentityType::as_str).chain(["mpid", "mp_deviceid"]).collect()
}

pub fn attributes(section: Section<'_>, for_user: bool) -> Result<Vec<AttributeColumn>, MapError> {
    let mut attributes = Vec::new();
    for field in section.fields() {
        let (name, value) = field?;
        let (column, kind) = match value {
            Ok(text) => (text.into(), CellType::Text),
            Err(mut section) => {
                let column = required(&mut section, "column", Section::text)?;
                let kind = kind(&mut section, for_user)?;
                section.finish()?;
                (column.into(), kind)
            }
        };
        attributes.push(AttributeColumn { name: name.text, column, kind });
    }
    Ok(attributes)
}

fn kind(section: &mut Section<'_>, for_user: bool) -> Result<CellType, MapError> {
    const KINDS: [&str; 5] = ["text", "number", "boolean", "list", "json"];
    let separator = section.text("separator")?;
    let Some(SpannedText { text, span }) = section.text("type")? else {
        return match separator {
            Some(separator) => Err(MapError::new(separator.span, "only a list has a separator")),
            None => Ok(CellType::Text),
        };
    };
    let kind = match (text.as_str(), &separator) {
        ("list", _) if !for_user => return Err(MapError::new(span, "only a user attribute can be a list")),
        ("list", Some(separator)) if !separator.text.is_empty() => return Ok(CellType::List(separator.text.clone())),
        ("list", _) => return Err(MapError::new(span, "a list needs a separator, for example separator = \"|\"")),
        ("text", _) => CellType::Text,
        ("number", _) => CellType::Number,
        ("boolean", _) => CellType::Boolean,
        ("json", _) => CellType::Json,
        (other, _) => {
            return Err(MapError::new(span, format!("unknown type {}: {}", quote(other), suggestion(other, &KINDS))));
        }
    };
    separator.map_or(Ok(kind), |separator| Err(MapError::new(separator.span, "only a list has a separator")))
}
