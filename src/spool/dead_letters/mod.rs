//! The dead-letter files: batches that will not be sent automatically, one JSON object per line, to be inspected and
//! redriven.

mod admin;

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use admin::RedriveStats;

use super::directory::Directory;
use super::file_system::{AppendFile, ReadFile};
use super::format::{MAX_RECORD_BYTES, endpoint_from_name, endpoint_name};
use crate::endpoint::Endpoint;

/// The longest line that the spool writes, in bytes. In a batch that is not JSON, and is escaped as text, a byte takes up to
/// six.
const MAX_LINE_BYTES: usize = 6 * MAX_RECORD_BYTES + (1 << 20);

/// The longest reason that is kept, in characters: it may be a text from the service.
const MAX_REASON_CHARS: usize = 4096;

/// Truncates a reason to the longest that is kept.
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

/// A batch in a dead-letter file.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The time at which it was written.
    pub time: DateTime<Utc>,
    /// The reason: the error of the service, or that the record expired.
    pub reason: String,
    /// The endpoint that the batch was for.
    pub endpoint: Endpoint,
    /// The JSON of the batch as it would have been sent, except that line breaks between tokens are spaces.
    pub batch: Bytes,
}

/// Omits the batch, which is user data, and the reason, which may quote it.
impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("time", &self.time)
            .field("endpoint", &self.endpoint)
            .field("bytes", &self.batch.len())
            .finish_non_exhaustive()
    }
}

/// The number of files that share the total size.
const FILES: u64 = 8;

/// The approximate size of a portion of dead letters, in bytes. Each portion is written with one fsync.
const PORTION_BYTES: u64 = 1 << 20;

/// Writes the dead-letter files. The newest file is opened when the first dead letter is written.
pub(super) struct DeadLetterFiles {
    directory: Directory,
    max_bytes: u64,
    open: Option<(Box<dyn AppendFile>, u64)>,
    /// The number of dead letters that were removed because the files exceeded their total size.
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

    /// Returns the approximate size of a portion, in bytes.
    pub(super) fn portion_bytes(&self) -> u64 {
        PORTION_BYTES.min(self.file_bytes())
    }

    /// Appends these batches, each with its reason, and makes them durable with one fsync.
    pub(super) fn write<'a>(
        &mut self,
        letters: impl Iterator<Item = (Endpoint, &'a Bytes, &'a str)>,
        now: DateTime<Utc>,
    ) -> io::Result<()> {
        let mut lines = Vec::new();
        for (endpoint, batch, reason) in letters {
            write_line(&mut lines, endpoint, batch, reason, now)?;
        }
        // The file stays open only if everything succeeds.
        let (mut file, bytes) = self.make_room(lines.len() as u64)?;
        if let Err(error) = file.write_all(&lines).and_then(|()| file.sync()) {
            // The write is retried: a part that was written must neither be duplicated nor fill the file.
            let _ = file.truncate(bytes);
            return Err(error);
        }
        self.open = Some((file, bytes + lines.len() as u64));
        Ok(())
    }

    /// Returns the file to append to and its size. Starts a new file if this many bytes do not fit into the open one.
    fn make_room(&mut self, bytes: u64) -> io::Result<(Box<dyn AppendFile>, u64)> {
        let (file, size) = match self.open.take() {
            Some(open) => open,
            None => self.open_file()?,
        };
        if size == 0 || size.saturating_add(bytes) <= self.file_bytes() {
            return Ok((file, size));
        }
        drop(file);
        // Up to the first gap, which a crash in this function can leave.
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
                "the spool removed its oldest dead letters: the files exceed max_dead_letter_bytes"
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
        // A crash or a failed write can leave a partial line: the next one starts on its own.
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
    // In JSON, line breaks occur only between tokens.
    let one_line: Vec<u8> = batch.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect();
    let json = match serde_json::from_slice::<Box<RawValue>>(&one_line) {
        Ok(json) => json,
        // Not JSON, and kept as text.
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
    Ok(readers(directory)?.into_iter().flatten())
}

type OpenFile = BufReader<Box<dyn ReadFile>>;

/// Opens all dead-letter files, the oldest first.
fn readers(directory: &Directory) -> io::Result<Vec<DeadLetterReader<OpenFile>>> {
    let mut files = Vec::new();
    for path in directory.old_dead_letters()?.into_iter().chain([directory.dead_letters()]) {
        match directory.files.open(&path) {
            Ok(file) => files.push(DeadLetterReader::new(BufReader::new(file))),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

/// An iterator over the dead letters of a file. It yields an error for a line that is not a dead letter, and continues with
/// the next line. Lines of only white space and zeros are skipped.
pub(super) struct DeadLetterReader<R> {
    source: R,
    /// The beginning of the last line, and its number.
    text: Vec<u8>,
    line: u64,
    /// Set while the last line has bytes that are not in `text`, because it is longer than any dead letter.
    is_cut: bool,
    failed: bool,
}

impl<R: BufRead> DeadLetterReader<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, text: Vec::new(), line: 0, is_cut: false, failed: false }
    }

    fn read(&mut self) -> io::Result<Option<DeadLetter>> {
        if self.is_cut {
            self.source.skip_until(b'\n')?;
            self.is_cut = false;
        }
        self.text.clear();
        // After a failed fsync and a power loss, there can be zeros.
        while self.text.iter().all(|byte| *byte == 0 || byte.is_ascii_whitespace()) {
            self.text.clear();
            if self.source.by_ref().take(MAX_LINE_BYTES as u64).read_until(b'\n', &mut self.text)? == 0 {
                return Ok(None);
            }
            self.line += 1;
        }
        self.is_cut = self.text.len() == MAX_LINE_BYTES && !self.text.ends_with(b"\n");
        let zeros = self.text.iter().take_while(|byte| **byte == 0).count();
        let line = &self.text[zeros..];
        let not_a_dead_letter =
            || io::Error::new(ErrorKind::InvalidData, format!("line {} is not a dead letter", self.line));
        let line: DeadLetterLine<'_> = serde_json::from_slice(line).map_err(|_| not_a_dead_letter())?;
        let endpoint = endpoint_from_name(&line.endpoint).ok_or_else(not_a_dead_letter)?;
        let time = DateTime::parse_from_rfc3339(&line.time).map_err(|_| not_a_dead_letter())?.to_utc();
        let batch = Bytes::copy_from_slice(line.batch.get().as_bytes());
        Ok(Some(DeadLetter { time, reason: line.reason, endpoint, batch }))
    }

    /// Copies the last line, with a line break.
    fn copy_line(&mut self, out: &mut dyn AppendFile) -> io::Result<()> {
        out.write_all(&self.text)?;
        let mut ends = self.text.ends_with(b"\n");
        while self.is_cut {
            let bytes = self.source.fill_buf()?;
            let end = bytes.iter().position(|byte| *byte == b'\n').map(|line_break| line_break + 1);
            let length = end.unwrap_or(bytes.len());
            out.write_all(&bytes[..length])?;
            (ends, self.is_cut) = (end.is_some(), end.is_none() && length > 0);
            self.source.consume(length);
        }
        if ends { Ok(()) } else { out.write_all(b"\n") }
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
