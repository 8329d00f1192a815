//! The batches of a file one after the other, each examined: from texts of JSON, or from rows of CSV.

use std::io;

use super::csv::CsvBatchReader;
use super::frames::{Frame, FrameReader};
use super::input_batch::InputBatch;
use super::position::FilePosition;
use super::source::Source;
use super::validate::Validator;

/// The batches of a file, in its order.
pub struct BatchReader {
    source: BatchSource,
    validator: Validator,
}

enum BatchSource {
    Json(FrameReader<Source>),
    Csv(Box<CsvBatchReader<Source>>),
}

impl BatchReader {
    /// Of a file of JSON.
    pub fn json(frames: FrameReader<Source>, validator: Validator) -> Self {
        Self { source: BatchSource::Json(frames), validator }
    }

    /// Of a file of CSV.
    pub fn csv(batches: CsvBatchReader<Source>, validator: Validator) -> Self {
        Self { source: BatchSource::Csv(Box::new(batches)), validator }
    }

    pub fn validator(&self) -> Validator {
        self.validator
    }

    /// What is read.
    pub fn source(&self) -> &Source {
        match &self.source {
            BatchSource::Json(frames) => frames.source(),
            BatchSource::Csv(batches) => batches.source(),
        }
    }

    /// How far the file was read.
    pub fn current_position(&self) -> FilePosition {
        match &self.source {
            BatchSource::Json(frames) => frames.current_position(),
            BatchSource::Csv(batches) => batches.current_position(),
        }
    }

    /// Goes on from a place that a [`InputBatch`] of the same file told.
    pub fn skip_to(&mut self, position: FilePosition) -> io::Result<()> {
        match &mut self.source {
            BatchSource::Json(frames) => frames.skip_to(position),
            BatchSource::Csv(batches) => batches.skip_to(position),
        }
    }
}

impl Iterator for BatchReader {
    type Item = io::Result<InputBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.source {
            BatchSource::Csv(batches) => batches.next(&self.validator),
            BatchSource::Json(frames) => {
                let frame = match frames.next()? {
                    Ok(Frame::Broken { message, .. }) => Err(io::Error::new(io::ErrorKind::InvalidData, message)),
                    frame => frame,
                };
                Some(frame.map(|frame| {
                    let checked = self.validator.check(frame);
                    // Where a list is broken, its next element may be no element at all.
                    let is_certain = checked.value.is_some() || !frames.is_list();
                    InputBatch {
                        events: checked.events(),
                        checked,
                        resume_at: is_certain.then(|| frames.current_position()),
                    }
                }))
            }
        }
    }
}
