//! A collector in memory for the spans, metrics and log lines of `mparticle`.

mod report;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use metrics_util::debugging::{DebuggingRecorder, Snapshotter};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

/// Receives everything that this process exports.
///
/// The metrics come from the recorder of metrics-util, and not through metrics-exporter-opentelemetry: that one forgets the
/// description and the unit of a metric once it is registered, so that its second use becomes another instrument of OpenTelemetry,
/// and each metric is exported twice.
pub struct Collector {
    provider: SdkTracerProvider,
    spans: InMemorySpanExporter,
    metrics: Snapshotter,
    log: Buffer,
}

impl Collector {
    /// Installs the subscriber and the recorder of this process.
    ///
    /// # Panics
    /// If the process has one already.
    #[must_use]
    pub fn install() -> Self {
        let spans = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
        // Only the attributes of the library, without those of its source code and threads.
        let exported = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("mparticle"))
            .with_location(false)
            .with_threads(false)
            .with_level(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        let log = Buffer::default();
        let writer = log.clone();
        let printed =
            tracing_subscriber::fmt::layer().without_time().with_ansi(false).with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(LevelFilter::INFO).with(exported).with(printed);
        tracing::subscriber::set_global_default(subscriber).expect("the only subscriber");

        let recorder = DebuggingRecorder::new();
        let metrics = recorder.snapshotter();
        recorder.install().expect("the only recorder");
        Self { provider, spans, metrics, log }
    }

    /// Returns everything that was exported as text: spans below their parents, metrics with their units, and log lines. The
    /// values that differ from run to run are replaced.
    ///
    /// # Panics
    /// If the exporter was shut down.
    #[must_use]
    pub fn report(self) -> String {
        self.provider.force_flush().expect("the exporter runs");
        let spans = self.spans.get_finished_spans().expect("the exporter runs");
        let log = String::from_utf8_lossy(&self.log.0.lock().expect("the log")).into_owned();
        format!(
            "# Spans\n\n{}\n# Metrics\n\n{}\n# Log at INFO\n\n{}",
            report::spans(spans),
            report::metrics(self.metrics.snapshot()),
            report::log(&log)
        )
    }
}

/// The lines that the subscriber prints.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("the log").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Compiles and runs the code blocks of the page about observability, which need crates that the library does not depend on.
#[cfg(doctest)]
#[doc = include_str!("../../../src/observability.md")]
struct Observability;
