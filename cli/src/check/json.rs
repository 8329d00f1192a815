//! Diagnostics for programs: one JSON object per line, and the summary as the last one.

use std::io::{self, BufWriter, Stdout, Write};
use std::path::Path;

use mparticle::diagnostics::{Code, Diagnostic, EventLocation, Severity};
use serde::Serialize;

use super::reporter::Reporter;
use super::summary::Summary;
use crate::input::{CheckedText, FilePosition, LocatedDiagnostic};
use crate::text::path_string;

pub struct JsonReporter {
    stdout: BufWriter<Stdout>,
    quiet: bool,
}

impl JsonReporter {
    pub fn new(quiet: bool) -> Self {
        Self { stdout: BufWriter::new(io::stdout()), quiet }
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.stdout, line)?;
        self.stdout.write_all(b"\n")
    }
}

#[derive(Serialize)]
struct DiagnosticLine<'a> {
    file: String,
    line: u64,
    column: u64,
    offset: u64,
    severity: Severity,
    rule: &'static str,
    pointer: &'a str,
    message: &'a str,
    event: Option<&'a EventLocation>,
    fixable: bool,
}

impl Reporter for JsonReporter {
    fn diagnostic(&mut self, path: &Path, _: &CheckedText, diagnostic: &LocatedDiagnostic) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        let FilePosition { offset, line, column } = diagnostic.position;
        let Diagnostic { code, severity, pointer, message, event, fix, .. } = &diagnostic.diagnostic;
        self.line(&DiagnosticLine {
            file: path_string(path),
            line,
            column,
            offset,
            severity: *severity,
            rule: code.id(),
            pointer,
            message,
            event: event.as_ref(),
            fixable: fix.is_some() || *code == Code::ExportForm,
        })
    }

    fn unreadable(&mut self, path: &Path, position: Option<FilePosition>, message: &str) -> io::Result<()> {
        let FilePosition { offset, line, column } = position.unwrap_or(FilePosition { offset: 0, line: 1, column: 1 });
        self.line(&DiagnosticLine {
            file: path_string(path),
            line,
            column,
            offset,
            severity: Severity::Error,
            rule: "unreadable",
            pointer: "",
            message,
            event: None,
            fixable: false,
        })
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        self.line(&serde_json::json!({ "summary": summary.json() }))?;
        self.stdout.flush()
    }
}
