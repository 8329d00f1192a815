//! Inspects a spool, which may be in use, without locking it or writing to it.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use mparticle::spool::{self, DeadLetter, Inspector, Record};
use mparticle::{Error, SealedBatch};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::arguments::EndpointFilter;
use crate::exit::{self, CliError, ExitStatus};
use crate::text::{self, eprint_line, printable};

/// Prints a line for each record.
pub fn list(dir: &Path, json: bool) -> exit::Result {
    let dead_letters = count_dead_letters(dir)?;
    let rows = records(dir)?.map(|record| {
        record.map(|record| {
            let sealed = record.to_sealed().ok();
            let Record { number, appended, endpoint, batch, .. } = record;
            RecordRow { number, time: appended, endpoint, batch, sealed }
        })
    });
    let listed = print_rows(rows, json);
    let (count, bytes, exit) = listed?;
    eprint_line(format_args!(
        "{}, {}; {dead_letters}",
        text::format_count(count, "record"),
        text::format_count(bytes as u64, "byte"),
    ));
    report_damage(dir, exit)
}

/// Returns a text with the number of dead letters, and of lines in their files that are none.
pub fn count_dead_letters(dir: &Path) -> exit::Result<String> {
    let (mut letters, mut other_lines) = (0, 0);
    for letter in Inspector::new(dir).dead_letters()? {
        *if letter.is_ok() { &mut letters } else { &mut other_lines } += 1;
    }
    let letters = text::format_count(letters, "dead letter");
    Ok(match other_lines {
        0 => letters,
        count => format!("{letters}, {} without one", text::format_count(count, "line")),
    })
}

/// Reports damaged segments, and raises the exit code to at least 1 if there are any.
pub fn report_damage(dir: &Path, exit: ExitStatus) -> exit::Result {
    let damage = Inspector::new(dir).damage()?;
    if damage.bytes == 0 {
        return Ok(exit);
    }
    let (bytes, places) = (damage.bytes, damage.places);
    let places = if places == 1 { "1 place".to_owned() } else { format!("{places} places") };
    eprint_line(format_args!("warning: the spool is damaged in {places}: {bytes} bytes cannot be read"));
    Ok(exit.max(ExitStatus::DataError))
}

/// Prints a line for each dead letter, without its reason, which may quote user data.
pub fn list_dead(dir: &Path, json: bool) -> exit::Result {
    let rows = dead_letters(dir)?.map(|letter| {
        letter.map(|(number, DeadLetter { time, endpoint, batch, .. })| {
            let sealed = SealedBatch::from_json(batch.clone()).ok();
            RecordRow { number, time, endpoint, batch, sealed }
        })
    });
    let listed = print_rows(rows, json);
    listed.map(|(count, bytes, exit)| {
        eprint_line(format_args!(
            "{}, {}",
            text::format_count(count, "dead letter"),
            text::format_count(bytes as u64, "byte")
        ));
        exit
    })
}

struct RecordRow {
    number: u64,
    time: DateTime<Utc>,
    endpoint: spool::Endpoint,
    batch: Bytes,
    /// The batch; `None` if the record was written by another program and is not a batch.
    sealed: Option<SealedBatch>,
}

/// Prints the rows, and returns their number and total size in bytes.
fn print_rows(
    rows: impl Iterator<Item = Result<RecordRow, Error>>,
    json: bool,
) -> exit::Result<(u64, usize, ExitStatus)> {
    let (mut count, mut bytes) = (0, 0);
    let exit = write_each(rows, |out, row| {
        count += 1;
        bytes += row.batch.len();
        let RecordRow { number, time, endpoint, batch, sealed } = row;
        let time = time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let endpoint = endpoint_name(endpoint);
        let size = batch.len();
        let id = sealed.map(|batch| batch.source_request_id().to_owned());
        if json {
            let row =
                json!({ "number": number, "time": time, "endpoint": endpoint, "bytes": size, "source_request_id": id });
            return writeln!(out, "{row}");
        }
        writeln!(
            out,
            "{number:>6}  {time}  {endpoint:<10}  {size:>7} bytes  {}",
            printable(id.as_deref().unwrap_or("-"))
        )
    })?;
    Ok((count, bytes, exit))
}

/// Prints the batch of one record.
pub fn show(dir: &Path, number: u64) -> exit::Result {
    for record in records(dir)? {
        let Ok(record) = record else { continue };
        if record.number == number {
            return print_json(&record.batch);
        }
    }
    Err(CliError::usage(format!("no record {number} in the spool; it may have been sent already")))
}

/// A dead letter in the form of its file.
#[derive(Serialize)]
struct DeadLetterRow<'a> {
    time: &'a str,
    reason: &'a str,
    endpoint: &'a str,
    batch: Option<&'a RawValue>,
}

/// Prints one dead letter.
pub fn show_dead(dir: &Path, number: u64) -> exit::Result {
    for letter in dead_letters(dir)? {
        let Ok((letter_number, letter)) = letter else { continue };
        if letter_number == number {
            let batch: Option<&RawValue> = serde_json::from_slice(&letter.batch).ok();
            let time = letter.time.to_rfc3339_opts(SecondsFormat::Millis, true);
            let letter =
                DeadLetterRow { time: &time, reason: &letter.reason, endpoint: endpoint_name(letter.endpoint), batch };
            let json = serde_json::to_vec(&letter).map_err(|error| CliError::system("write", &error.into()))?;
            return print_json(&json);
        }
    }
    Err(CliError::usage(format!("no dead letter {number}")))
}

/// Prints the batches byte for byte, one per line.
pub fn export(dir: &Path, dead: bool, endpoint: Option<EndpointFilter>) -> exit::Result {
    let mut counts = [0_u64; 2];
    let mut write = |out: &mut Out, batch_endpoint: spool::Endpoint, batch: &[u8]| {
        let is_historical = batch_endpoint == spool::Endpoint::HistoricalEvents;
        if endpoint.is_some_and(|wanted| (wanted == EndpointFilter::Historical) != is_historical) {
            return Ok(());
        }
        counts[usize::from(is_historical)] += 1;
        out.write_all(&to_single_line(batch))?;
        out.write_all(b"\n")
    };
    let exit = if dead {
        write_each(dead_letters(dir)?, |out, (_, letter)| write(out, letter.endpoint, &letter.batch))
    } else {
        write_each(records(dir)?, |out, record| write(out, record.endpoint, &record.batch))
    }?;
    if counts[0] > 0 && counts[1] > 0 {
        eprint_line(format_args!(
            "{} batches are for events and {} for historical; use --endpoint to separate them",
            counts[0], counts[1]
        ));
    }
    if dead { Ok(exit) } else { report_damage(dir, exit) }
}

type Out<'a> = BufWriter<Box<dyn Write + 'a>>;

/// Writes each item to stdout. Reports items that cannot be read, and continues. If stdout is closed, the remaining items are
/// still read, so that the counts and the exit code stay the same.
fn write_each<T>(
    items: impl Iterator<Item = Result<T, Error>>,
    mut write: impl FnMut(&mut Out<'_>, T) -> io::Result<()>,
) -> exit::Result {
    let mut exit = ExitStatus::Success;
    let mut out: Out<'_> = BufWriter::new(Box::new(io::stdout().lock()));
    for item in items {
        match item {
            Ok(item) => {
                if let Err(error) = write(&mut out, item) {
                    exit::from_write(Err(error))?;
                    out = BufWriter::new(Box::new(io::sink()));
                }
            }
            Err(error) => {
                eprint_line(format_args!("error: {error}"));
                exit = ExitStatus::DataError;
            }
        }
    }
    exit::from_write(out.flush())?;
    Ok(exit)
}

fn records(dir: &Path) -> exit::Result<impl Iterator<Item = Result<Record, Error>>> {
    Ok(Inspector::new(dir).records()?)
}

/// Returns the dead letters, numbered from 1 in the order of their file.
fn dead_letters(dir: &Path) -> exit::Result<impl Iterator<Item = Result<(u64, DeadLetter), Error>>> {
    Ok((1..).zip(Inspector::new(dir).dead_letters()?).map(|(number, letter)| letter.map(|letter| (number, letter))))
}

fn endpoint_name(endpoint: spool::Endpoint) -> &'static str {
    match endpoint {
        spool::Endpoint::HistoricalEvents => "historical",
        _ => "events",
    }
}

/// Replaces line breaks, which in JSON occur only as white space.
fn to_single_line(json: &[u8]) -> Cow<'_, [u8]> {
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if !json.iter().any(is_break) {
        return Cow::Borrowed(json);
    }
    json.iter().map(|byte| if is_break(byte) { b' ' } else { *byte }).collect()
}

fn print_json(json: &[u8]) -> exit::Result {
    // Foreign data must not control the terminal. A file gets the exact bytes.
    exit::from_write(if io::stdout().is_terminal() {
        text::print_line(printable(&String::from_utf8_lossy(json)))
    } else {
        text::print_line(json)
    })?;
    Ok(ExitStatus::Success)
}
