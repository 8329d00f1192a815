//! One file on its way: a thread reads it, the uploader's thread sends, and the main thread watches both, shows how far they
//! are, and writes it down.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use chrono::Utc;
use mparticle::{Client, DeliveryReport, DeliveryStatus, Error, ErrorKind as Kind, Uploader, UploaderStatus};

use super::account::{Account, End};
use super::arguments::Arguments;
use super::faults::{self, Faults};
use super::feed::{Ended, Feed};
use super::journal::{Journal, Mark};
use super::progress::{self, Progress, Unanswered, Unsent};
use super::rejects::{self, Rejects};
use crate::connect::Service;
use crate::exit::{self, Exit, Failure};
use crate::input::{self, Batches, Examiner, MapFile, Source, is_dash};
use crate::text::{self, tell};

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(100);

/// How often the journal is written.
const JOURNAL: Duration = Duration::from_secs(1);

/// The time that batches in flight get when the user asks to end.
const LAST: Duration = Duration::from_secs(2);

/// The same time when no request succeeds.
const LAST_WHEN_GIVEN_UP: Duration = Duration::from_millis(200);

/// Failures that last this long are reported.
const FAILING_NOTICE: Duration = Duration::from_secs(2);

/// Memory for batches that are read and not sent: 8 MiB.
const QUEUE_BYTES: usize = 8 << 20;

/// What the main thread is told by the others.
pub enum Told {
    Ended(Ended),
    Signal(u8),
}

/// One file on its way.
pub struct Sending<'a> {
    pub arguments: &'a Arguments,
    pub file: &'a Path,
    /// How the file is read, if it is CSV.
    pub map: Option<&'a MapFile>,
    /// `None` for a dry run.
    pub service: Option<&'a Service>,
    pub teller: &'a Sender<Told>,
    pub told: &'a Receiver<Told>,
}

/// Why the watching ended.
enum Stop {
    Ended(Ended),
    Signal(u8),
    /// The service lets nothing through.
    GaveUp(Error),
    /// How far it is cannot be written down.
    Failed(Failure),
}

impl Sending<'_> {
    pub fn run(&self) -> exit::Result {
        let Self { arguments, file, .. } = self;
        let mut batches = self.batches()?;
        let (mut journal, mark) = self.journal()?;
        if mark.offset > 0 {
            batches.skip_to(mark.place()).map_err(|error| Failure::file("go on with", file, &error))?;
        }
        let (size, read) = (batches.source().size(), batches.source().progress());
        // What cannot be written down is found before anything is sent.
        if let Some(journal) = &mut journal {
            write_journal(journal, mark)?;
        }
        let progress = Arc::new(Progress::new(file, size, mark.delivered, arguments.quiet));
        let rejects = if arguments.dry_run { None } else { Some(self.rejects(mark, &progress)?) };
        let account = Arc::new(Account::new(mark, rejects));
        let faults =
            (!arguments.quiet).then(|| Arc::new(Faults::new(self.name(), Arc::clone(&progress), arguments.dry_run)));
        let uploader =
            self.service.map(|service| self.uploader(service.client.clone(), &account, faults.clone())).transpose()?;

        self.start(batches, &account, uploader.clone(), faults)?;
        let stop = self.watch(&account, uploader.as_ref(), &read, &progress, journal.as_mut());

        let (last_error, stopped) = failures(uploader.as_ref());
        if let (Stop::Signal(_) | Stop::GaveUp(_) | Stop::Failed(_), Some(uploader)) = (&stop, &uploader) {
            let given_up = matches!(stop, Stop::GaveUp(_)) && stopped.is_none();
            uploader.shutdown(if given_up { LAST_WHEN_GIVEN_UP } else { LAST }).wait();
        }
        progress.end();
        let at_the_end = matches!(stop, Stop::Ended(Ended::AtTheEnd));
        let stop = match self.write_down(&account, at_the_end, journal.as_mut()) {
            Ok(reached) => {
                if mark.complete && reached == mark && !arguments.quiet {
                    tell(format_args!("{}: nothing is new since it was sent", self.name()));
                }
                stop
            }
            Err(failure) => Stop::Failed(failure),
        };
        let exit = self.tell(stop, last_error.as_ref(), &account, &progress)?;
        let unread = uploader.map_or(0, |uploader| uploader.stats().unread_responses);
        if unread > 0 {
            tell(format_args!(
                "{}: warning: {unread} responses could not be read to their end; what was sent with them counts as delivered by \
                 their status",
                self.name()
            ));
        }
        Ok(exit)
    }

    fn batches(&self) -> exit::Result<Batches> {
        let cannot_read = |error: io::Error| Failure::file("read", self.file, &error);
        Ok(match self.map {
            Some(map) => {
                let source = Source::open(self.file).map_err(cannot_read)?;
                Batches::csv(map.open(self.file, source)?, self.examiner())
            }
            None => Batches::json(input::open(self.file).map_err(cannot_read)?, self.examiner()),
        })
    }

    /// The file's journal, and where to begin.
    fn journal(&self) -> Result<(Option<Journal>, Mark), Failure> {
        let Self { arguments, file, .. } = self;
        let Some(Service { address, key, .. }) = self.service.filter(|_| self.can_be_resumed()) else {
            return Ok((None, Mark::default()));
        };
        let endpoint = if arguments.historical { "historical" } else { "events" };
        let mut road = format!("{endpoint} to {address} with the key {key}");
        if let Some(environment) = arguments.environment {
            road += &format!(", in {environment}");
        }
        if let Some(map) = self.map {
            road += &format!(", by the map {}", map.fingerprint());
        }
        let journal =
            Journal::new(file, &road, &self.rejects_path()).map_err(|error| Failure::file("read", file, &error))?;
        let begin = Mark { line: 1, column: 1, ..Mark::default() };
        let mark = match journal.read(file) {
            Ok(mark) if arguments.resume => mark.unwrap_or(begin),
            Err(error) if arguments.resume => return Err(Failure::file("go on from", journal.path(), &error)),
            Ok(Some(mark)) if !mark.complete && !arguments.quiet => {
                tell(format_args!(
                    "{}: an earlier run stopped at line {}; --resume would go on there",
                    self.name(),
                    mark.line
                ));
                begin
            }
            _ => begin,
        };
        Ok((Some(journal), mark))
    }

    fn rejects_path(&self) -> PathBuf {
        rejects::path(self.file, self.arguments.rejects.as_deref())
    }

    fn rejects(&self, mark: Mark, progress: &Arc<Progress>) -> exit::Result<Rejects> {
        let (path, name, progress) = (self.rejects_path(), self.name(), Arc::clone(progress));
        let on_kept = move |kept: &Path| {
            let kept = text::printable(&kept.to_string_lossy());
            progress.say(&format!("{name}: the rejects that were there are in {kept} now"));
        };
        let mut rejects = Rejects::new(path.clone(), mark.rejects_bytes, on_kept);
        rejects.begin().map_err(|error| Failure::file("write", &path, &error))?;
        Ok(rejects)
    }

    fn examiner(&self) -> Examiner {
        Examiner { historical: self.arguments.historical.then(Utc::now), environment: self.arguments.environment }
    }

    fn uploader(
        &self,
        client: Client,
        account: &Arc<Account>,
        faults: Option<Arc<Faults>>,
    ) -> Result<Uploader, Failure> {
        let told = Arc::clone(account);
        let mut builder = Uploader::builder(client)
            .linger(Duration::from_millis(100))
            .max_bytes(QUEUE_BYTES)
            .max_in_flight(self.arguments.concurrency.into())
            .on_delivery(move |report| end(&told, faults.as_deref(), report));
        if self.arguments.historical {
            builder = builder.historical();
        }
        if let Some(rate) = self.arguments.rate {
            builder = builder.max_rate(rate);
        }
        Ok(builder.start()?)
    }

    /// Starts the thread that reads.
    fn start(
        &self,
        batches: Batches,
        account: &Arc<Account>,
        uploader: Option<Uploader>,
        faults: Option<Arc<Faults>>,
    ) -> Result<(), Failure> {
        let (account, strict, teller) = (Arc::clone(account), self.arguments.strict, self.teller.clone());
        let read = move || {
            let feed = Feed { batches, account, uploader: uploader.clone(), strict, faults };
            // Whatever happens to it, the main thread waits for its end.
            let ended = panic::catch_unwind(AssertUnwindSafe(|| feed.run())).unwrap_or(Ended::Closed);
            // All that was read has its end before the end is told.
            if let Some(uploader) = uploader {
                uploader.shutdown(Duration::MAX).wait();
            }
            // Nobody listens any more if a signal came first.
            let _ = teller.send(Told::Ended(ended));
        };
        let thread = thread::Builder::new().name("mparticle-reader".into()).spawn(read);
        thread.map(drop).map_err(|error| Failure::system("start a thread", &error))
    }

    /// Until there is an end: shows the progress, and writes down how far it is.
    fn watch(
        &self,
        account: &Account,
        uploader: Option<&Uploader>,
        read: &AtomicU64,
        progress: &Progress,
        mut journal: Option<&mut Journal>,
    ) -> Stop {
        let patience = Duration::from_secs(self.arguments.give_up_after);
        let (mut written, mut moved, mut delivered, mut told) = (Instant::now(), Instant::now(), u64::MAX, false);
        loop {
            match self.told.recv_timeout(TICK) {
                Ok(Told::Ended(ended)) => {
                    return failures(uploader).1.map_or(Stop::Ended(ended), Stop::GaveUp);
                }
                Ok(Told::Signal(signal)) => return Stop::Signal(signal),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            let totals = account.totals();
            let (last_error, stopped) = failures(uploader);
            let words = last_error.as_ref().map(exit::reason_words);
            let used = uploader.and_then(Uploader::rate_limit_used_percent);
            let shown = last_error.as_ref().zip(words.as_ref()).map(|(error, words)| match exit::asked_wait(error) {
                Some(wait) => format!("the service asks to wait {}", text::wait(wait)),
                None => format!("trying again: {words}"),
            });
            progress.show(read.load(Ordering::Relaxed), &totals, used, shown.as_deref());
            if let Some(error) = stopped {
                return Stop::GaveUp(error);
            }
            let ended = totals.delivered.batches + totals.rejected.batches;
            if ended != delivered || totals.under_way == 0 {
                (moved, delivered, told) = (Instant::now(), ended, false);
            }
            if let (Some(words), false) = (&words, told || self.arguments.quiet || moved.elapsed() < FAILING_NOTICE) {
                progress.say(&format!("{}: {words}; trying again", self.name()));
                told = true;
            }
            if let Some(error) = last_error.filter(|_| moved.elapsed() >= patience) {
                return Stop::GaveUp(error);
            }
            if journal.is_some() && written.elapsed() >= JOURNAL {
                if let Err(failure) = self.write_down(account, false, journal.as_deref_mut()) {
                    return Stop::Failed(failure);
                }
                written = Instant::now();
            }
        }
    }

    /// Up to where all have their end: the rejects on the disk first, then the journal, if there is one.
    fn write_down(&self, account: &Account, at_the_end: bool, journal: Option<&mut Journal>) -> exit::Result<Mark> {
        let mark = account.mark(at_the_end).map_err(|error| Failure::file("write", &self.rejects_path(), &error))?;
        if let Some(journal) = journal {
            write_journal(journal, mark)?;
        }
        Ok(mark)
    }

    /// Says what was done, and gives the exit code.
    fn tell(&self, stop: Stop, last_error: Option<&Error>, account: &Account, progress: &Progress) -> exit::Result {
        let (arguments, name, totals) = (self.arguments, self.name(), account.totals());
        let (exit, ended) = match &stop {
            Stop::Ended(Ended::AtTheEnd) if totals.rejected.batches > 0 => (Exit::Findings, "complete"),
            Stop::Ended(Ended::AtTheEnd) => (Exit::Done, "complete"),
            Stop::Ended(Ended::AtFaults(_)) => (Exit::Findings, "strict"),
            Stop::Ended(Ended::Broken(..)) => (Exit::Unreadable, "unreadable"),
            Stop::Ended(Ended::Closed) | Stop::GaveUp(_) => (Exit::Unsent, "unsent"),
            Stop::Signal(signal) => (Exit::Interrupted(*signal), "interrupted"),
            Stop::Failed(_) => (Exit::Unreadable, "unwritten"),
        };
        let unanswered = unanswered(&stop, last_error);
        if arguments.json {
            let mut line = progress::summary_json(self.file, &totals, ended, arguments.dry_run);
            if let Stop::GaveUp(error) = &stop {
                line["error"] = self.words(error).into();
            }
            if let Some(wait) = unanswered.wait {
                line["retry_after_seconds"] = wait.as_secs().into();
            }
            exit::written(text::line(line.to_string()))?;
        }
        let is_written = !matches!(stop, Stop::Failed(_));
        match stop {
            Stop::Ended(Ended::AtFaults(faults)) => tell(faults::line(&name, &faults)),
            Stop::Ended(Ended::Broken(place, error)) => {
                tell(format_args!("error: cannot read {name} on after {place}: {error}"));
            }
            Stop::GaveUp(error) => {
                exit::tell_said(&error);
                tell(format_args!("error: {}", self.words(&error)));
            }
            Stop::Failed(failure) => tell(format_args!("error: {failure}")),
            _ => {}
        }
        let verb = match exit {
            Exit::Interrupted(_) if arguments.dry_run => "interrupted, would send",
            Exit::Interrupted(_) => "interrupted, delivered",
            _ if arguments.dry_run => "would send",
            _ => "delivered",
        };
        tell(format_args!("{name}: {}", progress.summary(verb, &totals, &unanswered)));
        if totals.rejected.batches > 0 && !arguments.dry_run && is_written {
            tell(format_args!(
                "{name}: the rejected batches are in {}",
                text::printable(&self.rejects_path().to_string_lossy())
            ));
        }
        if ended == "strict" {
            tell(format_args!("{name}: stopped at the first batch that is wrong, as --strict asks"));
        }
        if !matches!(exit, Exit::Done | Exit::Findings) && self.can_be_resumed() {
            tell(format_args!("{name}: --resume sends the rest"));
        }
        Ok(exit)
    }

    fn words(&self, error: &Error) -> String {
        self.service.map_or_else(|| exit::words(error), |service| exit::words_with_address(error, &service.address))
    }

    /// Whether it is sent, and can be read again.
    fn can_be_resumed(&self) -> bool {
        !self.arguments.dry_run && !is_dash(self.file) && self.file.is_file()
    }

    fn name(&self) -> String {
        if is_dash(self.file) { "stdin".to_owned() } else { text::printable(&self.file.to_string_lossy()) }
    }
}

fn write_journal(journal: &mut Journal, mark: Mark) -> exit::Result<()> {
    journal.write(mark).map_err(|error| Failure::file("write", journal.path(), &error))
}

/// Returns what is known of the batches that were in flight when it stopped, after this last error of a request.
fn unanswered(stop: &Stop, last_error: Option<&Error>) -> Unanswered {
    let error = match stop {
        Stop::GaveUp(error) => Some(error),
        _ => None,
    };
    let outcome = match error {
        Some(error) if error.kind() == Kind::Connect || exit::is_unknown(error) => Unsent::NotSent,
        Some(error) if error.status().is_some() => Unsent::NotAccepted,
        _ => Unsent::Unknown,
    };
    Unanswered { outcome, wait: error.or(last_error).and_then(exit::asked_wait) }
}

/// Ends the batch of a report. One that is left at the end of the uploader has no end.
fn end(account: &Account, faults: Option<&Faults>, report: &DeliveryReport) {
    let (Some(tag), Some(batch)) = (report.tag(), report.batch()) else { return };
    match report.status() {
        DeliveryStatus::Delivered => account.ended(tag, |_| End::Delivered),
        DeliveryStatus::Rejected(error) | DeliveryStatus::Dropped(error) => {
            let mut place = None;
            account.ended(tag, |start| {
                place = Some(start);
                End::Rejected(rejects::refused(start, batch.json(), error))
            });
            if let (Some(faults), Some(place)) = (faults, place) {
                faults.refused(place, error);
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
