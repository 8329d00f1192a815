//! Screen views.

use super::flags;
use crate::generated::types::ScreenView;

impl ScreenView {
    /// A screen or page of this name was seen; a workspace takes 1000 distinct names.
    #[must_use]
    pub fn new(screen_name: impl Into<String>) -> Self {
        Self::with_required(screen_name)
    }
}

flags!(ScreenView);
