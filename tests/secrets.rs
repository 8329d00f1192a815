//! No log, span, metric, error or `Debug` form contains a secret or user data, at any log level, including those of dependencies.

mod support;

use std::error::Error;
use std::time::Duration;

use base64::Engine;
use mparticle::mock::MockServer;
use mparticle::{Batch, Client, Credentials, CustomEvent, CustomEventType, Environment, RetryPolicy, Uploader};
use support::log::Log;
use support::peer::Peer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

const KEY: &str = "us1-key-5f2e";
const SECRET: &str = "s3cr3t-9c41";
const EMAIL: &str = "mira@shop.example";

fn batch() -> Batch {
    Batch::new(Environment::Development).email(EMAIL).event(CustomEvent::new(EMAIL, CustomEventType::Other))
}

/// Records the names, labels and descriptions of the metrics.
#[cfg(feature = "metrics")]
mod recorder {
    use std::io::Write;

    use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

    use super::Log;

    /// Writes them to a log.
    pub(crate) struct Names(pub(crate) Log);

    impl Names {
        fn add(&self, text: &str) {
            self.0.clone().write_all(text.as_bytes()).expect("the log");
        }
    }

    impl Recorder for Names {
        fn describe_counter(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
            self.add(&format!("{} {text}\n", name.as_str()));
        }

        fn describe_gauge(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
            self.add(&format!("{} {text}\n", name.as_str()));
        }

        fn describe_histogram(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
            self.add(&format!("{} {text}\n", name.as_str()));
        }

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            self.add(&format!("{key}\n"));
            Counter::noop()
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            self.add(&format!("{key}\n"));
            Gauge::noop()
        }

        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            self.add(&format!("{key}\n"));
            Histogram::noop()
        }
    }
}

fn texts_of(error: &dyn Error) -> String {
    let mut texts = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(inner) = source {
        texts += &format!("{inner} {inner:?}");
        source = inner.source();
    }
    texts
}

#[test]
fn logs_errors_and_debug_forms_contain_no_secrets_or_user_data() {
    let log = Log::default();
    let writer = log.clone();
    // Includes the messages of hyper, reqwest and rustls through `log`, and every field of every span when it ends.
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let metrics = Log::default();
    #[cfg(feature = "metrics")]
    metrics::set_global_recorder(recorder::Names(metrics.clone())).expect("the only recorder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut texts = String::new();

    let server = MockServer::builder().credentials(KEY, SECRET).start_blocking();
    let echo = format!("HTTP/1.1 400 {EMAIL}\r\nx-echo: {SECRET}\r\ncontent-length: 0\r\n\r\n");
    let echoing = Peer::with_response(echo);
    let garbage = Peer::with_response(format!("{SECRET} {EMAIL}\r\n\r\n"));
    let closed = "http://127.0.0.1:1".to_owned();
    for url in [server.url(), echoing.url(), garbage.url(), closed] {
        for (key, secret) in [(KEY, SECRET), (SECRET, KEY)] {
            // Two attempts, so that the log contains a retry.
            let retry = RetryPolicy::new().max_attempts(2).initial_backoff(Duration::from_millis(1));
            let builder = Client::builder(Credentials::new(key, secret)).base_url(&url).retry_policy(retry);
            texts += &format!("{builder:?} {:?}", Credentials::new(key, secret));
            let client = builder.build().expect("a client");
            let raw = client.raw().expect("the raw client");
            texts += &format!("{client:?} {raw:?}");
            let one = runtime.block_on(client.upload(batch())).map(|accepted| format!("{accepted:?}"));
            let many = runtime.block_on(client.upload_bulk([batch()])).map(|report| format!("{report:?}"));
            let background = Uploader::builder(client.clone()).linger(Duration::ZERO).start().expect("an uploader");
            background.try_send(batch()).expect("room");
            texts += &format!("{:?}", background.shutdown(Duration::from_millis(200)).wait());
            let uploader = Uploader::builder(client.clone()).max_bytes(1).start().expect("an uploader");
            texts += &texts_of(&uploader.try_send(batch()).expect_err("too large"));
            texts += &texts_of(&uploader.try_send(batch().user_attribute("a", f64::NAN)).expect_err("NaN"));
            texts.extend([one, many].map(|result| result.unwrap_or_else(|error| texts_of(&error))));
            let _ = runtime.block_on(raw.upload_events(&batch()));
        }
    }
    texts += &format!("{server:?} {:?}", server.requests());
    let url = format!("https://{KEY}:{SECRET}@example.com");
    texts += &texts_of(
        &Client::builder(Credentials::new("k", "s")).base_url(url).build().expect_err("the URL contains credentials"),
    );
    texts += &texts_of(
        &Client::builder(Credentials::new(format!("{KEY}:"), SECRET)).build().expect_err("the key contains a colon"),
    );
    texts += &texts_of(&batch().user_attribute("a", f64::NAN).seal().expect_err("NaN"));

    let (log, metrics) = (log.text(), metrics.text());
    for part in [
        "mparticle.request",
        "mparticle.upload_bulk",
        "mparticle.deliver",
        "http.response.status_code=202",
        "http.response.status_code=403",
        "http.request.resend_count=1",
        "http.request.body.size=",
        "url.full=\"http://127.0.0.1",
        "error.type=\"connect\"",
        "duration_ms=",
        "retrying the request",
        "the service is unavailable",
        "a batch was rejected",
    ] {
        assert!(log.contains(part), "{part} is not in the log");
    }
    #[cfg(feature = "metrics")]
    for part in ["mparticle_rate_limited_total", "http.client.request.duration", "error.type = connect"] {
        assert!(metrics.contains(part), "{part} is not in the metrics");
    }
    let encoded = |pair: String| base64::prelude::BASE64_STANDARD.encode(pair);
    let private = [
        KEY.to_owned(),
        SECRET.to_owned(),
        EMAIL.to_owned(),
        encoded(format!("{KEY}:{SECRET}")),
        encoded(format!("{SECRET}:{KEY}")),
    ];
    for private in private {
        for (place, text) in [("the log", &log), ("the metrics", &metrics), ("an error or a Debug form", &texts)] {
            let at = text.find(&private);
            assert!(at.is_none(), "{private} is in {place}: {}", &text[at.unwrap_or(0).saturating_sub(200)..][..300]);
        }
    }
}
