//! Reads and checks the batches of a file, from JSON or from CSV rows.

use std::io;

use super::csv::CsvBatchReader;
use super::frames::{Frame, FrameReader};
use super::input_batch::InputBatch;
use super::position::{FilePosition, ReadPosition};
use super::rejected::unwrap_reject;
use super::source::Source;
use super::validate::Validator;

/// Reads the batches of a file in order.
pub struct BatchReader {
    source: BatchSource,
    validator: Validator,
}

enum BatchSource {
    Json(FrameReader<Source>),
    Csv(Box<CsvBatchReader<Source>>),
}

impl BatchReader {
    /// Creates a reader of JSON.
    pub fn json(frames: FrameReader<Source>, validator: Validator) -> Self {
        Self { source: BatchSource::Json(frames), validator }
    }

    /// Creates a reader of CSV.
    pub fn csv(batches: CsvBatchReader<Source>, validator: Validator) -> Self {
        Self { source: BatchSource::Csv(Box::new(batches)), validator }
    }

    pub fn validator(&self) -> Validator {
        self.validator
    }

    /// Returns the source.
    pub fn source(&self) -> &Source {
        match &self.source {
            BatchSource::Json(frames) => frames.source(),
            BatchSource::Csv(batches) => batches.source(),
        }
    }

    /// Returns the position up to which the file was read.
    pub fn current_position(&self) -> FilePosition {
        match &self.source {
            BatchSource::Json(frames) => frames.current_position(),
            BatchSource::Csv(batches) => batches.current_position(),
        }
    }

    /// Continues from the `resume_at` of an [`InputBatch`] of the same file.
    pub fn skip_to(&mut self, position: ReadPosition) -> io::Result<()> {
        match &mut self.source {
            BatchSource::Json(frames) => frames.skip_to(position),
            BatchSource::Csv(batches) => batches.skip_to(position.position),
        }
    }
}

impl Iterator for BatchReader {
    type Item = io::Result<InputBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.source {
            BatchSource::Csv(batches) => batches.next(&self.validator),
            BatchSource::Json(frames) => {
                // A misplaced comma affects no batch.
                let frame = match frames.find(|frame| !matches!(frame, Ok(Frame::Misplaced { .. })))? {
                    Ok(Frame::Broken { message, .. }) => Err(io::Error::new(io::ErrorKind::InvalidData, message)),
                    frame => frame,
                };
                Some(frame.map(|frame| {
                    let checked = self.validator.check(unwrap_reject(frame));
                    // A text that the end of the file cuts is read again once the file has grown.
                    let is_complete = checked.value.is_some() || !frames.is_at_end();
                    let resume_at = is_complete.then(|| frames.read_position());
                    InputBatch { events: checked.events(), checked, resume_at }
                }))
            }
        }
    }
}
