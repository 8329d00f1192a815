//! Uploads one file: a thread reads it, the uploader's thread sends, and the main thread shows the progress and writes the
//! checkpoint.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chrono::Utc;
use mparticle::{Client, DeliveryReport, DeliveryStatus, Error, Uploader, UploaderStatus};

use super::arguments::Arguments;
use super::checkpoint::{Checkpoint, CheckpointFile};
use super::diagnostics::DiagnosticPrinter;
use super::feeder::{BatchFeeder, ReadEnd};
use super::progress::Progress;
use super::rejects::{self, RejectsFile};
use super::state;
use super::tracker::{BatchOutcome, Tracker};
use crate::connect::Destination;
use crate::exit::{self, CliError, ExitStatus};
use crate::input::{self, BatchReader, MapFile, OpenInput, SeenBatches, Source, Validator, is_dash, is_regular_file};
use crate::text::{self, eprint_line};

/// The interval at which the bar is updated.
const TICK: Duration = Duration::from_millis(100);

/// The interval at which the checkpoint is written.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// The time that batches in flight get after an interrupt.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// The time that batches in flight get after giving up, when requests are unlikely to succeed.
const SHUTDOWN_TIMEOUT_AFTER_FAILURE: Duration = Duration::from_millis(200);

/// The time after which failing requests are reported.
const FAILURE_NOTICE_DELAY: Duration = Duration::from_secs(2);

/// The maximum size of batches in memory: 8 MiB.
const QUEUE_BYTES: usize = 8 << 20;

/// A message to the main thread.
pub enum ControlMessage {
    /// The end of reading, with the number of the upload: an upload that fails does not wait for it.
    ReadEnd(usize, ReadEnd),
    Signal(u8),
}

/// The upload of one file.
pub struct FileUpload<'a> {
    /// The number among the uploads of a run.
    pub number: usize,
    pub arguments: &'a Arguments,
    pub file: &'a Path,
    /// The map, if the file is CSV.
    pub map: Option<&'a MapFile>,
    /// `None` for a dry run.
    pub destination: Option<&'a Destination>,
    /// The batches of all files so far.
    pub seen: &'a Arc<Mutex<SeenBatches>>,
    pub sender: &'a Sender<ControlMessage>,
    pub receiver: &'a Receiver<ControlMessage>,
}

/// The reason why the upload stopped.
pub enum StopReason {
    ReadEnd(ReadEnd),
    Signal(u8),
    /// Requests kept failing.
    GaveUp(Error),
    /// The checkpoint or the rejects file could not be written.
    Failed(CliError),
}

impl FileUpload<'_> {
    /// Sends the file. Returns the exit status, and whether the files after it are not to be sent.
    pub fn run(&self) -> exit::Result<(ExitStatus, bool)> {
        let Self { arguments, file, .. } = self;
        let mut batches = self.batches()?;
        let (mut checkpoint_file, checkpoint) = self.checkpoint_file()?;
        self.skip_to(&mut batches, &checkpoint)?;
        let (size, read) = (batches.source().size(), batches.source().progress());
        // Detects a checkpoint file that cannot be written before anything is sent.
        if let Some(checkpoint_file) = &mut checkpoint_file {
            self.write_checkpoint(checkpoint_file, checkpoint, &self.rejects_path())?;
        }
        let progress = Arc::new(Progress::new(file, size, checkpoint.delivered, arguments.quiet));
        let rejects = if arguments.dry_run { None } else { Some(self.rejects(&checkpoint, &progress)?) };
        let tracker = Arc::new(Tracker::new(checkpoint, rejects));
        let diagnostics = (!arguments.quiet)
            .then(|| Arc::new(DiagnosticPrinter::new(self.name(), Arc::clone(&progress), arguments.dry_run)));
        let uploader = self
            .destination
            .map(|destination| self.uploader(destination.client.clone(), &tracker, diagnostics.clone()))
            .transpose()?;

        self.start(batches, &tracker, uploader.clone(), diagnostics)?;
        let stop = self.watch(&tracker, uploader.as_ref(), &read, &progress, checkpoint_file.as_mut());

        let (last_error, stopped) = failures(uploader.as_ref());
        if let (StopReason::Signal(_) | StopReason::GaveUp(_) | StopReason::Failed(_), Some(uploader)) =
            (&stop, &uploader)
        {
            let gave_up = matches!(stop, StopReason::GaveUp(_)) && stopped.is_none();
            uploader.shutdown(if gave_up { SHUTDOWN_TIMEOUT_AFTER_FAILURE } else { SHUTDOWN_TIMEOUT }).wait();
        }
        progress.finish();
        let at_end_of_file = matches!(stop, StopReason::ReadEnd(ReadEnd::EndOfFile));
        let stop = match self.save_checkpoint(&tracker, at_end_of_file, checkpoint_file.as_mut()) {
            Ok(reached) => {
                if checkpoint.complete && reached == checkpoint && !arguments.quiet {
                    eprint_line(format_args!("{}: nothing new to send", self.name()));
                }
                stop
            }
            Err(failure) => StopReason::Failed(failure),
        };
        let ended = self.print_summary(stop, last_error.as_ref(), &tracker, &progress)?;
        let unread = uploader.map_or(0, |uploader| uploader.stats().unread_responses);
        if unread > 0 {
            eprint_line(format_args!(
                "{}: warning: {unread} responses could not be read completely; their batches count as delivered because of the \
                 status",
                self.name()
            ));
        }
        Ok(ended)
    }

    fn batches(&self) -> exit::Result<BatchReader> {
        let source = self.source().map_err(|error| CliError::file("read", self.file, &error))?;
        Ok(match input::open_source(self.file, source, self.map, self.arguments.environment)? {
            OpenInput::Csv(batches) => BatchReader::csv(*batches, self.validator()),
            OpenInput::Json(frames) => BatchReader::json(frames, self.validator()),
        })
    }

    fn source(&self) -> io::Result<Source> {
        let source = Source::open(self.file)?;
        Ok(if self.is_resumable() { source.with_prefix_hash() } else { source })
    }

    pub fn rejects_path(&self) -> PathBuf {
        state::rejects_path(self.file, self.arguments)
    }

    fn rejects(&self, checkpoint: &Checkpoint, progress: &Arc<Progress>) -> exit::Result<RejectsFile> {
        let (path, name, progress) = (self.rejects_path(), self.name(), Arc::clone(progress));
        let on_renamed = move |renamed: &Path| {
            let renamed = text::printable(&renamed.to_string_lossy());
            progress.print(&format!("{name}: the existing rejects file was renamed to {renamed}"));
        };
        let mut rejects = RejectsFile::new(path.clone(), checkpoint, on_renamed);
        rejects
            .check_writable()
            .and_then(|()| rejects.resume())
            .map_err(|error| self.with_state_hint(CliError::file("write", &path, &error)))?;
        Ok(rejects)
    }

    fn validator(&self) -> Validator {
        Validator {
            historical: self.arguments.historical.then(Utc::now),
            environment: self.arguments.environment,
            converts_exports: self.arguments.export_form,
        }
    }

    fn uploader(
        &self,
        client: Client,
        tracker: &Arc<Tracker>,
        diagnostics: Option<Arc<DiagnosticPrinter>>,
    ) -> Result<Uploader, CliError> {
        let tracker = Arc::clone(tracker);
        let mut builder = Uploader::builder(client)
            .linger(Duration::from_millis(100))
            .max_bytes(QUEUE_BYTES)
            .max_in_flight(self.arguments.concurrency.into())
            .on_delivery(move |report| finish_batch(&tracker, diagnostics.as_deref(), report));
        if self.arguments.historical {
            builder = builder.historical();
        }
        if let Some(rate) = self.arguments.rate {
            builder = builder.max_rate(rate);
        }
        Ok(builder.start()?)
    }

    /// Starts the reading thread.
    fn start(
        &self,
        batches: BatchReader,
        tracker: &Arc<Tracker>,
        uploader: Option<Uploader>,
        diagnostics: Option<Arc<DiagnosticPrinter>>,
    ) -> Result<(), CliError> {
        let (tracker, strict, sender) = (Arc::clone(tracker), self.arguments.strict, self.sender.clone());
        let (number, file, seen) = (self.number, self.file.to_owned(), Arc::clone(self.seen));
        let read = move || {
            let feeder = BatchFeeder { batches, tracker, file, seen, uploader: uploader.clone(), strict, diagnostics };
            // The main thread waits for a message even if reading panics.
            let end = panic::catch_unwind(AssertUnwindSafe(|| feeder.run())).unwrap_or(ReadEnd::Closed);
            // All batches are finished before the main thread is notified.
            if let Some(uploader) = uploader {
                uploader.shutdown(Duration::MAX).wait();
            }
            // The receiver is gone if a signal came first.
            let _ = sender.send(ControlMessage::ReadEnd(number, end));
        };
        let thread = thread::Builder::new().name("mparticle-reader".into()).spawn(read);
        thread.map(drop).map_err(|error| CliError::system("start a thread", &error))
    }

    /// Shows the progress and writes checkpoints until the upload stops.
    fn watch(
        &self,
        tracker: &Tracker,
        uploader: Option<&Uploader>,
        read: &AtomicU64,
        progress: &Progress,
        mut checkpoint_file: Option<&mut CheckpointFile>,
    ) -> StopReason {
        let timeout = Duration::from_secs(self.arguments.give_up_after);
        let (mut last_checkpoint, mut last_progress, mut last_finished, mut is_reported) =
            (Instant::now(), Instant::now(), u64::MAX, false);
        loop {
            match self.receiver.recv_timeout(TICK) {
                Ok(ControlMessage::ReadEnd(number, end)) if number == self.number => {
                    return failures(uploader).1.map_or(StopReason::ReadEnd(end), StopReason::GaveUp);
                }
                Ok(ControlMessage::Signal(signal)) => return StopReason::Signal(signal),
                Ok(ControlMessage::ReadEnd(..)) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            let totals = tracker.totals();
            let (last_error, stopped) = failures(uploader);
            let message = last_error.as_ref().map(exit::reason);
            let used = uploader.and_then(Uploader::rate_limit_used_percent);
            let status =
                last_error.as_ref().zip(message.as_ref()).map(|(error, message)| match exit::requested_wait(error) {
                    Some(wait) => format!("the service asks to wait {}", text::format_wait(wait)),
                    None => format!("trying again: {message}"),
                });
            progress.show(read.load(Ordering::Relaxed), &totals, used, status.as_deref());
            if let Some(error) = stopped {
                return StopReason::GaveUp(error);
            }
            let finished = totals.delivered.batches + totals.rejected.batches;
            if finished != last_finished || totals.in_flight == 0 {
                (last_progress, last_finished, is_reported) = (Instant::now(), finished, false);
            }
            if let (Some(message), false) =
                (&message, is_reported || self.arguments.quiet || last_progress.elapsed() < FAILURE_NOTICE_DELAY)
            {
                progress.print(&format!("{}: {message}; trying again", self.name()));
                is_reported = true;
            }
            if let Some(error) = last_error.filter(|_| last_progress.elapsed() >= timeout) {
                return StopReason::GaveUp(error);
            }
            if checkpoint_file.is_some() && last_checkpoint.elapsed() >= CHECKPOINT_INTERVAL {
                if let Err(failure) = self.save_checkpoint(tracker, false, checkpoint_file.as_deref_mut()) {
                    return StopReason::Failed(failure);
                }
                last_checkpoint = Instant::now();
            }
        }
    }

    /// Syncs the rejects file and then writes the checkpoint, if there is a checkpoint file.
    fn save_checkpoint(
        &self,
        tracker: &Tracker,
        at_end_of_file: bool,
        checkpoint_file: Option<&mut CheckpointFile>,
    ) -> exit::Result<Checkpoint> {
        let checkpoint = tracker
            .checkpoint(at_end_of_file)
            .map_err(|error| CliError::file("write", &self.rejects_path(), &error))?;
        if let Some(checkpoint_file) = checkpoint_file {
            let rejects = tracker.rejects().map_or_else(|| self.rejects_path(), |rejects| rejects.path);
            self.write_checkpoint(checkpoint_file, checkpoint, &rejects)?;
        }
        Ok(checkpoint)
    }

    fn write_checkpoint(
        &self,
        checkpoint_file: &mut CheckpointFile,
        checkpoint: Checkpoint,
        rejects: &Path,
    ) -> exit::Result<()> {
        let written = checkpoint_file.write(checkpoint, rejects);
        written.map_err(|error| self.with_state_hint(CliError::file("write", checkpoint_file.path(), &error)))
    }

    pub fn message(&self, error: &Error) -> String {
        self.destination
            .map_or_else(|| exit::message(error), |destination| exit::message_with_address(error, &destination.address))
    }

    /// Returns whether the upload can be resumed: it is not a dry run, and the input is a regular file.
    pub fn is_resumable(&self) -> bool {
        !self.arguments.dry_run && !is_dash(self.file) && is_regular_file(self.file)
    }

    pub fn name(&self) -> String {
        if is_dash(self.file) { "stdin".to_owned() } else { text::printable(&self.file.to_string_lossy()) }
    }
}

/// Finishes the batch of a report. A batch that is left after the shutdown of the uploader stays unfinished.
fn finish_batch(tracker: &Tracker, diagnostics: Option<&DiagnosticPrinter>, report: &DeliveryReport) {
    let (Some(tag), Some(batch)) = (report.tag(), report.batch()) else { return };
    match report.status() {
        DeliveryStatus::Delivered => tracker.finish(tag, |_| BatchOutcome::Delivered),
        DeliveryStatus::Rejected(error) | DeliveryStatus::Dropped(error) => {
            let mut position = None;
            tracker.finish(tag, |start| {
                position = Some(start);
                BatchOutcome::Rejected(rejects::format_refused(start, batch.json(), error))
            });
            if let (Some(diagnostics), Some(position)) = (diagnostics, position) {
                diagnostics.print_refused(position, error);
            }
        }
        _ => {}
    }
}

/// Returns why the last request failed, if it is being retried, and why the uploader has stopped, if it has.
fn failures(uploader: Option<&Uploader>) -> (Option<Error>, Option<Error>) {
    match uploader.map(Uploader::status) {
        Some(UploaderStatus::Stopped(error)) => (None, Some(error)),
        Some(status) => (status.error().cloned(), None),
        None => (None, None),
    }
}
