//! The checks of a [`Batch`].

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::diagnostic::Diagnostic;
use super::rules;
use crate::generated::types::Batch;
use crate::pointer::Place;

impl Batch {
    /// Reports everything in this batch that the service would accept and then truncate, drop or ignore: every documented
    /// limit that it exceeds, times that look like seconds or microseconds or are in the future, no identity. All of
    /// these are [warnings](super::Severity::Warning). Empty if there is nothing to report.
    ///
    /// It writes the batch as JSON to examine it, so it costs more than sealing: it is for tests, tools and doubtful data.
    ///
    /// ```
    /// use mparticle::diagnostics::Code;
    /// use mparticle::{Batch, CustomEvent, CustomEventType, Environment};
    ///
    /// let batch = Batch::new(Environment::Development).event(CustomEvent::new("x".repeat(300), CustomEventType::Other));
    /// let diagnostics = batch.check();
    /// assert_eq!(diagnostics[0].code, Code::NoIdentity);
    /// assert_eq!(
    ///     diagnostics[1].to_string(),
    ///     "/events/0/data/event_name: 300 characters in the name of an event, at most 256; the service truncates it"
    /// );
    /// ```
    #[must_use]
    pub fn check(&self) -> Vec<Diagnostic> {
        self.diagnose(|batch| rules::check(batch, Utc::now()))
    }

    /// Does the same as [`check`](Self::check), and reports what makes the service ignore a batch that is sent as
    /// historical at this time.
    #[must_use]
    pub fn check_historical(&self, now: DateTime<Utc>) -> Vec<Diagnostic> {
        self.diagnose(|batch| {
            let mut found = rules::check(batch, now);
            found.extend(rules::check_historical(batch, now));
            found
        })
    }

    fn diagnose(&self, run: impl Fn(&Value) -> Vec<Diagnostic>) -> Vec<Diagnostic> {
        // A batch that has no JSON form is refused by sealing, which names the field; the rest of it is examined all the
        // same.
        let sealed = self.clone().seal_with(Uuid::nil);
        let json = match &sealed {
            Ok(sealed) => serde_json::from_slice(sealed.json()),
            Err(_) => serde_json::to_value(self),
        }
        .unwrap_or_default();
        let size = sealed.ok().and_then(|sealed| rules::BATCH_BYTES.check(&Place::Root(""), sealed.len()));
        size.into_iter().chain(run(&json)).collect()
    }
}
