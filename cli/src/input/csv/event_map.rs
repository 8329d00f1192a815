//! The part of a map that describes the event of a row.

use std::ops::Range;

use mparticle::CustomEventType;

use super::cells::quote;
use super::map::{AttributeColumn, Column, FieldSource, attributes, column, required};
use super::times::TimeFormat;
use super::toml::{MapError, Section, SpannedText, suggestion};

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

/// A purchase of one product per row. Rows with the same transaction id are one purchase.
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

impl PurchaseMap {
    /// Returns the column of a field of the product action.
    pub fn column_for(&self, path: &[&str]) -> Option<&Column> {
        let field = match *path {
            ["total_amount"] => self.total.as_ref(),
            ["transaction_id"] => self.transaction_id.as_ref(),
            ["products", _, "id"] => Some(&self.id),
            ["products", _, "name"] => Some(&self.name),
            ["products", _, "price"] => self.price.as_ref(),
            ["products", _, "quantity"] => self.quantity.as_ref(),
            _ => None,
        };
        field?.column()
    }
}

impl EventFamily {
    pub fn purchase(&self) -> Option<&PurchaseMap> {
        match self {
            Self::Purchase(purchase) => Some(purchase),
            _ => None,
        }
    }

    pub fn sources_mut(&mut self) -> Vec<&mut FieldSource> {
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
    pub fn parse(mut section: Section<'_>) -> Result<Self, MapError> {
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
                let mut format = section.text("format")?.map_or(Ok(TimeFormat::Rfc3339), |format| {
                    TimeFormat::from_name(&format.text).map_err(|message| MapError::new(format.span, message))
                })?;
                if let Some(zone) = section.text("zone")? {
                    format = format.in_zone(&zone.text).map_err(|message| MapError::new(zone.span, message))?;
                }
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

pub fn custom_event_type(text: &str) -> Result<CustomEventType, String> {
    let known: Vec<_> = CustomEventType::ALL.iter().map(CustomEventType::as_str).collect();
    text.parse().map_err(|_| format!("unknown custom_event_type {}: {}", quote(text), suggestion(text, &known)))
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
