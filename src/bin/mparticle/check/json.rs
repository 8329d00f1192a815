//! Faults for machines: one JSON object a line, and one of the summary at the end.

use std::io::{self, BufWriter, Stdout, Write};
use std::path::Path;

use mparticle::diagnostics::{Diagnostic, EventPlace, Severity};
use serde::Serialize;

use super::report::Report;
use super::summary::Summary;
use crate::input::{Examined, Located, Place};
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
    severity: Severity,
    rule: &'static str,
    pointer: &'a str,
    message: &'a str,
    event: Option<&'a EventPlace>,
    /// Whether `--fix` mends it.
    fixable: bool,
}

impl Report for Json {
    fn fault(&mut self, path: &Path, _: &Examined, fault: &Located) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        let Place { offset, line, column } = fault.place;
        let Diagnostic { code, severity, pointer, message, event, fix, .. } = &fault.diagnostic;
        self.line(&Told {
            file: path_of(path),
            line,
            column,
            offset,
            severity: *severity,
            rule: code.id(),
            pointer,
            message,
            event: event.as_ref(),
            fixable: fix.is_some(),
        })
    }

    fn unread(&mut self, path: &Path, place: Option<Place>, words: &str) -> io::Result<()> {
        let Place { offset, line, column } = place.unwrap_or(Place { offset: 0, line: 1, column: 1 });
        self.line(&Told {
            file: path_of(path),
            line,
            column,
            offset,
            severity: Severity::Error,
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
