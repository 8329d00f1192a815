//! The store of a mock: the newest requests, within bounds, and statistics over all.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::expect::{Expectation, RecordedRequest};
use super::received::ReceivedRequest;

/// The maximum number of batch ids that are remembered to detect duplicates; beyond it the oldest are discarded.
const MAX_REMEMBERED_IDS: usize = 1_000_000;

/// The statistics of a mock since its start, including requests that are no longer kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MockStats {
    /// The number of requests.
    pub requests: u64,
    /// The number of requests that were not accepted.
    pub refused: u64,
    /// The number of stored batches.
    pub batches: u64,
    /// The number of events in these batches.
    pub events: u64,
    /// The number of accepted batches that were dropped as duplicates.
    pub duplicates: u64,
    /// The number of accepted historical batches that were dropped because the service would silently not process them.
    pub ignored: u64,
    /// The number of batches that were refused while others of their request were accepted; see
    /// [`partial_responses`](super::MockServerBuilder::partial_responses).
    pub refused_batches: u64,
    /// The number of listed errors in accepted and refused bodies.
    pub errors: u64,
    /// The number of listed warnings in accepted and refused bodies.
    pub warnings: u64,
}

/// The bounds of a store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retention {
    pub(super) requests: usize,
    pub(super) bytes: usize,
}

pub(super) struct Store {
    retention: Retention,
    requests: VecDeque<Arc<ReceivedRequest>>,
    weight: usize,
    stats: MockStats,
    ids: RecentIds,
    pub(super) expectations: Vec<Expectation>,
    /// Publishes the number of the newest request.
    newest: watch::Sender<u64>,
}

impl Store {
    pub(super) fn new(retention: Retention) -> Self {
        Self {
            retention,
            requests: VecDeque::new(),
            weight: 0,
            stats: MockStats::default(),
            ids: RecentIds::default(),
            expectations: Vec::new(),
            newest: watch::Sender::new(0),
        }
    }

    pub(super) fn stats(&self) -> MockStats {
        self.stats
    }

    pub(super) fn retention(&self) -> Retention {
        self.retention
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    pub(super) fn requests(&self) -> impl Iterator<Item = &Arc<ReceivedRequest>> {
        self.requests.iter()
    }

    /// Returns the number of requests after this one that were discarded, and the kept ones.
    pub(super) fn requests_after(&self, number: u64) -> (u64, impl Iterator<Item = &Arc<ReceivedRequest>>) {
        let first = self.requests.front().map_or(self.stats.requests + 1, |request| request.number);
        let missed = first.saturating_sub(number + 1);
        (missed, self.requests.iter().skip_while(move |request| request.number <= number))
    }

    /// Adds a request, and its batches if it was accepted. Sets its number and its duplicates.
    pub(super) fn add(&mut self, mut request: ReceivedRequest, key: &str, batches: &[Value]) -> Arc<ReceivedRequest> {
        self.stats.requests += 1;
        request.number = self.stats.requests;
        if request.accepted {
            self.add_batches(&mut request, key, batches);
        } else {
            self.stats.refused += 1;
        }
        let errors = request.violations.iter().filter(|v| v.severity == crate::diagnostics::Severity::Error).count();
        self.stats.errors += errors as u64;
        self.stats.warnings += (request.violations.len() - errors) as u64;
        for expectation in &mut self.expectations {
            expectation.record(&RecordedRequest { request: &request, batches });
        }
        self.weight += request.memory_bytes();
        let request = Arc::new(request);
        self.requests.push_back(Arc::clone(&request));
        while self.requests.len() > self.retention.requests
            || (self.weight > self.retention.bytes && self.requests.len() > 1)
        {
            self.weight -= self.requests.pop_front().map_or(0, |request| request.memory_bytes());
        }
        self.newest.send_replace(request.number);
        request
    }

    fn add_batches(&mut self, request: &mut ReceivedRequest, key: &str, batches: &[Value]) {
        for (index, batch) in batches.iter().enumerate() {
            // The id of a refused batch is not remembered, so that a corrected batch can be sent under the same id.
            if request.refused.contains(&index) {
                self.stats.refused_batches += 1;
                continue;
            }
            if request.ignored.contains(&index) {
                self.stats.ignored += 1;
                continue;
            }
            // An empty id identifies no batch.
            let id = batch["source_request_id"].as_str().filter(|id| !id.is_empty());
            if id.is_some_and(|id| !self.ids.is_new(key, id)) {
                self.stats.duplicates += 1;
                request.duplicates.push(index);
                continue;
            }
            self.stats.batches += 1;
            self.stats.events += batch["events"].as_array().map_or(0, Vec::len) as u64;
        }
    }
}

/// The recent batch ids of each key, as 64-bit hashes: a collision among a million ids has a probability of 1 in 37 million.
#[derive(Default)]
struct RecentIds {
    hasher: RandomState,
    known: HashSet<u64>,
    oldest_first: VecDeque<u64>,
}

impl RecentIds {
    fn is_new(&mut self, key: &str, id: &str) -> bool {
        let hash = self.hasher.hash_one((key, id));
        if !self.known.insert(hash) {
            return false;
        }
        self.oldest_first.push_back(hash);
        if self.oldest_first.len() > MAX_REMEMBERED_IDS {
            self.oldest_first.pop_front().map(|oldest| self.known.remove(&oldest));
        }
        true
    }
}
