//! Custom events: something of your own, with a name that you choose; attribution is made of them.

use super::flags;
use crate::generated::types::{CustomEvent, CustomEventType};

impl CustomEvent {
    /// An event with a name of your own; the service truncates names of more than 256 characters, and a workspace takes
    /// 1000 distinct ones.
    ///
    /// ```
    /// use mparticle::{CustomEvent, CustomEventType};
    ///
    /// let event = CustomEvent::new("Added Note", CustomEventType::UserContent)
    ///     .at(chrono::Utc::now())
    ///     .attribute("length", 512)
    ///     .attribute("pinned", true)
    ///     .flag("Google.Category", "notes");
    /// ```
    #[must_use]
    pub fn new(event_name: impl Into<String>, custom_event_type: CustomEventType) -> Self {
        Self::with_required(event_name, custom_event_type)
    }

    /// An install is owed to this campaign of this publisher; the service needs both.
    #[must_use]
    pub fn install_attribution(publisher: impl Into<String>, campaign: impl Into<String>) -> Self {
        Self::new("attribution", CustomEventType::Attribution)
            .attribute("publisher", publisher.into())
            .attribute("campaign", campaign.into())
    }

    /// A user who had the application before came back through a campaign.
    #[must_use]
    pub fn re_engagement() -> Self {
        Self::new("re-engagement", CustomEventType::Attribution)
    }

    /// A user did something that a campaign led to, under a name of your own.
    #[must_use]
    pub fn engagement(event_name: impl Into<String>) -> Self {
        Self::new(event_name, CustomEventType::Attribution)
    }
}

flags!(CustomEvent);
