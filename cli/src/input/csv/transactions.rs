//! Combines the rows of a transaction, one for each of its products, into one purchase.
//!
//! A value that all rows repeat, such as the total, is sent once. Rows that contradict each other reject the transaction as a
//! whole, since a part of a purchase would be sent as the whole of it.

use std::collections::HashMap;

use serde_json::Value;

use super::convert::ConvertedRow;
use super::rows::CsvRow;
use crate::input::position::FilePosition;
use crate::input::validate::LocatedDiagnostic;

/// The rows of a window in the order of their transactions. A row without a transaction is one of its own.
#[derive(Default)]
pub struct Transactions {
    list: Vec<Transaction>,
    indexes: HashMap<TransactionKey, usize>,
}

/// The identity of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TransactionKey {
    pub id: String,
    /// The action of a product action, since a refund has the ID of its purchase; `None` if all rows are purchases.
    pub action: Option<String>,
}

#[derive(Default)]
pub struct Transaction {
    pub key: Option<TransactionKey>,
    pub rows: Vec<CsvRow>,
    /// The JSON of the batch with its one event, of the rows that could be converted.
    pub batch: Value,
    pub errors: Vec<LocatedDiagnostic>,
}

impl Transactions {
    /// Returns the transaction with this key, or a new one.
    pub fn entry(&mut self, key: Option<&TransactionKey>) -> &mut Transaction {
        let index = match key {
            Some(key) => *self.indexes.entry(key.clone()).or_insert(self.list.len()),
            None => self.list.len(),
        };
        if index == self.list.len() {
            self.list.push(Transaction { key: key.cloned(), ..Transaction::default() });
        }
        &mut self.list[index]
    }

    pub fn into_transactions(self) -> impl Iterator<Item = Transaction> {
        self.list.into_iter()
    }
}

impl Transaction {
    pub fn position(&self) -> FilePosition {
        self.rows.first().map_or_else(FilePosition::default, |row| row.position)
    }

    /// Returns the text of its rows.
    pub fn text(&self) -> Vec<u8> {
        self.rows.iter().map(|row| row.text.as_bytes()).collect::<Vec<_>>().join(&b'\n')
    }

    /// Adds the batch of a row.
    ///
    /// # Errors
    /// The pointer to a value that differs from that of an earlier row.
    pub fn merge(&mut self, batch: Value) -> Result<(), String> {
        if self.batch.is_null() {
            self.batch = batch;
            return Ok(());
        }
        merge(&mut self.batch, batch, "")
    }

    /// Returns the row that a pointer refers to: that of the product, and otherwise the first.
    pub fn row_of(&self, pointer: &str) -> &CsvRow {
        let product = pointer.split_once("/products/").and_then(|(_, rest)| rest.split('/').next()?.parse().ok());
        product.and_then(|index: usize| self.rows.get(index)).unwrap_or(&self.rows[0])
    }
}

fn merge(target: &mut Value, other: Value, pointer: &str) -> Result<(), String> {
    match (target, other) {
        (Value::Object(target), Value::Object(other)) => {
            for (name, value) in other {
                match target.get_mut(&name) {
                    None => _ = target.insert(name, value),
                    // The rows may have been written one after the other.
                    Some(_) if name == "timestamp_unixtime_ms" => {}
                    Some(known) => merge(known, value, &format!("{pointer}/{name}"))?,
                }
            }
            Ok(())
        }
        (Value::Array(target), Value::Array(other)) if pointer.ends_with("/products") => {
            target.extend(other);
            Ok(())
        }
        (Value::Array(target), Value::Array(other)) if pointer == "/events" => {
            target.iter_mut().zip(other).try_for_each(|(target, other)| merge(target, other, "/events/0"))
        }
        (target, other) if *target == other => Ok(()),
        _ => Err(pointer.to_owned()),
    }
}

/// Converts a merged batch to a row, so that it is gathered with the other purchases of its user.
pub fn into_row(mut batch: Value) -> ConvertedRow {
    let event = batch.as_object_mut().and_then(|batch| batch.remove("events")).map(|events| events[0].to_string());
    let user = ["mpid", "mp_deviceid", "user_identities", "device_info"].map(|name| batch[name].to_string()).join(" ");
    ConvertedRow { user, head: batch.to_string(), event }
}
