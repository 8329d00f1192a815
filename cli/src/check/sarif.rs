//! Diagnostics for code hosts: SARIF 2.1.0, written incrementally.

use std::io::{self, BufWriter, Stdout, Write};
use std::path::Path;

use mparticle::diagnostics::{Code, Diagnostic, Severity};
use serde_json::{Value, json};

use super::reporter::Reporter;
use super::summary::Summary;
use crate::input::{self, CheckedText, FilePosition, LineIndex, LocatedDiagnostic, is_dash};
use crate::text::eprint_line;

/// The maximum number of results per run that code hosts accept.
pub const MAX_RESULTS: u64 = 5000;

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

pub struct SarifReporter {
    stdout: BufWriter<Stdout>,
    quiet: bool,
    has_head: bool,
    /// One for each file that could not be read.
    notifications: Vec<Value>,
}

impl SarifReporter {
    pub fn new(quiet: bool) -> Self {
        Self { stdout: BufWriter::new(io::stdout()), quiet, has_head: false, notifications: Vec::new() }
    }

    /// Writes everything before the first result.
    fn write_head(&mut self) -> io::Result<()> {
        if self.has_head {
            return Ok(());
        }
        self.has_head = true;
        let rules: Vec<_> = Code::ALL.iter().copied().map(rule).collect();
        let driver = json!({
            "name": env!("CARGO_BIN_NAME"), "version": env!("CARGO_PKG_VERSION"),
            "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": rules,
        });
        write!(
            self.stdout,
            r#"{{"$schema":"{SCHEMA}","version":"2.1.0","runs":[{{"tool":{{"driver":{driver}}},"columnKind":"unicodeCodePoints","results":["#
        )
    }
}

impl Reporter for SarifReporter {
    fn diagnostic(&mut self, path: &Path, checked: &CheckedText, diagnostic: &LocatedDiagnostic) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        let separator = if self.has_head { "," } else { "" };
        self.write_head()?;
        let FilePosition { offset, line, column } = diagnostic.position;
        let mut region = json!({ "startLine": line, "startColumn": column, "byteOffset": offset });
        if !diagnostic.range.is_empty() {
            let end = LineIndex::new(&checked.text, checked.position).position(diagnostic.range.end);
            region["endLine"] = end.line.into();
            region["endColumn"] = end.column.into();
            region["byteLength"] = diagnostic.range.len().into();
        }
        let Diagnostic { code, severity, pointer, message, .. } = &diagnostic.diagnostic;
        let mut result = json!({
            "ruleId": code, "level": severity, "message": { "text": message },
            "locations": [{ "physicalLocation": { "artifactLocation": { "uri": uri(path) }, "region": region } }],
        });
        if let Some(index) = Code::ALL.iter().position(|listed| listed == code) {
            result["ruleIndex"] = index.into();
        }
        if !pointer.is_empty() {
            result["locations"][0]["logicalLocations"] = json!([{ "fullyQualifiedName": pointer }]);
        }
        write!(self.stdout, "{separator}\n{result}")
    }

    fn unreadable(&mut self, path: &Path, position: Option<FilePosition>, message: &str) -> io::Result<()> {
        let mut location = json!({ "artifactLocation": { "uri": uri(path) } });
        if let Some(FilePosition { line, column, .. }) = position {
            location["region"] = json!({ "startLine": line, "startColumn": column });
        }
        let mut notification = notification("unreadable", message);
        notification["locations"] = json!([{ "physicalLocation": location }]);
        self.notifications.push(notification);
        Ok(())
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        self.write_head()?;
        if summary.not_listed > 0 {
            let message = format!("{} more, not listed", summary.not_listed);
            self.notifications.push(notification("not-listed", &message));
        }
        let invocation = json!({
            "executionSuccessful": summary.unreadable == 0,
            "toolExecutionNotifications": self.notifications,
        });
        writeln!(self.stdout, "\n],\"invocations\":[{invocation}]}}]}}")?;
        self.stdout.flush()?;
        eprint_line(summary);
        Ok(())
    }
}

fn rule(code: Code) -> Value {
    json!({
        "id": code,
        "shortDescription": { "text": code.summary() },
        "help": { "text": code.help() },
        "defaultConfiguration": { "level": input::severity(code) },
    })
}

fn notification(rule: &str, message: &str) -> Value {
    let level = if rule == "unreadable" { Severity::Error } else { Severity::Warning };
    json!({ "level": level, "descriptor": { "id": rule }, "message": { "text": message } })
}

/// Returns the path as a URI reference; a relative path stays relative, so that it is valid in every checkout.
fn uri(path: &Path) -> String {
    if is_dash(path) {
        return "stdin".into();
    }
    let mut uri = String::new();
    if path.is_absolute() {
        uri.push_str(if cfg!(windows) { "file:///" } else { "file://" });
    }
    let bytes = path.as_os_str().as_encoded_bytes();
    for byte in bytes.strip_prefix(b"./").unwrap_or(bytes) {
        match byte {
            b'\\' if cfg!(windows) => uri.push('/'),
            byte if byte.is_ascii_alphanumeric() || b"-._~/".contains(byte) => uri.push(char::from(*byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encodes_paths() {
        for (path, expected) in [
            ("a/b.ndjson", "a/b.ndjson"),
            ("./a b.ndjson", "a%20b.ndjson"),
            ("../é#?.json", "../%C3%A9%23%3F.json"),
            ("a:b%", "a%3Ab%25"),
            ("-", "stdin"),
        ] {
            assert_eq!(uri(Path::new(path)), expected);
        }
        assert_eq!(cfg!(unix).then(|| uri(Path::new("/tmp/a"))), cfg!(unix).then(|| "file:///tmp/a".into()));
    }
}
