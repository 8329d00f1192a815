//! The application of a user, and the attribution of its install.

use super::Text;
use crate::generated::types::{ApplicationInfo, AttributionInfo};

impl ApplicationInfo {
    /// Sets an attribute from Apple Search Ads, under the version of its format.
    #[must_use]
    pub fn apple_search_ads_attribute(
        mut self,
        version: impl Into<String>,
        name: impl Into<String>,
        value: impl Into<Text>,
    ) -> Self {
        self.apple_search_ads_attributes.entry(version.into()).or_default().insert(name.into(), value.into().into());
        self
    }
}

impl AttributionInfo {
    /// Attributes an install to a provider, publisher and campaign, all of which the service requires.
    #[must_use]
    pub fn new(service_provider: impl Into<String>, publisher: impl Into<String>, campaign: impl Into<String>) -> Self {
        Self::with_required(service_provider, publisher, campaign)
    }
}
