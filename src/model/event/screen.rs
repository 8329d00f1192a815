//! Screen views.

use super::flags;
use crate::generated::types::ScreenView;

impl ScreenView {
    /// Creates the event of a view of the screen or page with this name. A workspace takes 1,000 distinct names.
    #[must_use]
    pub fn new(screen_name: impl Into<String>) -> Self {
        Self::with_required(screen_name)
    }
}

flags!(ScreenView);
