//! Custom events, with a name of your own, and the attribution events that are custom events.

use super::flags;
use crate::generated::types::{CustomEvent, CustomEventType};

impl CustomEvent {
    /// Creates an event with a name of your own. The service truncates names of more than 256 characters, and a workspace takes
    /// 1,000 distinct names.
    ///
    /// ```
    /// use mparticle::{CustomEvent, CustomEventType};
    ///
    /// let event = CustomEvent::new("Added Note", CustomEventType::UserContent)
    ///     .timestamp(chrono::Utc::now())
    ///     .attribute("length", 512)
    ///     .attribute("pinned", true)
    ///     .flag("Google.Category", "notes");
    /// ```
    #[must_use]
    pub fn new(event_name: impl Into<String>, custom_event_type: CustomEventType) -> Self {
        Self::with_required(event_name, custom_event_type)
    }

    /// Attributes an install to a publisher and a campaign, both of which the service requires.
    #[must_use]
    pub fn install_attribution(publisher: impl Into<String>, campaign: impl Into<String>) -> Self {
        Self::new("attribution", CustomEventType::Attribution)
            .attribute("publisher", publisher.into())
            .attribute("campaign", campaign.into())
    }

    /// Creates the event of a former user who came back through a campaign.
    #[must_use]
    pub fn re_engagement() -> Self {
        Self::new("re-engagement", CustomEventType::Attribution)
    }

    /// Creates the event of an engagement that a campaign led to, with a name of your own.
    #[must_use]
    pub fn engagement(event_name: impl Into<String>) -> Self {
        Self::new(event_name, CustomEventType::Attribution)
    }
}

flags!(CustomEvent);
