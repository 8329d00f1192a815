//! Reads, checks and seals the batches of a file, and submits them to the uploader.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use memchr::memmem;
use mparticle::diagnostics::Code;
use mparticle::{SealedBatch, Uploader};
use uuid::Uuid;

use super::checkpoint::ResumePoint;
use super::diagnostics::DiagnosticPrinter;
use super::rejects;
use super::tracker::{BatchOutcome, BatchSpan, Tracker};
use crate::input::{BatchReader, CheckedText, FilePosition, InputBatch, LocatedDiagnostic, ReadPosition, SeenBatches};

/// The namespace of the IDs that batches without an ID get.
const IDS: Uuid = Uuid::from_u128(0x5f0e_7f8e_9d1c_4e43_9f5b_2f2c_61a7_d3b4);

/// The reason why reading ended.
pub enum ReadEnd {
    /// The end of the file.
    EndOfFile,
    /// An invalid batch, with `--strict`.
    InvalidBatch(Vec<LocatedDiagnostic>),
    /// The uploader was shut down, or the reading thread panicked.
    Closed,
    /// A read error at this position.
    ReadError(FilePosition, io::Error),
}

pub struct BatchFeeder {
    pub batches: BatchReader,
    pub tracker: Arc<Tracker>,
    pub file: PathBuf,
    /// The batches of all files so far.
    pub seen: Arc<Mutex<SeenBatches>>,
    /// The uploader; `None` for a dry run.
    pub uploader: Option<Uploader>,
    /// Stops at the first invalid batch.
    pub strict: bool,
    /// Prints diagnostics, unless `--quiet`.
    pub diagnostics: Option<Arc<DiagnosticPrinter>>,
}

impl BatchFeeder {
    /// Reads and submits all batches. Blocks while the uploader is full.
    pub fn run(mut self) -> ReadEnd {
        while let Some(batch) = self.batches.next() {
            let InputBatch { mut checked, events, resume_at } = match batch {
                Ok(batch) => batch,
                Err(error) => return ReadEnd::ReadError(self.batches.current_position(), error),
            };
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).check(&self.file, &mut checked);
            let span = BatchSpan {
                start: checked.position,
                resume_at: resume_at.and_then(|at| self.resume_point(at)),
                events,
            };
            if !checked.diagnostics.is_empty() {
                if checked.has_errors() {
                    if self.strict {
                        return ReadEnd::InvalidBatch(checked.diagnostics);
                    }
                    if let Some(diagnostics) = &self.diagnostics {
                        diagnostics.print_invalid(&checked);
                    }
                    self.reject(span, &checked.text, &checked.diagnostics);
                    continue;
                }
                self.tracker.add_warnings(checked.diagnostics.len());
            }
            if let Some(end) = self.send(span, checked) {
                return end;
            }
        }
        ReadEnd::EndOfFile
    }

    fn send(&self, span: BatchSpan, checked: CheckedText) -> Option<ReadEnd> {
        let text = Bytes::from(self.batches.validator().with_environment(checked.text));
        if events_are_undated(&text, span.events) {
            self.tracker.add_undated();
        }
        let id = Uuid::new_v5(&IDS, &id_source(checked.position, &text));
        let sealed = match SealedBatch::from_json_with(text.clone(), || id) {
            Ok(sealed) => sealed,
            // A checked batch can be sealed. Should the two checks ever differ, the batch is rejected rather than lost.
            Err(error) => {
                let diagnostic = LocatedDiagnostic::new(checked.position, Code::Unsealable, error.to_string());
                self.reject(span, &text, &[diagnostic]);
                return None;
            }
        };
        let tag = self.tracker.start(span);
        match &self.uploader {
            None => {
                self.tracker.finish(tag, |_| BatchOutcome::Delivered);
                None
            }
            Some(uploader) => uploader.send_tagged(sealed, tag).accepted().wait().is_err().then_some(ReadEnd::Closed),
        }
    }

    /// Returns the position with the hash of the bytes before it; `None` if the upload cannot be resumed.
    fn resume_point(&self, position: ReadPosition) -> Option<ResumePoint> {
        let hash = self.batches.source().prefix_hash(position.position.offset)?;
        Some(ResumePoint { position, hash })
    }

    fn reject(&self, span: BatchSpan, text: &[u8], diagnostics: &[LocatedDiagnostic]) {
        let errors: Vec<_> = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).cloned().collect();
        let line = rejects::format_invalid(span.start, text, &errors);
        self.tracker.reject(span, line);
    }
}

/// Returns whether nothing but the position distinguishes the ID of a batch from that of an equal batch on another day: it has
/// neither an ID nor a time nor an ID of an event.
fn events_are_undated(text: &[u8], events: u64) -> bool {
    const DISTINCT: [&str; 3] = ["timestamp_unixtime_ms", "source_request_id", "source_message_id"];
    events > 0 && DISTINCT.iter().all(|name| memmem::find(text, name.as_bytes()).is_none())
}

/// Returns the bytes from which the ID of a batch is derived: the same file gives the same IDs, while equal lines of a file, and
/// the same line with another environment, get different IDs.
fn id_source(position: FilePosition, text: &[u8]) -> Vec<u8> {
    [&position.offset.to_be_bytes(), text].concat()
}
