//! The three endpoints of delivery. Written by hand, because the document does not state how each takes batches.

/// An endpoint of the service that accepts batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `/events`: a single batch.
    Events,
    /// `/bulkevents`: a list of batches.
    BulkEvents,
    /// `/bulkevents/historical`: a list of batches of data older than 30 days.
    HistoricalEvents,
}

impl Endpoint {
    /// All endpoints, in the order of declaration.
    pub(crate) const ALL: [Self; 3] = [Self::Events, Self::BulkEvents, Self::HistoricalEvents];

    /// Returns the path below the base URL.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Events => "/events",
            Self::BulkEvents => "/bulkevents",
            Self::HistoricalEvents => "/bulkevents/historical",
        }
    }

    /// Returns the name of the operation that the generated endpoints pass to their hooks.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::Events => "upload_events",
            Self::BulkEvents => "bulk_upload_events",
            Self::HistoricalEvents => "bulk_upload_historical_events",
        }
    }

    /// Returns the endpoint with this path.
    #[cfg(feature = "mock")]
    pub(crate) fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }
}
