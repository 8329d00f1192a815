//! The lifecycle of an application: installed, upgraded, shown, hidden, left, removed.

use crate::generated::types::{AppState, AppTransition, FirstRun, Uninstall};

impl AppState {
    /// Creates the event of the first run after an install.
    #[must_use]
    pub fn install() -> Self {
        Self { is_first_run: Some(true), is_upgrade: Some(false), ..Self::new(AppTransition::ApplicationInitialized) }
    }

    /// Creates the event of the first run of a new version.
    #[must_use]
    pub fn upgrade() -> Self {
        Self { is_first_run: Some(false), is_upgrade: Some(true), ..Self::new(AppTransition::ApplicationInitialized) }
    }

    /// Creates the event of an application that came to the foreground.
    #[must_use]
    pub fn foreground() -> Self {
        Self::new(AppTransition::ApplicationForeground)
    }

    /// Creates the event of an application that went to the background.
    #[must_use]
    pub fn background() -> Self {
        Self::new(AppTransition::ApplicationBackground)
    }

    /// Creates the event of an application that was exited.
    #[must_use]
    pub fn exit() -> Self {
        Self::new(AppTransition::ApplicationExit)
    }

    /// Creates the event of a transition whose type is known only at run time. For an initialization prefer
    /// [`install`](Self::install) and [`upgrade`](Self::upgrade), which also set its kind.
    #[must_use]
    pub fn new(application_transition_type: AppTransition) -> Self {
        Self::with_required(application_transition_type)
    }
}

impl FirstRun {
    /// Creates the event of an application that ran for the first time.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "an event is made on purpose")]
    pub fn new() -> Self {
        Self::with_required()
    }
}

impl Uninstall {
    /// Creates the event of an application that was removed.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "an event is made on purpose")]
    pub fn new() -> Self {
        Self::with_required()
    }
}
