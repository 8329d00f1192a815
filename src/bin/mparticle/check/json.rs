//! Faults for machines: one JSON object a line, and one of the summary at the end.

use std::io::{self, BufWriter, Stdout, Write};
use std::path::Path;

use mparticle::contract::{EventPlace, Severity};
use serde::Serialize;

use super::report::Report;
use super::summary::Summary;
use crate::input::{Examined, Fault, Place};
use crate::text::path_of;

pub struct Json {
    stdout: BufWriter<Stdout>,
    quiet: bool,
}

impl Json {
    pub fn new(quiet: bool) -> Self {
        Self { stdout: BufWriter::new(io::stdout()), quiet }
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.stdout, line)?;
        self.stdout.write_all(b"\n")
    }
}

#[derive(Serialize)]
struct Told<'a> {
    file: String,
    line: u64,
    column: u64,
    offset: u64,
    severity: &'static str,
    rule: &'static str,
    pointer: &'a str,
    message: &'a str,
    event: Option<Event<'a>>,
    /// Whether `--fix` mends it.
    fixable: bool,
}

#[derive(Serialize)]
struct Event<'a> {
    index: usize,
    r#type: Option<&'a str>,
}

impl<'a> Event<'a> {
    fn new(place: &'a EventPlace) -> Self {
        Self { index: place.index, r#type: place.event_type.as_deref() }
    }
}

impl Report for Json {
    fn fault(&mut self, path: &Path, _: &Examined, fault: &Fault) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        let Place { offset, line, column } = fault.place;
        self.line(&Told {
            file: path_of(path),
            line,
            column,
            offset,
            severity: fault.severity.name(),
            rule: fault.rule,
            pointer: &fault.pointer,
            message: &fault.message,
            event: fault.event.as_ref().map(Event::new),
            fixable: fault.remedy.is_some(),
        })
    }

    fn unread(&mut self, path: &Path, place: Option<Place>, words: &str) -> io::Result<()> {
        let Place { offset, line, column } = place.unwrap_or(Place { offset: 0, line: 1, column: 1 });
        self.line(&Told {
            file: path_of(path),
            line,
            column,
            offset,
            severity: Severity::Error.name(),
            rule: "unread",
            pointer: "",
            message: words,
            event: None,
            fixable: false,
        })
    }

    fn end(&mut self, summary: &Summary) -> io::Result<()> {
        self.line(&serde_json::json!({ "summary": summary.json() }))?;
        self.stdout.flush()
    }
}
