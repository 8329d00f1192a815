//! The summary of an upload on stdout and stderr, and its exit status.

use std::sync::PoisonError;

use mparticle::{Error, ErrorKind};
use serde_json::json;

use super::diagnostics;
use super::feeder::ReadEnd;
use super::progress::{self, InFlightState, InFlightSummary, Progress, format_large_count};
use super::tracker::{KeptRejects, Totals, Tracker};
use super::upload::{FileUpload, StopReason};
use crate::exit::{self, CliError, ExitStatus};
use crate::text::{self, eprint_line, path_string};

impl FileUpload<'_> {
    /// Prints the summary, and returns the exit status, and whether the files after this one are not to be sent: the service cannot
    /// be reached, or `--strict` has stopped the run.
    pub fn print_summary(
        &self,
        stop: StopReason,
        last_error: Option<&Error>,
        tracker: &Tracker,
        progress: &Progress,
    ) -> exit::Result<(ExitStatus, bool)> {
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
        let rejects = tracker.rejects();
        if arguments.json {
            let mut line = progress::summary_json(self.file, &totals, outcome, arguments.dry_run);
            for (name, count) in [("repeated_ids", repeated.ids), ("repeated_batches", repeated.batches)] {
                if count > 0 {
                    line[name] = count.into();
                }
            }
            match &stop {
                StopReason::GaveUp(error) => line["error"] = self.message(error).into(),
                StopReason::Failed(error) => line["error"] = error.to_string().into(),
                StopReason::ReadEnd(ReadEnd::ReadError(position, error)) => {
                    line["error"] = format!("cannot read {name} beyond {position}: {error}").into();
                }
                _ => {}
            }
            if let Some(KeptRejects { path, in_file, omitted }) = &rejects
                && totals.rejected.batches > 0
            {
                let file = (*in_file > 0).then(|| path_string(path));
                line["rejects"] =
                    json!({ "file": file, "batches": in_file - omitted.min(in_file), "omitted": omitted });
            }
            if let Some(wait) = in_flight_summary.wait {
                line["retry_after_seconds"] = wait.as_secs().into();
            }
            exit::from_write(text::print_line(line.to_string()))?;
        }
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
        let reasons = [
            (repeated.ids, "with the id of a different batch"),
            (repeated.batches, "without times that are at the same position as an equal one"),
        ];
        for (count, reason) in reasons.into_iter().filter(|(count, _)| *count > 0) {
            let batches = format_large_count(count, "batch");
            eprint_line(format_args!(
                "{name}: {batches} {reason}, which the service drops; `mparticle check` lists them"
            ));
        }
        if let Some(rejects) = rejects {
            print_rejects(&name, totals.rejected.batches, &rejects);
        }
        if totals.undated > 0 {
            eprint_line(format_args!(
                "{name}: warning: {} without a source_request_id {} events without a time: the same batch at the same position \
                 of another file, or in a later run, has the same ID, and the service drops it as a duplicate",
                format_large_count(totals.undated, "batch"),
                if totals.undated == 1 { "has" } else { "have" },
            ));
        }
        if outcome == "strict" {
            eprint_line(format_args!("{name}: stopped at the first invalid batch because of --strict"));
        }
        if !matches!(exit, ExitStatus::Success | ExitStatus::DataError) && self.is_resumable() {
            eprint_line(format_args!("{name}: use --resume to send the rest"));
        }
        Ok((exit, outcome == "strict" || exit >= ExitStatus::Unavailable))
    }
}

impl FileUpload<'_> {
    /// Prints that a file was not sent, and why.
    pub fn print_unsent(&self, outcome: &str, message: &str) -> exit::Result<()> {
        eprint_line(format_args!("{}: {message}", self.name()));
        self.print_json(outcome, message)
    }

    /// Prints the JSON of a file that could not be sent.
    pub fn print_error(&self, error: &CliError) -> exit::Result<()> {
        self.print_json("error", &error.to_string())
    }

    fn print_json(&self, outcome: &str, message: &str) -> exit::Result<()> {
        if !self.arguments.json {
            return Ok(());
        }
        let mut line = progress::summary_json(self.file, &Totals::default(), outcome, self.arguments.dry_run);
        line["error"] = message.into();
        exit::from_write(text::print_line(line.to_string()))
    }
}

/// Prints where the rejected batches are, and how many are not there.
fn print_rejects(name: &str, rejected: u64, rejects: &KeptRejects) {
    let KeptRejects { path, in_file, omitted } = rejects;
    let (path, kept) = (text::printable(&path_string(path)), in_file.saturating_sub(*omitted));
    if rejected == 0 {
        return;
    }
    if kept == 0 && *omitted == 0 {
        eprint_line(format_args!("{name}: the rejected batches are in no file of this run"));
    } else if kept == rejected {
        eprint_line(format_args!("{name}: the rejected batches are in {path}"));
    } else {
        eprint_line(format_args!("{name}: {kept} of {rejected} rejected batches are in {path}"));
    }
    if *omitted > 0 {
        eprint_line(format_args!(
            "{name}: {} of more than 1 MiB {} not kept; the rejects file has only the position",
            format_large_count(*omitted, "text"),
            if *omitted == 1 { "is" } else { "are" }
        ));
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
