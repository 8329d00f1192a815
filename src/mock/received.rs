//! A received request and its result.

use std::fmt;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::diagnostics::Diagnostic;

/// A request that a mock received, whatever its response.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct ReceivedRequest {
    /// The number of the request, from 1.
    pub number: u64,
    /// The time of the response.
    pub time: DateTime<Utc>,
    /// The method, such as `POST`.
    pub method: String,
    /// The path, such as `/events`.
    pub path: String,
    /// The headers in the order in which they were received, with names in lower case and without the credentials.
    pub headers: Vec<(String, String)>,
    /// The exact bytes of the body. Empty for a body of 262,144 bytes or more, and for one that a fault left unread.
    pub body: Bytes,
    /// The status of the response. `None` if a fault withheld the response.
    pub status: Option<u16>,
    /// True if the request was accepted, with all its batches except the [`refused`](Self::refused) ones. The client may not know
    /// this; see [`Fault::lost_response`](super::Fault::lost_response).
    pub accepted: bool,
    /// The fault that was injected, as text.
    pub fault: Option<String>,
    /// The errors and warnings of the body; see [`contract`](crate::contract).
    pub violations: Vec<Diagnostic>,
    /// The indices of the batches that were accepted and dropped, because their `source_request_id` was received before with the
    /// same API key.
    pub duplicates: Vec<usize>,
    /// The indices of the historical batches that were accepted and dropped, because the service would silently not process them.
    pub ignored: Vec<usize>,
    /// The indices of the batches that were refused in a partial response, while the others were accepted; see
    /// [`partial_responses`](super::MockServerBuilder::partial_responses). Empty if the request was refused as a whole.
    pub refused: Vec<usize>,
    /// False if the operation of the request accepts no batches.
    pub(super) has_batches: bool,
}

impl ReceivedRequest {
    /// Returns the value of a header by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// Returns the stored batches of the request: neither refused, nor duplicates, nor ignored.
    #[must_use]
    pub fn batches(&self) -> Vec<Value> {
        if !self.accepted {
            return Vec::new();
        }
        let kept = self.all_batches().into_iter().enumerate().filter(|(index, _)| self.is_stored(*index));
        kept.map(|(_, batch)| batch).collect()
    }

    /// Returns whether the batch of this index was stored.
    pub(super) fn is_stored(&self, index: usize) -> bool {
        let lists = [&self.duplicates, &self.ignored, &self.refused];
        self.accepted && !lists.into_iter().any(|dropped| dropped.contains(&index))
    }

    /// Returns all batches of the body, valid or not: the entries of a list, or the one value. Empty if the body is not JSON or the
    /// operation accepts no batches.
    pub(super) fn all_batches(&self) -> Vec<Value> {
        if !self.has_batches {
            return Vec::new();
        }
        serde_json::from_slice(&self.body).map(into_batches).unwrap_or_default()
    }

    /// Returns the request as JSON, without its headers, and with the size of its body in place of the body.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "number": self.number,
            "time_ms": self.time.timestamp_millis(),
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "accepted": self.accepted,
            "bytes": self.body.len(),
            "fault": self.fault,
            "duplicates": self.duplicates,
            "ignored": self.ignored,
            "refused": self.refused,
            "violations": self.violations.iter().map(violation).collect::<Vec<_>>(),
        })
    }

    /// Returns the approximate size in memory, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        const FIXED: usize = 512;
        const PER_HEADER: usize = 64;
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len() + PER_HEADER);
        let violations = self.violations.iter().map(|violation| {
            let details = [&violation.expected, &violation.actual, &violation.suggestion].into_iter().flatten();
            size_of::<Diagnostic>()
                + violation.pointer.len()
                + violation.message.len()
                + details.map(String::len).sum::<usize>()
        });
        let indices: usize =
            [&self.duplicates, &self.ignored, &self.refused].into_iter().map(|list| size_of_val(&**list)).sum();
        FIXED + self.path.len() + self.body.len() + indices + headers.sum::<usize>() + violations.sum::<usize>()
    }
}

fn violation(violation: &Diagnostic) -> Value {
    json!({
        "severity": violation.severity.name(),
        "pointer": violation.pointer,
        "message": violation.message,
        "event_index": violation.event.as_ref().map(|event| event.index),
        "event_type": violation.event.as_ref().and_then(|event| event.event_type.as_ref()),
    })
}

/// Returns the batches of a body: the entries of a list, or the one value.
pub(super) fn into_batches(body: Value) -> Vec<Value> {
    match body {
        Value::Array(batches) => batches,
        batch => vec![batch],
    }
}

impl fmt::Debug for ReceivedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedRequest")
            .field("number", &self.number)
            .field("method", &self.method)
            .field("path", &self.path)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("status", &self.status)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}
