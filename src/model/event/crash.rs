//! Crash reports, and the breadcrumbs before them.

use crate::generated::types::{Breadcrumb, BreadcrumbEvent, BreadcrumbEventType, CrashReport};

impl CrashReport {
    /// Creates the event of a crash with this severity and message.
    #[must_use]
    pub fn new(severity: impl Into<String>, message: impl Into<String>) -> Self {
        Self::with_required(severity, message)
    }

    /// Adds a breadcrumb that was left before the crash.
    #[must_use]
    pub fn breadcrumb(mut self, breadcrumb: Breadcrumb) -> Self {
        self.breadcrumbs.push(breadcrumb.into());
        self
    }
}

impl Breadcrumb {
    /// Creates a breadcrumb: a step of the user, which helps to understand a later crash.
    #[must_use]
    pub fn new(label: impl Into<String>) -> Self {
        Self::with_required(label)
    }
}

impl From<Breadcrumb> for BreadcrumbEvent {
    fn from(data: Breadcrumb) -> Self {
        Self::with_required(BreadcrumbEventType::Breadcrumb, data)
    }
}
