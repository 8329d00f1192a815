//! Reads, checks and seals the batches of a file, and hands them to the uploader: the reading side of `send`.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use mparticle::diagnostics::Code;
use mparticle::{SealedBatch, Uploader};
use uuid::Uuid;

use super::account::{Account, Read};
use super::faults::Faults;
use super::rejects;
use crate::input::{Batches, Examined, Located, Place, Reading};

/// The ids that batches of files get are made in this namespace.
const IDS: Uuid = Uuid::from_u128(0x5f0e_7f8e_9d1c_4e43_9f5b_2f2c_61a7_d3b4);

/// Why reading ended.
pub enum Ended {
    /// There is no more.
    AtTheEnd,
    /// At a batch that is wrong, since that was asked for.
    AtFaults(Vec<Located>),
    /// The uploader takes nothing any more, or reading broke down.
    Closed,
    /// The file cannot be read on from here.
    Broken(Place, io::Error),
}

pub struct Feed {
    pub batches: Batches,
    pub account: Arc<Account>,
    /// `None` for a dry run: everything is done but sending.
    pub uploader: Option<Uploader>,
    /// A wrong batch ends it.
    pub strict: bool,
    /// Told of each batch that is wrong, if anybody wants to know.
    pub faults: Option<Arc<Faults>>,
}

impl Feed {
    /// Reads until there is no more. Waits for room as the uploader asks.
    pub fn run(mut self) -> Ended {
        while let Some(reading) = self.batches.next() {
            let Reading { examined, events, next } = match reading {
                Ok(reading) => reading,
                Err(error) => return Ended::Broken(self.batches.place(), error),
            };
            let read = Read { start: examined.place, next, events };
            if !examined.faults.is_empty() {
                if examined.is_wrong() {
                    if self.strict {
                        return Ended::AtFaults(examined.faults);
                    }
                    if let Some(faults) = &self.faults {
                        faults.found(&examined);
                    }
                    self.reject(read, &examined.text, &examined.faults);
                    continue;
                }
                self.account.warned(examined.faults.len());
            }
            if let Some(ended) = self.send(read, examined) {
                return ended;
            }
        }
        Ended::AtTheEnd
    }

    fn send(&self, read: Read, examined: Examined) -> Option<Ended> {
        let text = Bytes::from(self.batches.examiner().to_send(examined.text));
        let id = Uuid::new_v5(&IDS, &name(examined.place, &text));
        let sealed = match SealedBatch::from_json_with(text.clone(), || id) {
            Ok(sealed) => sealed,
            // What was checked can be sealed; should the two ever differ, the batch is not lost.
            Err(error) => {
                let fault = Located::new(examined.place, Code::Unsealable, error.to_string());
                self.reject(read, &text, &[fault]);
                return None;
            }
        };
        let tag = self.account.sending(read);
        match &self.uploader {
            None => {
                self.account.ended(tag, |_| super::account::End::Delivered);
                None
            }
            Some(uploader) => uploader.send_tagged(sealed, tag).accepted().wait().is_err().then_some(Ended::Closed),
        }
    }

    fn reject(&self, read: Read, text: &[u8], faults: &[Located]) {
        let wrong: Vec<_> = faults.iter().filter(|fault| fault.is_error()).cloned().collect();
        let line = rejects::found(read.start, text, &wrong);
        self.account.rejected(read, line);
    }
}

/// What is sent of a place of a file, as the name that its id is made of: the same file gives the same ids, and two equal
/// lines of it differ. So does a rehearsal in another environment.
fn name(place: Place, text: &[u8]) -> Vec<u8> {
    [&place.offset.to_be_bytes(), text].concat()
}
