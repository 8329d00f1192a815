//! Diagnostics for people: the position, the message, and an excerpt of the line with a mark.

use std::io::{self, BufWriter, Stdout, Write};
use std::path::Path;

use clap::builder::styling::{AnsiColor, Style};
use mparticle::diagnostics::{Diagnostic, Severity};

use super::excerpt::{Excerpt, excerpt};
use super::reporter::Reporter;
use super::summary::Summary;
use crate::input::{CheckedText, FilePosition, LocatedDiagnostic};
use crate::text::{eprint_line, path_string, printable, shorten};

pub struct TextReporter {
    stdout: BufWriter<Stdout>,
    is_coloured: bool,
    quiet: bool,
}

impl TextReporter {
    pub fn new(quiet: bool) -> Self {
        let choice = anstream::AutoStream::choice(&io::stdout());
        let is_coloured = choice != anstream::ColorChoice::Never;
        Self { stdout: BufWriter::new(io::stdout()), is_coloured, quiet }
    }
}

impl Reporter for TextReporter {
    fn diagnostic(&mut self, path: &Path, checked: &CheckedText, diagnostic: &LocatedDiagnostic) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        let Diagnostic { code, severity, pointer, message, .. } = &diagnostic.diagnostic;
        let colour = match severity {
            Severity::Error => AnsiColor::Red,
            Severity::Warning => AnsiColor::Yellow,
        };
        let bold = if self.is_coloured { Style::new().bold() } else { Style::new() };
        let loud = if self.is_coloured { bold.fg_color(Some(colour.into())) } else { bold };
        let (file, position, severity) = (printable(&path_string(path)), diagnostic.position, severity.name());
        write!(self.stdout, "{bold}{file}:{position}{bold:#}  {loud}{severity}[{code}]{loud:#}")?;
        if !pointer.is_empty() {
            write!(self.stdout, "  {}", shorten(pointer))?;
        }
        writeln!(self.stdout, "  {}", printable(message))?;
        if let Some(Excerpt { line, before, width }) = excerpt(&checked.text, diagnostic.range.clone()) {
            let mark = "^".repeat(width);
            writeln!(self.stdout, "    {line}\n    {:before$}{loud}{mark}{loud:#}", "")?;
        }
        Ok(())
    }

    fn unreadable(&mut self, _: &Path, _: Option<FilePosition>, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        self.stdout.flush()?;
        eprint_line(summary);
        Ok(())
    }
}
