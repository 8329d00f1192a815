//! Converts a row to a user and an event, according to the map.

use std::borrow::Cow;

use mparticle::types::{AttributeValue, UserAttributeValue};
use mparticle::{Batch, CommerceEvent, CustomEvent, Environment, Event, OptOut, Product, ProductAction, ScreenView};
use serde_json::{Map, Value};

use super::cells::{self, quote};
use super::event_map::{EventFamily, EventMap, PurchaseMap, custom_event_type};
use super::map::{Column, ColumnMap, FieldSource, IdentityField};
use super::rows::CsvRow;

/// The JSON of a row.
#[derive(Debug)]
pub struct ConvertedRow {
    /// The user's identities, by which rows are gathered.
    pub user: String,
    /// The JSON of the batch without its event.
    pub head: String,
    /// The JSON of the event.
    pub event: Option<String>,
}

/// The error of a cell or a row.
#[derive(Debug, PartialEq, Eq)]
pub struct CellError {
    /// The index of the cell; `None` for an error of the row.
    pub field: Option<usize>,
    pub message: String,
}

/// Converts a row. An empty cell counts as absent, as does one that the map lists as null.
pub fn convert_row(map: &ColumnMap, environment: Environment, row: &CsvRow) -> Result<ConvertedRow, Vec<CellError>> {
    let mut converter = RowConverter { map, row, errors: Vec::new() };
    let (mut batch, mut user) = (Batch::new(environment), String::new());
    for (identity, column) in &map.identities {
        let text = converter.text(column);
        // Identities that contain the separator cannot mix up users, since the rest of the batch is compared too.
        user.extend([text.as_deref().unwrap_or_default(), "\0"]);
        if *identity == IdentityField::Mpid {
            if let Some(mpid) = converter.read(column, cells::parse_integer) {
                batch = batch.mpid(mpid);
            }
            continue;
        }
        let Some(text) = converter.read(column, cells::parse_identity) else { continue };
        batch = match identity {
            IdentityField::Mpid => batch,
            IdentityField::DeviceId => batch.mp_deviceid(text),
            IdentityField::Of(identity_type) => batch.identity(*identity_type, text),
        };
    }
    let mut device = Map::new();
    for (field, column) in &map.device {
        let value = converter.read(column, |text| field.kind.parse(map.mark, text));
        user.extend([converter.text(column).as_deref().unwrap_or_default(), "\0"]);
        device.extend(value.map(|value| (field.path[1].clone(), value)));
    }
    for attribute in &map.user_attributes {
        let value = converter
            .read(&attribute.column, |text| cells::parse_value::<UserAttributeValue>(&attribute.kind, map.mark, text));
        if let Some(value) = value {
            batch = batch.user_attribute(&attribute.name, value);
        }
    }
    let event = map.event.as_ref().and_then(|event| converter.convert_event(event));
    if !converter.errors.is_empty() {
        return Err(converter.errors);
    }
    let json = |error: serde_json::Error| {
        vec![CellError { field: None, message: format!("the row has no JSON form: {error}") }]
    };
    let event = event.map(|event| serde_json::to_string(&event)).transpose().map_err(json)?;
    let mut head = serde_json::to_string(&batch).map_err(json)?;
    if !device.is_empty() {
        head = with_member(&head, "device_info", &Value::Object(device).to_string());
    }
    Ok(ConvertedRow { user, head, event })
}

/// Returns the JSON of the batch with these events, which are separated by commas.
pub fn with_events(head: &str, events: &str) -> String {
    if events.is_empty() { head.to_owned() } else { with_member(head, "events", &format!("[{events}]")) }
}

/// Returns the JSON of an object that is not empty with one more member.
fn with_member(object: &str, name: &str, value: &str) -> String {
    format!("{},\"{name}\":{value}}}", object.strip_suffix('}').unwrap_or(object))
}

/// Reads the cells of a row and collects their errors.
struct RowConverter<'r> {
    map: &'r ColumnMap,
    row: &'r CsvRow,
    errors: Vec<CellError>,
}

impl<'r> RowConverter<'r> {
    fn text(&self, column: &Column) -> Option<Cow<'r, str>> {
        Some(self.row.field(column.index)).filter(|text| !self.map.is_absent(text))
    }

    fn add_error(&mut self, column: Option<&Column>, message: &str) {
        let message = match column {
            Some(column) => format!("column {}  {message}", quote(&column.name)),
            None => message.to_owned(),
        };
        self.errors.push(CellError { field: column.map(|column| column.index), message });
    }

    /// Reads a cell; `None` if it is empty or invalid.
    fn read<T>(&mut self, column: &Column, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let parsed = parse(&self.text(column)?);
        parsed.map_err(|message| self.add_error(Some(column), &message)).ok()
    }

    fn read_source<T>(&mut self, field: &FieldSource, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match field {
            FieldSource::Column(column) => self.read(column, parse),
            FieldSource::Constant(text) => parse(text).map_err(|message| self.add_error(None, &message)).ok(),
        }
    }

    fn read_optional<T>(
        &mut self,
        field: Option<&FieldSource>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        field.and_then(|field| self.read_source(field, parse))
    }

    /// Reads a field that the event requires.
    fn read_required<T>(&mut self, field: &FieldSource, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        if let FieldSource::Column(column) = field
            && self.text(column).is_none()
        {
            self.add_error(Some(column), "empty, but required for the event");
        }
        self.read_source(field, parse)
    }

    fn convert_event(&mut self, event: &EventMap) -> Option<Event> {
        // All cells are read before a missing one ends the conversion, so that all errors are reported at once.
        let time = event.time.as_ref().and_then(|(column, format)| self.read(column, |text| format.parse_time(text)));
        let id = event.source_message_id.as_ref().and_then(|column| self.text(column));
        let mut attributes = Vec::with_capacity(event.attributes.len());
        for attribute in &event.attributes {
            let (kind, mark) = (&attribute.kind, self.map.mark);
            let value = self.read(&attribute.column, |text| cells::parse_value::<AttributeValue>(kind, mark, text));
            attributes.extend(value.map(|value| (&attribute.name, value)));
        }
        /// A macro, since the payloads share these setters by name and not by a trait.
        macro_rules! with_details {
            ($payload:expr) => {{
                let mut payload = $payload;
                if let Some(time) = time {
                    payload = payload.timestamp(time);
                }
                if let Some(id) = id {
                    payload = payload.source_message_id(id);
                }
                for (name, value) in attributes {
                    payload = payload.attribute(name, value);
                }
                payload.into()
            }};
        }
        Some(match &event.family {
            EventFamily::Custom { name, kind } => {
                let (name, kind) = (self.read_required(name, parse_text), self.read_required(kind, custom_event_type));
                with_details!(CustomEvent::new(name?, kind?))
            }
            EventFamily::Screen { name } => {
                let name = self.read_required(name, parse_text);
                with_details!(ScreenView::new(name?))
            }
            EventFamily::OptOut { opted_out } => {
                let opted_out = self.read_required(opted_out, cells::parse_boolean);
                with_details!(if opted_out? { OptOut::opted_out() } else { OptOut::opted_in() })
            }
            EventFamily::Purchase(purchase) => {
                let payload = self.convert_purchase(purchase);
                with_details!(payload?)
            }
        })
    }

    fn convert_purchase(&mut self, purchase: &PurchaseMap) -> Option<CommerceEvent> {
        let mark = self.map.mark;
        let decimal = |text: &str| cells::parse_decimal(mark, text);
        let mut product = Product {
            id: self.read_source(&purchase.id, parse_text),
            name: self.read_source(&purchase.name, parse_text),
            ..Product::default()
        };
        if product.id.is_none() && product.name.is_none() {
            self.read_required(&purchase.id, parse_text)?;
        }
        if let Some(price) = self.read_optional(purchase.price.as_ref(), decimal) {
            product = product.price(price);
        }
        if let Some(quantity) = self.read_optional(purchase.quantity.as_ref(), decimal) {
            product = product.quantity(quantity);
        }
        let mut action = ProductAction::purchase().product(product);
        if let Some(id) = self.read_optional(purchase.transaction_id.as_ref(), |id| parse_text(id.trim())) {
            action = action.transaction_id(id);
        }
        if let Some(total) = self.read_optional(purchase.total.as_ref(), decimal) {
            action = action.total(total);
        }
        let event = CommerceEvent::product_action(action);
        Some(match self.read_optional(purchase.currency_code.as_ref(), parse_text) {
            Some(code) => event.currency_code(code),
            None => event,
        })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the other parsers can fail")]
fn parse_text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}
