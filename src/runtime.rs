//! The Tokio runtime of a background thread.

use std::io;

use tokio::runtime::{Builder, EnterGuard, Runtime};

/// A runtime of one thread that can be dropped anywhere. Dropping a [`Runtime`] within another one panics, and otherwise waits for
/// blocking tasks, such as the name lookup of an aborted request.
pub(crate) struct BackgroundRuntime(Option<Runtime>);

impl BackgroundRuntime {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Some(Builder::new_current_thread().enable_all().build()?)))
    }

    /// Makes this the current runtime until the guard is dropped.
    pub(crate) fn enter(&self) -> Option<EnterGuard<'_>> {
        self.0.as_ref().map(Runtime::enter)
    }

    /// Runs the future on this thread, and ends the runtime.
    pub(crate) fn run(self, future: impl Future<Output = ()>) {
        if let Some(runtime) = &self.0 {
            runtime.block_on(future);
        }
    }
}

impl Drop for BackgroundRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
