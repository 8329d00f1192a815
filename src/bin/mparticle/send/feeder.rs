//! Reads, checks and seals the batches of a file, and hands them to the uploader: the reading side of `send`.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use mparticle::diagnostics::Code;
use mparticle::{SealedBatch, Uploader};
use uuid::Uuid;

use super::diagnostics::DiagnosticPrinter;
use super::rejects;
use super::tracker::{BatchSpan, Tracker};
use crate::input::{BatchReader, CheckedText, FilePosition, InputBatch, LocatedDiagnostic};

/// The ids that batches of files get are made in this namespace.
const IDS: Uuid = Uuid::from_u128(0x5f0e_7f8e_9d1c_4e43_9f5b_2f2c_61a7_d3b4);

/// Why reading ended.
pub enum ReadEnd {
    /// There is no more.
    EndOfFile,
    /// At a batch that is wrong, since that was asked for.
    InvalidBatch(Vec<LocatedDiagnostic>),
    /// The uploader takes nothing any more, or reading broke down.
    Closed,
    /// The file cannot be read on from here.
    Broken(FilePosition, io::Error),
}

pub struct BatchFeeder {
    pub batches: BatchReader,
    pub tracker: Arc<Tracker>,
    /// `None` for a dry run: everything is done but sending.
    pub uploader: Option<Uploader>,
    /// A wrong batch ends it.
    pub strict: bool,
    /// Told of each batch that is wrong, if anybody wants to know.
    pub diagnostics: Option<Arc<DiagnosticPrinter>>,
}

impl BatchFeeder {
    /// Reads until there is no more. Waits for room as the uploader asks.
    pub fn run(mut self) -> ReadEnd {
        while let Some(reading) = self.batches.next() {
            let InputBatch { checked, events, resume_at } = match reading {
                Ok(reading) => reading,
                Err(error) => return ReadEnd::Broken(self.batches.current_position(), error),
            };
            let read = BatchSpan { start: checked.position, resume_at, events };
            if !checked.diagnostics.is_empty() {
                if checked.has_errors() {
                    if self.strict {
                        return ReadEnd::InvalidBatch(checked.diagnostics);
                    }
                    if let Some(diagnostics) = &self.diagnostics {
                        diagnostics.found(&checked);
                    }
                    self.reject(read, &checked.text, &checked.diagnostics);
                    continue;
                }
                self.tracker.add_warnings(checked.diagnostics.len());
            }
            if let Some(ended) = self.send(read, checked) {
                return ended;
            }
        }
        ReadEnd::EndOfFile
    }

    fn send(&self, read: BatchSpan, checked: CheckedText) -> Option<ReadEnd> {
        let text = Bytes::from(self.batches.validator().with_environment(checked.text));
        let id = Uuid::new_v5(&IDS, &name(checked.position, &text));
        let sealed = match SealedBatch::from_json_with(text.clone(), || id) {
            Ok(sealed) => sealed,
            // What was checked can be sealed; should the two ever differ, the batch is not lost.
            Err(error) => {
                let fault = LocatedDiagnostic::new(checked.position, Code::Unsealable, error.to_string());
                self.reject(read, &text, &[fault]);
                return None;
            }
        };
        let tag = self.tracker.sending(read);
        match &self.uploader {
            None => {
                self.tracker.ended(tag, |_| super::tracker::BatchOutcome::Delivered);
                None
            }
            Some(uploader) => uploader.send_tagged(sealed, tag).accepted().wait().is_err().then_some(ReadEnd::Closed),
        }
    }

    fn reject(&self, read: BatchSpan, text: &[u8], diagnostics: &[LocatedDiagnostic]) {
        let wrong: Vec<_> = diagnostics.iter().filter(|fault| fault.is_error()).cloned().collect();
        let line = rejects::found(read.start, text, &wrong);
        self.tracker.rejected(read, line);
    }
}

/// What is sent of a place of a file, as the name that its id is made of: the same file gives the same ids, and two equal
/// lines of it differ. So does a rehearsal in another environment.
fn name(position: FilePosition, text: &[u8]) -> Vec<u8> {
    [&position.offset.to_be_bytes(), text].concat()
}
