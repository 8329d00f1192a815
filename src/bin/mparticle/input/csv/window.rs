//! Rows that follow each other, gathered into batches: those of one user that differ in nothing but the event go together.
//!
//! A batch that is gathered has no place to go on from after it, since rows of it stand among those of others. So rows are
//! gathered in windows, and a run that is stopped goes on at the beginning of one: the same windows give the same batches.

use std::collections::HashMap;

use super::convert::{ConvertedRow, with_events};
use crate::input::frames::MAX_TEXT_BYTES;
use crate::input::position::FilePosition;
use crate::input::validate::{CheckedText, LocatedDiagnostic};
use mparticle::limits::MAX_BATCH_BYTES;

/// So many rows are gathered at most.
pub const MAX_ROWS: usize = 10_000;

/// So much of them is in memory, at most, and one row more.
const MAX_BYTES: usize = 4 * MAX_TEXT_BYTES;

/// So many events are gathered in one batch.
pub const MAX_EVENTS: usize = 100;

/// A batch of several rows stays well under what the service takes.
const MAX_GATHERED_BYTES: usize = MAX_BATCH_BYTES * 3 / 4;

#[derive(Default)]
pub struct Window {
    rows: usize,
    bytes: usize,
    wrong: Vec<CheckedText>,
    batches: Vec<WindowBatch>,
    /// The last batch of each user.
    last: HashMap<String, usize>,
}

/// One batch, of its first row's place.
struct WindowBatch {
    position: FilePosition,
    head: String,
    events: String,
    count: usize,
    /// What its sender would want to know.
    warnings: Vec<LocatedDiagnostic>,
}

impl Window {
    pub fn has_room(&self) -> bool {
        self.rows < MAX_ROWS && self.bytes < MAX_BYTES
    }

    /// A row that is not sent.
    pub fn reject(&mut self, checked: CheckedText) {
        self.rows += 1;
        self.bytes += checked.text.len();
        self.wrong.push(checked);
    }

    /// A row that is sent. To the order of one user's rows it belongs that an attribute which changes and changes back ends
    /// as it was: so only the last batch of the user takes more.
    pub fn add(&mut self, position: FilePosition, converted: ConvertedRow, warnings: Vec<LocatedDiagnostic>) {
        let ConvertedRow { user, head, event } = converted;
        let event = event.unwrap_or_default();
        self.rows += 1;
        if let Some(last) = self.last.get(&user).map(|index| &mut self.batches[*index])
            && last.takes(&head, &event)
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

    /// What is wrong comes first: who stops at that, and mends it, gets the other rows of the window as if nothing had been
    /// wrong, and none of them was sent already in a batch of another content.
    pub fn into_batches(self) -> impl ExactSizeIterator<Item = (CheckedText, u64)> {
        let wrong = self.wrong.into_iter().map(|checked| (checked, 1));
        let batches = self.batches.into_iter().map(|batch| {
            let WindowBatch { position, head, events, count, warnings } = batch;
            let text = with_events(&head, &events).into_bytes();
            (CheckedText { position, text, value: None, diagnostics: warnings }, count as u64)
        });
        wrong.chain(batches).collect::<Vec<_>>().into_iter()
    }
}

impl WindowBatch {
    fn takes(&self, head: &str, event: &str) -> bool {
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
