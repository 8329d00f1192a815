//! Looking into a spool, which may be in use: nothing is locked, nothing is written.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::path::Path;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use mparticle::spool::{self, DeadLetter, Inspector, Record};
use mparticle::{Error, SealedBatch};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::arguments::Endpoint;
use crate::exit::{self, Exit, Failure};
use crate::text::{self, printable, tell};

/// Prints a line for each record.
pub fn list(dir: &Path, json: bool) -> exit::Result {
    let letters = Inspector::new(dir).dead_letters()?.count();
    let rows = records(dir)?.map(|record| {
        record.map(|record| {
            let sealed = record.to_sealed().ok();
            let Record { number, appended, endpoint, batch, .. } = record;
            Row { number, time: appended, endpoint, batch, sealed }
        })
    });
    let listed = print_rows(rows, "number", json);
    let (count, bytes, exit) = listed?;
    tell(format_args!("{count} records, {bytes} bytes; {letters} dead letters"));
    report_damage(dir, exit)
}

/// Reports what cannot be read of the segments, which makes the exit code 1 at least.
pub fn report_damage(dir: &Path, exit: Exit) -> exit::Result {
    let damage = Inspector::new(dir).damage()?;
    if damage.bytes == 0 {
        return Ok(exit);
    }
    let (bytes, places) = (damage.bytes, damage.places);
    let places = if places == 1 { "1 place".to_owned() } else { format!("{places} places") };
    tell(format_args!("warning: the spool is damaged in {places}: {bytes} bytes cannot be read"));
    Ok(exit.max(Exit::Findings))
}

/// Prints a line for each dead letter. Why it is one may quote the user's data, so that is left to `show`.
pub fn list_dead(dir: &Path, json: bool) -> exit::Result {
    let rows = letters(dir)?.map(|letter| {
        letter.map(|(number, DeadLetter { time, endpoint, batch, .. })| {
            let sealed = SealedBatch::from_json(batch.clone()).ok();
            Row { number, time, endpoint, batch, sealed }
        })
    });
    let listed = print_rows(rows, "letter", json);
    listed.map(|(count, bytes, exit)| {
        tell(format_args!("{count} dead letters, {bytes} bytes"));
        exit
    })
}

struct Row {
    number: u64,
    time: DateTime<Utc>,
    endpoint: spool::Endpoint,
    batch: Bytes,
    /// `None` if another program wrote it and it is no batch.
    sealed: Option<SealedBatch>,
}

/// Prints them, and tells how many there were and of how many bytes.
fn print_rows(
    rows: impl Iterator<Item = Result<Row, Error>>,
    numbered: &str,
    json: bool,
) -> exit::Result<(u64, usize, Exit)> {
    let (mut count, mut bytes) = (0, 0);
    let exit = each(rows, |out, row| {
        count += 1;
        bytes += row.batch.len();
        let Row { number, time, endpoint, batch, sealed } = row;
        let time = time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let endpoint = name(endpoint);
        let size = batch.len();
        let id = sealed.map(|batch| batch.source_request_id().to_owned());
        if json {
            let mut row = json!({ "time": time, "endpoint": endpoint, "bytes": size, "source_request_id": id });
            row[numbered] = number.into();
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
            return print(&record.batch);
        }
    }
    Err(Failure::usage(format!("there is no record {number} in the spool, or it is done by now")))
}

/// A dead letter as its file has it.
#[derive(Serialize)]
struct Letter<'a> {
    time: &'a str,
    reason: &'a str,
    endpoint: &'a str,
    batch: Option<&'a RawValue>,
}

/// Prints one dead letter.
pub fn show_dead(dir: &Path, number: u64) -> exit::Result {
    for letter in letters(dir)? {
        let Ok((its_number, letter)) = letter else { continue };
        if its_number == number {
            let batch: Option<&RawValue> = serde_json::from_slice(&letter.batch).ok();
            let time = letter.time.to_rfc3339_opts(SecondsFormat::Millis, true);
            let letter = Letter { time: &time, reason: &letter.reason, endpoint: name(letter.endpoint), batch };
            let json = serde_json::to_vec(&letter).map_err(|error| Failure::system("write", &error.into()))?;
            return print(&json);
        }
    }
    Err(Failure::usage(format!("there is no dead letter {number}")))
}

/// Prints the batches, one a line, byte for byte.
pub fn export(dir: &Path, dead: bool, endpoint: Option<Endpoint>) -> exit::Result {
    let mut counts = [0_u64; 2];
    let mut write = |out: &mut Out, its_endpoint: spool::Endpoint, batch: &[u8]| {
        let is_historical = its_endpoint == spool::Endpoint::HistoricalEvents;
        if endpoint.is_some_and(|wanted| (wanted == Endpoint::Historical) != is_historical) {
            return Ok(());
        }
        counts[usize::from(is_historical)] += 1;
        out.write_all(&one_line(batch))?;
        out.write_all(b"\n")
    };
    let exit = if dead {
        each(letters(dir)?, |out, (_, letter)| write(out, letter.endpoint, &letter.batch))
    } else {
        each(records(dir)?, |out, record| write(out, record.endpoint, &record.batch))
    }?;
    if counts[0] > 0 && counts[1] > 0 {
        tell(format_args!(
            "{} batches are for events and {} for historical: --endpoint keeps them apart",
            counts[0], counts[1]
        ));
    }
    if dead { Ok(exit) } else { report_damage(dir, exit) }
}

type Out<'a> = BufWriter<StdoutLock<'a>>;

/// Writes each of them to stdout. What cannot be read is told, and the rest goes on.
fn each<T>(
    items: impl Iterator<Item = Result<T, Error>>,
    mut write: impl FnMut(&mut Out<'_>, T) -> io::Result<()>,
) -> exit::Result {
    let mut exit = Exit::Done;
    let write_all = || {
        let mut out = BufWriter::new(io::stdout().lock());
        for item in items {
            match item {
                Ok(item) => write(&mut out, item)?,
                Err(error) => {
                    tell(format_args!("error: {error}"));
                    exit = Exit::Findings;
                }
            }
        }
        out.flush()
    };
    match write_all() {
        Ok(()) => Ok(exit),
        Err(error) => Failure::output(&error),
    }
}

fn records(dir: &Path) -> exit::Result<impl Iterator<Item = Result<Record, Error>>> {
    Ok(Inspector::new(dir).records()?)
}

/// The dead letters, numbered from 1 as long as none comes.
fn letters(dir: &Path) -> exit::Result<impl Iterator<Item = Result<(u64, DeadLetter), Error>>> {
    Ok((1..).zip(Inspector::new(dir).dead_letters()?).map(|(number, letter)| letter.map(|letter| (number, letter))))
}

fn name(endpoint: spool::Endpoint) -> &'static str {
    match endpoint {
        spool::Endpoint::HistoricalEvents => "historical",
        _ => "events",
    }
}

/// In JSON a line break can only stand between tokens.
fn one_line(json: &[u8]) -> Cow<'_, [u8]> {
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if !json.iter().any(is_break) {
        return Cow::Borrowed(json);
    }
    json.iter().map(|byte| if is_break(byte) { b' ' } else { *byte }).collect()
}

fn print(json: &[u8]) -> exit::Result {
    // What is sent is not to steer the terminal; a file gets the very bytes.
    exit::written(if io::stdout().is_terminal() {
        text::line(printable(&String::from_utf8_lossy(json)))
    } else {
        text::line(json)
    })
}
