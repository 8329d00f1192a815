//! The summary of an upload on stdout and stderr, and its exit status.

use std::sync::PoisonError;

use mparticle::{Error, ErrorKind};

use super::diagnostics;
use super::feeder::ReadEnd;
use super::progress::{self, InFlightState, InFlightSummary, Progress};
use super::tracker::Tracker;
use super::upload::{FileUpload, StopReason};
use crate::exit::{self, ExitStatus};
use crate::text::{self, eprint_line};

impl FileUpload<'_> {
    /// Prints the summary, and returns the exit status.
    pub fn print_summary(
        &self,
        stop: StopReason,
        last_error: Option<&Error>,
        tracker: &Tracker,
        progress: &Progress,
    ) -> exit::Result {
        let (arguments, name, totals) = (self.arguments, self.name(), tracker.totals());
        let (exit, outcome) = match &stop {
            StopReason::ReadEnd(ReadEnd::EndOfFile) if totals.rejected.batches > 0 => {
                (ExitStatus::DataError, "complete")
            }
            StopReason::ReadEnd(ReadEnd::EndOfFile) => (ExitStatus::Success, "complete"),
            StopReason::ReadEnd(ReadEnd::InvalidBatch(_)) => (ExitStatus::DataError, "strict"),
            StopReason::ReadEnd(ReadEnd::ReadError(..)) => (ExitStatus::IoError, "read_error"),
            StopReason::ReadEnd(ReadEnd::Closed) | StopReason::GaveUp(_) => (ExitStatus::Unavailable, "unsent"),
            StopReason::Signal(signal) => (ExitStatus::Interrupted(*signal), "interrupted"),
            StopReason::Failed(_) => (ExitStatus::IoError, "write_error"),
        };
        let in_flight_summary = in_flight_summary(&stop, last_error);
        let repeated = self.seen.lock().unwrap_or_else(PoisonError::into_inner).take_repeated();
        if arguments.json {
            let mut line = progress::summary_json(self.file, &totals, outcome, arguments.dry_run);
            if repeated > 0 {
                line["repeated_ids"] = repeated.into();
            }
            if let StopReason::GaveUp(error) = &stop {
                line["error"] = self.message(error).into();
            }
            if let Some(wait) = in_flight_summary.wait {
                line["retry_after_seconds"] = wait.as_secs().into();
            }
            exit::from_write(text::print_line(line.to_string()))?;
        }
        let is_written = !matches!(stop, StopReason::Failed(_));
        match stop {
            StopReason::ReadEnd(ReadEnd::InvalidBatch(diagnostics)) => {
                eprint_line(diagnostics::format_first_error(&name, &diagnostics));
            }
            StopReason::ReadEnd(ReadEnd::ReadError(position, error)) => {
                eprint_line(format_args!("error: cannot read {name} beyond {position}: {error}"));
            }
            StopReason::GaveUp(error) => {
                exit::print_service_messages(&error);
                eprint_line(format_args!("error: {}", self.message(&error)));
            }
            StopReason::Failed(failure) => eprint_line(format_args!("error: {failure}")),
            _ => {}
        }
        let verb = match exit {
            ExitStatus::Interrupted(_) if arguments.dry_run => "interrupted, would send",
            ExitStatus::Interrupted(_) => "interrupted, delivered",
            _ if arguments.dry_run => "would send",
            _ => "delivered",
        };
        eprint_line(format_args!("{name}: {}", progress.summary(verb, &totals, &in_flight_summary)));
        if repeated > 0 {
            let batches = text::pluralize(repeated, "batch");
            eprint_line(format_args!(
                "{name}: {repeated} {batches} with the id of a different batch, which the service drops; `mparticle check` \
                 lists them"
            ));
        }
        if totals.rejected.batches > 0 && !arguments.dry_run && is_written {
            eprint_line(format_args!(
                "{name}: the rejected batches are in {}",
                text::printable(&self.rejects_path().to_string_lossy())
            ));
        }
        if outcome == "strict" {
            eprint_line(format_args!("{name}: stopped at the first invalid batch because of --strict"));
        }
        if !matches!(exit, ExitStatus::Success | ExitStatus::DataError) && self.is_resumable() {
            eprint_line(format_args!("{name}: use --resume to send the rest"));
        }
        Ok(exit)
    }
}

/// Returns the state of the batches that were in flight when the upload stopped; `last_error` is that of the last request.
fn in_flight_summary(stop: &StopReason, last_error: Option<&Error>) -> InFlightSummary {
    let error = match stop {
        StopReason::GaveUp(error) => Some(error),
        _ => None,
    };
    let state = match error {
        Some(error) if error.kind() == ErrorKind::Connect || exit::is_unauthorized(error) => InFlightState::NotSent,
        Some(error) if error.status().is_some() => InFlightState::NotAccepted,
        _ => InFlightState::Unknown,
    };
    InFlightSummary { state, wait: error.or(last_error).and_then(exit::requested_wait) }
}
