//! The reports of batches, by a callback and as a stream.

use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};

use crate::delivery::{Loss, LossKind};
use crate::error::Error;
use crate::seal::SealedBatch;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The number of reports that a stream buffers. When it is full, the oldest are dropped.
const STREAM_REPORTS: usize = 4096;

/// The result of one batch.
///
/// Every batch has exactly one report by the end of [`Uploader::shutdown`](super::Uploader::shutdown). A batch that was split
/// has one for each part.
#[derive(Clone, Debug)]
pub struct DeliveryReport {
    batch: Option<SealedBatch>,
    submissions: u32,
    tag: Option<u64>,
    status: DeliveryStatus,
}

/// The state of a batch in its [`DeliveryReport`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DeliveryStatus {
    /// The service accepted it without an error. Acceptance is not processing.
    Delivered,
    /// It will never be accepted unchanged. The error has the reason, and the errors that the service listed.
    Rejected(Error),
    /// It was dropped because the queue or the spool was full, or because it had been in the spool for too long, as the error
    /// says. A batch that was too old is among the dead letters.
    Dropped(Error),
    /// It is on the disk at the end of the shutdown. The next uploader on the same spool sends it.
    Spooled,
    /// It is in memory at the end of the shutdown: see [`Uploader::take_unsent`](super::Uploader::take_unsent).
    Pending,
}

impl DeliveryStatus {
    /// Returns whether the service accepted the batch.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        matches!(self, Self::Delivered)
    }
}

impl DeliveryReport {
    pub(super) fn new(batch: Option<SealedBatch>, submissions: u32, tag: Option<u64>, status: DeliveryStatus) -> Self {
        Self { batch, submissions, tag, status }
    }

    /// Returns the batch, unless it is only on the disk ([`Spooled`](DeliveryStatus::Spooled)) or was lost there.
    #[must_use]
    pub fn batch(&self) -> Option<&SealedBatch> {
        self.batch.as_ref()
    }

    /// Returns the number of submissions in the batch: 1, or the number of events that were tracked for it.
    #[must_use]
    pub fn submissions(&self) -> u32 {
        self.submissions
    }

    /// Returns the tag of the batch. It is lost in a restart.
    #[must_use]
    pub fn tag(&self) -> Option<u64> {
        self.tag
    }

    /// Returns the state of the batch.
    #[must_use]
    pub fn status(&self) -> &DeliveryStatus {
        &self.status
    }

    /// Returns the reason why the batch was rejected or dropped.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match &self.status {
            DeliveryStatus::Rejected(error) | DeliveryStatus::Dropped(error) => Some(error),
            DeliveryStatus::Delivered | DeliveryStatus::Spooled | DeliveryStatus::Pending => None,
        }
    }

    /// Returns the loss that this reports, if it does.
    pub(super) fn loss(&self) -> Option<Loss<'_>> {
        let kind = match self.status {
            DeliveryStatus::Rejected(_) => LossKind::Rejected,
            _ => LossKind::Dropped,
        };
        let source_request_id = self.batch.as_ref().map(SealedBatch::source_request_id);
        self.error().map(|error| Loss { kind, source_request_id, error })
    }
}

pub(super) type OnDelivery = Arc<dyn Fn(&Arc<DeliveryReport>) + Send + Sync>;

/// Publishes reports to the callback and to all streams.
pub(super) struct ReportBroadcaster {
    callback: Option<OnDelivery>,
    channel: Mutex<Channel>,
}

enum Channel {
    /// There was no subscriber so far.
    Unused,
    Open(Sender<Arc<DeliveryReport>>),
    Closed,
}

impl ReportBroadcaster {
    pub(super) fn new(callback: Option<OnDelivery>) -> Self {
        Self { callback, channel: Mutex::new(Channel::Unused) }
    }

    fn lock(&self) -> MutexGuard<'_, Channel> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sender(&self) -> Option<Sender<Arc<DeliveryReport>>> {
        match &*self.lock() {
            Channel::Open(sender) => Some(sender.clone()),
            Channel::Unused | Channel::Closed => None,
        }
    }

    /// Publishes reports, to the streams of a sender that was taken before. No lock may be held, because the callback may
    /// call the uploader.
    pub(super) fn publish(
        &self,
        sender: Option<&Sender<Arc<DeliveryReport>>>,
        reports: impl IntoIterator<Item = DeliveryReport>,
    ) {
        if self.callback.is_none() && sender.is_none() {
            return;
        }
        for report in reports.into_iter().map(Arc::new) {
            if let Some(callback) = &self.callback
                && catch_unwind(AssertUnwindSafe(|| callback(&report))).is_err()
            {
                tracing::error!("the callback for delivery reports panicked");
            }
            if let Some(sender) = sender {
                // An error means that there is no stream.
                let _ = sender.send(report);
            }
        }
    }

    pub(super) fn subscribe(&self) -> DeliveryReports {
        let mut channel = self.lock();
        if let Channel::Unused = *channel {
            *channel = Channel::Open(broadcast::channel(STREAM_REPORTS).0);
        }
        let receiver = match &*channel {
            Channel::Open(sender) => sender.subscribe(),
            // A channel without a sender ends immediately.
            Channel::Unused | Channel::Closed => broadcast::channel(1).1,
        };
        DeliveryReports { missed: 0, next: Box::pin(receive(receiver)) }
    }

    /// Ends all streams.
    pub(super) fn close(&self) {
        let channel = mem::replace(&mut *self.lock(), Channel::Closed);
        // Without the lock, because this runs wakers.
        drop(channel);
    }
}

/// A [`Stream`] of the reports since the call of [`Uploader::reports`](super::Uploader::reports). It ends with the shutdown of the
/// uploader, after the reports of the remaining batches.
///
/// A stream that falls 4,096 reports behind loses the oldest and counts them: the uploader does not wait for it.
pub struct DeliveryReports {
    missed: u64,
    next: Pin<Box<dyn Future<Output = ReceivedReport> + Send + Sync>>,
}

type ReceivedReport = (Result<Arc<DeliveryReport>, RecvError>, Receiver<Arc<DeliveryReport>>);

async fn receive(mut receiver: Receiver<Arc<DeliveryReport>>) -> ReceivedReport {
    (receiver.recv().await, receiver)
}

impl DeliveryReports {
    /// Returns the next report, or `None` after the shutdown. It needs no crate with stream extensions.
    ///
    /// # Cancel safety
    /// Cancel safe: a report that was not returned is returned by the next call.
    pub async fn next(&mut self) -> Option<Arc<DeliveryReport>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Returns the number of reports that were lost so far.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

impl Stream for DeliveryReports {
    type Item = Arc<DeliveryReport>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Arc<DeliveryReport>>> {
        loop {
            let (result, receiver) = ready!(self.next.as_mut().poll(context));
            self.next = Box::pin(receive(receiver));
            match result {
                Ok(report) => return Poll::Ready(Some(report)),
                Err(RecvError::Lagged(missed)) => self.missed += missed,
                Err(RecvError::Closed) => return Poll::Ready(None),
            }
        }
    }
}

impl fmt::Debug for DeliveryReports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryReports").field("missed", &self.missed).finish_non_exhaustive()
    }
}
