//! The dead-letter file: what will never be sent by itself, one JSON object a line, for a person to read and to resend.

mod admin;

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use admin::RedriveStats;

use super::directory::Directory;
use super::file_system::AppendFile;
use super::format::{MAX_RECORD_BYTES, endpoint_from_name, endpoint_name};
use crate::endpoint::Endpoint;

/// No line that the spool writes is longer: a byte of a batch takes six at most, as text that is no JSON.
const MAX_LINE_BYTES: usize = 6 * MAX_RECORD_BYTES + (1 << 20);

/// The longest reason that is kept: it may be a text of the service.
const MAX_REASON_CHARS: usize = 4096;

/// Cuts a reason off where it is too long.
pub(super) fn cut_reason(reason: &str) -> &str {
    reason.char_indices().nth(MAX_REASON_CHARS).map_or(reason, |(end, _)| &reason[..end])
}

#[derive(Serialize, Deserialize)]
struct DeadLetterLine<'a> {
    time: String,
    reason: String,
    endpoint: String,
    #[serde(borrow)]
    batch: &'a RawValue,
}

/// A batch in the dead-letter file.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The time of writing it.
    pub time: DateTime<Utc>,
    /// The reason: that it was too old, or the error of the service.
    pub reason: String,
    /// The endpoint that it was for.
    pub endpoint: Endpoint,
    /// Its JSON as it would have been sent, but for line breaks between tokens, which became spaces.
    pub batch: Bytes,
}

/// The batch is user data, and the reason may quote it: both are left out.
impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("time", &self.time)
            .field("endpoint", &self.endpoint)
            .field("bytes", &self.batch.len())
            .finish_non_exhaustive()
    }
}

/// The number of files when the total is reached.
const FILES: u64 = 8;

/// Dead letters are written in portions of about this many bytes, with one fsync each.
const PORTION_BYTES: u64 = 1 << 20;

/// Writes the files. The newest file is opened when the first dead letter is written.
pub(super) struct DeadLetterFiles {
    directory: Directory,
    max_bytes: u64,
    open: Option<(Box<dyn AppendFile>, u64)>,
    /// The number of dead letters that were removed because there were too many.
    pub(super) dropped: u64,
}

impl DeadLetterFiles {
    pub(super) fn new(directory: Directory, max_bytes: u64) -> Self {
        Self { directory, max_bytes, open: None, dropped: 0 }
    }

    /// Returns the largest size of one file, in bytes.
    fn file_bytes(&self) -> u64 {
        self.max_bytes / FILES
    }

    /// Returns the bytes of batches that are written at once, about.
    pub(super) fn portion_bytes(&self) -> u64 {
        PORTION_BYTES.min(self.file_bytes())
    }

    /// Adds these batches, each with its reason, durably, with one fsync.
    pub(super) fn write<'a>(
        &mut self,
        letters: impl Iterator<Item = (Endpoint, &'a Bytes, &'a str)>,
        now: DateTime<Utc>,
    ) -> io::Result<()> {
        let mut lines = Vec::new();
        for (endpoint, batch, reason) in letters {
            write_line(&mut lines, endpoint, batch, reason, now)?;
        }
        // Only a file that all went well with stays open.
        let (mut file, bytes) = self.make_room(lines.len() as u64)?;
        if let Err(error) = file.write_all(&lines).and_then(|()| file.sync()) {
            // They are tried again: what there is of them is not to be there twice, nor to fill the files.
            let _ = file.truncate(bytes);
            return Err(error);
        }
        self.open = Some((file, bytes + lines.len() as u64));
        Ok(())
    }

    /// The open file, a new one if this many bytes would be too many for it.
    fn make_room(&mut self, bytes: u64) -> io::Result<(Box<dyn AppendFile>, u64)> {
        let (file, size) = match self.open.take() {
            Some(open) => open,
            None => self.open_file()?,
        };
        if size == 0 || size.saturating_add(bytes) <= self.file_bytes() {
            return Ok((file, size));
        }
        drop(file);
        // Up to the first that is missing, as after a crash in here.
        let generations = self.directory.dead_letter_generations()?;
        let run = (1..).zip(&generations).take_while(|(number, generation)| number == *generation);
        for generation in run.map(|(number, _)| number).collect::<Vec<u32>>().into_iter().rev() {
            let [from, to] = [generation, generation + 1].map(|number| self.directory.dead_letter_generation(number));
            self.directory.files.rename(&from, &to)?;
        }
        self.directory.files.rename(&self.directory.dead_letters(), &self.directory.dead_letter_generation(1))?;
        self.remove_oldest(bytes.max(self.file_bytes()))?;
        self.open_file()
    }

    /// Removes the oldest files until there is room for this many bytes.
    fn remove_oldest(&mut self, bytes: u64) -> io::Result<()> {
        let files = self.directory.old_dead_letters()?;
        let mut sizes = Vec::with_capacity(files.len());
        for file in &files {
            sizes.push(self.directory.files.open(file)?.seek(SeekFrom::End(0))?);
        }
        let mut total: u64 = sizes.iter().sum();
        for (file, size) in files.iter().zip(sizes) {
            if total.saturating_add(bytes) <= self.max_bytes {
                break;
            }
            let mut letters = 0;
            let mut lines = BufReader::new(self.directory.files.open(file)?);
            while lines.skip_until(b'\n')? > 0 {
                letters += 1;
            }
            self.directory.remove(file)?;
            total -= size;
            self.dropped += letters;
            tracing::warn!(
                file = %file.display(),
                letters,
                "the spool removed its oldest dead letters: together they were larger than max_dead_letter_bytes"
            );
        }
        Ok(())
    }

    fn open_file(&self) -> io::Result<(Box<dyn AppendFile>, u64)> {
        let path = self.directory.dead_letters();
        let (mut size, mut cut_off) = (0, false);
        match self.directory.files.open(&path) {
            Ok(mut file) => {
                size = file.seek(SeekFrom::End(0))?;
                let mut last = [b'\n'];
                if size > 0 {
                    file.seek(SeekFrom::End(-1))?;
                    file.read_exact(&mut last)?;
                }
                cut_off = last != [b'\n'];
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut file = self.directory.files.append(&path)?;
        // A crash or a failed write can cut a line off: what follows starts on its own line.
        if cut_off {
            file.write_all(b"\n")?;
            size += 1;
        }
        self.directory.sync()?;
        Ok((file, size))
    }
}

fn write_line(
    out: &mut Vec<u8>,
    endpoint: Endpoint,
    batch: &[u8],
    reason: &str,
    time: DateTime<Utc>,
) -> io::Result<()> {
    // In JSON a line break can only stand between tokens.
    let one_line: Vec<u8> = batch.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect();
    let json = match serde_json::from_slice::<Box<RawValue>>(&one_line) {
        Ok(json) => json,
        // Not ours, and kept as text for a person.
        Err(_) => serde_json::value::to_raw_value(&String::from_utf8_lossy(batch))?,
    };
    let line = DeadLetterLine {
        time: time.to_rfc3339_opts(SecondsFormat::Millis, true),
        reason: cut_reason(reason).to_owned(),
        endpoint: endpoint_name(endpoint).to_owned(),
        batch: &json,
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.push(b'\n');
    Ok(())
}

/// Reads all dead letters, those of the oldest file first.
pub(super) fn read_all(directory: &Directory) -> io::Result<impl Iterator<Item = io::Result<DeadLetter>> + use<>> {
    let mut files = Vec::new();
    for path in directory.old_dead_letters()?.into_iter().chain([directory.dead_letters()]) {
        match directory.files.open(&path) {
            Ok(file) => files.push(DeadLetterReader::new(BufReader::new(file))),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files.into_iter().flatten())
}

/// Reads the dead letters of a file. Returns an error for a line that is not one, and goes on after it. Skips empty lines.
pub(super) struct DeadLetterReader<R> {
    source: R,
    line: u64,
    failed: bool,
}

impl<R: BufRead> DeadLetterReader<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, line: 0, failed: false }
    }

    fn read(&mut self) -> io::Result<Option<DeadLetter>> {
        let mut text = Vec::new();
        while text.trim_ascii().is_empty() {
            text.clear();
            let limit = MAX_LINE_BYTES as u64;
            if self.source.by_ref().take(limit).read_until(b'\n', &mut text)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if text.len() as u64 == limit && !text.ends_with(b"\n") {
                self.source.skip_until(b'\n')?;
            }
        }
        // Where an fsync failed and the machine stopped, there can be zeros.
        let zeros = text.iter().take_while(|byte| **byte == 0).count();
        let line = &text[zeros..];
        let not_one = || io::Error::new(ErrorKind::InvalidData, format!("line {} is no dead letter", self.line));
        let line: DeadLetterLine<'_> = serde_json::from_slice(line).map_err(|_| not_one())?;
        let endpoint = endpoint_from_name(&line.endpoint).ok_or_else(not_one)?;
        let time = DateTime::parse_from_rfc3339(&line.time).map_err(|_| not_one())?.to_utc();
        let batch = Bytes::copy_from_slice(line.batch.get().as_bytes());
        Ok(Some(DeadLetter { time, reason: line.reason, endpoint, batch }))
    }
}

impl<R: BufRead> Iterator for DeadLetterReader<R> {
    type Item = io::Result<DeadLetter>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let letter = self.read();
        self.failed = letter.as_ref().is_err_and(|error| error.kind() != ErrorKind::InvalidData);
        letter.transpose()
    }
}
