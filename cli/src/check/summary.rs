//! The counts over all files.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use mparticle::diagnostics::Severity;
use serde_json::{Value, json};

use crate::input::{CheckedText, MAX_IDS};
use crate::text::format_count;

/// The counts over all files.
#[derive(Debug, Default)]
pub struct Summary {
    pub files: u64,
    /// The number of files that could not be read completely.
    pub unreadable: u64,
    /// The number of files whose layout is broken, which were read up to there.
    pub broken: u64,
    pub batches: u64,
    pub events: u64,
    /// The number of batches that would not be sent.
    pub invalid: u64,
    /// The number of diagnostics by severity, errors first, and rule.
    pub diagnostics: BTreeMap<(std::cmp::Reverse<Severity>, &'static str), u64>,
    pub listed: u64,
    /// The number of ids with which later ones were not compared any more.
    pub forgotten_ids: u64,
    /// The number of diagnostics beyond the limit.
    pub not_listed: u64,
    pub is_fixing: bool,
    /// With `--fix`: the number of applied fixes.
    pub fixed: u64,
    /// With `--fix`: the number of batches with fixes left after the last round.
    pub fixable_batches: u64,
    /// With `--fix`: the number of inputs without a text that could be written.
    pub left_out: u64,
}

impl Summary {
    pub fn count(&mut self, checked: &CheckedText, is_batch: bool) {
        self.batches += u64::from(is_batch);
        self.invalid += u64::from(is_batch && checked.has_errors());
        self.events += checked.events();
        for diagnostic in &checked.diagnostics {
            let key = (std::cmp::Reverse(diagnostic.diagnostic.severity), diagnostic.diagnostic.code.id());
            *self.diagnostics.entry(key).or_default() += 1;
        }
    }

    /// Returns whether all files were read to their end.
    pub fn is_complete(&self) -> bool {
        self.unreadable == 0 && self.broken == 0
    }

    pub fn errors(&self) -> u64 {
        self.count_of(Severity::Error)
    }

    pub fn warnings(&self) -> u64 {
        self.count_of(Severity::Warning)
    }

    fn count_of(&self, wanted: Severity) -> u64 {
        self.diagnostics.iter().filter(|((severity, _), _)| severity.0 == wanted).map(|(_, count)| count).sum()
    }

    pub fn json(&self) -> Value {
        let rules: Vec<_> = self
            .diagnostics
            .iter()
            .map(|((severity, rule), count)| json!({ "rule": rule, "severity": severity.0, "count": count }))
            .collect();
        let mut summary = json!({
            "files": self.files, "unreadable": self.unreadable, "batches": self.batches, "events": self.events,
            "errors": self.errors(), "warnings": self.warnings(), "rules": rules, "not_listed": self.not_listed,
            "would_be_sent": self.batches - self.invalid, "would_not_be_sent": self.invalid,
        });
        if self.forgotten_ids > 0 {
            summary["forgotten_ids"] = self.forgotten_ids.into();
        }
        if self.broken > 0 {
            summary["broken"] = self.broken.into();
        }
        if self.is_fixing {
            summary["fixed"] = self.fixed.into();
            summary["left_out"] = self.left_out.into();
        }
        summary
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.not_listed > 0 {
            writeln!(f, "and {} more, not listed", self.not_listed)?;
        }
        let mut message = format_count(self.files, "file");
        for (count, noun) in [(self.batches, "batch"), (self.events, "event")] {
            write!(message, ", {}", format_count(count, noun))?;
        }
        write!(message, ": {}, {}", format_count(self.errors(), "error"), format_count(self.warnings(), "warning"))?;
        if self.unreadable > 0 {
            write!(message, ", {} that could not be read", format_count(self.unreadable, "file"))?;
        }
        writeln!(f, "{message}")?;
        let longest = self.diagnostics.keys().map(|(_, rule)| rule.len()).max().unwrap_or(0);
        for ((severity, rule), count) in &self.diagnostics {
            writeln!(f, "  {:<7}  {rule:<longest$}  {count:>7}", severity.0.name())?;
        }
        if self.forgotten_ids > 0 {
            let ids = format_count(self.forgotten_ids, "id");
            writeln!(f, "{ids} forgotten: only the last {MAX_IDS} were compared")?;
        }
        if self.is_fixing {
            writeln!(f, "{} applied", format_count(self.fixed, "fix"))?;
        }
        if self.fixable_batches > 0 {
            let batches = format_count(self.fixable_batches, "batch");
            writeln!(f, "more fixes are possible in {batches}: run --fix again on the output")?;
        }
        if self.left_out > 0 {
            writeln!(f, "{} omitted, which could not be read", format_count(self.left_out, "text"))?;
        }
        let result = match (self.batches, self.invalid) {
            _ if !self.is_complete() => "not all input could be read".into(),
            (0, _) => "there is nothing to send".into(),
            (1, 0) => "it would be sent".into(),
            (1, _) => "it would not be sent".into(),
            (_, 0) => "all would be sent".into(),
            (all, invalid) if all == invalid => "none would be sent".into(),
            (all, invalid) => format!("{} would be sent, {invalid} would not", all - invalid),
        };
        write!(f, "{result}")
    }
}
