//! What an application does: it is installed, upgraded, shown, hidden, left, removed.

use super::common::payload;
use crate::generated::types::{AppState, AppTransition, CommonEventData, FirstRun, Uninstall};
use crate::model::setters;

impl AppState {
    /// The application ran for the first time after it was installed.
    #[must_use]
    pub fn install() -> Self {
        Self { is_first_run: Some(true), is_upgrade: Some(false), ..Self::new(AppTransition::ApplicationInitialized) }
    }

    /// The application ran for the first time in a new version.
    #[must_use]
    pub fn upgrade() -> Self {
        Self { is_first_run: Some(false), is_upgrade: Some(true), ..Self::new(AppTransition::ApplicationInitialized) }
    }

    /// The application came to the foreground.
    #[must_use]
    pub fn foreground() -> Self {
        Self::new(AppTransition::ApplicationForeground)
    }

    /// The application went to the background.
    #[must_use]
    pub fn background() -> Self {
        Self::new(AppTransition::ApplicationBackground)
    }

    /// The application was left.
    #[must_use]
    pub fn exit() -> Self {
        Self::new(AppTransition::ApplicationExit)
    }

    /// A transition with nothing more said of it. [`install`](Self::install) and [`upgrade`](Self::upgrade) say what an
    /// initialisation was.
    #[must_use]
    pub fn new(application_transition_type: AppTransition) -> Self {
        payload!(AppState {
            application_transition_type,
            is_first_run: None,
            is_upgrade: None,
            launch_referral: None,
            push_notification_payload: None,
            successfully_closed: None,
        })
    }
}

setters!(AppState {
    /// Whether the run before ended as it should.
    successfully_closed: bool,
    /// The push message that started the application, as JSON in text.
    push_notification_payload: String,
    /// What started the application.
    launch_referral: String,
});

impl FirstRun {
    /// The application ran for the first time.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "an event is made on purpose")]
    pub fn new() -> Self {
        Self(CommonEventData::default())
    }
}

impl Uninstall {
    /// The application was removed.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "an event is made on purpose")]
    pub fn new() -> Self {
        Self(CommonEventData::default())
    }
}
