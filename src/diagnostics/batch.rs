//! The rules applied to a [`Batch`].

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::finding::{Finding, Rule};
use super::rules;
use crate::generated::types::Batch;
use crate::limits::MAX_BATCH_BYTES;

impl Batch {
    /// Everything about this batch that the service would take in silence and not treat as hoped: every documented limit
    /// that it breaks, names that would be truncated, times that look like seconds or microseconds or are ahead of today, no
    /// identity. Empty if all is well.
    ///
    /// It writes the batch as JSON to look at it, so it costs more than sealing: for tests, tools and doubtful data.
    ///
    /// ```
    /// use mparticle::diagnostics::Rule;
    /// use mparticle::{Batch, CustomEvent, CustomEventType, Environment};
    ///
    /// let batch = Batch::new(Environment::Development).event(CustomEvent::new("x".repeat(300), CustomEventType::Other));
    /// let findings = batch.check();
    /// assert_eq!(findings[0].rule, Rule::NoIdentity);
    /// assert_eq!(
    ///     findings[1].to_string(),
    ///     "/events/0/data/event_name: 300 characters in the name of an event, at most 256; the service truncates it"
    /// );
    /// ```
    #[must_use]
    pub fn check(&self) -> Vec<Finding> {
        self.looked_at(|batch| rules::findings(batch, Utc::now()))
    }

    /// As [`check`](Self::check), and what makes the service ignore a batch that is sent as historical at this time.
    #[must_use]
    pub fn check_historical(&self, now: DateTime<Utc>) -> Vec<Finding> {
        self.looked_at(|batch| {
            let mut findings = rules::findings(batch, now);
            findings.extend(rules::historical(batch, now));
            findings
        })
    }

    fn looked_at(&self, look: impl Fn(&Value) -> Vec<Finding>) -> Vec<Finding> {
        // A batch that has no JSON form is refused by sealing, with its place; here the rest of it is still looked at.
        let sealed = self.clone().seal_with(Uuid::nil);
        let json = match &sealed {
            Ok(sealed) => serde_json::from_slice(sealed.json()),
            Err(_) => serde_json::to_value(self),
        }
        .unwrap_or_default();
        let mut findings = Vec::new();
        if let Some(actual) = sealed.ok().map(|sealed| sealed.len()).filter(|size| *size > MAX_BATCH_BYTES) {
            let (limit, actual) = (Some(MAX_BATCH_BYTES), Some(actual));
            findings.push(Finding { pointer: String::new(), rule: Rule::BatchBytes, limit, actual });
        }
        findings.extend(look(&json));
        findings
    }
}
