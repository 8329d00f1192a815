//! Locations.

use crate::generated::types::Location;

impl Location {
    /// Creates a location at this latitude (degrees north) and longitude (degrees east).
    #[must_use]
    pub fn new(latitude: f64, longitude: f64) -> Self {
        Self::with_required(latitude, longitude)
    }
}
