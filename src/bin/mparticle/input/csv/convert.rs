//! What a row is made into, as its map says: a user, and an event.

use std::borrow::Cow;

use mparticle::types::{AttributeValue, UserAttributeValue};
use mparticle::{Batch, CommerceEvent, CustomEvent, Environment, Event, OptOut, Product, ProductAction, ScreenView};

use super::cells::{self, quote};
use super::map::{
    Column, ColumnMap, EventFamily, EventMap, FieldSource, IdentityField, PurchaseMap, custom_event_type,
};
use super::rows::CsvRow;

/// What a row says.
#[derive(Debug)]
pub struct ConvertedRow {
    /// The same for all rows of one user.
    pub user: String,
    /// The batch without its event, as JSON.
    pub head: String,
    /// The event as JSON.
    pub event: Option<String>,
}

/// A cell that is not what it should be.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Its field in the row; `None` if it is about the row.
    pub field: Option<usize>,
    pub message: String,
}

/// An empty cell is absent.
pub fn convert(map: &ColumnMap, environment: Environment, row: &CsvRow) -> Result<ConvertedRow, Vec<Wrong>> {
    let mut cells = RowConverter { row, wrong: Vec::new() };
    let (mut batch, mut user) = (Batch::new(environment), String::new());
    for (identity, column) in &map.identities {
        let text = cells.text(column);
        // Two users whose names run together differ in the rest of the batch, and that is compared too.
        user.extend([text.as_deref().unwrap_or_default(), "\0"]);
        let Some(text) = text else { continue };
        batch = match identity {
            IdentityField::Mpid => match cells.read(column, cells::integer) {
                Some(mpid) => batch.mpid(mpid),
                None => batch,
            },
            IdentityField::DeviceId => batch.mp_deviceid(text),
            IdentityField::Of(identity_type) => batch.identity(*identity_type, text),
        };
    }
    for attribute in &map.user_attributes {
        let value = cells.read(&attribute.column, |text| cells::value::<UserAttributeValue>(&attribute.kind, text));
        if let Some(value) = value {
            batch = batch.user_attribute(&attribute.name, value);
        }
    }
    let event = map.event.as_ref().and_then(|event| cells.event(event));
    if !cells.wrong.is_empty() {
        return Err(cells.wrong);
    }
    let json = |error: serde_json::Error| vec![Wrong { field: None, message: format!("it has no JSON form: {error}") }];
    let event = event.map(|event| serde_json::to_string(&event)).transpose().map_err(json)?;
    Ok(ConvertedRow { user, head: serde_json::to_string(&batch).map_err(json)?, event })
}

/// The batch with these events, which are parted by commas.
pub fn with_events(head: &str, events: &str) -> String {
    match head.strip_suffix('}') {
        Some(head) if !events.is_empty() => format!("{head},\"events\":[{events}]}}"),
        _ => head.to_owned(),
    }
}

/// The cells of a row, and what is wrong with them.
struct RowConverter<'r> {
    row: &'r CsvRow,
    wrong: Vec<Wrong>,
}

impl<'r> RowConverter<'r> {
    fn text(&self, column: &Column) -> Option<Cow<'r, str>> {
        Some(self.row.field(column.at)).filter(|text| !text.is_empty())
    }

    fn fault(&mut self, column: Option<&Column>, message: &str) {
        let message = match column {
            Some(column) => format!("column {}  {message}", quote(&column.name)),
            None => message.to_owned(),
        };
        self.wrong.push(Wrong { field: column.map(|column| column.at), message });
    }

    /// `None` if it is empty, or wrong.
    fn read<T>(&mut self, column: &Column, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let parsed = parse(&self.text(column)?);
        parsed.map_err(|message| self.fault(Some(column), &message)).ok()
    }

    fn given<T>(&mut self, given: &FieldSource, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match given {
            FieldSource::Column(column) => self.read(column, parse),
            FieldSource::Constant(text) => parse(text).map_err(|message| self.fault(None, &message)).ok(),
        }
    }

    fn optional<T>(&mut self, given: Option<&FieldSource>, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        given.and_then(|given| self.given(given, parse))
    }

    /// As `given`, of something without which there is no event.
    fn needed<T>(&mut self, given: &FieldSource, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        if let FieldSource::Column(column) = given
            && self.text(column).is_none()
        {
            self.fault(Some(column), "it is empty, and the event needs it");
        }
        self.given(given, parse)
    }

    fn event(&mut self, event: &EventMap) -> Option<Event> {
        // All cells are read before the first that is missing ends it, so that all that is wrong is told at once.
        let time = event.time.as_ref().and_then(|(column, format)| self.read(column, |text| format.time(text)));
        let id = event.source_message_id.as_ref().and_then(|column| self.text(column));
        let mut attributes = Vec::with_capacity(event.attributes.len());
        for attribute in &event.attributes {
            let kind = &attribute.kind;
            let value = self.read(&attribute.column, |text| cells::value::<AttributeValue>(kind, text));
            attributes.extend(value.map(|value| (&attribute.name, value)));
        }
        /// The payloads share these setters by name, not by a trait.
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
                let (name, kind) = (self.needed(name, owned), self.needed(kind, custom_event_type));
                with_details!(CustomEvent::new(name?, kind?))
            }
            EventFamily::Screen { name } => {
                let name = self.needed(name, owned);
                with_details!(ScreenView::new(name?))
            }
            EventFamily::OptOut { opted_out } => {
                let opted_out = self.needed(opted_out, cells::boolean);
                with_details!(if opted_out? { OptOut::opted_out() } else { OptOut::opted_in() })
            }
            EventFamily::PurchaseMap(purchase) => {
                let payload = self.purchase(purchase);
                with_details!(payload?)
            }
        })
    }

    fn purchase(&mut self, purchase: &PurchaseMap) -> Option<CommerceEvent> {
        let (id, name) = (self.needed(&purchase.id, owned), self.needed(&purchase.name, owned));
        let mut product = Product::new(id?, name?);
        if let Some(price) = self.optional(purchase.price.as_ref(), cells::decimal) {
            product = product.price(price);
        }
        if let Some(quantity) = self.optional(purchase.quantity.as_ref(), cells::decimal) {
            product = product.quantity(quantity);
        }
        let mut action = ProductAction::purchase().product(product);
        if let Some(id) = self.optional(purchase.transaction_id.as_ref(), owned) {
            action = action.transaction_id(id);
        }
        if let Some(total) = self.optional(purchase.total.as_ref(), cells::decimal) {
            action = action.total(total);
        }
        let event = CommerceEvent::product_action(action);
        Some(match self.optional(purchase.currency_code.as_ref(), owned) {
            Some(code) => event.currency_code(code),
            None => event,
        })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside those that can fail")]
fn owned(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}
