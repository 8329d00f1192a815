//! What came in so far: the newest requests, bounded, and counts of all.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::expect::{Expectation, RecordedRequest};
use super::received::ReceivedRequest;

/// At most this many ids of batches are remembered, to tell duplicates; then the oldest are forgotten.
const REMEMBERED_IDS: usize = 1_000_000;

/// How much has come in since the start, whatever is still kept of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MockStats {
    /// Requests of any kind.
    pub requests: u64,
    /// Requests that were not accepted.
    pub refused: u64,
    /// Batches that were taken and kept.
    pub batches: u64,
    /// Events within these batches.
    pub events: u64,
    /// Batches that had come before: accepted, and dropped.
    pub duplicates: u64,
    /// Historical batches that the service would silently not process: accepted, and dropped.
    pub ignored: u64,
    /// Batches that were refused while others of their request were accepted; see
    /// [`partial_responses`](super::MockServerBuilder::partial_responses).
    pub refused_batches: u64,
    /// Errors in accepted and refused bodies, as far as they were listed.
    pub errors: u64,
    /// Warnings, likewise.
    pub warnings: u64,
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) requests: usize,
    pub(super) bytes: usize,
}

pub(super) struct Store {
    kept: Kept,
    requests: VecDeque<Arc<ReceivedRequest>>,
    weight: usize,
    counts: MockStats,
    ids: Ids,
    pub(super) expectations: Vec<Expectation>,
    /// Tells the number of the newest request to whoever waits for one.
    newest: watch::Sender<u64>,
}

impl Store {
    pub(super) fn new(kept: Kept) -> Self {
        Self {
            kept,
            requests: VecDeque::new(),
            weight: 0,
            counts: MockStats::default(),
            ids: Ids::default(),
            expectations: Vec::new(),
            newest: watch::Sender::new(0),
        }
    }

    pub(super) fn stats(&self) -> MockStats {
        self.counts
    }

    pub(super) fn kept(&self) -> Kept {
        self.kept
    }

    pub(super) fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    pub(super) fn requests(&self) -> impl Iterator<Item = &Arc<ReceivedRequest>> {
        self.requests.iter()
    }

    /// The kept requests with a number above this one, and how many were forgotten in between.
    pub(super) fn after(&self, number: u64) -> (u64, impl Iterator<Item = &Arc<ReceivedRequest>>) {
        let first = self.requests.front().map_or(self.counts.requests + 1, |request| request.number);
        let missed = first.saturating_sub(number + 1);
        (missed, self.requests.iter().skip_while(move |request| request.number <= number))
    }

    /// Takes in a request and its batches, if they are accepted. Sets its number and its duplicates.
    pub(super) fn add(&mut self, mut request: ReceivedRequest, key: &str, batches: &[Value]) -> Arc<ReceivedRequest> {
        self.counts.requests += 1;
        request.number = self.counts.requests;
        if request.accepted {
            self.add_batches(&mut request, key, batches);
        } else {
            self.counts.refused += 1;
        }
        let errors = request.violations.iter().filter(|v| v.severity == crate::diagnostics::Severity::Error).count();
        self.counts.errors += errors as u64;
        self.counts.warnings += (request.violations.len() - errors) as u64;
        for expectation in &mut self.expectations {
            expectation.record(&RecordedRequest { request: &request, batches });
        }
        self.weight += request.weight();
        let request = Arc::new(request);
        self.requests.push_back(Arc::clone(&request));
        while self.requests.len() > self.kept.requests || (self.weight > self.kept.bytes && self.requests.len() > 1) {
            self.weight -= self.requests.pop_front().map_or(0, |request| request.weight());
        }
        self.newest.send_replace(request.number);
        request
    }

    fn add_batches(&mut self, request: &mut ReceivedRequest, key: &str, batches: &[Value]) {
        for (index, batch) in batches.iter().enumerate() {
            // Nothing of a refused batch is remembered: once mended, it may come again under its id.
            if request.refused.contains(&index) {
                self.counts.refused_batches += 1;
                continue;
            }
            if request.ignored.contains(&index) {
                self.counts.ignored += 1;
                continue;
            }
            // An empty id is none: the service cannot tell batches by it.
            let id = batch["source_request_id"].as_str().filter(|id| !id.is_empty());
            if id.is_some_and(|id| !self.ids.is_new(key, id)) {
                self.counts.duplicates += 1;
                request.duplicates.push(index);
                continue;
            }
            self.counts.batches += 1;
            self.counts.events += batch["events"].as_array().map_or(0, Vec::len) as u64;
        }
    }
}

/// The ids of batches by key, as hashes of 64 bits: that two of a million are alike by chance happens once in 37 million runs.
#[derive(Default)]
struct Ids {
    hasher: RandomState,
    known: HashSet<u64>,
    oldest_first: VecDeque<u64>,
}

impl Ids {
    fn is_new(&mut self, key: &str, id: &str) -> bool {
        let hash = self.hasher.hash_one((key, id));
        if !self.known.insert(hash) {
            return false;
        }
        self.oldest_first.push_back(hash);
        if self.oldest_first.len() > REMEMBERED_IDS {
            self.oldest_first.pop_front().map(|oldest| self.known.remove(&oldest));
        }
        true
    }
}
