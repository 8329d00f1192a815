//! The checks of a [`Batch`].

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::diagnostic::Diagnostic;
use super::{known_fields, rules};
use crate::generated::types::Batch;
use crate::pointer::JsonPointer;

impl Batch {
    /// Reports everything in this batch that the service would accept and then truncate, drop or ignore: exceeded limits, times
    /// that look like seconds or microseconds or are in the future, fields that the service sets, NUL characters, placeholders
    /// instead of identities, white space around identities, and a missing identity. All diagnostics are
    /// [warnings](super::Severity::Warning).
    ///
    /// The check serializes the batch, and so costs more than sealing. Use it for tests, tools and untrusted data.
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
        self.diagnose(|batch| rules::check(batch, Utc::now(), &known_fields::OF_DOCUMENT))
    }

    /// Checks the batch like [`check`](Self::check), and also reports the reasons for which the service would ignore it if it were
    /// sent as historical at the time `now`.
    #[must_use]
    pub fn check_historical(&self, now: impl Into<DateTime<Utc>>) -> Vec<Diagnostic> {
        let now = now.into();
        self.diagnose(|batch| {
            let mut found = rules::check(batch, now, &known_fields::OF_DOCUMENT);
            found.extend(rules::check_historical(batch, now));
            found
        })
    }

    fn diagnose(&self, run: impl Fn(&Value) -> Vec<Diagnostic>) -> Vec<Diagnostic> {
        // Sealing reports a batch that cannot be serialized. Its other fields are checked nevertheless.
        let sealed = self.clone().seal_with(Uuid::nil);
        let json = match &sealed {
            Ok(sealed) => serde_json::from_slice(sealed.json()),
            Err(_) => serde_json::to_value(self),
        }
        .unwrap_or_default();
        let size = sealed.ok().and_then(|sealed| rules::BATCH_BYTES.check(&JsonPointer::Root(""), sealed.len()));
        size.into_iter().chain(run(&json)).collect()
    }
}
