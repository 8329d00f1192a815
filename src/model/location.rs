//! Where something happened.

use super::setters;
use crate::generated::types::{Location, LocationSource};

impl Location {
    /// A place, in degrees north and east.
    #[must_use]
    pub fn new(latitude: f64, longitude: f64) -> Self {
        Self {
            latitude,
            longitude,
            accuracy: None,
            city_name: None,
            country_code: None,
            dma_code: None,
            location_source: None,
            postal_code: None,
            region_code: None,
        }
    }
}

setters!(Location {
    /// How exact the place is, in metres.
    accuracy: f64,
    /// The country, as two capital letters (ISO 3166-1 alpha-2).
    country_code: String,
    /// The region within the country.
    region_code: String,
    /// The city.
    city_name: String,
    /// The postal code.
    postal_code: String,
    /// The designated market area.
    dma_code: i32,
    /// How the place became known.
    location_source: LocationSource,
});
