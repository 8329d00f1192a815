//! Gathers consecutive rows into batches: the rows of one user that differ only in their event.
//!
//! The rows of different batches are interleaved, so that a run cannot resume after a single batch. Rows are therefore gathered
//! in windows, and a run resumes at the start of a window: the same windows give the same batches.

use std::collections::HashMap;

use super::convert::{ConvertedRow, with_events};
use crate::input::frames::MAX_TEXT_BYTES;
use crate::input::position::FilePosition;
use crate::input::validate::{CheckedText, LocatedDiagnostic};
use mparticle::limits::MAX_BATCH_BYTES;

/// The maximum number of rows in a window.
pub const MAX_ROWS: usize = 10_000;

/// The maximum size of a window, which its last row may exceed.
const MAX_BYTES: usize = 4 * MAX_TEXT_BYTES;

/// The maximum number of events in a batch.
pub const MAX_EVENTS: usize = 100;

/// The maximum size of a batch of several rows, well under the limit of the service.
const MAX_GATHERED_BYTES: usize = MAX_BATCH_BYTES * 3 / 4;

#[derive(Default)]
pub struct Window {
    rows: usize,
    bytes: usize,
    /// The invalid rows, with the number of events in each.
    invalid: Vec<(CheckedText, u64)>,
    batches: Vec<WindowBatch>,
    /// The index of the last batch of each user.
    last: HashMap<String, usize>,
}

/// A batch with the position of its first row.
struct WindowBatch {
    position: FilePosition,
    head: String,
    events: String,
    count: usize,
    /// The warnings of its rows.
    warnings: Vec<LocatedDiagnostic>,
}

impl Window {
    pub fn has_room(&self) -> bool {
        self.rows < MAX_ROWS && self.bytes < MAX_BYTES
    }

    /// Returns whether a transaction can continue in a window without room.
    pub fn has_reserve(&self) -> bool {
        self.rows < 2 * MAX_ROWS && self.bytes < 2 * MAX_BYTES
    }

    /// Counts a row that is added later.
    pub fn reserve(&mut self, bytes: usize) {
        self.rows += 1;
        self.bytes += bytes;
    }

    /// Adds an invalid row, or several lines that cannot be read as rows.
    pub fn reject(&mut self, checked: CheckedText, events: u64) {
        self.reserve(checked.text.len());
        self.invalid.push((checked, events));
    }

    /// Adds a valid row. Only the last batch of a user takes further rows, so that an attribute that changes and changes back
    /// keeps its order.
    pub fn add(&mut self, position: FilePosition, converted: ConvertedRow, warnings: Vec<LocatedDiagnostic>) {
        let ConvertedRow { user, head, event } = converted;
        let event = event.unwrap_or_default();
        self.rows += 1;
        if let Some(last) = self.last.get(&user).map(|index| &mut self.batches[*index])
            && last.has_room_for(&head, &event)
        {
            self.bytes += event.len();
            last.push(&event);
            last.warnings.extend(warnings);
            return;
        }
        self.bytes += user.len() + head.len() + event.len();
        self.last.insert(user, self.batches.len());
        let count = usize::from(!event.is_empty());
        self.batches.push(WindowBatch { position, head, events: event, count, warnings });
    }

    /// Returns the invalid rows, then the batches. With `--strict`, a run therefore stops before any batch of the window is sent,
    /// and the repaired file gives the batches that it would have given without the error.
    pub fn into_batches(self) -> impl ExactSizeIterator<Item = (CheckedText, u64)> {
        let invalid = self.invalid.into_iter();
        let batches = self.batches.into_iter().map(|batch| {
            let WindowBatch { position, head, events, count, warnings } = batch;
            let text = with_events(&head, &events).into_bytes();
            (CheckedText { position, text, value: None, diagnostics: warnings }, count as u64)
        });
        invalid.chain(batches).collect::<Vec<_>>().into_iter()
    }
}

impl WindowBatch {
    fn has_room_for(&self, head: &str, event: &str) -> bool {
        self.head == head
            && self.count < MAX_EVENTS
            && self.head.len() + self.events.len() + event.len() <= MAX_GATHERED_BYTES
    }

    fn push(&mut self, event: &str) {
        if event.is_empty() {
            return;
        }
        if self.count > 0 {
            self.events.push(',');
        }
        self.events.push_str(event);
        self.count += 1;
    }
}
