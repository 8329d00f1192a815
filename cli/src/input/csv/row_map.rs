//! The two ways to read a row: by a map of the columns, or by columns that are named as the fields of a batch.

use mparticle::Environment;

use super::convert::{CellError, ConvertedRow, convert_row};
use super::map::{ColumnMap, FieldSource};
use super::paths::PathMap;
use super::rows::CsvRow;
use super::transactions::TransactionKey;

pub enum RowMap {
    Columns { map: Box<ColumnMap>, environment: Environment },
    Paths(PathMap),
}

impl RowMap {
    pub fn convert_row(&self, row: &CsvRow) -> Result<ConvertedRow, Vec<CellError>> {
        match self {
            Self::Columns { map, environment } => convert_row(map, *environment, row),
            Self::Paths(paths) => paths.convert_row(row),
        }
    }

    /// Returns the index and the name of the column that a JSON pointer into the batch of a row refers to.
    pub fn column_for(&self, pointer: &str) -> Option<(usize, &str)> {
        match self {
            Self::Columns { map, .. } => map.column_for(pointer).map(|column| (column.index, column.name.as_str())),
            Self::Paths(paths) => paths.column_for(pointer),
        }
    }

    /// Returns whether rows can be parts of one event.
    pub fn has_transactions(&self) -> bool {
        self.transaction_column().is_some()
    }

    /// Returns the number of events in a row.
    pub fn events_in_row(&self) -> u64 {
        u64::from(match self {
            Self::Columns { map, .. } => map.event.is_some(),
            Self::Paths(paths) => paths.has_events(),
        })
    }

    /// Returns the transaction that a row is a part of.
    pub fn transaction(&self, row: &CsvRow) -> Option<TransactionKey> {
        let id = self.text(row, self.transaction_column()?)?;
        let action = match self {
            Self::Columns { .. } => None,
            Self::Paths(paths) => paths.action_column().and_then(|index| self.text(row, index)),
        };
        Some(TransactionKey { id, action })
    }

    /// Returns the trimmed text of a cell; `None` if it is absent.
    fn text(&self, row: &CsvRow, index: usize) -> Option<String> {
        let text = (index < row.len()).then(|| row.field(index))?;
        let is_absent = match self {
            Self::Columns { map, .. } => map.is_absent(&text),
            Self::Paths(_) => PathMap::is_absent(&text),
        };
        (!is_absent).then(|| text.trim().to_owned())
    }

    fn transaction_column(&self) -> Option<usize> {
        match self {
            Self::Columns { map, .. } => match map.event.as_ref()?.family.purchase()?.transaction_id.as_ref()? {
                FieldSource::Column(column) => Some(column.index),
                FieldSource::Constant(_) => None,
            },
            Self::Paths(paths) => paths.transaction_column(),
        }
    }
}
