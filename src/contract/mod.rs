//! Validates request bodies against the OpenAPI document that this crate was built from, independently of this crate's types.
//!
//! Bodies are validated against the strict view of the document, in which every object is closed; see [`strict_document`]. Each
//! event is validated separately, with the schema of its `event_type`. Null counts as absent at declared properties, as it does
//! for the service. Data that violates the document is an [error](Severity::Error); data that the service accepts and then
//! silently truncates, drops or ignores is a [warning](Severity::Warning).
//!
//! The document is `openapi/events.yaml`, or [a custom one](IS_CUSTOM_DOCUMENT); [`DOCUMENT`] and [`DOCUMENT_YAML`] contain it.
//!
//! ```
//! use mparticle::contract::check_batch;
//! use mparticle::diagnostics::Severity;
//! use serde_json::json;
//!
//! let body = json!({
//!     "environment": "development",
//!     "user_identities": { "customerid": "1" },
//!     "events": [{ "event_type": "opt_out", "data": { "is_opted_out": "yes" } }],
//! });
//! let diagnostics = check_batch(&body);
//! let errors: Vec<_> = diagnostics.iter().filter(|d| d.severity == Severity::Error).map(ToString::to_string).collect();
//! assert_eq!(
//!     errors,
//!     [
//!         r#"/user_identities/customerid: unknown field, did you mean "customer_id"?"#,
//!         r#"/events/0/data/is_opted_out: expected true or false, found "yes" (event 0, opt_out)"#,
//!     ]
//! );
//! ```

mod bounded;
mod complexity;
mod describe;
mod diagnose;
#[path = "../../build/fields.rs"]
mod fields;
mod misplaced;
mod number;
mod operation;
mod payload;
mod reference;
mod schemas;
mod strict;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::diagnostics::known_fields::KnownFields;
use crate::diagnostics::{Code, Diagnostic, Severity, rules};
use crate::endpoint::Endpoint;
use bounded::BoundedDiagnostics;
pub use bounded::MAX_DIAGNOSTICS;
use diagnose::CompiledSchema;
use misplaced::FieldOwners;
pub(crate) use operation::{Operation, Operations};
use reference::resolve;
use schemas::BatchSchemas;
pub use strict::{DOCUMENT, DOCUMENT_YAML, IS_CUSTOM_DOCUMENT};

/// Returns the strict view of the document as JSON: each payload as one closed object, exactly one kind of commerce event, and
/// explicit integer ranges. It is an OpenAPI document too, for tools that serve a document or generate requests from one.
#[must_use]
pub fn strict_document() -> String {
    strict::STRICT.to_string()
}

/// Checks the body of `/events` and returns its errors and warnings, at most [`MAX_DIAGNOSTICS`] of them.
#[must_use]
pub fn check_batch(body: &Value) -> Vec<Diagnostic> {
    CONTRACT.check_one(body, None)
}

/// Checks the body of `/bulkevents` and returns its errors and warnings, at most [`MAX_DIAGNOSTICS`] of them.
#[must_use]
pub fn check_batches(body: &Value) -> Vec<Diagnostic> {
    CONTRACT.check_batches(body, None)
}

/// Checks the body of `/bulkevents/historical`, sent at the time `now`, like [`check_batches`]. Also warns about batches that the
/// service would silently not process: those without events, and those with an event that has no timestamp or is younger than 72
/// hours.
#[must_use]
pub fn check_historical(body: &Value, now: DateTime<Utc>) -> Vec<Diagnostic> {
    CONTRACT.check_batches(body, Some(now))
}

/// Checks one batch of a historical body, like [`check_batch`] with the warnings of [`check_historical`].
#[must_use]
pub fn check_historical_batch(body: &Value, now: DateTime<Utc>) -> Vec<Diagnostic> {
    CONTRACT.check_one(body, Some(now))
}

/// The schema of one component of the published document, including its formats and limits.
///
/// For whole bodies [`check_batch`] and [`check_batches`] are stricter.
#[derive(Debug)]
pub struct ComponentSchema(CompiledSchema);

impl ComponentSchema {
    /// Returns the schema of the component with this name, such as `Product`, or `None` if there is none.
    #[must_use]
    pub fn get(name: &str) -> Option<Self> {
        let component = strict::PUBLISHED["components"]["schemas"].get(name)?;
        Some(Self(CompiledSchema::new(reference::inline(&strict::PUBLISHED, component))))
    }

    /// Checks a value and returns its errors.
    #[must_use]
    pub fn check(&self, value: &Value) -> Vec<Diagnostic> {
        self.0.check(value)
    }
}

static CONTRACT: LazyLock<Contract> = LazyLock::new(|| Contract::new(&strict::PUBLISHED, &strict::STRICT));

static OPERATIONS: LazyLock<Arc<Operations>> =
    LazyLock::new(|| Operations::new(&strict::PUBLISHED, &strict::STRICT).into());

/// Returns the operations of another document.
#[cfg(test)]
pub(crate) fn operations_of(document: &Value) -> Operations {
    Operations::new(document, &strict::strict_view(document))
}

/// Returns the operations of the document except the delivery endpoints.
pub(crate) fn operations() -> Arc<Operations> {
    Arc::clone(&OPERATIONS)
}

/// Returns the field that holds the name of an event, by event type.
pub(crate) fn event_names() -> &'static BTreeMap<String, String> {
    static NAMES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| payload::name_fields(&strict::STRICT));
    &NAMES
}

struct Contract {
    /// A batch with unchecked payloads.
    batch: CompiledSchema,
    /// The payload of each event type.
    payloads: BTreeMap<String, CompiledSchema>,
    batches_per_request: usize,
    known_fields: KnownFields,
    owners: FieldOwners,
}

impl Contract {
    fn new(published: &Value, strict: &Value) -> Self {
        let parts = BatchSchemas::new(strict);
        let bulk = &published["paths"][Endpoint::BulkEvents.path()]["post"]["requestBody"];
        let bulk = resolve(published, &resolve(published, bulk)["content"]["application/json"]["schema"]);
        Self {
            known_fields: KnownFields::new(
                fields::times(published),
                fields::read_only(published).iter().map(|(name, paths)| (name.as_str(), paths.as_slice())),
            ),
            owners: FieldOwners::new(strict, &parts),
            batch: CompiledSchema::new(parts.batch),
            payloads: parts.payloads.into_iter().map(|(name, schema)| (name, CompiledSchema::new(schema))).collect(),
            batches_per_request: bulk["maxItems"].as_u64().and_then(|n| n.try_into().ok()).unwrap_or(usize::MAX),
        }
    }

    fn check_one(&self, batch: &Value, historical: Option<DateTime<Utc>>) -> Vec<Diagnostic> {
        let mut found = BoundedDiagnostics::default();
        self.check_batch(batch, "", historical, &mut found);
        found.into_diagnostics()
    }

    fn check_batches(&self, body: &Value, historical: Option<DateTime<Utc>>) -> Vec<Diagnostic> {
        let mut found = BoundedDiagnostics::default();
        let Some(batches) = body.as_array() else {
            return vec![Diagnostic::mismatch(Code::Type, "", "a list of batches", describe::describe_value(body))];
        };
        let (count, limit) = (batches.len(), self.batches_per_request);
        if count > limit {
            let expected = format!("at most {limit} batches");
            found.extend("", None, [Diagnostic::mismatch(Code::Limit, "", expected, count.to_string())]);
        }
        for (index, batch) in batches.iter().enumerate() {
            self.check_batch(batch, &format!("/{index}"), historical, &mut found);
        }
        found.into_diagnostics()
    }

    fn check_batch(&self, batch: &Value, at: &str, historical: Option<DateTime<Utc>>, found: &mut BoundedDiagnostics) {
        if !complexity::is_bounded(batch) {
            found.extend(at, None, [Diagnostic::new(Code::Limit, "", complexity::TOO_COMPLEX)]);
            return;
        }
        let events = || batch["events"].as_array().into_iter().flatten().enumerate();
        let mut of_batch = self.batch.check(batch);
        if !of_batch.is_empty() {
            tolerate_schema_version(&mut of_batch);
            self.owners.explain_unknown(batch, &mut of_batch);
            self.owners.explain_attributes(batch, &mut of_batch);
        }
        found.extend(at, Some(batch), of_batch);
        for (index, event) in events() {
            // The schema of the batch reports unknown types and payloads that are not objects.
            let payload = event["event_type"].as_str().and_then(|name| self.payloads.get(name));
            if let (Some(payload), Some(data @ Value::Object(_))) = (payload, event.get("data")) {
                let mut of_data = payload.check(data);
                if !of_data.is_empty() {
                    for diagnostic in &mut of_data {
                        diagnostic.pointer.insert_str(0, &format!("/events/{index}/data"));
                    }
                    self.owners.explain_unknown(batch, &mut of_data);
                    self.owners.explain_attributes(batch, &mut of_data);
                    found.extend(at, Some(batch), of_data);
                }
            }
        }
        if batch.is_object() {
            let now = historical.unwrap_or_else(Utc::now);
            found.extend(at, Some(batch), rules::check(batch, now, &self.known_fields));
            if historical.is_some() {
                found.extend(at, Some(batch), rules::check_historical(batch, now));
            }
        }
    }
}

/// Turns the error for `schema_version` into a warning: the service's own samples contain it, although its schema does not.
fn tolerate_schema_version(diagnostics: &mut [Diagnostic]) {
    for diagnostic in diagnostics {
        if diagnostic.pointer == "/schema_version" && diagnostic.code == Code::UnknownField {
            diagnostic.severity = Severity::Warning;
            diagnostic.message = "set by the service in its output, and not part of a batch to send".into();
            diagnostic.suggestion = None;
        }
    }
}
