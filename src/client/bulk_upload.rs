//! The batches of one call: their sealed parts, and the batch that each part belongs to.

use super::upload_error::UploadError;
use crate::delivery::{CallResult, Rejected, Report};
use crate::error::ErrorKind;
use crate::seal::{IntoSealed, SealedBatch, Sealing};

/// The sealed parts of the batches of one call, and the batches that could not be sealed.
pub(super) struct BulkUpload {
    batches: usize,
    parts: Vec<SealedBatch>,
    /// The index of the batch that each part belongs to.
    owners: Vec<usize>,
    unsealed: Vec<Rejected>,
    /// The number of batches that `before_send` discarded.
    filtered: usize,
}

impl BulkUpload {
    pub(super) fn seal<B: IntoSealed>(batches: impl IntoIterator<Item = B>, sealing: &mut Sealing<'_>) -> Self {
        // Avoids moving the batches, which are large: collecting a `Vec` moves none, and each is sealed in place.
        let mut batches = match B::into_sealed(batches.into_iter().collect()) {
            Ok(parts) => {
                let owners = (0..parts.len()).collect();
                return Self { batches: parts.len(), parts, owners, unsealed: Vec::new(), filtered: 0 };
            }
            Err(batches) => batches,
        };
        let mut parts = Vec::with_capacity(batches.len());
        let mut owners = Vec::with_capacity(batches.len());
        let (mut unsealed, mut filtered) = (Vec::new(), 0);
        for (index, batch) in batches.iter_mut().enumerate() {
            match batch.seal_in_place(sealing, &mut parts) {
                Ok(()) => owners.resize(parts.len(), index),
                Err(error) if error.kind() == ErrorKind::Filtered => filtered += 1,
                Err(error) => unsealed.push(Rejected::from_seal_error(index, error)),
            }
        }
        Self { batches: batches.len(), parts, owners, unsealed, filtered }
    }

    /// Creates an upload from the parts of one batch.
    pub(super) fn from_parts(parts: Vec<SealedBatch>) -> Self {
        Self { batches: 1, owners: vec![0; parts.len()], parts, unsealed: Vec::new(), filtered: 0 }
    }

    pub(super) fn parts(&self) -> &[SealedBatch] {
        &self.parts
    }

    /// Returns a copy of the parts, and the index of the batch of each, for a call that ends without a result.
    #[cfg(feature = "blocking")]
    pub(super) fn unsent(&self) -> (Vec<SealedBatch>, Vec<usize>) {
        (self.parts.clone(), self.owners.clone())
    }

    /// Folds the results of parts into results of batches. An error returns the parts that were not sent.
    pub(super) fn report(self, outcome: CallResult) -> Result<Report, UploadError> {
        let rate_limit_used_percent = outcome.accepted.and_then(|accepted| accepted.rate_limit_used_percent());
        let mut rejected = self.unsealed;
        if rejected.is_empty() && outcome.results.iter().all(|result| matches!(result, Some(Ok(())))) {
            return Ok(Report {
                delivered: self.batches - self.filtered,
                filtered: self.filtered,
                rejected,
                requests: outcome.requests,
                unread_responses: outcome.unread_responses,
                rate_limit_used_percent,
            });
        }
        let mut unsent: Vec<(usize, SealedBatch)> = Vec::new();
        for ((part, owner), result) in self.parts.into_iter().zip(self.owners).zip(outcome.results) {
            match result {
                Some(Ok(())) => {}
                Some(Err(error)) => rejected.push(Rejected::from_refusal(owner, error, vec![part])),
                None => unsent.push((owner, part)),
            }
        }
        rejected.sort_by_key(Rejected::index);
        // A batch with several rejected parts is reported once, with the first reason and all those parts.
        rejected.dedup_by(|later, first| {
            let same = later.index() == first.index();
            if same {
                first.append(later);
            }
            same
        });
        let mut open: Vec<_> = unsent.iter().map(|(owner, _)| *owner).collect();
        open.dedup();
        open.retain(|owner| rejected.binary_search_by_key(owner, Rejected::index).is_err());
        let report = Report {
            delivered: self.batches - self.filtered - rejected.len() - open.len(),
            filtered: self.filtered,
            rejected,
            requests: outcome.requests,
            unread_responses: outcome.unread_responses,
            rate_limit_used_percent,
        };
        match outcome.stopped {
            None => Ok(report),
            Some(error) => {
                let (indices, unsent) = unsent.into_iter().unzip();
                Err(UploadError::new(error, unsent, report).with_unsent_indices(indices))
            }
        }
    }
}
