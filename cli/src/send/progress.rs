//! The progress bar and the summary of `send`.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::checkpoint::BatchCount;
use super::tracker::Totals;
use crate::text::{self, eprint_line, pluralize};

/// The progress bar, shown only if stderr is a terminal.
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    /// The number of batches delivered by earlier runs.
    before: BatchCount,
}

impl Progress {
    /// Creates the bar; `size` is that of the file on the disk, compressed or not.
    pub fn new(file: &Path, size: Option<u64>, before: BatchCount, quiet: bool) -> Self {
        let bar = match size {
            _ if quiet || !io::stderr().is_terminal() => ProgressBar::hidden(),
            Some(size) => {
                ProgressBar::new(size).with_style(style("{prefix} [{bar:20}] {percent:>3}% {msg}, {eta} left"))
            }
            None => ProgressBar::new_spinner().with_style(style("{prefix} {spinner} {msg}")),
        };
        let name = file.file_name().map_or_else(|| file.to_string_lossy(), |name| name.to_string_lossy());
        bar.set_prefix(crate::text::printable(&name));
        Self { bar, started: Instant::now(), before }
    }

    /// Updates the bar.
    pub fn show(&self, read: u64, totals: &Totals, rate_limit_used_percent: Option<f64>, last_error: Option<&str>) {
        // The estimate can decrease, but the bar must not.
        let done = totals.finished_bytes(read).max(self.bar.position());
        self.bar.set_position(done);
        self.bar.set_message(format_line(done, self.per_second(totals), totals, rate_limit_used_percent, last_error));
    }

    /// Prints a line above the bar.
    pub fn print(&self, message: &str) {
        self.bar.suspend(|| eprint_line(message));
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Returns the number of events delivered per second in this run.
    fn per_second(&self, totals: &Totals) -> u64 {
        let events = totals.delivered.events - self.before.events;
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        events.saturating_mul(1000) / millis
    }

    /// Returns the summary as text.
    pub fn summary(&self, verb: &str, totals: &Totals, in_flight_summary: &InFlightSummary) -> String {
        let Totals { delivered, rejected, warnings, in_flight, .. } = totals;
        let mut message = format!("{verb} {}", format_batches(*delivered));
        if rejected.batches > 0 {
            message.push_str(&format!(", rejected {}", format_batches(*rejected)));
        }
        if *in_flight > 0 {
            let was = if *in_flight == 1 { "was" } else { "were" };
            let state = match in_flight_summary.state {
                InFlightState::NotSent => format!("{was} not sent"),
                InFlightState::NotAccepted => format!("{was} not accepted"),
                InFlightState::Unknown => "without a response".to_owned(),
            };
            message.push_str(&format!(", {} {state}", format_large_count(*in_flight, "batch")));
        }
        if let Some(wait) = in_flight_summary.wait {
            message.push_str(&format!(", the service asks to wait {}", text::format_wait(wait)));
        }
        if *warnings > 0 {
            message.push_str(&format!(", {} (listed by `mparticle check`)", format_large_count(*warnings, "warning")));
        }
        format!("{message} in {}", HumanDuration(self.started.elapsed()))
    }
}

/// The state of the batches in flight at the end.
#[derive(Default)]
pub struct InFlightSummary {
    pub state: InFlightState,
    /// The wait that the service requested.
    pub wait: Option<Duration>,
}

#[derive(Default)]
pub enum InFlightState {
    /// Possibly delivered.
    #[default]
    Unknown,
    NotSent,
    NotAccepted,
}

/// Returns the summary as JSON.
pub fn summary_json(file: &Path, totals: &Totals, outcome: &str, dry_run: bool) -> Value {
    let Totals { delivered, rejected, warnings, in_flight, .. } = totals;
    let mut summary = json!({
        "file": file.to_string_lossy(),
        "outcome": outcome,
        "rejected": rejected,
        "without_response": in_flight,
        "warnings": warnings,
    });
    if dry_run {
        summary["dry_run"] = true.into();
    }
    summary[if dry_run { "would_send" } else { "delivered" }] = json!(delivered);
    summary
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .map_or_else(|_| ProgressStyle::default_bar(), |style| style.progress_chars("=> "))
}

fn format_line(
    done: u64,
    per_second: u64,
    totals: &Totals,
    rate_limit_used_percent: Option<f64>,
    last_error: Option<&str>,
) -> String {
    // The error comes first, since the line may be wider than the terminal.
    let mut line = last_error.map_or_else(String::new, |last_error| format!("{last_error}; "));
    line.push_str(&format!(
        "{} events, {}/s, {}",
        HumanCount(totals.delivered.events),
        HumanCount(per_second),
        HumanBytes(done)
    ));
    if let Some(used) = rate_limit_used_percent {
        line.push_str(&format!(", {used:.0} % of the quota"));
    }
    line.push_str(&format!(", {} rejected", HumanCount(totals.rejected.batches)));
    line
}

fn format_batches(BatchCount { batches, events }: BatchCount) -> String {
    format!("{} in {}", format_large_count(events, "event"), format_large_count(batches, "batch"))
}

pub fn format_large_count(count: u64, noun: &str) -> String {
    format!("{} {}", HumanCount(count), pluralize(count, noun))
}
