//! The map: which column of a file goes where in a batch.

use std::ops::Range;

use mparticle::{CustomEventType, Environment, IdentityType};

use super::cells::{Kind, TimeFormat, quoted};
use super::rows::{Dialect, Row};
use super::toml::{Section, Text, Wrong, choice};
use crate::input::place::tokens;

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
pub enum Given {
    Constant(String),
    Column(Column),
}

#[derive(Clone, Debug)]
pub struct Attribute {
    pub name: String,
    pub column: Column,
    pub kind: Kind,
}

/// Who a user is, by one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    Mpid,
    DeviceId,
    Of(IdentityType),
}

#[derive(Clone, Debug)]
pub struct Map {
    pub environment: Option<Environment>,
    pub dialect: Dialect,
    pub identities: Vec<(Identity, Column)>,
    pub user_attributes: Vec<Attribute>,
    pub event: Option<Event>,
}

/// The event that a row is.
#[derive(Clone, Debug)]
pub struct Event {
    pub family: Family,
    pub time: Option<(Column, TimeFormat)>,
    pub source_message_id: Option<Column>,
    pub attributes: Vec<Attribute>,
}

#[derive(Clone, Debug)]
pub enum Family {
    Custom { name: Given, kind: Given },
    Screen { name: Given },
    OptOut { opted_out: Given },
    Purchase(Box<Purchase>),
}

/// One product a row.
#[derive(Clone, Debug)]
pub struct Purchase {
    pub id: Given,
    pub name: Given,
    pub price: Option<Given>,
    pub quantity: Option<Given>,
    pub transaction_id: Option<Given>,
    pub total: Option<Given>,
    pub currency_code: Option<Given>,
}

impl Map {
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let mut whole = Section::parse(text)?;
        let environment = whole.text("environment")?.map(|text| {
            text.text.parse().map_err(|_| {
                Wrong::new(text.span, format!("{} is neither development nor production", quoted(&text.text)))
            })
        });
        let dialect = whole.section("csv")?.map_or(Ok(Dialect::default()), dialect)?;
        let identities = whole.section("identities")?.map_or(Ok(Vec::new()), identities)?;
        let user_attributes = whole.section("user_attributes")?;
        let user_attributes = user_attributes.map_or(Ok(Vec::new()), |section| attributes(section, true))?;
        let event = whole.section("event")?.map(Event::parse).transpose()?;
        let span = whole.span.clone();
        whole.end()?;
        if identities.is_empty() {
            return Err(Wrong::new(span, "it has no [identities]: whose events are they?"));
        }
        Ok(Self { environment: environment.transpose()?, dialect, identities, user_attributes, event })
    }

    /// Finds each column in the header.
    pub fn bind(&mut self, header: &Row) -> Result<(), Wrong> {
        let names: Vec<_> = (0..header.len()).map(|index| header.field(index)).collect();
        for column in self.columns_mut() {
            let mut found = (0..names.len()).filter(|index| names[*index] == column.name);
            let wrong = |words: String| Err(Wrong::new(column.span.clone(), words));
            match (found.next(), found.next()) {
                (Some(at), None) => column.at = at,
                (Some(_), Some(_)) => {
                    return wrong(format!("column {} stands twice in the header", quoted(&column.name)));
                }
                (None, _) => {
                    return wrong(format!(
                        "there is no column {}: {}",
                        quoted(&column.name),
                        choice(&column.name, &names)
                    ));
                }
            }
        }
        Ok(())
    }

    /// The column that a JSON pointer into a batch of one row leads to.
    pub fn column_of(&self, pointer: &str) -> Option<&Column> {
        let tokens: Vec<_> = tokens(pointer).collect();
        let tokens: Vec<_> = tokens.iter().map(String::as_str).collect();
        let identity =
            |wanted| self.identities.iter().find(|(identity, _)| *identity == wanted).map(|(_, column)| column);
        let event = self.event.as_ref();
        match *tokens.as_slice() {
            ["mpid"] => identity(Identity::Mpid),
            ["mp_deviceid"] => identity(Identity::DeviceId),
            ["user_identities", name] => identity(Identity::Of(name.parse().ok()?)),
            ["user_attributes", name, ..] => of_attribute(&self.user_attributes, name),
            ["events", "0", "data", "custom_attributes", name, ..] => of_attribute(&event?.attributes, name),
            ["events", "0", "data", "timestamp_unixtime_ms"] => event?.time.as_ref().map(|(column, _)| column),
            ["events", "0", "data", "source_message_id"] => event?.source_message_id.as_ref(),
            ["events", "0", "data", "event_name" | "screen_name"] => match &event?.family {
                Family::Custom { name: Given::Column(name), .. } | Family::Screen { name: Given::Column(name) } => {
                    Some(name)
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn columns_mut(&mut self) -> Vec<&mut Column> {
        let mut columns: Vec<_> = self.identities.iter_mut().map(|(_, column)| column).collect();
        columns.extend(self.user_attributes.iter_mut().map(|attribute| &mut attribute.column));
        if let Some(Event { family, time, source_message_id, attributes }) = &mut self.event {
            columns.extend(family.given_mut().into_iter().filter_map(|given| match given {
                Given::Column(column) => Some(column),
                Given::Constant(_) => None,
            }));
            columns.extend(time.iter_mut().map(|(column, _)| column));
            columns.extend(source_message_id.iter_mut());
            columns.extend(attributes.iter_mut().map(|attribute| &mut attribute.column));
        }
        columns
    }
}

fn of_attribute<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Column> {
    attributes.iter().find(|attribute| attribute.name == name).map(|attribute| &attribute.column)
}

impl Family {
    fn given_mut(&mut self) -> Vec<&mut Given> {
        match self {
            Self::Custom { name, kind } => vec![name, kind],
            Self::Screen { name } => vec![name],
            Self::OptOut { opted_out } => vec![opted_out],
            Self::Purchase(purchase) => {
                let Purchase { id, name, price, quantity, transaction_id, total, currency_code } = &mut **purchase;
                let optional = [price, quantity, transaction_id, total, currency_code];
                [id, name].into_iter().chain(optional.into_iter().flatten()).collect()
            }
        }
    }
}

impl Event {
    fn parse(mut section: Section<'_>) -> Result<Self, Wrong> {
        const FAMILIES: [&str; 4] = ["custom_event", "screen_view", "opt_out", "purchase"];
        let family = required(&mut section, "type", Section::text)?;
        let family = match family.text.as_str() {
            "custom_event" => {
                let (name, kind) = (needed(&mut section, "name")?, needed(&mut section, "custom_event_type")?);
                if let (Given::Constant(text), span) = &kind
                    && let Err(words) = custom_event_type(text)
                {
                    return Err(Wrong::new(span.clone(), words));
                }
                Family::Custom { name: name.0, kind: kind.0 }
            }
            "screen_view" => Family::Screen { name: needed(&mut section, "name")?.0 },
            "opt_out" => {
                let opted_out = given(&mut section, "opted_out")?;
                Family::OptOut { opted_out: opted_out.map_or_else(|| Given::Constant("true".into()), |given| given.0) }
            }
            "purchase" => Family::Purchase(Box::new(Purchase::parse(&mut section)?)),
            other => {
                let words = format!("there is no type {} here: {}", quoted(other), choice(other, &FAMILIES));
                return Err(Wrong::new(family.span, words));
            }
        };
        let time = match section.text_or_section("time")? {
            None => None,
            Some(Ok(name)) => Some((name.into(), TimeFormat::Rfc3339)),
            Some(Err(mut section)) => {
                let column = required(&mut section, "column", Section::text)?;
                let format = section.text("format")?.map_or(Ok(TimeFormat::Rfc3339), |format| {
                    TimeFormat::of(&format.text).map_err(|words| Wrong::new(format.span, words))
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

impl Purchase {
    fn parse(event: &mut Section<'_>) -> Result<Self, Wrong> {
        let mut product = required(event, "product", Section::section)?;
        let plain = |given: Option<(Given, _)>| given.map(|given| given.0);
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

impl From<Text> for Column {
    fn from(Text { text, span }: Text) -> Self {
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
fn given(section: &mut Section<'_>, name: &'static str) -> Result<Option<(Given, Range<usize>)>, Wrong> {
    Ok(match section.text_or_section(name)? {
        None => None,
        Some(Ok(Text { text, span })) => Some((Given::Constant(text), span)),
        Some(Err(section)) => {
            let span = section.span.clone();
            Some((Given::Column(column(section)?), span))
        }
    })
}

fn needed(section: &mut Section<'_>, name: &'static str) -> Result<(Given, Range<usize>), Wrong> {
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
    let quote = section.text("quote")?;
    section.end()?;
    let one = |Text { text, span }: Text| match text.as_bytes() {
        [byte] if byte.is_ascii() && !b"\r\n".contains(byte) => Ok(*byte),
        _ => Err(Wrong::new(span, format!("{} is not one ASCII character", quoted(&text)))),
    };
    let mut dialect = Dialect::default();
    if let Some(text) = delimiter {
        dialect.delimiter = one(text)?;
    }
    if let Some(text) = quote {
        let span = text.span.clone();
        dialect.quote = if text.text.is_empty() { None } else { Some(one(text)?) };
        if dialect.quote == Some(dialect.delimiter) {
            return Err(Wrong::new(span, "the quote and the delimiter are the same"));
        }
    }
    Ok(dialect)
}

fn identities(section: Section<'_>) -> Result<Vec<(Identity, Column)>, Wrong> {
    let mut identities = Vec::new();
    for field in section.fields() {
        let (name, value) = field?;
        let identity = match name.text.as_str() {
            "mpid" => Identity::Mpid,
            "mp_deviceid" => Identity::DeviceId,
            other => Identity::Of(other.parse().map_err(|_| {
                let known = identity_names();
                Wrong::new(name.span, format!("there is no identity {}: {}", quoted(other), choice(other, &known)))
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

fn attributes(section: Section<'_>, of_user: bool) -> Result<Vec<Attribute>, Wrong> {
    let mut attributes = Vec::new();
    for field in section.fields() {
        let (name, value) = field?;
        let (column, kind) = match value {
            Ok(text) => (text.into(), Kind::Text),
            Err(mut section) => {
                let column = required(&mut section, "column", Section::text)?;
                let kind = kind(&mut section, of_user)?;
                section.end()?;
                (column.into(), kind)
            }
        };
        attributes.push(Attribute { name: name.text, column, kind });
    }
    Ok(attributes)
}

fn kind(section: &mut Section<'_>, of_user: bool) -> Result<Kind, Wrong> {
    const KINDS: [&str; 5] = ["text", "number", "boolean", "list", "json"];
    let separator = section.text("separator")?;
    let Some(Text { text, span }) = section.text("type")? else {
        return match separator {
            Some(separator) => Err(Wrong::new(separator.span, "only a list has a separator")),
            None => Ok(Kind::Text),
        };
    };
    let kind = match (text.as_str(), &separator) {
        ("list", _) if !of_user => return Err(Wrong::new(span, "only an attribute of a user can be a list")),
        ("list", Some(separator)) if !separator.text.is_empty() => return Ok(Kind::List(separator.text.clone())),
        ("list", _) => return Err(Wrong::new(span, "a list needs a separator, as in separator = \"|\"")),
        ("text", _) => Kind::Text,
        ("number", _) => Kind::Number,
        ("boolean", _) => Kind::Boolean,
        ("json", _) => Kind::Json,
        (other, _) => {
            return Err(Wrong::new(span, format!("there is no type {}: {}", quoted(other), choice(other, &KINDS))));
        }
    };
    separator.map_or(Ok(kind), |separator| Err(Wrong::new(separator.span, "only a list has a separator")))
}

pub fn custom_event_type(text: &str) -> Result<CustomEventType, String> {
    let known: Vec<_> = CustomEventType::ALL.iter().map(CustomEventType::as_str).collect();
    text.parse().map_err(|_| format!("there is no custom_event_type {}: {}", quoted(text), choice(text, &known)))
}
