//! One batch of a file, as it is read.

use super::examine::Examined;
use super::place::Place;

/// A batch of a file, or what stands where one should be.
pub struct Reading {
    pub examined: Examined,
    pub events: u64,
    /// From where to read on after it. `None` if only a later one tells: reading on in between would give other batches.
    pub next: Option<Place>,
}
