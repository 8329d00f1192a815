//! The batches of a file one after the other, each examined.

use std::io;

use super::examine::{Examined, Examiner};
use super::frames::Frames;
use super::place::Place;
use super::source::Source;

/// A batch, and from where to read on after it.
pub struct Reading {
    pub examined: Examined,
    pub next: Place,
}

/// The batches of a file, in its order.
pub struct Batches {
    frames: Frames<Source>,
    examiner: Examiner,
}

impl Batches {
    pub fn new(frames: Frames<Source>, examiner: Examiner) -> Self {
        Self { frames, examiner }
    }

    pub fn examiner(&self) -> Examiner {
        self.examiner
    }

    /// How far the file was read.
    pub fn place(&self) -> Place {
        self.frames.place()
    }
}

impl Iterator for Batches {
    type Item = io::Result<Reading>;

    fn next(&mut self) -> Option<Self::Item> {
        let frame = self.frames.next()?;
        let examined = frame.map(|frame| self.examiner.examine(frame));
        Some(examined.map(|examined| Reading { examined, next: self.frames.place() }))
    }
}
