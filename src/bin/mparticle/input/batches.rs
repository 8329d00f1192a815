//! The batches of a file one after the other, each examined: from texts of JSON, or from rows of CSV.

use std::io;

use super::csv::CsvBatches;
use super::examine::Examiner;
use super::frames::{Frame, Frames};
use super::place::Place;
use super::reading::Reading;
use super::source::Source;

/// The batches of a file, in its order.
pub struct Batches {
    texts: Texts,
    examiner: Examiner,
}

enum Texts {
    Json(Frames<Source>),
    Csv(Box<CsvBatches<Source>>),
}

impl Batches {
    /// Of a file of JSON.
    pub fn json(frames: Frames<Source>, examiner: Examiner) -> Self {
        Self { texts: Texts::Json(frames), examiner }
    }

    /// Of a file of CSV.
    pub fn csv(batches: CsvBatches<Source>, examiner: Examiner) -> Self {
        Self { texts: Texts::Csv(Box::new(batches)), examiner }
    }

    pub fn examiner(&self) -> Examiner {
        self.examiner
    }

    /// What is read.
    pub fn source(&self) -> &Source {
        match &self.texts {
            Texts::Json(frames) => frames.source(),
            Texts::Csv(batches) => batches.source(),
        }
    }

    /// How far the file was read.
    pub fn place(&self) -> Place {
        match &self.texts {
            Texts::Json(frames) => frames.place(),
            Texts::Csv(batches) => batches.place(),
        }
    }

    /// Goes on from a place that a [`Reading`] of the same file told.
    pub fn skip_to(&mut self, place: Place) -> io::Result<()> {
        match &mut self.texts {
            Texts::Json(frames) => frames.skip_to(place),
            Texts::Csv(batches) => batches.skip_to(place),
        }
    }
}

impl Iterator for Batches {
    type Item = io::Result<Reading>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.texts {
            Texts::Csv(batches) => batches.next(&self.examiner),
            Texts::Json(frames) => {
                let frame = match frames.next()? {
                    Ok(Frame::Broken { words, .. }) => Err(io::Error::new(io::ErrorKind::InvalidData, words)),
                    frame => frame,
                };
                Some(frame.map(|frame| {
                    let examined = self.examiner.examine(frame);
                    // Where a list is broken, its next element may be no element at all.
                    let is_certain = examined.value.is_some() || !frames.is_list();
                    Reading { events: examined.events(), examined, next: is_certain.then(|| frames.place()) }
                }))
            }
        }
    }
}
