//! Crash reports, and the breadcrumbs that lead up to them.

use super::common::payload;
use crate::generated::types::{Breadcrumb, BreadcrumbEvent, BreadcrumbEventType, CrashReport};
use crate::model::setters;

impl CrashReport {
    /// The application crashed: how bad it is, and what went wrong.
    #[must_use]
    pub fn new(severity: impl Into<String>, message: impl Into<String>) -> Self {
        payload!(CrashReport {
            severity: severity.into(),
            message: message.into(),
            breadcrumbs: Vec::new(),
            class_name: None,
            exception_handled: None,
            ios_image_base_address: None,
            ios_image_size: None,
            pl_crash_report_file_base64: None,
            session_number: None,
            stack_trace: None,
            topmost_context: None,
        })
    }

    /// Adds a step of the user's way up to the crash.
    #[must_use]
    pub fn breadcrumb(mut self, breadcrumb: Breadcrumb) -> Self {
        self.breadcrumbs.push(breadcrumb.into());
        self
    }
}

setters!(CrashReport {
    /// The class of the exception.
    class_name: String,
    /// The stack at the time of the crash.
    stack_trace: String,
    /// Whether the application caught it and went on.
    exception_handled: bool,
    /// What was on top of the screen.
    topmost_context: String,
    /// A PLCrashReporter file, in Base64.
    pl_crash_report_file_base64: String,
    /// The base address of the iOS image.
    ios_image_base_address: u64,
    /// The size of the iOS image, in bytes.
    ios_image_size: u64,
    /// The number of the session.
    session_number: i32,
});

impl Breadcrumb {
    /// A mark on the way of a user.
    #[must_use]
    pub fn new(label: impl Into<String>) -> Self {
        payload!(Breadcrumb { label: label.into(), session_number: None })
    }
}

setters!(Breadcrumb {
    /// The number of the session.
    session_number: i32,
});

impl From<Breadcrumb> for BreadcrumbEvent {
    fn from(data: Breadcrumb) -> Self {
        Self { event_type: BreadcrumbEventType::Breadcrumb, data }
    }
}
