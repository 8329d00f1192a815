//! The map from the columns of a file to the fields of a batch.

use std::ops::Range;

use mparticle::{CustomEventType, Environment, IdentityType};

use super::cells::{CellType, TimeFormat, quote};
use super::rows::{CsvRow, Dialect};
use super::toml::{MapError, Section, SpannedText, suggestion};
use crate::input::position::tokens;

/// A column of the file, by the name in its header.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    /// The position of the name in the map.
    span: Range<usize>,
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
    pub identities: Vec<(IdentityField, Column)>,
    pub user_attributes: Vec<AttributeColumn>,
    pub event: Option<EventMap>,
}

/// The event of a row.
#[derive(Clone, Debug)]
pub struct EventMap {
    pub family: EventFamily,
    pub time: Option<(Column, TimeFormat)>,
    pub source_message_id: Option<Column>,
    pub attributes: Vec<AttributeColumn>,
}

#[derive(Clone, Debug)]
pub enum EventFamily {
    Custom { name: FieldSource, kind: FieldSource },
    Screen { name: FieldSource },
    OptOut { opted_out: FieldSource },
    Purchase(Box<PurchaseMap>),
}

/// A purchase of one product per row.
#[derive(Clone, Debug)]
pub struct PurchaseMap {
    pub id: FieldSource,
    pub name: FieldSource,
    pub price: Option<FieldSource>,
    pub quantity: Option<FieldSource>,
    pub transaction_id: Option<FieldSource>,
    pub total: Option<FieldSource>,
    pub currency_code: Option<FieldSource>,
}

impl ColumnMap {
    pub fn parse(text: &str) -> Result<Self, MapError> {
        let mut whole = Section::parse(text)?;
        let environment = whole.text("environment")?.map(|text| {
            text.text.parse().map_err(|_| {
                MapError::new(text.span, format!("{} is not development or production", quote(&text.text)))
            })
        });
        let dialect = whole.section("csv")?.map_or(Ok(Dialect::default()), dialect)?;
        let identities = whole.section("identities")?.map_or(Ok(Vec::new()), identities)?;
        let user_attributes = whole.section("user_attributes")?;
        let user_attributes = user_attributes.map_or(Ok(Vec::new()), |section| attributes(section, true))?;
        let event = whole.section("event")?.map(EventMap::parse).transpose()?;
        let span = whole.span.clone();
        whole.finish()?;
        if identities.is_empty() {
            return Err(MapError::new(span, "[identities] is missing or empty: events need a user"));
        }
        Ok(Self { environment: environment.transpose()?, dialect, identities, user_attributes, event })
    }

    /// Finds the index of each column in the header.
    pub fn bind(&mut self, header: &CsvRow) -> Result<(), MapError> {
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
            ["user_attributes", name, ..] => attribute_column(&self.user_attributes, name),
            ["events", "0", "data", "custom_attributes", name, ..] => attribute_column(&event?.attributes, name),
            ["events", "0", "data", "timestamp_unixtime_ms"] => event?.time.as_ref().map(|(column, _)| column),
            ["events", "0", "data", "source_message_id"] => event?.source_message_id.as_ref(),
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

impl EventFamily {
    fn sources_mut(&mut self) -> Vec<&mut FieldSource> {
        match self {
            Self::Custom { name, kind } => vec![name, kind],
            Self::Screen { name } => vec![name],
            Self::OptOut { opted_out } => vec![opted_out],
            Self::Purchase(purchase) => {
                let PurchaseMap { id, name, price, quantity, transaction_id, total, currency_code } = &mut **purchase;
                let optional = [price, quantity, transaction_id, total, currency_code];
                [id, name].into_iter().chain(optional.into_iter().flatten()).collect()
            }
        }
    }
}

impl EventMap {
    fn parse(mut section: Section<'_>) -> Result<Self, MapError> {
        const FAMILIES: [&str; 4] = ["custom_event", "screen_view", "opt_out", "purchase"];
        let family = required(&mut section, "type", Section::text)?;
        let family = match family.text.as_str() {
            "custom_event" => {
                let (name, kind) =
                    (required_source(&mut section, "name")?, required_source(&mut section, "custom_event_type")?);
                if let (FieldSource::Constant(text), span) = &kind
                    && let Err(message) = custom_event_type(text)
                {
                    return Err(MapError::new(span.clone(), message));
                }
                EventFamily::Custom { name: name.0, kind: kind.0 }
            }
            "screen_view" => EventFamily::Screen { name: required_source(&mut section, "name")?.0 },
            "opt_out" => {
                let opted_out = optional_source(&mut section, "opted_out")?;
                EventFamily::OptOut {
                    opted_out: opted_out.map_or_else(|| FieldSource::Constant("true".into()), |field| field.0),
                }
            }
            "purchase" => EventFamily::Purchase(Box::new(PurchaseMap::parse(&mut section)?)),
            other => {
                let message = format!("unknown type {}: {}", quote(other), suggestion(other, &FAMILIES));
                return Err(MapError::new(family.span, message));
            }
        };
        let time = match section.text_or_section("time")? {
            None => None,
            Some(Ok(name)) => Some((name.into(), TimeFormat::Rfc3339)),
            Some(Err(mut section)) => {
                let column = required(&mut section, "column", Section::text)?;
                let format = section.text("format")?.map_or(Ok(TimeFormat::Rfc3339), |format| {
                    TimeFormat::from_name(&format.text).map_err(|message| MapError::new(format.span, message))
                })?;
                section.finish()?;
                Some((column.into(), format))
            }
        };
        let source_message_id = match section.text_or_section("source_message_id")? {
            None => None,
            Some(Ok(name)) => Some(name.into()),
            Some(Err(section)) => Some(column(section)?),
        };
        let attributes = section.section("attributes")?.map_or(Ok(Vec::new()), |section| attributes(section, false))?;
        section.finish()?;
        Ok(Self { family, time, source_message_id, attributes })
    }
}

impl PurchaseMap {
    fn parse(event: &mut Section<'_>) -> Result<Self, MapError> {
        let mut product = required(event, "product", Section::section)?;
        let source_only = |field: Option<(FieldSource, _)>| field.map(|field| field.0);
        let purchase = Self {
            id: required_source(&mut product, "id")?.0,
            name: required_source(&mut product, "name")?.0,
            price: source_only(optional_source(&mut product, "price")?),
            quantity: source_only(optional_source(&mut product, "quantity")?),
            transaction_id: source_only(optional_source(event, "transaction_id")?),
            total: source_only(optional_source(event, "total")?),
            currency_code: source_only(optional_source(event, "currency_code")?),
        };
        product.finish()?;
        Ok(purchase)
    }
}

impl From<SpannedText> for Column {
    fn from(SpannedText { text, span }: SpannedText) -> Self {
        Self { name: text, span, index: 0 }
    }
}

/// Parses `{ column = "…" }`.
fn column(mut section: Section<'_>) -> Result<Column, MapError> {
    let column = required(&mut section, "column", Section::text)?;
    section.finish()?;
    Ok(column.into())
}

/// Parses a constant, or `{ column = "…" }`.
fn optional_source(
    section: &mut Section<'_>,
    name: &'static str,
) -> Result<Option<(FieldSource, Range<usize>)>, MapError> {
    Ok(match section.text_or_section(name)? {
        None => None,
        Some(Ok(SpannedText { text, span })) => Some((FieldSource::Constant(text), span)),
        Some(Err(section)) => {
            let span = section.span.clone();
            Some((FieldSource::Column(column(section)?), span))
        }
    })
}

fn required_source(section: &mut Section<'_>, name: &'static str) -> Result<(FieldSource, Range<usize>), MapError> {
    required(section, name, optional_source)
}

fn required<'t, T>(
    section: &mut Section<'t>,
    name: &'static str,
    take: impl FnOnce(&mut Section<'t>, &'static str) -> Result<Option<T>, MapError>,
) -> Result<T, MapError> {
    take(section, name)?.ok_or_else(|| section.missing(name))
}

fn dialect(mut section: Section<'_>) -> Result<Dialect, MapError> {
    let delimiter = section.text("delimiter")?;
    let quote_text = section.text("quote")?;
    section.finish()?;
    let parse_character = |SpannedText { text, span }: SpannedText| match text.as_bytes() {
        [byte] if byte.is_ascii() && !b"\r\n".contains(byte) => Ok(*byte),
        _ => Err(MapError::new(span, format!("{} is not one ASCII character", quote(&text)))),
    };
    let mut dialect = Dialect::default();
    if let Some(text) = delimiter {
        dialect.delimiter = parse_character(text)?;
    }
    if let Some(text) = quote_text {
        let span = text.span.clone();
        dialect.quote = if text.text.is_empty() { None } else { Some(parse_character(text)?) };
        if dialect.quote == Some(dialect.delimiter) {
            return Err(MapError::new(span, "the quote and the delimiter are the same"));
        }
    }
    Ok(dialect)
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

fn attributes(section: Section<'_>, for_user: bool) -> Result<Vec<AttributeColumn>, MapError> {
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

pub fn custom_event_type(text: &str) -> Result<CustomEventType, String> {
    let known: Vec<_> = CustomEventType::ALL.iter().map(CustomEventType::as_str).collect();
    text.parse().map_err(|_| format!("unknown custom_event_type {}: {}", quote(text), suggestion(text, &known)))
}
