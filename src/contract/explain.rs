//! From a validator's errors to what a person needs: where, what was expected, what came, what may have been meant.

use jsonschema::{Keyword, ValidationError, Validator, error::ValidationErrorKind as Kind};
use serde_json::Value;

use super::words::{expected, fits, found, misspelt, nearest, quoted, takes_text};
use super::{Problem, Remedy, Severity, Violation, view};
use crate::pointer::escaped;

/// A schema that refers to nothing, and the validator made of it.
#[derive(Debug)]
pub(super) struct Explained {
    schema: Value,
    validator: Validator,
}

impl Explained {
    pub(super) fn new(schema: Value) -> Self {
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft7)
            .should_validate_formats(true)
            .with_format("ip", |text: &str| text.parse::<std::net::IpAddr>().is_ok())
            .with_format("uuid", |text: &str| text.len() == 36 && text.parse::<uuid::Uuid>().is_ok())
            .with_keyword(view::NOT_ROUNDED, |_, _, _| Ok(Box::new(NotRounded)))
            .build(&schema)
            .expect("tests/spec.rs holds the document to being a schema");
        Self { schema, validator }
    }

    /// Everything that is wrong with a value. Most values are right, and for them this costs no more than asking so.
    pub(super) fn check(&self, value: &Value) -> Vec<Violation> {
        let mut violations = Vec::new();
        if !self.validator.is_valid(value) {
            for error in self.validator.iter_errors(value) {
                self.explain(&error, &mut violations);
            }
        }
        violations
    }

    /// Several may come of one error, as of one object with several unknown fields.
    fn explain(&self, error: &ValidationError<'_>, violations: &mut Vec<Violation>) {
        let (value, kind) = (error.instance().as_ref(), error.kind());
        let schema = self.part(error);
        let at = error.instance_path().as_str();
        let mut say = |at: String, problem, message, remedy| {
            violations.push(Violation { remedy, ..Violation::new(at, problem, message) });
        };
        match kind {
            Kind::AdditionalProperties { unexpected } => {
                let known = || schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
                for name in unexpected {
                    let hint = meant(nearest(name, known()));
                    let renamed = || misspelt(name, known()).map(|name| Remedy::Rename(name.into()));
                    let remedy = if value[name].is_null() { Some(Remedy::Remove) } else { renamed() };
                    say(format!("{at}/{}", escaped(name)), Problem::Unknown, format!("unknown field{hint}"), remedy);
                }
            }
            Kind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                let expected = expected(&schema["properties"][name]);
                say(at.into(), Problem::Missing, format!("{} is missing, expected {expected}", quoted(name)), None);
            }
            // A value of the wrong type is not one of the allowed ones either, and once is enough.
            Kind::Enum { .. } if !value.is_string() && schema.get("type").is_some() => {}
            Kind::Type { .. } if value.is_null() => {
                let expected = expected(schema);
                let remedy = is_entry(error).then_some(Remedy::Remove);
                say(at.into(), Problem::Missing, format!("null counts as absent, expected {expected}"), remedy);
            }
            Kind::Enum { .. } if value.is_string() => {
                let known = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let hint = meant(nearest(value.as_str().unwrap_or_default(), known));
                say(at.into(), Problem::Value, format!("{}{hint}", instead(schema, value)), None);
            }
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
                self.explain_branches(error, schema, context, violations);
            }
            Kind::OneOfMultipleValid { .. } => {
                let kinds = kinds(schema);
                let present = kinds.iter().filter(|kind| !value[**kind].is_null()).copied();
                let present = present.collect::<Vec<_>>().join(" and ");
                let message = format!("expected exactly one of {}, found {present}", kinds.join(", "));
                say(at.into(), Problem::Kind, message, None);
            }
            Kind::MaxLength { limit } => {
                let length = value.as_str().map_or(0, |text| text.chars().count());
                say(at.into(), Problem::Limit, format!("expected at most {limit} characters, found {length}"), None);
            }
            Kind::MaxItems { limit } => {
                let length = value.as_array().map_or(0, Vec::len);
                say(at.into(), Problem::Limit, format!("expected at most {limit} entries, found {length}"), None);
            }
            Kind::MaxProperties { limit } => {
                let length = value.as_object().map_or(0, serde_json::Map::len);
                say(at.into(), Problem::Limit, format!("expected at most {limit} names, found {length}"), None);
            }
            Kind::Type { .. } => say(at.into(), Problem::Type, instead(schema, value), quote(schema, value)),
            _ => say(at.into(), Problem::Value, instead(schema, value), None),
        }
    }

    /// None of several branches fits. One of them is for values of this type, and knows better what is wrong.
    fn explain_branches(
        &self,
        error: &ValidationError<'_>,
        schema: &Value,
        context: &[Vec<ValidationError<'static>>],
        violations: &mut Vec<Violation>,
    ) {
        let (value, at) = (error.instance().as_ref(), error.instance_path().as_str());
        let kinds = kinds(schema);
        if !kinds.is_empty() {
            let message = format!("expected exactly one of {}, found none", kinds.join(", "));
            violations.push(Violation::new(at.into(), Problem::Kind, message));
            return;
        }
        let branches = schema["anyOf"].as_array().or(schema["oneOf"].as_array()).into_iter().flatten();
        let mut fitting = branches.zip(context).filter(|(branch, _)| fits(branch, value));
        match (fitting.next(), fitting.next()) {
            (Some((_, errors)), None) => errors.iter().for_each(|error| self.explain(error, violations)),
            (Some(_), Some(_)) => violations.push(Violation::new(at.into(), Problem::Value, instead(schema, value))),
            (None, _) => {
                let removed = (value.is_null() && is_entry(error)).then_some(Remedy::Remove);
                let remedy = removed.or_else(|| quote(schema, value));
                violations
                    .push(Violation { remedy, ..Violation::new(at.into(), Problem::Type, instead(schema, value)) });
            }
        }
    }

    /// The part of the schema that an error comes from: the error's own place names the keyword in it as well.
    fn part(&self, error: &ValidationError<'_>) -> &Value {
        let place = error.schema_path().as_str();
        let end = place.rfind('/').unwrap_or(0);
        self.schema.pointer(&place[..end]).unwrap_or(&Value::Null)
    }
}

/// Beyond 64 bits a whole number is read as a float. One just below the range is then rounded to the lowest that is in it,
/// and `minimum` alone would take it.
struct NotRounded;

impl<'i> Keyword<'i> for NotRounded {
    fn validate(&self, value: &'i Value) -> Result<(), ValidationError<'i>> {
        if self.is_valid(value) { Ok(()) } else { Err(ValidationError::custom("rounded into the range")) }
    }

    fn is_valid(&self, value: &'i Value) -> bool {
        const LOWEST: f64 = -9_223_372_036_854_775_808.0;
        !(value.is_f64() && value.as_f64() == Some(LOWEST))
    }
}

impl Violation {
    /// Something that breaks the document.
    pub(crate) fn new(pointer: String, problem: Problem, message: String) -> Self {
        Self { severity: Severity::Error, problem, pointer, message, event: None, remedy: None }
    }
}

fn instead(schema: &Value, value: &Value) -> String {
    format!("expected {}, found {}", expected(schema), found(value))
}

/// A number, true or false can stand in quotes where any text is taken.
fn quote(schema: &Value, value: &Value) -> Option<Remedy> {
    ((value.is_number() || value.is_boolean()) && takes_text(schema)).then_some(Remedy::Quote)
}

/// Whether the value is an entry of a list or of a map: something that may as well not be there.
fn is_entry(error: &ValidationError<'_>) -> bool {
    let place = error.schema_path().as_str();
    place.rsplit('/').nth(1).is_some_and(|part| ["items", "additionalProperties"].contains(&part))
}

fn meant(name: Option<&str>) -> String {
    name.map(|name| format!(", did you mean {}?", quoted(name))).unwrap_or_default()
}

/// The properties of which exactly one is asked for, if a schema does so.
fn kinds(schema: &Value) -> Vec<&str> {
    let branches = schema["oneOf"].as_array().into_iter().flatten();
    branches.filter_map(|branch| branch["required"][0].as_str().filter(|_| branch.get("type").is_none())).collect()
}
