//! A request that came in, and what became of it.

use std::fmt;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::diagnostics::Diagnostic;

/// A request that came in, whatever was answered.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct ReceivedRequest {
    /// The number of the request, from 1.
    pub number: u64,
    /// When it was answered.
    pub time: DateTime<Utc>,
    /// The method, as `POST`.
    pub method: String,
    /// The path, as `/events`.
    pub path: String,
    /// The headers, with names in lower case, in the order in which they came. The credentials are left out.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte. Of a body of 262,144 bytes or more nothing is kept, nor of one that a fault left unread.
    pub body: Bytes,
    /// The status that was answered. `None` if a fault kept the answer back.
    pub status: Option<u16>,
    /// True if it was accepted. Then its batches were taken, all but those that are [`refused`](Self::refused). They can be while the client never hears of it: see
    /// [`Fault::lost_response`](super::Fault::lost_response).
    pub accepted: bool,
    /// The fault that it met, as text.
    pub fault: Option<String>,
    /// What is wrong with its body and what to be warned of; see [`contract`](crate::contract).
    pub violations: Vec<Diagnostic>,
    /// The indices of its batches whose `source_request_id` came before under the same key: accepted, and dropped.
    pub duplicates: Vec<usize>,
    /// The indices of its historical batches that the service would silently not process: accepted, and dropped.
    pub ignored: Vec<usize>,
    /// The indices of its batches that were refused while the others were accepted: a partial response named them; see
    /// [`partial_responses`](super::MockServerBuilder::partial_responses). Empty if the request was refused as a whole.
    pub refused: Vec<usize>,
    /// False if it is for an operation that takes no batches.
    pub(super) has_batches: bool,
}

impl ReceivedRequest {
    /// A header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// Its batches that were taken and kept: without refused ones, without duplicates, and without those that the service
    /// would not process.
    #[must_use]
    pub fn batches(&self) -> Vec<Value> {
        if !self.accepted {
            return Vec::new();
        }
        let kept = self.all_batches().into_iter().enumerate().filter(|(index, _)| self.is_stored(*index));
        kept.map(|(_, batch)| batch).collect()
    }

    /// Whether its batch of this index was taken and kept.
    pub(super) fn is_stored(&self, index: usize) -> bool {
        let lists = [&self.duplicates, &self.ignored, &self.refused];
        self.accepted && !lists.into_iter().any(|dropped| dropped.contains(&index))
    }

    /// Whatever its body holds, as far as it is JSON and batches are expected: the entries of a list, or the one value.
    pub(super) fn all_batches(&self) -> Vec<Value> {
        if !self.has_batches {
            return Vec::new();
        }
        serde_json::from_slice(&self.body).map(into_batches).unwrap_or_default()
    }

    /// All that is told of it but its headers and its body, of which it has the size in bytes.
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

    /// About how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        const FIXED: usize = 512;
        const FIXED_OF_A_PART: usize = 64;
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len() + FIXED_OF_A_PART);
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

/// The batches of a body: the entries of a list, or the one value.
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
