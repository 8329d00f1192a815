//! What an application does: it is installed, upgraded, shown, hidden, left, removed.

use crate::generated::types::{AppState, AppTransition, FirstRun, Uninstall};

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
        Self::with_required(application_transition_type)
    }
}

impl FirstRun {
    /// The application ran for the first time.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "an event is made on purpose")]
    pub fn new() -> Self {
        Self::with_required()
    }
}

impl Uninstall {
    /// The application was removed.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "an event is made on purpose")]
    pub fn new() -> Self {
        Self::with_required()
    }
}
