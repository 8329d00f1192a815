//! `mparticle check`: what is wrong with files of batches, told without sending them.

mod excerpt;
mod json;
mod mend;
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
use crate::exit::{self, Exit, Failure};
use crate::input::{self, Examined, Examiner, Frame, Place};
use crate::text::{path_of, printable, tell};
use output::Output;
use report::Report;
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
    #[arg(long, value_name = "ENVIRONMENT", value_parser = connect::environment())]
    environment: Option<Environment>,

    /// End with exit code 1 for warnings too
    #[arg(long)]
    strict: bool,

    /// How to print what is wrong
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// List at most so many; by default 1000 as text, 5000 as SARIF, and all as JSON
    #[arg(long, value_name = "N")]
    max_faults: Option<u64>,

    /// List nothing, and only print the summary
    #[arg(short, long)]
    quiet: bool,

    /// Write all batches to this file, mended where that needs no guessing, one a line; - is standard output
    #[arg(long, value_name = "OUT")]
    fix: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people: the place, the words, and an excerpt
    Text,
    /// One JSON object a line
    Json,
    /// SARIF 2.1.0, for code hosts
    Sarif,
}

/// So many faults are listed for people unless they ask for more.
const MOST_AS_TEXT: u64 = 1000;

/// Reads all files, and prints what is wrong with them.
pub fn run(arguments: &Arguments) -> exit::Result {
    let format = if arguments.json { Format::Json } else { arguments.format };
    let on_stdout = arguments.fix.as_deref().is_some_and(input::is_dash);
    if on_stdout && format != Format::Text {
        return Err(Failure::usage("--fix - writes the batches to standard output, where the faults would go"));
    }
    let output = arguments.fix.as_deref().map(|path| Output::create(path, &arguments.files)).transpose()?;
    let most = match (arguments.max_faults, format) {
        _ if arguments.quiet => u64::MAX,
        (most, Format::Sarif) => most.map_or(sarif::MAX_RESULTS, |most| most.min(sarif::MAX_RESULTS)),
        (most, Format::Json) => most.unwrap_or(u64::MAX),
        (most, Format::Text) => most.unwrap_or(MOST_AS_TEXT),
    };
    let historical = arguments.historical.then(Utc::now);
    let check = Check {
        examiner: Examiner { historical, environment: arguments.environment },
        report: self::report(format, arguments.quiet || on_stdout),
        summary: Summary { fixing: output.is_some(), ..Summary::default() },
        most,
        mute: arguments.quiet,
        output,
    };
    match check.run(&arguments.files) {
        ControlFlow::Break(ended) => ended,
        ControlFlow::Continue(summary) if summary.unread > 0 => Ok(Exit::Unreadable),
        ControlFlow::Continue(summary) if summary.errors() > 0 => Ok(Exit::Findings),
        ControlFlow::Continue(summary) if arguments.strict && summary.warnings() > 0 => Ok(Exit::Findings),
        ControlFlow::Continue(_) => Ok(Exit::Done),
    }
}

/// One run over all files. It breaks off only where its own output cannot be written.
struct Check {
    examiner: Examiner,
    report: Box<dyn Report>,
    summary: Summary,
    /// So many faults are listed, and so many lines tell what was mended.
    most: u64,
    /// Whether what was mended is not told.
    mute: bool,
    output: Option<Output>,
}

type Flow<T = ()> = ControlFlow<exit::Result, T>;

impl Check {
    fn run(mut self, files: &[PathBuf]) -> Flow<Summary> {
        for path in files {
            self.file(path)?;
        }
        if let Some(output) = self.output.take() {
            let path = printable(&path_of(output.path()));
            if !or_end(output.finish(self.summary.unread == 0))? {
                tell(format_args!("{path} was not written: not all could be read"));
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
            Err(error) => return self.unread(path, None, &error),
        };
        while let Some(frame) = frames.next() {
            match frame {
                Ok(frame) => self.frame(path, frame)?,
                Err(error) => return self.unread(path, Some(frames.place()), &error),
            }
        }
        Flow::Continue(())
    }

    fn frame(&mut self, path: &Path, frame: Frame) -> Flow {
        let Some(output) = &mut self.output else { return self.examined(path, frame) };
        let Frame::Text { place, text } = frame else {
            // There is no text that could be written.
            self.summary.left_out += 1;
            return self.examined(path, frame);
        };
        let mended = mend::mend(&self.examiner, text, place);
        let at = or_end(output.write(&mended.text))?;
        let written = output.path().to_owned();
        self.summary.unfinished += u64::from(mended.unfinished);
        for change in mended.changes {
            self.summary.mended += 1;
            if !self.mute && self.summary.mended <= self.most {
                tell(format_args!("{}:{change}", printable(&path_of(path))));
            }
        }
        // What is left to be mended by hand is told where it stands now.
        self.examined(&written, Frame::Text { place: at, text: mended.text })
    }

    fn examined(&mut self, path: &Path, frame: Frame) -> Flow {
        let is_batch = !matches!(frame, Frame::Broken { .. });
        let examined = self.examiner.examine(frame);
        self.summary.count(&examined, is_batch);
        self.list(path, &examined)
    }

    fn list(&mut self, path: &Path, examined: &Examined) -> Flow {
        for fault in &examined.faults {
            if self.summary.listed == self.most {
                self.summary.unlisted += 1;
                continue;
            }
            self.summary.listed += 1;
            let result = self.report.fault(path, examined, fault);
            self.written(result)?;
        }
        Flow::Continue(())
    }

    /// The file cannot be read, or not beyond this place. It does not keep the other files from being checked.
    fn unread(&mut self, path: &Path, place: Option<Place>, error: &io::Error) -> Flow {
        let beyond = place.map_or(String::new(), |place| format!(" beyond {place} (byte {})", place.offset));
        let words = format!("cannot read {}{beyond}: {error}", printable(&path_of(path)));
        tell(format_args!("error: {words}"));
        self.summary.unread += 1;
        let result = self.report.unread(path, place, &words);
        self.written(result)
    }

    /// Nobody may be reading any more; the mended file is to be written all the same.
    fn written(&mut self, result: io::Result<()>) -> Flow {
        match result {
            Ok(()) => Flow::Continue(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && self.output.is_some() => {
                self.report = report(Format::Text, true);
                Flow::Continue(())
            }
            Err(error) => Flow::Break(Failure::output(&error)),
        }
    }
}

/// Creates the report of a form of output.
fn report(format: Format, quiet: bool) -> Box<dyn Report> {
    match format {
        Format::Text => Box::new(text::Text::new(quiet)),
        Format::Json => Box::new(json::Json::new(quiet)),
        Format::Sarif => Box::new(sarif::Sarif::new(quiet)),
    }
}

fn or_end<T>(result: exit::Result<T>) -> Flow<T> {
    match result {
        Ok(value) => Flow::Continue(value),
        Err(failure) => Flow::Break(Err(failure)),
    }
}
