//! Crash reports, and the breadcrumbs that lead up to them.

use crate::generated::types::{Breadcrumb, BreadcrumbEvent, BreadcrumbEventType, CrashReport};

impl CrashReport {
    /// The application crashed: how bad it is, and what went wrong.
    #[must_use]
    pub fn new(severity: impl Into<String>, message: impl Into<String>) -> Self {
        Self::with_required(severity, message)
    }

    /// Adds a step of the user's way up to the crash.
    #[must_use]
    pub fn breadcrumb(mut self, breadcrumb: Breadcrumb) -> Self {
        self.breadcrumbs.push(breadcrumb.into());
        self
    }
}

impl Breadcrumb {
    /// A mark on the way of a user.
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
