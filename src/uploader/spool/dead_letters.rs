//! The dead-letter file: what will never be sent by itself, one JSON object a line, for a person to read and to resend.

use std::fmt;
use std::io::{self, BufRead, ErrorKind, Read, Seek, SeekFrom, Write};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::directory::Directory;
use super::file_system::Output;
use super::format::{Endpoint, MAX_RECORD_BYTES};
use super::shared::Letter;

/// No line that the spool writes is longer: a byte of a batch takes six at most, as text that is no JSON.
const MAX_LINE_BYTES: usize = 6 * MAX_RECORD_BYTES + (1 << 20);

/// A reason is cut off here: it may be the words of another.
const MAX_REASON_CHARS: usize = 4096;

#[derive(Serialize, Deserialize)]
struct Line<'a> {
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
    /// When it was put there.
    pub time: DateTime<Utc>,
    /// Why: it was too old, or what the service said of it.
    pub reason: String,
    /// The road that it was for.
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

/// Writes the file, which is opened with the first letter.
pub(super) struct DeadLetters {
    directory: Directory,
    max_bytes: u64,
    open: Option<(Box<dyn Output>, u64)>,
}

impl DeadLetters {
    pub(super) fn new(directory: Directory, max_bytes: u64) -> Self {
        Self { directory, max_bytes, open: None }
    }

    /// Adds these letters, durably, with one fsync.
    pub(super) fn write(&mut self, letters: &[Letter], now: DateTime<Utc>) -> io::Result<()> {
        let mut lines = Vec::new();
        for letter in letters {
            write_line(&mut lines, letter, now)?;
        }
        // Only a file that all went well with stays open.
        let (mut file, bytes) = self.make_room(lines.len() as u64)?;
        file.write_all(&lines)?;
        file.sync()?;
        self.open = Some((file, bytes + lines.len() as u64));
        Ok(())
    }

    /// The open file, a new one if this many bytes would be too many for it.
    fn make_room(&mut self, bytes: u64) -> io::Result<(Box<dyn Output>, u64)> {
        let (file, size) = match self.open.take() {
            Some(open) => open,
            None => self.open_file()?,
        };
        if size == 0 || size.saturating_add(bytes) <= self.max_bytes {
            return Ok((file, size));
        }
        drop(file);
        self.directory.files.rename(&self.directory.dead_letters(), &self.directory.old_dead_letters())?;
        self.open_file()
    }

    fn open_file(&self) -> io::Result<(Box<dyn Output>, u64)> {
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

fn write_line(out: &mut Vec<u8>, letter: &Letter, time: DateTime<Utc>) -> io::Result<()> {
    // In JSON a line break can only stand between tokens.
    let one_line: Vec<u8> =
        letter.batch.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect();
    let batch = match serde_json::from_slice::<Box<RawValue>>(&one_line) {
        Ok(json) => json,
        // Not ours, and kept as text for a person.
        Err(_) => serde_json::value::to_raw_value(&String::from_utf8_lossy(&letter.batch))?,
    };
    let line = Line {
        time: time.to_rfc3339_opts(SecondsFormat::Millis, true),
        reason: letter.reason.chars().take(MAX_REASON_CHARS).collect(),
        endpoint: letter.endpoint.name().to_owned(),
        batch: &batch,
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.push(b'\n');
    Ok(())
}

/// Reads the letters of a file. A line that is none is an error, and reading goes on after it. Empty lines are passed
/// over.
pub(super) struct Lines<R> {
    source: R,
    line: u64,
    failed: bool,
}

impl<R: BufRead> Lines<R> {
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
        let line: Line<'_> = serde_json::from_slice(line).map_err(|_| not_one())?;
        let endpoint = Endpoint::from_name(&line.endpoint).ok_or_else(not_one)?;
        let time = DateTime::parse_from_rfc3339(&line.time).map_err(|_| not_one())?.to_utc();
        let batch = Bytes::copy_from_slice(line.batch.get().as_bytes());
        Ok(Some(DeadLetter { time, reason: line.reason, endpoint, batch }))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
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
