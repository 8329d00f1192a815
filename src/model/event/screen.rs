//! Screen views.

use std::collections::BTreeMap;

use super::common::payload;
use super::flags;
use crate::generated::types::ScreenView;
use crate::model::setters;

impl ScreenView {
    /// A screen or page of this name was seen; a workspace takes 1000 distinct names.
    #[must_use]
    pub fn new(screen_name: impl Into<String>) -> Self {
        payload!(ScreenView { screen_name: screen_name.into(), activity_type: None, custom_flags: BTreeMap::new() })
    }
}

setters!(ScreenView {
    /// The kind of activity that showed it.
    activity_type: String,
});

flags!(ScreenView);
