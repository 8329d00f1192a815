//! Reads the batches of a CSV file, in windows of rows.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};

use mparticle::diagnostics::{Code, Severity};

use super::cells::quote;
use super::convert::{CellError, ConvertedRow, with_events};
use super::row_map::RowMap;
use super::rows::{CsvRow, RowError, RowReader};
use super::transactions::{self, Transaction, TransactionKey, Transactions};
use super::window::Window;
use crate::input::frames::Frame;
use crate::input::input_batch::InputBatch;
use crate::input::position::{FilePosition, ReadPosition};
use crate::input::validate::{CheckedText, LocatedDiagnostic, Validator};
use crate::text::pluralize;

/// The maximum number of transactions of earlier windows whose repetition is noticed.
const MAX_KNOWN_TRANSACTIONS: usize = 1_000_000;

pub struct CsvBatchReader<R> {
    rows: RowReader<R>,
    map: RowMap,
    columns: usize,
    /// The position after the last complete window.
    position: FilePosition,
    /// The first row of the next window.
    pending: Option<CsvRow>,
    /// The hashes of the transactions of earlier windows.
    known: HashSet<u64>,
    ready: VecDeque<InputBatch>,
}

impl<R: Read> CsvBatchReader<R> {
    /// Creates a reader of the rows after the header.
    pub fn new(rows: RowReader<R>, map: RowMap, columns: usize) -> Self {
        let position = rows.current_position();
        Self { rows, map, columns, position, pending: None, known: HashSet::new(), ready: VecDeque::new() }
    }

    pub fn source(&self) -> &R {
        self.rows.source()
    }

    /// Returns the position after the last complete window.
    pub fn current_position(&self) -> FilePosition {
        self.position
    }

    pub fn skip_to(&mut self, position: FilePosition) -> io::Result<()> {
        if self.map.has_transactions() {
            // A resumed run rejects the same rows as a run of the whole file.
            let Self { rows, map, known, .. } = self;
            rows.visit_until(position, |row| {
                if !row.is_blank() {
                    remember(known, map.transaction(row).as_ref());
                }
            })?;
        } else {
            self.rows.skip_to(position)?;
        }
        self.position = position;
        Ok(())
    }

    pub fn next(&mut self, validator: &Validator) -> Option<io::Result<InputBatch>> {
        if self.ready.is_empty()
            && let Err(error) = self.read_window(validator)
        {
            return Some(Err(error));
        }
        self.ready.pop_front().map(Ok)
    }

    /// Reads the next window. After a read error an incomplete window is discarded, since its batches would differ from those of
    /// the repaired file.
    fn read_window(&mut self, validator: &Validator) -> io::Result<()> {
        let mut window = Window::default();
        let (mut transactions, mut last) = (Transactions::default(), None);
        // A window ends between two transactions.
        while window.has_room() || last.is_some() {
            let row = match self.pending.take() {
                Some(row) => Ok(row),
                None => match self.rows.next()? {
                    Some(row) => row,
                    None => break,
                },
            };
            match row {
                Ok(row) if row.is_blank() => {}
                Ok(row) if self.map.has_transactions() => {
                    let transaction = self.map.transaction(&row);
                    if !window.has_room() && (transaction != last || !window.has_reserve()) {
                        self.pending = Some(row);
                        break;
                    }
                    window.reserve(row.text.len());
                    self.add_to_transaction(transactions.entry(transaction.as_ref()), row);
                    last = transaction;
                }
                Ok(row) => self.add_row(&mut window, row, validator),
                Err(RowError { position, text, at, message, lines }) => {
                    last = None;
                    let diagnostics = vec![csv_diagnostic(at, message)];
                    let events = lines * self.map.events_in_row();
                    window.reject(CheckedText { position, text, value: None, diagnostics }, events);
                }
            }
        }
        self.position = self.pending.as_ref().map_or_else(|| self.rows.current_position(), |row| row.position);
        for transaction in transactions.into_transactions() {
            self.finish_transaction(&mut window, transaction, validator);
        }
        let batches = window.into_batches();
        let last = batches.len();
        self.ready.extend(batches.zip(1..).map(|((checked, events), number)| {
            let resume_at = (number == last).then_some(ReadPosition { position: self.position, in_list: false });
            InputBatch { checked, events, resume_at }
        }));
        Ok(())
    }

    fn add_row(&self, window: &mut Window, row: CsvRow, validator: &Validator) {
        match self.convert(&row) {
            Ok(converted) => {
                let text = with_events(&converted.head, converted.event.as_deref().unwrap_or_default());
                let diagnostics = self.check(text, validator, |_| &row);
                if diagnostics.iter().any(LocatedDiagnostic::is_error) {
                    self.reject(window, row.position, row.text.into_bytes(), diagnostics);
                } else {
                    window.add(row.position, converted, diagnostics);
                }
            }
            Err(diagnostics) => self.reject(window, row.position, row.text.into_bytes(), diagnostics),
        }
    }

    /// Rejects the row, or the rows of a transaction.
    fn reject(&self, window: &mut Window, position: FilePosition, text: Vec<u8>, diagnostics: Vec<LocatedDiagnostic>) {
        window.reject(CheckedText { position, text, value: None, diagnostics }, self.map.events_in_row());
    }

    fn add_to_transaction(&self, transaction: &mut Transaction, row: CsvRow) {
        if let Some(key) = &transaction.key
            && transaction.rows.is_empty()
            && self.known.contains(&hash(key))
        {
            let message = format!(
                "too far from the other rows of transaction {}, which is sent without these rows unless it was rejected; \
                 sort the file by transaction",
                quote(&key.id)
            );
            transaction.errors.push(csv_diagnostic(row.position, message));
        }
        match self.convert(&row) {
            Err(errors) => transaction.errors.extend(errors),
            Ok(ConvertedRow { head, event, .. }) => {
                let json = with_events(&head, event.as_deref().unwrap_or_default());
                let batch = serde_json::from_str(&json).unwrap_or_default();
                if let Err(pointer) = transaction.merge(batch) {
                    let first = transaction.position().line;
                    let message = format!("differs from line {first}, another row of the same transaction");
                    transaction.errors.push(match self.map.column_for(&pointer) {
                        Some((index, name)) => {
                            let message = format!("column {}  {} {message}", quote(name), quote(&row.field(index)));
                            csv_diagnostic(row.position_of(index), message)
                        }
                        None => csv_diagnostic(row.position, format!("{pointer} {message}")),
                    });
                }
            }
        }
        transaction.rows.push(row);
    }

    fn finish_transaction(&mut self, window: &mut Window, transaction: Transaction, validator: &Validator) {
        let mut diagnostics = transaction.errors.clone();
        if diagnostics.is_empty() {
            let text = transaction.batch.to_string();
            diagnostics = self.check(text, validator, |pointer| transaction.row_of(pointer));
        }
        remember(&mut self.known, transaction.key.as_ref());
        let position = transaction.position();
        if diagnostics.iter().any(LocatedDiagnostic::is_error) {
            self.reject(window, position, transaction.text(), diagnostics);
        } else {
            window.add(position, transactions::into_row(transaction.batch), diagnostics);
        }
    }

    /// Checks the batch of a row or a transaction, and locates each diagnostic in the row that it is about.
    fn check<'r>(
        &self,
        text: String,
        validator: &Validator,
        row_of: impl Fn(&str) -> &'r CsvRow,
    ) -> Vec<LocatedDiagnostic> {
        let frame = Frame::Text { position: FilePosition::default(), text: text.into_bytes() };
        let CheckedText { mut diagnostics, .. } = validator.check(frame);
        for located in &mut diagnostics {
            let row = row_of(&located.diagnostic.pointer);
            let column = self.map.column_for(&located.diagnostic.pointer).map(|(index, _)| index);
            located.position = column.map_or(row.position, |index| row.position_of(index));
            // The range is one of the JSON, which is not in the file.
            located.range = 0..0;
            // A row without a user comes from cells that are empty, and would be of no use.
            if located.diagnostic.code == Code::NoIdentity {
                located.diagnostic.severity = Severity::Error;
                located.diagnostic.message = "no identity of a user or a device in the row".into();
            }
        }
        diagnostics
    }

    /// Converts a row, or returns all errors of its cells.
    fn convert(&self, row: &CsvRow) -> Result<ConvertedRow, Vec<LocatedDiagnostic>> {
        if row.len() != self.columns {
            let fields = row.len();
            let message =
                format!("{fields} {}, but the header has {}", pluralize(fields as u64, "field"), self.columns);
            return Err(vec![csv_diagnostic(row.position, message)]);
        }
        self.map.convert_row(row).map_err(|mut errors| {
            errors.sort_by_key(|error| error.field);
            let locate = |error: CellError| {
                csv_diagnostic(error.field.map_or(row.position, |field| row.position_of(field)), error.message)
            };
            errors.into_iter().map(locate).collect()
        })
    }
}

/// Adds a transaction to those of earlier windows.
fn remember(known: &mut HashSet<u64>, transaction: Option<&TransactionKey>) {
    if known.len() < MAX_KNOWN_TRANSACTIONS {
        known.extend(transaction.map(hash));
    }
}

fn csv_diagnostic(position: FilePosition, message: String) -> LocatedDiagnostic {
    LocatedDiagnostic::new(position, Code::Csv, message)
}

fn hash(transaction: &TransactionKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    transaction.hash(&mut hasher);
    hasher.finish()
}
