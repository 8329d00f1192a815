//! Where something happened.

use crate::generated::types::Location;

impl Location {
    /// A place, in degrees north and east.
    #[must_use]
    pub fn new(latitude: f64, longitude: f64) -> Self {
        Self::with_required(latitude, longitude)
    }
}
