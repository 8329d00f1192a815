//! `mparticle check`: validates files of batches without sending them.

mod excerpt;
mod json;
mod output;
mod reporter;
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
use crate::input::{
    self, BatchReader, CheckedText, CsvBatchReader, FilePosition, Frame, InputBatch, MapFile, OpenInput, SeenBatches,
    Source, Validator,
};
use crate::text::{eprint_line, path_string, printable};
use output::FixOutput;
use reporter::Reporter;
use summary::Summary;

const EXAMPLES: &str = "\
Examples:
  mparticle check yesterday.ndjson.gz             list the problems of each batch and their positions
  mparticle check --historical --strict *.ndjson  apply the rules of `send --historical`; fail on warnings too
  zcat *.gz | mparticle check --json -            print a JSON object per problem, and a summary
  mparticle check --format sarif events.ndjson    print SARIF for a code host
  mparticle check --fix fixed.ndjson old.ndjson   write fixed batches, and list the fixes
  mparticle check --csv orders.toml orders.csv    list all problems of a CSV file, with a map as for `send`

A file contains JSON batches in any arrangement: one per line, touching, separated by commas or blanks, pretty-printed, or in
lists; or rows of CSV, with a map unless their columns are named as mParticle names them. It is UTF-8, or UTF-16 with a
byte-order mark; plain, gzip or zstd. After a batch that is cut or malformed, reading goes on at the next one.

--fix renames misspelt fields (customerid to customer_id), converts seconds to milliseconds, quotes numbers, true and
false where text is expected, writes numbers that are text (\"12\") or whole floats (12.0) as numbers, corrects the case of
fixed values (ios to iOS), and removes invalid nulls. It never makes an identity of a number that can have lost digits. All
other bytes of a batch stay the same, except that a batch in the form in which mParticle exports it to a bucket is converted:
identities in a list to an object, text to numbers where numbers are expected, and fields that the API does not have are
removed, and listed. A batch stays as it is if an identity is no text or digits, or of a type that the API does not have.
The file appears once all input has been read, with a mode that admits only those who can read each of the inputs.

A source_request_id that a different batch has is a warning with both places; the last 1,000,000 ids are compared.

An error violates the API's document, and the batch would not be sent. A warning is about data that the service accepts
but silently truncates, drops or ignores.

Exit codes: 0 no problems, 1 problems found, 4 a file could not be read (the other files were checked).";

/// Check files of batches without sending them
#[derive(Args)]
#[command(after_help = EXAMPLES)]
#[allow(clippy::struct_excessive_bools)]
pub struct Arguments {
    /// Files to check; - is stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Read the files as CSV with a header, using this map of the columns
    #[arg(long, value_name = "MAP", conflicts_with = "fix")]
    csv: Option<PathBuf>,

    /// Apply the rules of historical data too: every batch has events, each with a time at least 72 hours ago
    #[arg(long)]
    historical: bool,

    /// Environment of batches without one; a batch of another environment is an error
    #[arg(long, value_name = "ENVIRONMENT", value_parser = connect::environment_parser())]
    environment: Option<Environment>,

    /// Exit with code 1 on warnings too
    #[arg(long)]
    strict: bool,

    /// Output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,

    /// Alias of --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// List at most N problems; the default is 1000 as text, 5000 as SARIF, and no limit as JSON
    #[arg(long, value_name = "N")]
    max_diagnostics: Option<u64>,

    /// Print only the summary
    #[arg(short, long)]
    quiet: bool,

    /// Write all batches to this file, one per line, with unambiguous fixes applied; - is stdout
    #[arg(long, value_name = "OUT")]
    fix: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// Position, message and excerpt, for people
    Text,
    /// One JSON object per line
    Json,
    /// SARIF 2.1.0, for code hosts
    Sarif,
}

/// The default number of diagnostics listed as text.
const MAX_LISTED_AS_TEXT: u64 = 1000;

/// Checks all files and prints the diagnostics.
pub fn run(arguments: &Arguments) -> exit::Result {
    let format = if arguments.json { ReportFormat::Json } else { arguments.format };
    let on_stdout = arguments.fix.as_deref().is_some_and(input::is_dash);
    if on_stdout && format != ReportFormat::Text {
        return Err(CliError::usage(
            "--fix - writes the batches to stdout and cannot be combined with --format json or sarif",
        ));
    }
    let output = arguments.fix.as_deref().map(|path| FixOutput::create(path, &arguments.files)).transpose()?;
    let max_listed = match (arguments.max_diagnostics, format) {
        _ if arguments.quiet => u64::MAX,
        (max_listed, ReportFormat::Sarif) => {
            max_listed.map_or(sarif::MAX_RESULTS, |max_listed| max_listed.min(sarif::MAX_RESULTS))
        }
        (max_listed, ReportFormat::Json) => max_listed.unwrap_or(u64::MAX),
        (max_listed, ReportFormat::Text) => max_listed.unwrap_or(MAX_LISTED_AS_TEXT),
    };
    let map = arguments.csv.as_deref().map(|path| MapFile::read(path, arguments.environment)).transpose()?;
    if let Some(notice) = map.as_ref().and_then(MapFile::notice).filter(|_| !arguments.quiet) {
        eprint_line(notice);
    }
    let historical = arguments.historical.then(Utc::now);
    let check = Check {
        map,
        validator: Validator { historical, environment: arguments.environment, converts_exports: false },
        reporter: reporter(format, arguments.quiet || on_stdout),
        summary: Summary { is_fixing: output.is_some(), ..Summary::default() },
        max_listed,
        is_quiet: arguments.quiet,
        output,
        seen: SeenBatches::default(),
        is_stdout_closed: false,
        has_summary_on_stderr: format != ReportFormat::Json,
    };
    match check.run(&arguments.files) {
        ControlFlow::Break(result) => result,
        ControlFlow::Continue(summary) if summary.unreadable > 0 => Ok(ExitStatus::IoError),
        ControlFlow::Continue(summary) if summary.errors() > 0 => Ok(ExitStatus::DataError),
        ControlFlow::Continue(summary) if arguments.strict && summary.warnings() > 0 => Ok(ExitStatus::DataError),
        ControlFlow::Continue(_) => Ok(ExitStatus::Success),
    }
}

/// A run over all files. It stops early only if its own output cannot be written.
struct Check {
    /// The map, if the files are CSV.
    map: Option<MapFile>,
    validator: Validator,
    reporter: Box<dyn Reporter>,
    summary: Summary,
    /// The maximum number of listed diagnostics, and of listed fixes.
    max_listed: u64,
    /// Suppresses the list of fixes.
    is_quiet: bool,
    output: Option<FixOutput>,
    seen: SeenBatches,
    /// Set once stdout cannot be written any more.
    is_stdout_closed: bool,
    /// Set if the format prints the summary to stderr.
    has_summary_on_stderr: bool,
}

type Flow<T = ()> = ControlFlow<exit::Result, T>;

impl Check {
    fn run(mut self, files: &[PathBuf]) -> Flow<Summary> {
        for path in files {
            self.check_file(path)?;
        }
        if let Some(output) = self.output.take() {
            let path = printable(&path_string(output.path()));
            if !or_break(output.finish(self.summary.unreadable == 0))? {
                eprint_line(format_args!("{path} was not written, since not all input could be read"));
            }
        }
        self.summary.forgotten_ids = self.seen.forgotten();
        if !self.is_stdout_closed {
            let result = self.reporter.finish(&self.summary);
            self.handle_write(result)?;
        }
        if self.is_stdout_closed && self.has_summary_on_stderr {
            eprint_line(&self.summary);
        }
        Flow::Continue(self.summary)
    }

    fn check_file(&mut self, path: &Path) -> Flow {
        self.summary.files += 1;
        let source = match Source::open(path) {
            Ok(source) => source,
            Err(error) => return self.unreadable(path, None, &error),
        };
        let mut frames = match input::open_source(path, source, self.map.as_ref(), self.validator.environment) {
            Ok(OpenInput::Json(frames)) => frames,
            Ok(OpenInput::Csv(batches)) => return self.check_csv(path, *batches),
            Err(failure) if failure.is_io() => return self.report_unreadable(path, None, &failure.to_string()),
            Err(failure) => return Flow::Break(Err(failure)),
        };
        while let Some(frame) = frames.next() {
            match frame {
                Ok(frame) => self.fix_and_check(path, input::unwrap_reject(frame))?,
                Err(error) => return self.unreadable(path, Some(frames.current_position()), &error),
            }
        }
        Flow::Continue(())
    }

    fn check_csv(&mut self, path: &Path, batches: CsvBatchReader<Source>) -> Flow {
        if self.output.is_some() {
            let name = printable(&path_string(path));
            return Flow::Break(Err(CliError::usage(format!("{name}: --fix cannot write CSV"))));
        }
        let mut batches = BatchReader::csv(batches, self.validator);
        while let Some(batch) = batches.next() {
            let InputBatch { mut checked, events, .. } = match batch {
                Ok(batch) => batch,
                Err(error) => return self.unreadable(path, Some(batches.current_position()), &error),
            };
            self.seen.check(path, &mut checked);
            self.summary.count(&checked, true);
            self.summary.events += events;
            // The JSON of a row is not in the file, and a message names the column: there is no excerpt.
            self.report_all(path, &CheckedText { text: Vec::new(), ..checked })?;
        }
        Flow::Continue(())
    }

    fn fix_and_check(&mut self, path: &Path, frame: Frame) -> Flow {
        let Some(output) = &mut self.output else { return self.check_frame(path, frame) };
        let (position, text, converted) = match frame {
            Frame::Value { position, text, value } => {
                let converted = self.validator.convert_export(&text, &value);
                (position, text, converted)
            }
            Frame::Text { position, text } => (position, text, None),
            Frame::Misplaced { .. } => return self.check_frame(path, frame),
            Frame::TooLong { .. } | Frame::Broken { .. } => {
                // There is no text to write.
                self.summary.left_out += 1;
                return self.check_frame(path, frame);
            }
        };
        let fixed = match converted {
            Some(converted) => input::fix_export(&self.validator, &text, position, converted),
            None => input::fix_batch(&self.validator, text, position),
        };
        let at = or_break(output.write(&fixed.text))?;
        let written = output.path().to_owned();
        self.summary.fixable_batches += u64::from(fixed.has_more);
        for change in fixed.changes {
            self.summary.fixed += 1;
            if !self.is_quiet && self.summary.fixed <= self.max_listed {
                eprint_line(format_args!("{}:{change}", printable(&path_string(path))));
            }
        }
        // Remaining diagnostics refer to positions in the written file.
        self.check_frame(&written, Frame::Text { position: at, text: fixed.text })
    }

    fn check_frame(&mut self, path: &Path, frame: Frame) -> Flow {
        let is_batch = !matches!(frame, Frame::Misplaced { .. } | Frame::Broken { .. });
        let is_broken = matches!(frame, Frame::Broken { .. });
        let mut checked = self.validator.check(frame);
        self.seen.check(path, &mut checked);
        self.summary.count(&checked, is_batch);
        // The file was not read beyond this position.
        self.summary.broken += u64::from(is_broken);
        self.report_all(path, &checked)
    }

    fn report_all(&mut self, path: &Path, checked: &CheckedText) -> Flow {
        for diagnostic in &checked.diagnostics {
            if self.summary.listed == self.max_listed {
                self.summary.not_listed += 1;
                continue;
            }
            self.summary.listed += 1;
            if self.is_stdout_closed {
                continue;
            }
            let result = self.reporter.diagnostic(path, checked, diagnostic);
            self.handle_write(result)?;
        }
        Flow::Continue(())
    }

    /// Reports a file that cannot be read, or not beyond this position. The other files are still checked.
    fn unreadable(&mut self, path: &Path, position: Option<FilePosition>, error: &io::Error) -> Flow {
        let beyond =
            position.map_or(String::new(), |position| format!(" beyond {position} (byte {})", position.offset));
        let message = format!("cannot read {}{beyond}: {error}", printable(&path_string(path)));
        self.report_unreadable(path, position, &message)
    }

    fn report_unreadable(&mut self, path: &Path, position: Option<FilePosition>, message: &str) -> Flow {
        eprint_line(format_args!("error: {message}"));
        self.summary.unreadable += 1;
        if self.is_stdout_closed {
            return Flow::Continue(());
        }
        let result = self.reporter.unreadable(path, position, message);
        self.handle_write(result)
    }

    /// Handles the result of writing to stdout. A closed pipe does not stop the run, so that the exit code and the summary are
    /// those of all files.
    fn handle_write(&mut self, result: io::Result<()>) -> Flow {
        self.is_stdout_closed |= result.is_err();
        or_break(exit::from_write(result))
    }
}

/// Creates the reporter of a format.
fn reporter(format: ReportFormat, quiet: bool) -> Box<dyn Reporter> {
    match format {
        ReportFormat::Text => Box::new(text::TextReporter::new(quiet)),
        ReportFormat::Json => Box::new(json::JsonReporter::new(quiet)),
        ReportFormat::Sarif => Box::new(sarif::SarifReporter::new(quiet)),
    }
}

fn or_break<T>(result: exit::Result<T>) -> Flow<T> {
    match result {
        Ok(value) => Flow::Continue(value),
        Err(error) => Flow::Break(Err(error)),
    }
}
