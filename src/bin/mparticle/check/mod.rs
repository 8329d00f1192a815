//! `mparticle check`: what is wrong with files of batches, told without sending them.

mod excerpt;
mod fix;
mod json;
mod output;
mod report;
mod sarif;
mod summary;
#[cfg(test)]
mod tests;
mod text;

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use chrono::Utc;
use clap::{Args, ValueEnum};
use mparticle::Environment;

use crate::connect;
use crate::exit::{self, CliError, ExitStatus};
use crate::input::{self, CheckedText, FilePosition, Frame, Validator};
use crate::text::{eprint_line, path_string, printable};
use output::FixOutput;
use report::Reporter;
use summary::Summary;

const EXAMPLES: &str = "\
Examples:
  mparticle check yesterday.ndjson.gz             what is wrong, where, and whether it would be sent
  mparticle check --historical --strict *.ndjson  as `send --historical` would see it; warnings fail too
  zcat *.gz | mparticle check --json -            one JSON object a fault, and one of the summary
  mparticle check --format sarif events.ndjson    for a code host
  mparticle check --fix mended.ndjson old.ndjson  mends what needs no guessing, and says what it did

A file holds batches: one a line, one JSON array, or values that go over several lines; plain, gzip or zstd.

--fix renames misspelt fields (customerid to customer_id), makes milliseconds of seconds, puts numbers, true and false
into quotes where text is expected, and takes away nulls that are wrong. Every other byte of a batch stays as it is. The
file is there when all was read, and open to those who may read each of the inputs.

An error breaks the API's document, and the batch would not be sent. A warning is what the service takes, and then
truncates, drops or ignores in silence.

Exit codes: 0 nothing is wrong, 1 something is, 4 a file could not be read; the other files were checked.";

/// Check files of batches without sending them
#[derive(Args)]
#[command(after_help = EXAMPLES)]
#[allow(clippy::struct_excessive_bools)]
pub struct Arguments {
    /// Files to check; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Hold them to the rules of historical data too: events, each with a time, at least 72 hours old
    #[arg(long)]
    historical: bool,

    /// Of which environment batches are that name none; one that names another is an error
    #[arg(long, value_name = "ENVIRONMENT", value_parser = connect::environment_parser())]
    environment: Option<Environment>,

    /// End with exit code 1 for warnings too
    #[arg(long)]
    strict: bool,

    /// How to print what is wrong
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,

    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// List at most so many; by default 1000 as text, 5000 as SARIF, and all as JSON
    #[arg(long, value_name = "N")]
    max_diagnostics: Option<u64>,

    /// List nothing, and only print the summary
    #[arg(short, long)]
    quiet: bool,

    /// Write all batches to this file, mended where that needs no guessing, one a line; - is standard output
    #[arg(long, value_name = "OUT")]
    fix: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// For people: the place, the words, and an excerpt
    Text,
    /// One JSON object a line
    Json,
    /// SARIF 2.1.0, for code hosts
    Sarif,
}

/// So many faults are listed for people unless they ask for more.
const MAX_LISTED_AS_TEXT: u64 = 1000;

/// Reads all files, and prints what is wrong with them.
pub fn run(arguments: &Arguments) -> exit::Result {
    let format = if arguments.json { ReportFormat::Json } else { arguments.format };
    let on_stdout = arguments.fix.as_deref().is_some_and(input::is_dash);
    if on_stdout && format != ReportFormat::Text {
        return Err(CliError::usage("--fix - writes the batches to standard output, where the faults would go"));
    }
    let output = arguments.fix.as_deref().map(|path| FixOutput::create(path, &arguments.files)).transpose()?;
    let most = match (arguments.max_diagnostics, format) {
        _ if arguments.quiet => u64::MAX,
        (most, ReportFormat::Sarif) => most.map_or(sarif::MAX_RESULTS, |most| most.min(sarif::MAX_RESULTS)),
        (most, ReportFormat::Json) => most.unwrap_or(u64::MAX),
        (most, ReportFormat::Text) => most.unwrap_or(MAX_LISTED_AS_TEXT),
    };
    let historical = arguments.historical.then(Utc::now);
    let check = Check {
        validator: Validator { historical, environment: arguments.environment },
        report: self::report(format, arguments.quiet || on_stdout),
        summary: Summary { is_fixing: output.is_some(), ..Summary::default() },
        most,
        is_quiet: arguments.quiet,
        output,
    };
    match check.run(&arguments.files) {
        ControlFlow::Break(ended) => ended,
        ControlFlow::Continue(summary) if summary.unreadable > 0 => Ok(ExitStatus::IoError),
        ControlFlow::Continue(summary) if summary.errors() > 0 => Ok(ExitStatus::DataError),
        ControlFlow::Continue(summary) if arguments.strict && summary.warnings() > 0 => Ok(ExitStatus::DataError),
        ControlFlow::Continue(_) => Ok(ExitStatus::Success),
    }
}

/// One run over all files. It breaks off only where its own output cannot be written.
struct Check {
    validator: Validator,
    report: Box<dyn Reporter>,
    summary: Summary,
    /// So many faults are listed, and so many lines tell what was mended.
    most: u64,
    /// Whether what was mended is not told.
    is_quiet: bool,
    output: Option<FixOutput>,
}

type Flow<T = ()> = ControlFlow<exit::Result, T>;

impl Check {
    fn run(mut self, files: &[PathBuf]) -> Flow<Summary> {
        for path in files {
            self.file(path)?;
        }
        if let Some(output) = self.output.take() {
            let path = printable(&path_string(output.path()));
            if !or_end(output.finish(self.summary.unreadable == 0))? {
                eprint_line(format_args!("{path} was not written: not all could be read"));
            }
        }
        let result = self.report.end(&self.summary);
        self.written(result)?;
        Flow::Continue(self.summary)
    }

    fn file(&mut self, path: &Path) -> Flow {
        self.summary.files += 1;
        let mut frames = match input::open(path) {
            Ok(frames) => frames,
            Err(error) => return self.unreadable(path, None, &error),
        };
        while let Some(frame) = frames.next() {
            match frame {
                Ok(frame) => self.frame(path, frame)?,
                Err(error) => return self.unreadable(path, Some(frames.current_position()), &error),
            }
        }
        Flow::Continue(())
    }

    fn frame(&mut self, path: &Path, frame: Frame) -> Flow {
        let Some(output) = &mut self.output else { return self.checked(path, frame) };
        let Frame::Text { position, text } = frame else {
            // There is no text that could be written.
            self.summary.left_out += 1;
            return self.checked(path, frame);
        };
        let fixed = fix::fix(&self.validator, text, position);
        let at = or_end(output.write(&fixed.text))?;
        let written = output.path().to_owned();
        self.summary.unfinished += u64::from(fixed.unfinished);
        for change in fixed.changes {
            self.summary.fixed += 1;
            if !self.is_quiet && self.summary.fixed <= self.most {
                eprint_line(format_args!("{}:{change}", printable(&path_string(path))));
            }
        }
        // What is left to be mended by hand is told where it stands now.
        self.checked(&written, Frame::Text { position: at, text: fixed.text })
    }

    fn checked(&mut self, path: &Path, frame: Frame) -> Flow {
        let is_batch = !matches!(frame, Frame::Broken { .. });
        let checked = self.validator.check(frame);
        self.summary.count(&checked, is_batch);
        self.list(path, &checked)
    }

    fn list(&mut self, path: &Path, checked: &CheckedText) -> Flow {
        for fault in &checked.diagnostics {
            if self.summary.listed == self.most {
                self.summary.not_listed += 1;
                continue;
            }
            self.summary.listed += 1;
            let result = self.report.fault(path, checked, fault);
            self.written(result)?;
        }
        Flow::Continue(())
    }

    /// The file cannot be read, or not beyond this place. It does not keep the other files from being checked.
    fn unreadable(&mut self, path: &Path, position: Option<FilePosition>, error: &io::Error) -> Flow {
        let beyond =
            position.map_or(String::new(), |position| format!(" beyond {position} (byte {})", position.offset));
        let message = format!("cannot read {}{beyond}: {error}", printable(&path_string(path)));
        eprint_line(format_args!("error: {message}"));
        self.summary.unreadable += 1;
        let result = self.report.unreadable(path, position, &message);
        self.written(result)
    }

    /// Nobody may be reading any more; the mended file is to be written all the same.
    fn written(&mut self, result: io::Result<()>) -> Flow {
        match result {
            Ok(()) => Flow::Continue(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && self.output.is_some() => {
                self.report = report(ReportFormat::Text, true);
                Flow::Continue(())
            }
            Err(error) => Flow::Break(CliError::stdout(&error)),
        }
    }
}

/// Creates the report of a form of output.
fn report(format: ReportFormat, quiet: bool) -> Box<dyn Reporter> {
    match format {
        ReportFormat::Text => Box::new(text::TextReporter::new(quiet)),
        ReportFormat::Json => Box::new(json::JsonReporter::new(quiet)),
        ReportFormat::Sarif => Box::new(sarif::SarifReporter::new(quiet)),
    }
}

fn or_end<T>(result: exit::Result<T>) -> Flow<T> {
    match result {
        Ok(value) => Flow::Continue(value),
        Err(failure) => Flow::Break(Err(failure)),
    }
}
