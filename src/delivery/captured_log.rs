//! Captures what a default subscriber prints, for tests: events of level INFO and above.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::dispatcher::DefaultGuard;
use tracing::{Dispatch, Level};

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("the buffer").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines that are logged on this thread while it exists.
pub(crate) struct CapturedLog {
    buffer: Buffer,
    _guard: DefaultGuard,
    /// While there is only one subscriber, `tracing` decides for all threads by the first one that reaches an event. That may be
    /// the thread of another test, which has no subscriber.
    _second: Dispatch,
}

impl CapturedLog {
    /// Captures what a default subscriber prints.
    pub(crate) fn start() -> Self {
        Self::start_at(Level::INFO)
    }

    /// Captures what a subscriber of this level prints.
    pub(crate) fn start_at(level: Level) -> Self {
        let subscriber = |buffer: Buffer| {
            let subscriber = tracing_subscriber::fmt().without_time().with_ansi(false).with_max_level(level);
            Dispatch::new(subscriber.with_writer(move || buffer.clone()).finish())
        };
        let buffer = Buffer::default();
        let second = subscriber(Buffer::default());
        let guard = tracing::dispatcher::set_default(&subscriber(buffer.clone()));
        Self { buffer, _guard: guard, _second: second }
    }

    /// Returns the lines so far, without the spans that they are in, and forgets them.
    pub(crate) fn take(&self) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut *self.buffer.0.lock().expect("the buffer"))).expect("a text");
        let without_spans = |line: &str| {
            let (level, rest) = line.trim_start().split_once(' ').expect("a level");
            let rest = rest.rsplit_once("}: ").map_or(rest, |(_, rest)| rest);
            format!("{level} {rest}")
        };
        text.lines().map(without_spans).collect()
    }
}
