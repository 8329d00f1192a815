//! What `send` tells while it works, and at the end.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::account::Totals;
use super::journal::Tally;
use crate::text::{self, plural, tell};

/// A bar on stderr, if that is a terminal.
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    /// What an earlier run had delivered.
    before: Tally,
}

impl Progress {
    /// The size is that of the file as it is read, packed or not.
    pub fn new(file: &Path, size: Option<u64>, before: Tally, quiet: bool) -> Self {
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
        let done = totals.ended_of(read).max(self.bar.position());
        self.bar.set_position(done);
        self.bar.set_message(line(done, self.per_second(totals), totals, rate_limit_used_percent, last_error));
    }

    /// Words above the bar.
    pub fn say(&self, words: &str) {
        self.bar.suspend(|| tell(words));
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
    pub fn summary(&self, verb: &str, totals: &Totals, unanswered: &Unanswered) -> String {
        let Totals { delivered, rejected, warnings, under_way, .. } = totals;
        let mut words = format!("{verb} {}", tally(*delivered));
        if rejected.batches > 0 {
            words.push_str(&format!(", rejected {}", tally(*rejected)));
        }
        if *under_way > 0 {
            let was = if *under_way == 1 { "was" } else { "were" };
            let fate = match unanswered.outcome {
                Unsent::NotSent => format!("{was} not sent"),
                Unsent::NotAccepted => format!("{was} not accepted"),
                Unsent::Unknown => "without an answer".to_owned(),
            };
            words.push_str(&format!(", {} {fate}", counted(*under_way, "batch")));
        }
        if let Some(wait) = unanswered.wait {
            words.push_str(&format!(", the service asks to wait {}", text::wait(wait)));
        }
        if *warnings > 0 {
            words.push_str(&format!(", {} (listed by `mparticle check`)", counted(*warnings, "warning")));
        }
        format!("{words} in {}", HumanDuration(self.started.elapsed()))
    }
}

/// The state of the batches in flight at the end.
#[derive(Default)]
pub struct Unanswered {
    pub outcome: Unsent,
    /// The wait that the service asked for.
    pub wait: Option<Duration>,
}

#[derive(Default)]
pub enum Unsent {
    /// They may have arrived.
    #[default]
    Unknown,
    NotSent,
    NotAccepted,
}

/// What was done, or would be, for a machine.
pub fn summary_json(file: &Path, totals: &Totals, ended: &str, dry_run: bool) -> Value {
    let Totals { delivered, rejected, warnings, under_way, .. } = totals;
    let mut summary = json!({
        "file": file.to_string_lossy(),
        "ended": ended,
        "rejected": rejected,
        "without_answer": under_way,
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

fn tally(Tally { batches, events }: Tally) -> String {
    format!("{} in {}", counted(events, "event"), counted(batches, "batch"))
}

fn counted(count: u64, what: &str) -> String {
    format!("{} {}", HumanCount(count), plural(count, what))
}
