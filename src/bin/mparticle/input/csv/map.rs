//! The map: which column of a file goes where in a batch.

use std::ops::Range;

use mparticle::{CustomEventType, Environment, IdentityType};

use super::cells::{CellType, TimeFormat, quote};
use super::rows::{CsvRow, Dialect};
use super::toml::{Section, SpannedText, Wrong, suggestion};
use crate::input::position::tokens;

/// A column of the file, by the name in its header.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    /// Where the map names it.
    span: Range<usize>,
    /// Its place in a row, once the header is known.
    pub at: usize,
}

/// Something that every row has in a column, or that is the same for all.
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

/// Who a user is, by one column.
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

/// The event that a row is.
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
    PurchaseMap(Box<PurchaseMap>),
}

/// One product a row.
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
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let mut whole = Section::parse(text)?;
        let environment = whole.text("environment")?.map(|text| {
            text.text.parse().map_err(|_| {
                Wrong::new(text.span, format!("{} is neither development nor production", quote(&text.text)))
            })
        });
        let dialect = whole.section("csv")?.map_or(Ok(Dialect::default()), dialect)?;
        let identities = whole.section("identities")?.map_or(Ok(Vec::new()), identities)?;
        let user_attributes = whole.section("user_attributes")?;
        let user_attributes = user_attributes.map_or(Ok(Vec::new()), |section| attributes(section, true))?;
        let event = whole.section("event")?.map(EventMap::parse).transpose()?;
        let span = whole.span.clone();
        whole.end()?;
        if identities.is_empty() {
            return Err(Wrong::new(span, "it has no [identities]: whose events are they?"));
        }
        Ok(Self { environment: environment.transpose()?, dialect, identities, user_attributes, event })
    }

    /// Finds each column in the header.
    pub fn bind(&mut self, header: &CsvRow) -> Result<(), Wrong> {
        let names: Vec<_> = (0..header.len()).map(|index| header.field(index)).collect();
        for column in self.columns_mut() {
            let mut found = (0..names.len()).filter(|index| names[*index] == column.name);
            let wrong = |message: String| Err(Wrong::new(column.span.clone(), message));
            match (found.next(), found.next()) {
                (Some(at), None) => column.at = at,
                (Some(_), Some(_)) => {
                    return wrong(format!("column {} stands twice in the header", quote(&column.name)));
                }
                (None, _) => {
                    return wrong(format!(
                        "there is no column {}: {}",
                        quote(&column.name),
                        suggestion(&column.name, &names)
                    ));
                }
            }
        }
        Ok(())
    }

    /// The column that a JSON pointer into a batch of one row leads to.
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
            columns.extend(family.sources_mut().into_iter().filter_map(|given| match given {
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
            Self::PurchaseMap(purchase) => {
                let PurchaseMap { id, name, price, quantity, transaction_id, total, currency_code } = &mut **purchase;
                let optional = [price, quantity, transaction_id, total, currency_code];
                [id, name].into_iter().chain(optional.into_iter().flatten()).collect()
            }
        }
    }
}

impl EventMap {
    fn parse(mut section: Section<'_>) -> Result<Self, Wrong> {
        const FAMILIES: [&str; 4] = ["custom_event", "screen_view", "opt_out", "purchase"];
        let family = required(&mut section, "type", Section::text)?;
        let family = match family.text.as_str() {
            "custom_event" => {
                let (name, kind) = (needed(&mut section, "name")?, needed(&mut section, "custom_event_type")?);
                if let (FieldSource::Constant(text), span) = &kind
                    && let Err(message) = custom_event_type(text)
                {
                    return Err(Wrong::new(span.clone(), message));
                }
                EventFamily::Custom { name: name.0, kind: kind.0 }
            }
            "screen_view" => EventFamily::Screen { name: needed(&mut section, "name")?.0 },
            "opt_out" => {
                let opted_out = given(&mut section, "opted_out")?;
                EventFamily::OptOut {
                    opted_out: opted_out.map_or_else(|| FieldSource::Constant("true".into()), |given| given.0),
                }
            }
            "purchase" => EventFamily::PurchaseMap(Box::new(PurchaseMap::parse(&mut section)?)),
            other => {
                let message = format!("there is no type {} here: {}", quote(other), suggestion(other, &FAMILIES));
                return Err(Wrong::new(family.span, message));
            }
        };
        let time = match section.text_or_section("time")? {
            None => None,
            Some(Ok(name)) => Some((name.into(), TimeFormat::Rfc3339)),
            Some(Err(mut section)) => {
                let column = required(&mut section, "column", Section::text)?;
                let format = section.text("format")?.map_or(Ok(TimeFormat::Rfc3339), |format| {
                    TimeFormat::of(&format.text).map_err(|message| Wrong::new(format.span, message))
                })?;
                section.end()?;
                Some((column.into(), format))
            }
        };
        let source_message_id = match section.text_or_section("source_message_id")? {
            None => None,
            Some(Ok(name)) => Some(name.into()),
            Some(Err(section)) => Some(column(section)?),
        };
        let attributes = section.section("attributes")?.map_or(Ok(Vec::new()), |section| attributes(section, false))?;
        section.end()?;
        Ok(Self { family, time, source_message_id, attributes })
    }
}

impl PurchaseMap {
    fn parse(event: &mut Section<'_>) -> Result<Self, Wrong> {
        let mut product = required(event, "product", Section::section)?;
        let plain = |given: Option<(FieldSource, _)>| given.map(|given| given.0);
        let purchase = Self {
            id: needed(&mut product, "id")?.0,
            name: needed(&mut product, "name")?.0,
            price: plain(given(&mut product, "price")?),
            quantity: plain(given(&mut product, "quantity")?),
            transaction_id: plain(given(event, "transaction_id")?),
            total: plain(given(event, "total")?),
            currency_code: plain(given(event, "currency_code")?),
        };
        product.end()?;
        Ok(purchase)
    }
}

impl From<SpannedText> for Column {
    fn from(SpannedText { text, span }: SpannedText) -> Self {
        Self { name: text, span, at: 0 }
    }
}

/// `{ column = "…" }`.
fn column(mut section: Section<'_>) -> Result<Column, Wrong> {
    let column = required(&mut section, "column", Section::text)?;
    section.end()?;
    Ok(column.into())
}

/// A text that is the same for all rows, or `{ column = "…" }`.
fn given(section: &mut Section<'_>, name: &'static str) -> Result<Option<(FieldSource, Range<usize>)>, Wrong> {
    Ok(match section.text_or_section(name)? {
        None => None,
        Some(Ok(SpannedText { text, span })) => Some((FieldSource::Constant(text), span)),
        Some(Err(section)) => {
            let span = section.span.clone();
            Some((FieldSource::Column(column(section)?), span))
        }
    })
}

fn needed(section: &mut Section<'_>, name: &'static str) -> Result<(FieldSource, Range<usize>), Wrong> {
    required(section, name, given)
}

fn required<'t, T>(
    section: &mut Section<'t>,
    name: &'static str,
    take: impl FnOnce(&mut Section<'t>, &'static str) -> Result<Option<T>, Wrong>,
) -> Result<T, Wrong> {
    take(section, name)?.ok_or_else(|| section.lacks(name))
}

fn dialect(mut section: Section<'_>) -> Result<Dialect, Wrong> {
    let delimiter = section.text("delimiter")?;
    let quote_text = section.text("quote")?;
    section.end()?;
    let one = |SpannedText { text, span }: SpannedText| match text.as_bytes() {
        [byte] if byte.is_ascii() && !b"\r\n".contains(byte) => Ok(*byte),
        _ => Err(Wrong::new(span, format!("{} is not one ASCII character", quote(&text)))),
    };
    let mut dialect = Dialect::default();
    if let Some(text) = delimiter {
        dialect.delimiter = one(text)?;
    }
    if let Some(text) = quote_text {
        let span = text.span.clone();
        dialect.quote = if text.text.is_empty() { None } else { Some(one(text)?) };
        if dialect.quote == Some(dialect.delimiter) {
            return Err(Wrong::new(span, "the quote and the delimiter are the same"));
        }
    }
    Ok(dialect)
}

fn identities(section: Section<'_>) -> Result<Vec<(IdentityField, Column)>, Wrong> {
    let mut identities = Vec::new();
    for field in section.fields() {
        let (name, value) = field?;
        let identity = match name.text.as_str() {
            "mpid" => IdentityField::Mpid,
            "mp_deviceid" => IdentityField::DeviceId,
            other => IdentityField::Of(other.parse().map_err(|_| {
                let known = identity_names();
                Wrong::new(name.span, format!("there is no identity {}: {}", quote(other), suggestion(other, &known)))
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

fn attributes(section: Section<'_>, for_user: bool) -> Result<Vec<AttributeColumn>, Wrong> {
    let mut attributes = Vec::new();
    for field in section.fields() {
        let (name, value) = field?;
        let (column, kind) = match value {
            Ok(text) => (text.into(), CellType::Text),
            Err(mut section) => {
                let column = required(&mut section, "column", Section::text)?;
                let kind = kind(&mut section, for_user)?;
                section.end()?;
                (column.into(), kind)
            }
        };
        attributes.push(AttributeColumn { name: name.text, column, kind });
    }
    Ok(attributes)
}

fn kind(section: &mut Section<'_>, for_user: bool) -> Result<CellType, Wrong> {
    const KINDS: [&str; 5] = ["text", "number", "boolean", "list", "json"];
    let separator = section.text("separator")?;
    let Some(SpannedText { text, span }) = section.text("type")? else {
        return match separator {
            Some(separator) => Err(Wrong::new(separator.span, "only a list has a separator")),
            None => Ok(CellType::Text),
        };
    };
    let kind = match (text.as_str(), &separator) {
        ("list", _) if !for_user => return Err(Wrong::new(span, "only an attribute of a user can be a list")),
        ("list", Some(separator)) if !separator.text.is_empty() => return Ok(CellType::List(separator.text.clone())),
        ("list", _) => return Err(Wrong::new(span, "a list needs a separator, as in separator = \"|\"")),
        ("text", _) => CellType::Text,
        ("number", _) => CellType::Number,
        ("boolean", _) => CellType::Boolean,
        ("json", _) => CellType::Json,
        (other, _) => {
            return Err(Wrong::new(span, format!("there is no type {}: {}", quote(other), suggestion(other, &KINDS))));
        }
    };
    separator.map_or(Ok(kind), |separator| Err(Wrong::new(separator.span, "only a list has a separator")))
}

pub fn custom_event_type(text: &str) -> Result<CustomEventType, String> {
    let known: Vec<_> = CustomEventType::ALL.iter().map(CustomEventType::as_str).collect();
    text.parse().map_err(|_| format!("there is no custom_event_type {}: {}", quote(text), suggestion(text, &known)))
}
