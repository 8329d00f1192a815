//! What was found in all files, counted.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use mparticle::diagnostics::Severity;
use serde_json::{Value, json};

use crate::input::CheckedText;
use crate::text::pluralize;

/// Counts, of whatever size the files are.
#[derive(Debug, Default)]
pub struct Summary {
    pub files: u64,
    /// Files that could not be read, or not to their end.
    pub unreadable: u64,
    pub batches: u64,
    pub events: u64,
    /// Batches that would not be sent.
    pub invalid: u64,
    /// By rule. The errors stand before the warnings.
    pub diagnostics: BTreeMap<(std::cmp::Reverse<Severity>, &'static str), u64>,
    pub listed: u64,
    /// Faults that were counted and not listed.
    pub not_listed: u64,
    pub is_fixing: bool,
    /// With `--fix`: places that were changed.
    pub fixed: u64,
    /// With `--fix`: batches of which more could have been mended.
    pub unfinished: u64,
    /// With `--fix`: what has no text that could be written.
    pub left_out: u64,
}

impl Summary {
    pub fn count(&mut self, checked: &CheckedText, is_batch: bool) {
        self.batches += u64::from(is_batch);
        self.invalid += u64::from(is_batch && checked.has_errors());
        self.events += checked.events();
        for fault in &checked.diagnostics {
            let key = (std::cmp::Reverse(fault.diagnostic.severity), fault.diagnostic.code.id());
            *self.diagnostics.entry(key).or_default() += 1;
        }
    }

    pub fn errors(&self) -> u64 {
        self.of(Severity::Error)
    }

    pub fn warnings(&self) -> u64 {
        self.of(Severity::Warning)
    }

    fn of(&self, wanted: Severity) -> u64 {
        self.diagnostics.iter().filter(|((severity, _), _)| severity.0 == wanted).map(|(_, count)| count).sum()
    }

    pub fn json(&self) -> Value {
        let rules: Vec<_> = self
            .diagnostics
            .iter()
            .map(|((severity, rule), count)| json!({ "rule": rule, "severity": severity.0, "count": count }))
            .collect();
        let mut summary = json!({
            "files": self.files, "unread": self.unreadable, "batches": self.batches, "events": self.events,
            "errors": self.errors(), "warnings": self.warnings(), "rules": rules, "not_listed": self.not_listed,
            "would_be_sent": self.batches - self.invalid, "would_not_be_sent": self.invalid,
        });
        if self.is_fixing {
            summary["mended"] = self.fixed.into();
            summary["left_out"] = self.left_out.into();
        }
        summary
    }
}

/// For a person, in lines.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.not_listed > 0 {
            writeln!(f, "and {} more, which are not listed", self.not_listed)?;
        }
        let mut message = counted(self.files, "file");
        for (count, what) in [(self.batches, "batch"), (self.events, "event")] {
            write!(message, ", {}", counted(count, what))?;
        }
        write!(message, ": {}, {}", counted(self.errors(), "error"), counted(self.warnings(), "warning"))?;
        if self.unreadable > 0 {
            write!(message, ", {} that could not be read", counted(self.unreadable, "file"))?;
        }
        writeln!(f, "{message}")?;
        let longest = self.diagnostics.keys().map(|(_, rule)| rule.len()).max().unwrap_or(0);
        for ((severity, rule), count) in &self.diagnostics {
            writeln!(f, "  {:<7}  {rule:<longest$}  {count:>7}", severity.0.name())?;
        }
        if self.is_fixing {
            writeln!(f, "{} mended", counted(self.fixed, "place"))?;
        }
        if self.unfinished > 0 {
            let batches = counted(self.unfinished, "batch");
            writeln!(f, "more can be mended in {batches}: do the same again with what was written")?;
        }
        if self.left_out > 0 {
            writeln!(f, "{} left out, which could not be read", counted(self.left_out, "text"))?;
        }
        let verdict = match (self.batches, self.invalid) {
            _ if self.unreadable > 0 => "not all could be read".into(),
            (0, _) => "there is nothing to send".into(),
            (1, 0) => "it would be sent".into(),
            (1, _) => "it would not be sent".into(),
            (_, 0) => "all would be sent".into(),
            (all, invalid) if all == invalid => "none would be sent".into(),
            (all, invalid) => format!("{} would be sent, {invalid} would not", all - invalid),
        };
        write!(f, "{verdict}")
    }
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {}", pluralize(count, what))
}
