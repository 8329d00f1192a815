//! Checks the text of a batch: the JSON, then the contract, then the requested environment.

use std::cmp::Reverse;
use std::ops::Range;

use chrono::{DateTime, Utc};
use mparticle::Environment;
use mparticle::contract;
use mparticle::diagnostics::{Code, Diagnostic, Fix, Severity};
use mparticle::limits::MAX_BATCH_BYTES;
use serde_json::Value;

use super::export_form::{ConvertedBatch, convert, is_export_form};
use super::fix::{AppliedFix, fix_export};
use super::frames::{Frame, MAX_TEXT_BYTES};
use super::parse::{parse, parse_valid};
use super::position::{FilePosition, LineIndex, locate};
use crate::text::shorten;

/// The maximum number of diagnostics for one text. An additional one then says that there are more.
pub const MAX_DIAGNOSTICS: usize = 100;

/// The size of an ID that is added to a batch without one: `"source_request_id":"…",`.
const ID_BYTES: usize = 59;

/// The requirements on batches in addition to the contract.
#[derive(Clone, Copy, Debug, Default)]
pub struct Validator {
    /// The current time, if the rules of historical data apply.
    pub historical: Option<DateTime<Utc>>,
    /// The environment of batches without one. A batch of another environment is an error.
    pub environment: Option<Environment>,
    /// Converts batches of the form in which mParticle exports them.
    pub converts_exports: bool,
}

/// The result of checking one text of a file.
#[derive(Debug)]
pub struct CheckedText {
    /// The position of the first byte.
    pub position: FilePosition,
    /// The original text.
    pub text: Vec<u8>,
    /// The JSON value, with the requested environment; `None` if the text is not JSON.
    pub value: Option<Value>,
    /// The diagnostics, ordered by position.
    pub diagnostics: Vec<LocatedDiagnostic>,
}

/// A diagnostic with its position in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedDiagnostic {
    pub diagnostic: Diagnostic,
    pub position: FilePosition,
    /// The bytes that the diagnostic is about: a name or a value; empty where the text ends too early.
    pub range: Range<usize>,
}

impl CheckedText {
    /// Returns whether the batch must not be sent.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(LocatedDiagnostic::is_error)
    }

    /// Returns the number of events.
    pub fn events(&self) -> u64 {
        let events = self.value.as_ref().and_then(|batch| batch["events"].as_array());
        events.map_or(0, |events| events.len() as u64)
    }

    /// Creates a result for a position without a usable text.
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
    /// Checks one text.
    pub fn check(&self, frame: Frame) -> CheckedText {
        match frame {
            Frame::Value { position, text, value } => self.examine_value(position, text, value),
            Frame::Text { position, text } => match parse(&text, &LineIndex::new(&text, position)) {
                Ok((_, value)) => self.examine_value(position, text, value),
                Err(error) => {
                    let at = LineIndex::new(&text, position).position(error.offset);
                    let mut located = LocatedDiagnostic::new(at, Code::NotJson, error.message);
                    located.range = error.offset..(error.offset + 1).min(text.len());
                    CheckedText { diagnostics: vec![located], position, value: None, text }
                }
            },
            Frame::TooLong { position, bytes } => {
                let message =
                    format!("{bytes} bytes, too large for a batch; texts over {MAX_TEXT_BYTES} bytes are skipped");
                CheckedText::unread(position, Code::TextBytes, message)
            }
            Frame::Misplaced { position, message } => {
                let mut checked = CheckedText::unread(position, Code::Layout, message.into());
                checked.diagnostics[0].diagnostic.severity = Severity::Warning;
                checked
            }
            Frame::Broken { position, message } => CheckedText::unread(position, Code::Layout, message.into()),
        }
    }

    fn examine_value(&self, position: FilePosition, text: Vec<u8>, value: Value) -> CheckedText {
        if self.converts_exports
            && let Some(converted) = self.convert_export(&text, &value)
            && let Some(checked) = self.check_converted(position, &text, converted)
        {
            // A batch that is rejected keeps its bytes.
            return if checked.has_errors() { CheckedText { text, ..checked } } else { checked };
        }
        self.check_value(position, text, value)
    }

    /// Checks the text that `check --fix` would write for a batch in the form of an export, with a warning if that lacks data or
    /// has other fixes.
    fn check_converted(&self, position: FilePosition, text: &[u8], converted: ConvertedBatch) -> Option<CheckedText> {
        let is_complete = converted.removed().is_none();
        let fixed = fix_export(self, text, position, converted);
        let value = parse_valid(&fixed.text)?;
        let mut checked = self.check_value(position, fixed.text, value);
        if !is_complete || fixed.changes.len() > 1 {
            let changes = fixed.changes.iter().enumerate().map(|(index, AppliedFix { pointer, description, .. })| {
                if index == 0 { description.clone() } else { format!("{} {description}", shorten(pointer)) }
            });
            let message = changes.collect::<Vec<_>>().join("; ");
            let mut warning = LocatedDiagnostic::new(position, Code::ExportForm, message);
            warning.diagnostic.severity = Severity::Warning;
            checked.diagnostics.insert(0, warning);
        }
        // The positions are those of the original text, of which only the start is the same.
        for located in &mut checked.diagnostics {
            (located.position, located.range) = (position, 0..0);
        }
        Some(checked)
    }

    /// Converts a batch of the form in which mParticle exports them; `None` if it has another form or cannot be converted.
    pub fn convert_export(&self, text: &[u8], value: &Value) -> Option<ConvertedBatch> {
        if !is_export_form(value) {
            return None;
        }
        convert(text, |value| self.api_diagnostics(value)).ok()
    }

    fn check_value(&self, position: FilePosition, text: Vec<u8>, mut value: Value) -> CheckedText {
        self.fill_environment(&mut value);
        let diagnostics = self.locate_diagnostics(&text, &value, &LineIndex::new(&text, position));
        CheckedText { diagnostics, position, value: Some(value), text }
    }

    /// Returns the text as JSON with the fixes for it, each with the pointer to its position; `None` if it is not JSON.
    pub fn fixes(&self, text: &[u8]) -> Option<(Value, Vec<(String, Fix)>)> {
        let (_, mut value) = parse(text, &LineIndex::new(text, FilePosition::default())).ok()?;
        self.fill_environment(&mut value);
        let diagnostics = self.diagnostics(text, &value).into_iter();
        let fixes = diagnostics.filter_map(|diagnostic| Some((diagnostic.pointer, diagnostic.fix?))).collect();
        Some((value, fixes))
    }

    /// Returns the diagnostics of a batch; only one if it has the form of an export, in which every field may be wrong.
    fn diagnostics(&self, text: &[u8], value: &Value) -> Vec<Diagnostic> {
        if !is_export_form(value) {
            return self.api_diagnostics(value);
        }
        let form = "the form in which mParticle exports batches, with identities as a list";
        vec![match convert(text, |value| self.api_diagnostics(value)) {
            Ok(converted) => {
                let removed = converted.removed().map_or(String::new(), |removed| format!(", and remove {removed}"));
                let message =
                    format!("{form}; `mparticle check --fix` and `mparticle send --export-form` convert it{removed}");
                Diagnostic::new(Code::ExportForm, "/user_identities", message)
            }
            Err(reason) => {
                Diagnostic::new(Code::Type, "/user_identities", format!("{form}, which cannot be converted: {reason}"))
            }
        }]
    }

    /// Returns the diagnostics of a batch in the form of the API.
    fn api_diagnostics(&self, value: &Value) -> Vec<Diagnostic> {
        match self.historical {
            None => contract::check_batch(value),
            Some(now) => contract::check_historical_batch(value, now),
        }
    }

    fn locate_diagnostics(&self, text: &[u8], value: &Value, lines: &LineIndex<'_>) -> Vec<LocatedDiagnostic> {
        let mut diagnostics = self.diagnostics(text, value);
        for diagnostic in &mut diagnostics {
            if is_error_in_files(diagnostic.code) {
                diagnostic.severity = Severity::Error;
            }
        }
        let count = diagnostics.len();
        // If the list is truncated, errors are kept first, so that an error behind many warnings still rejects the batch.
        if count > MAX_DIAGNOSTICS {
            diagnostics.sort_by_key(|diagnostic| Reverse(diagnostic.severity));
            diagnostics.truncate(MAX_DIAGNOSTICS);
        }
        diagnostics.extend(self.check_environment(value).into_iter().chain(check_size(text.len(), value)));
        if diagnostics.is_empty() {
            return Vec::new();
        }
        let json = str::from_utf8(text).unwrap_or_default();
        let locate = |diagnostic: Diagnostic| {
            let member = locate(json, &diagnostic.pointer);
            let range = match (member.key, diagnostic.code) {
                (Some(key), Code::UnknownField | Code::OtherEventType | Code::MisplacedField | Code::AttributeName) => {
                    key
                }
                _ => member.value,
            };
            LocatedDiagnostic { position: lines.position(range.start), range, diagnostic }
        };
        let mut diagnostics: Vec<_> = diagnostics.into_iter().map(locate).collect();
        diagnostics.sort_by_key(|located| located.range.start);
        if count > MAX_DIAGNOSTICS {
            diagnostics.push(LocatedDiagnostic::new(lines.position(0), Code::Omitted, "more problems, not listed"));
        }
        diagnostics
    }

    /// Returns the text to send: the original text, with the requested environment added if it has none.
    pub fn with_environment(self, text: Vec<u8>) -> Vec<u8> {
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
            let message = format!("expected the environment {wanted}, found {found}");
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

/// Returns whether a warning of the library is an error for files: the service would accept such a historical batch without
/// processing it, and batches from files are not split.
fn is_error_in_files(code: Code) -> bool {
    use Code::{BatchBytes, HistoricalTooYoung, HistoricalWithoutEvents, HistoricalWithoutTime};
    matches!(code, BatchBytes | HistoricalTooYoung | HistoricalWithoutEvents | HistoricalWithoutTime)
}

/// Returns the default severity of a code for batches from files.
pub fn severity(code: Code) -> Severity {
    if is_error_in_files(code) { Severity::Error } else { code.severity() }
}

/// Checks that the batch does not exceed the limit once it has an ID.
fn check_size(bytes: usize, value: &Value) -> Option<Diagnostic> {
    if bytes + ID_BYTES <= MAX_BATCH_BYTES {
        return None;
    }
    let has_id = value["source_request_id"].as_str().is_some_and(|id| !id.is_empty());
    let sealed = bytes + if has_id { 0 } else { ID_BYTES };
    (sealed > MAX_BATCH_BYTES).then(|| {
        let message = format!(
            "{sealed} bytes including its ID, at most {MAX_BATCH_BYTES}; split its events into several batches"
        );
        let mut diagnostic = Diagnostic::new(Code::BatchBytes, "", message);
        diagnostic.severity = severity(diagnostic.code);
        diagnostic.expected = Some(format!("at most {MAX_BATCH_BYTES}"));
        diagnostic.actual = Some(sealed.to_string());
        diagnostic
    })
}
