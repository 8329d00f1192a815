//! What is wrong with the text of a batch, and where: the JSON itself, then the contract, then what was asked for.

use std::cmp::Reverse;
use std::ops::Range;

use chrono::{DateTime, Utc};
use mparticle::Environment;
use mparticle::contract;
use mparticle::diagnostics::{Code, Diagnostic, Fix, Severity};
use mparticle::limits::MAX_BATCH_BYTES;
use serde_json::Value;

use super::frames::{Frame, MAX_TEXT_BYTES};
use super::parse::parse;
use super::position::{FilePosition, LineIndex, locate};

/// At most this many faults of one text are told; the last one then says that there are more.
pub const MAX_DIAGNOSTICS: usize = 100;

/// What an id adds to a batch that has none: `"source_request_id":"…",`.
const ID_BYTES: usize = 59;

/// What batches are held to, besides the contract.
#[derive(Clone, Copy, Debug, Default)]
pub struct Validator {
    /// The rules of historical data, at this time.
    pub historical: Option<DateTime<Utc>>,
    /// A batch without an environment is of this one, and one of another is wrong.
    pub environment: Option<Environment>,
}

/// What was seen at one place of a file.
#[derive(Debug)]
pub struct CheckedText {
    /// Where the text begins.
    pub position: FilePosition,
    /// The text as it was read.
    pub text: Vec<u8>,
    /// The text as JSON, if it is that, with the environment that was asked for.
    pub value: Option<Value>,
    /// In the order of their places.
    pub diagnostics: Vec<LocatedDiagnostic>,
}

/// A diagnostic and its place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedDiagnostic {
    pub diagnostic: Diagnostic,
    pub position: FilePosition,
    /// The bytes of the text that it is about: a name, a value, or nothing at all where the text ends too early.
    pub range: Range<usize>,
}

impl CheckedText {
    /// Whether it is not to be sent.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(LocatedDiagnostic::is_error)
    }

    /// How many events it has.
    pub fn events(&self) -> u64 {
        let events = self.value.as_ref().and_then(|batch| batch["events"].as_array());
        events.map_or(0, |events| events.len() as u64)
    }

    /// A place of a file where there is no text.
    pub fn unread(position: FilePosition, code: Code, message: String) -> Self {
        Self {
            position,
            text: Vec::new(),
            value: None,
            diagnostics: vec![LocatedDiagnostic::new(position, code, message)],
        }
    }
}

impl Validator {
    /// Everything about one text.
    pub fn check(&self, frame: Frame) -> CheckedText {
        match frame {
            Frame::Text { position, text } => self.examine_text(position, text),
            Frame::TooLong { position, bytes } => {
                let message = format!("{bytes} bytes; more than {MAX_TEXT_BYTES} are no batch, and are not looked at");
                CheckedText::unread(position, Code::TextBytes, message)
            }
            Frame::Broken { position, message } => {
                let message = format!("{message}; what follows is not looked at");
                CheckedText::unread(position, Code::Layout, message)
            }
        }
    }

    fn examine_text(&self, position: FilePosition, text: Vec<u8>) -> CheckedText {
        let lines = LineIndex::new(&text, position);
        match parse(&text, &lines) {
            Ok((json, mut value)) => {
                self.fill_environment(&mut value);
                let diagnostics = self.locate_diagnostics(json, &value, &lines);
                CheckedText { diagnostics, position, value: Some(value), text }
            }
            Err(error) => {
                let mut fault = LocatedDiagnostic::new(lines.position(error.offset), Code::NotJson, error.message);
                fault.range = error.offset..(error.offset + 1).min(text.len());
                CheckedText { diagnostics: vec![fault], position, value: None, text }
            }
        }
    }

    /// Returns the text as JSON with the fixes for it, each with the pointer to its place; `None` if it is not JSON.
    pub fn fixes(&self, text: &[u8]) -> Option<(Value, Vec<(String, Fix)>)> {
        let (_, mut value) = parse(text, &LineIndex::new(text, FilePosition::default())).ok()?;
        self.fill_environment(&mut value);
        let diagnostics = self.diagnostics(&value).into_iter();
        let fixes = diagnostics.filter_map(|diagnostic| Some((diagnostic.pointer, diagnostic.fix?))).collect();
        Some((value, fixes))
    }

    fn diagnostics(&self, value: &Value) -> Vec<Diagnostic> {
        match self.historical {
            None => contract::check_batch(value),
            Some(now) => contract::check_historical_batch(value, now),
        }
    }

    fn locate_diagnostics(&self, json: &str, value: &Value, lines: &LineIndex<'_>) -> Vec<LocatedDiagnostic> {
        let mut diagnostics = self.diagnostics(value);
        for diagnostic in &mut diagnostics {
            if is_error_in_files(diagnostic.code) {
                diagnostic.severity = Severity::Error;
            }
        }
        let count = diagnostics.len();
        // Errors come first where not all are listed: one behind a hundred warnings still makes the batch wrong.
        if count > MAX_DIAGNOSTICS {
            diagnostics.sort_by_key(|diagnostic| Reverse(diagnostic.severity));
            diagnostics.truncate(MAX_DIAGNOSTICS);
        }
        diagnostics.extend(self.check_environment(value).into_iter().chain(check_size(json.len(), value)));
        let locate = |diagnostic: Diagnostic| {
            let member = locate(json, &diagnostic.pointer);
            let range = match (member.key, diagnostic.code) {
                (Some(key), Code::UnknownField | Code::AttributeName) => key,
                _ => member.value,
            };
            LocatedDiagnostic { position: lines.position(range.start), range, diagnostic }
        };
        let mut diagnostics: Vec<_> = diagnostics.into_iter().map(locate).collect();
        diagnostics.sort_by_key(|fault| fault.range.start);
        if count > MAX_DIAGNOSTICS {
            diagnostics.push(LocatedDiagnostic::new(
                lines.position(0),
                Code::More,
                "there are more, which are not listed",
            ));
        }
        diagnostics
    }

    /// The text as it is to be sent: as it was read, but for the environment that was asked for and is not there.
    pub fn fill_in(self, text: Vec<u8>) -> Vec<u8> {
        let Some((environment, text)) = self.environment.zip(str::from_utf8(&text).ok()) else { return text };
        let member = locate(text, "/environment");
        let written = format!("\"{environment}\"");
        match member.key {
            Some(_) if text[member.value.clone()] == *"null" => {
                [&text[..member.value.start], &written, &text[member.value.end..]].concat().into()
            }
            Some(_) => text.into(),
            None => {
                let rest = text.trim_ascii_start().strip_prefix('{').unwrap_or_default();
                let comma = if rest.trim_ascii_start().starts_with('}') { "" } else { "," };
                format!("{{\"environment\":{written}{comma}{rest}").into()
            }
        }
    }

    fn fill_environment(&self, value: &mut Value) {
        if let (Some(environment), Some(batch)) = (self.environment, value.as_object_mut())
            && batch.get("environment").is_none_or(Value::is_null)
        {
            batch.insert("environment".into(), environment.to_string().into());
        }
    }

    fn check_environment(&self, value: &Value) -> Option<Diagnostic> {
        let (wanted, found) = (self.environment?.to_string(), value["environment"].as_str()?);
        (found != wanted && ["production", "development"].contains(&found)).then(|| {
            let message = format!("{wanted} is asked for, not {found}");
            let mut diagnostic = Diagnostic::new(Code::OtherEnvironment, "/environment", message);
            diagnostic.expected = Some(wanted);
            diagnostic.actual = Some(found.to_owned());
            diagnostic
        })
    }
}

impl LocatedDiagnostic {
    /// Creates a diagnostic about a batch as a whole.
    pub fn new(position: FilePosition, code: Code, message: impl Into<String>) -> Self {
        Self { diagnostic: Diagnostic::new(code, "", message), position, range: 0..0 }
    }

    pub fn is_error(&self) -> bool {
        self.diagnostic.severity == Severity::Error
    }
}

/// Returns whether it is an error here, though the library warns of it: the service accepts a historical batch and then
/// does nothing, and a batch of a file is not split.
fn is_error_in_files(code: Code) -> bool {
    use Code::{BatchBytes, HistoricalTooYoung, HistoricalWithoutEvents, HistoricalWithoutTime};
    matches!(code, BatchBytes | HistoricalTooYoung | HistoricalWithoutEvents | HistoricalWithoutTime)
}

/// Returns the severity that a diagnostic of this code has for a batch of a file, unless its place says otherwise.
pub fn severity(code: Code) -> Severity {
    if is_error_in_files(code) { Severity::Error } else { code.severity() }
}

/// A batch has to leave room for its id.
fn check_size(bytes: usize, value: &Value) -> Option<Diagnostic> {
    let has_id = value["source_request_id"].as_str().is_some_and(|id| !id.is_empty());
    let sealed = bytes + if has_id { 0 } else { ID_BYTES };
    (sealed > MAX_BATCH_BYTES).then(|| {
        let message = format!(
            "{sealed} bytes with its id; at most {MAX_BATCH_BYTES} are sent. Give its events to several batches"
        );
        let mut diagnostic = Diagnostic::new(Code::BatchBytes, "", message);
        diagnostic.severity = severity(diagnostic.code);
        diagnostic.expected = Some(format!("at most {MAX_BATCH_BYTES}"));
        diagnostic.actual = Some(sealed.to_string());
        diagnostic
    })
}
