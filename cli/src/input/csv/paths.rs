//! Files whose columns are named by the path of a field, such as `user_identities.email`: the form of mParticle's own CSV files,
//! which needs no map.

use std::cmp::Reverse;
use std::path::Path;

use mparticle::Environment;
use serde_json::{Map, Value, json};

use super::cells::{DecimalMark, quote};
use super::convert::{CellError, ConvertedRow};
use super::map::is_null;
use super::rows::CsvRow;
use super::schema::{self, FieldType, TypedField};
use super::toml::nearest;
use super::transactions;

/// The beginnings of names that only such a file has.
const PREFIXES: [&str; 5] = ["user_identities.", "user_attributes.", "device_info.", "events.", "application_info."];

/// The fields of the columns of a file.
#[derive(Clone, Debug)]
pub struct PathMap {
    /// The name and the field of each column.
    columns: Vec<(String, TypedField)>,
    event_type: Option<&'static str>,
    environment: Option<Environment>,
}

impl PathMap {
    /// Returns whether a header has the form of mParticle's own files.
    pub fn is_header(header: &CsvRow) -> bool {
        (0..header.len()).any(|index| {
            let name = header.field(index);
            PREFIXES.iter().any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()))
        })
    }

    /// Finds the field of each column. A file holds events of one type: the one that its name ends with, as in
    /// `shop-custom_event.csv`, or the one that has all the fields and requires most of them.
    pub fn new(path: &Path, header: &CsvRow, environment: Option<Environment>) -> Result<Self, String> {
        let names: Vec<_> = (0..header.len()).map(|index| header.field(index).trim().to_owned()).collect();
        let has_events = names.iter().any(|name| name.starts_with("events."));
        let (event_type, event) = if has_events {
            let (event_type, event) = event_type(path, &names)?;
            (Some(event_type), event)
        } else {
            (None, &Value::Null)
        };
        let columns = names.into_iter().map(|name| {
            if name.is_empty() {
                return Err("a column has no name".to_owned());
            }
            let field = schema::field(&name, event).ok_or_else(|| {
                let known: Vec<_> = schema::suggestions(event);
                let suggestion = match nearest(&name, &known) {
                    Some(nearest) => format!("did you mean \"{nearest}\"?"),
                    None => "remove the column, or use a map of the columns that `mparticle map` proposes".to_owned(),
                };
                let owner =
                    event_type.map_or("a batch".to_owned(), |event_type| format!("a batch with a {event_type}"));
                format!("column {} is no field of {owner}: {suggestion}", quote(&name))
            })?;
            Ok((name, field))
        });
        let columns = columns.collect::<Result<Vec<_>, String>>()?;
        for (index, (name, field)) in columns.iter().enumerate() {
            if columns[..index].iter().any(|(_, earlier)| earlier.path == field.path) {
                return Err(format!("column {} names a field that an earlier column names too", quote(name)));
            }
        }
        if environment.is_none() && !columns.iter().any(|(name, _)| name == "environment") {
            return Err("no column environment, and no --environment".to_owned());
        }
        Ok(Self { columns, event_type, environment })
    }

    /// Returns the index of the column with the ID of a transaction.
    pub fn transaction_column(&self) -> Option<usize> {
        self.index_of("/events/0/data/product_action/transaction_id")
    }

    /// Returns the index of the column with the action of a product action.
    pub fn action_column(&self) -> Option<usize> {
        self.index_of("/events/0/data/product_action/action")
    }

    /// Returns whether rows have events.
    pub fn has_events(&self) -> bool {
        self.event_type.is_some()
    }

    fn index_of(&self, pointer: &str) -> Option<usize> {
        let tokens: Vec<_> = crate::input::position::tokens(pointer).collect();
        self.columns.iter().position(|(_, field)| tokens.starts_with(&field.path))
    }

    /// Returns the index of the column that a JSON pointer into the batch of one row refers to, and its name.
    pub fn column_for(&self, pointer: &str) -> Option<(usize, &str)> {
        // A transaction has a product for each row.
        let first = pointer.split_once("/products/").and_then(|(start, rest)| {
            let (_, field) = rest.split_once('/')?;
            Some(format!("{start}/products/0/{field}"))
        });
        let index = self.index_of(first.as_deref().unwrap_or(pointer))?;
        Some((index, &self.columns[index].0))
    }

    pub fn is_absent(text: &str) -> bool {
        text.trim().is_empty() || is_null(text.trim())
    }

    pub fn convert_row(&self, row: &CsvRow) -> Result<ConvertedRow, Vec<CellError>> {
        let (mut batch, mut errors) = (json!({}), Vec::new());
        let transaction = self.transaction_column();
        for (index, (name, field)) in self.columns.iter().enumerate() {
            let text = row.field(index);
            if Self::is_absent(&text) {
                continue;
            }
            let is_as_written = field.kind == FieldType::Text && Some(index) != transaction;
            let text = if is_as_written { text.as_ref() } else { text.trim() };
            match field.kind.parse(DecimalMark::Unmapped, text) {
                Ok(value) => insert(&mut batch, &field.path, value),
                Err(message) => {
                    errors
                        .push(CellError { field: Some(index), message: format!("column {}  {message}", quote(name)) });
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        if let (Some(environment), true) = (self.environment, batch["environment"].is_null()) {
            batch["environment"] = environment.to_string().into();
        }
        let event = &batch["events"][0];
        if let (Some(event_type), false, true) = (self.event_type, event.is_null(), event["event_type"].is_null()) {
            batch["events"][0]["event_type"] = event_type.into();
        }
        Ok(transactions::into_row(batch))
    }
}

/// Inserts a value, and the objects and lists around it.
fn insert(target: &mut Value, path: &[String], value: Value) {
    let Some((name, rest)) = path.split_first() else {
        *target = value;
        return;
    };
    let is_list = name == "0";
    if target.is_null() {
        *target = if is_list { json!([null]) } else { Value::Object(Map::new()) };
    }
    insert(if is_list { &mut target[0] } else { &mut target[name] }, rest, value);
}

/// Returns the type of the events of a file, with its schema.
fn event_type(path: &Path, names: &[String]) -> Result<(&'static str, &'static Value), String> {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = file.split('.').next().unwrap_or_default();
    let is_named = |event_type: &str| {
        stem.strip_suffix(event_type).is_some_and(|rest| rest.is_empty() || rest.ends_with(['-', '_', ' ']))
    };
    // Of `custom_event` and `event`, the longer name is meant.
    if let Some(found) = schema::event_types().filter(|(name, _)| is_named(name)).max_by_key(|(name, _)| name.len()) {
        return Ok(found);
    }
    let columns: Vec<_> = names.iter().filter(|name| name.starts_with("events.")).collect();
    let fits = |event: &'static Value| {
        let fields: Vec<_> = columns.iter().filter_map(|name| schema::field(name, event)).collect();
        let has = |required: &str| fields.iter().any(|field| field.path.get(3).is_some_and(|name| name == required));
        fields.len() == columns.len() && schema::required_fields(event).into_iter().all(has)
    };
    // A commerce event may have the fields of others too, but requires none of them.
    let mut fitting: Vec<_> = schema::event_types().filter(|(_, event)| fits(event)).collect();
    fitting.sort_by_key(|(_, event)| Reverse(schema::required_fields(event).len()));
    match fitting[..] {
        [found] => Ok(found),
        [found, (_, next), ..] if schema::required_fields(found.1).len() > schema::required_fields(next).len() => {
            Ok(found)
        }
        _ => Err("the columns fit no event type, or several; end the file's name with the type, for example \
                  export-custom_event.csv"
            .to_owned()),
    }
}
