//! The spool on a simulated disk: crashes, faults and damage, reproducible by their seeds.

mod bounds;
mod damage;
mod dead_letter_files;
mod expiry;
mod faults;
mod model;
mod order;
mod simulated;
mod vanished;

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::directory::Directory;
use super::file_system::Access;
use super::writer::Writer;
use super::*;
use simulated::Simulated;

const DIR: &str = "/spool";

/// A spool whose writer runs only when the test calls it.
struct Process {
    spool: Spool,
    writer: Writer,
}

impl Process {
    fn start(disk: &Simulated, settings: SpoolOptions) -> Result<Self, Error> {
        let (spool, writer) = Spool::open_on(Arc::new(disk.clone()), DIR.into(), settings)?;
        Ok(Self { spool, writer })
    }

    /// Writes everything that is queued.
    fn commit(&mut self) {
        self.writer.commit();
        self.writer.write_dead_letters();
    }

    /// Appends a batch and commits it. Returns the result of the receipt.
    fn append(&mut self, batch: &str) -> Result<(), Error> {
        let receipt = self.spool.append(Endpoint::BulkEvents, batch.to_owned())?;
        self.commit();
        result_of(receipt)
    }

    fn read_all(&self) -> Vec<Record> {
        std::iter::from_fn(|| self.spool.next_record().expect("the disk works")).collect()
    }

    fn close(self) {
        self.writer.close();
    }
}

/// Returns the result of a receipt or a completion that has to be complete.
fn result_of(written: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    poll_result(std::pin::pin!(written)).expect("it is complete")
}

/// Returns the result of a receipt or a completion, if it is complete.
fn poll_result(written: Pin<&mut impl Future<Output = Result<(), Error>>>) -> Option<Result<(), Error>> {
    match written.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(poll_result) => Some(poll_result),
        Poll::Pending => None,
    }
}

fn texts(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| str::from_utf8(&record.batch).expect("a text")).collect()
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(DIR).join(name)
}

const BATCH: &str = r#"{"some":"batch of the size that batches have here"}"#;

type Evictions = Arc<Mutex<Vec<(u64, EvictionReason)>>>;

fn collect_evictions(settings: SpoolOptions) -> (SpoolOptions, Evictions) {
    let evicted = Evictions::default();
    let teller = Arc::clone(&evicted);
    let settings = settings.on_evict(move |record, why| teller.lock().expect("no panic").push((record.number, why)));
    (settings, evicted)
}

fn dead_letters_of(disk: &Simulated) -> Vec<DeadLetter> {
    let directory = Directory::new(Arc::new(disk.clone()), DIR.into());
    let letters: std::io::Result<_> = dead_letters::read_all(&directory).expect("readable").collect();
    letters.expect("letters")
}
