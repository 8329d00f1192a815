//! The nightly backfill of all accounts.

use mparticle::{Batch, Client, Environment, Report, UploadError};
use tracing::warn;

/// A row of the table of accounts.
pub struct Row {
    pub id: u64,
    pub plan: String,
    pub seats: usize,
}

/// Uploads the rows until `stop` completes. The id of each batch follows from its row, so a run that was stopped can simply be
/// started again: the service drops the batches that it already has.
///
/// # Errors
/// Those of [`Client::upload_bulk_until`]. [`UploadError::unsent_indices`] are the indices of the rows that were not sent.
pub async fn backfill(
    client: &Client,
    environment: Environment,
    rows: &[Row],
    stop: impl Future<Output = ()>,
) -> Result<Report, UploadError> {
    let batches = rows.iter().map(|row| {
        Batch::new(environment)
            .source_request_id(format!("accounts-{}", row.id))
            .customer_id(row.id.to_string())
            .user_attribute("plan", &row.plan)
            .user_attribute("seats", row.seats)
    });
    let result = client.upload_bulk_until(batches, stop).await;
    for rejected in result.as_ref().unwrap_or_else(UploadError::report).rejected() {
        warn!(row = rows[rejected.index()].id, error = %rejected.error().detailed(), "a row was rejected");
    }
    result
}
