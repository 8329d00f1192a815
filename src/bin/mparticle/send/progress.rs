//! What `send` tells while it works, and at the end.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::checkpoint::BatchCount;
use super::tracker::Totals;
use crate::text::{self, eprint_line, pluralize};

/// A bar on stderr, if that is a terminal.
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    /// What an earlier run had delivered.
    before: BatchCount,
}

impl Progress {
    /// The size is that of the file as it is read, packed or not.
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

    /// Shows how far it is: how much of what was read has its end.
    pub fn show(&self, read: u64, totals: &Totals, rate_limit_used_percent: Option<f64>, last_error: Option<&str>) {
        // An estimate, which a bar that never goes back hides best.
        let done = totals.finished_bytes(read).max(self.bar.position());
        self.bar.set_position(done);
        self.bar.set_message(line(done, self.per_second(totals), totals, rate_limit_used_percent, last_error));
    }

    /// Words above the bar.
    pub fn print(&self, message: &str) {
        self.bar.suspend(|| eprint_line(message));
    }

    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// Delivered events per second, of this run.
    fn per_second(&self, totals: &Totals) -> u64 {
        let events = totals.delivered.events - self.before.events;
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        events.saturating_mul(1000) / millis
    }

    /// What was done, for a person.
    pub fn summary(&self, verb: &str, totals: &Totals, in_flight_summary: &InFlightSummary) -> String {
        let Totals { delivered, rejected, warnings, in_flight, .. } = totals;
        let mut message = format!("{verb} {}", format_count(*delivered));
        if rejected.batches > 0 {
            message.push_str(&format!(", rejected {}", format_count(*rejected)));
        }
        if *in_flight > 0 {
            let was = if *in_flight == 1 { "was" } else { "were" };
            let fate = match in_flight_summary.outcome {
                InFlightState::NotSent => format!("{was} not sent"),
                InFlightState::NotAccepted => format!("{was} not accepted"),
                InFlightState::Unknown => "without an answer".to_owned(),
            };
            message.push_str(&format!(", {} {fate}", counted(*in_flight, "batch")));
        }
        if let Some(wait) = in_flight_summary.wait {
            message.push_str(&format!(", the service asks to wait {}", text::format_wait(wait)));
        }
        if *warnings > 0 {
            message.push_str(&format!(", {} (listed by `mparticle check`)", counted(*warnings, "warning")));
        }
        format!("{message} in {}", HumanDuration(self.started.elapsed()))
    }
}

/// The state of the batches in flight at the end.
#[derive(Default)]
pub struct InFlightSummary {
    pub outcome: InFlightState,
    /// The wait that the service asked for.
    pub wait: Option<Duration>,
}

#[derive(Default)]
pub enum InFlightState {
    /// They may have arrived.
    #[default]
    Unknown,
    NotSent,
    NotAccepted,
}

/// What was done, or would be, for a machine.
pub fn summary_json(file: &Path, totals: &Totals, ended: &str, dry_run: bool) -> Value {
    let Totals { delivered, rejected, warnings, in_flight, .. } = totals;
    let mut summary = json!({
        "file": file.to_string_lossy(),
        "ended": ended,
        "rejected": rejected,
        "without_answer": in_flight,
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

fn line(
    done: u64,
    per_second: u64,
    totals: &Totals,
    rate_limit_used_percent: Option<f64>,
    last_error: Option<&str>,
) -> String {
    // First, since the line may be longer than the terminal is wide.
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

fn format_count(BatchCount { batches, events }: BatchCount) -> String {
    format!("{} in {}", counted(events, "event"), counted(batches, "batch"))
}

fn counted(count: u64, what: &str) -> String {
    format!("{} {}", HumanCount(count), pluralize(count, what))
}
