//! What was found in all files, counted.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use mparticle::diagnostics::Severity;
use serde_json::{Value, json};

use crate::input::Examined;
use crate::text::plural;

/// Counts, of whatever size the files are.
#[derive(Debug, Default)]
pub struct Summary {
    pub files: u64,
    /// Files that could not be read, or not to their end.
    pub unread: u64,
    pub batches: u64,
    pub events: u64,
    /// Batches that would not be sent.
    pub wrong: u64,
    /// By rule. The errors stand before the warnings.
    pub faults: BTreeMap<(std::cmp::Reverse<Severity>, &'static str), u64>,
    pub listed: u64,
    /// Faults that were counted and not listed.
    pub unlisted: u64,
    pub fixing: bool,
    /// With `--fix`: places that were changed.
    pub mended: u64,
    /// With `--fix`: batches of which more could have been mended.
    pub unfinished: u64,
    /// With `--fix`: what has no text that could be written.
    pub left_out: u64,
}

impl Summary {
    pub fn count(&mut self, examined: &Examined, is_batch: bool) {
        self.batches += u64::from(is_batch);
        self.wrong += u64::from(is_batch && examined.is_wrong());
        self.events += examined.events();
        for fault in &examined.faults {
            let key = (std::cmp::Reverse(fault.diagnostic.severity), fault.diagnostic.code.id());
            *self.faults.entry(key).or_default() += 1;
        }
    }

    pub fn errors(&self) -> u64 {
        self.of(Severity::Error)
    }

    pub fn warnings(&self) -> u64 {
        self.of(Severity::Warning)
    }

    fn of(&self, wanted: Severity) -> u64 {
        self.faults.iter().filter(|((severity, _), _)| severity.0 == wanted).map(|(_, count)| count).sum()
    }

    pub fn json(&self) -> Value {
        let rules: Vec<_> = self
            .faults
            .iter()
            .map(|((severity, rule), count)| json!({ "rule": rule, "severity": severity.0, "count": count }))
            .collect();
        let mut summary = json!({
            "files": self.files, "unread": self.unread, "batches": self.batches, "events": self.events,
            "errors": self.errors(), "warnings": self.warnings(), "rules": rules, "not_listed": self.unlisted,
            "would_be_sent": self.batches - self.wrong, "would_not_be_sent": self.wrong,
        });
        if self.fixing {
            summary["mended"] = self.mended.into();
            summary["left_out"] = self.left_out.into();
        }
        summary
    }
}

/// For a person, in lines.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unlisted > 0 {
            writeln!(f, "and {} more, which are not listed", self.unlisted)?;
        }
        let mut words = counted(self.files, "file");
        for (count, what) in [(self.batches, "batch"), (self.events, "event")] {
            write!(words, ", {}", counted(count, what))?;
        }
        write!(words, ": {}, {}", counted(self.errors(), "error"), counted(self.warnings(), "warning"))?;
        if self.unread > 0 {
            write!(words, ", {} that could not be read", counted(self.unread, "file"))?;
        }
        writeln!(f, "{words}")?;
        let longest = self.faults.keys().map(|(_, rule)| rule.len()).max().unwrap_or(0);
        for ((severity, rule), count) in &self.faults {
            writeln!(f, "  {:<7}  {rule:<longest$}  {count:>7}", severity.0.name())?;
        }
        if self.fixing {
            writeln!(f, "{} mended", counted(self.mended, "place"))?;
        }
        if self.unfinished > 0 {
            let batches = counted(self.unfinished, "batch");
            writeln!(f, "more can be mended in {batches}: do the same again with what was written")?;
        }
        if self.left_out > 0 {
            writeln!(f, "{} left out, which could not be read", counted(self.left_out, "text"))?;
        }
        let verdict = match (self.batches, self.wrong) {
            _ if self.unread > 0 => "not all could be read".into(),
            (0, _) => "there is nothing to send".into(),
            (1, 0) => "it would be sent".into(),
            (1, _) => "it would not be sent".into(),
            (_, 0) => "all would be sent".into(),
            (all, wrong) if all == wrong => "none would be sent".into(),
            (all, wrong) => format!("{} would be sent, {wrong} would not", all - wrong),
        };
        write!(f, "{verdict}")
    }
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {}", plural(count, what))
}
