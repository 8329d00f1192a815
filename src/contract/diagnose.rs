//! From a validator's errors to what a person needs: where, what was expected, what came, what may have been meant.

use jsonschema::{Keyword, ValidationError, Validator, error::ValidationErrorKind as Kind};
use serde_json::{Value, json};

use super::describe::{
    accepts_any_text, describe_schema, describe_value, find_misspelled, find_similar, matches_type, quote,
};
use super::schemas::NOT_ROUNDED;
use crate::diagnostics::{Code, Diagnostic, Fix};
use crate::pointer::escaped;

/// A schema that refers to nothing, and the validator made of it.
#[derive(Debug)]
pub(super) struct CompiledSchema {
    schema: Value,
    /// An error if the schema is not valid, for example because a pattern cannot be read.
    validator: Result<Validator, String>,
}

impl CompiledSchema {
    pub(super) fn new(schema: Value) -> Self {
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft7)
            .should_validate_formats(true)
            .with_format("ip", |text: &str| text.parse::<std::net::IpAddr>().is_ok())
            .with_format("uuid", |text: &str| text.len() == 36 && text.parse::<uuid::Uuid>().is_ok())
            .with_keyword(NOT_ROUNDED, |_, _, _| Ok(Box::new(NotRounded)))
            .build(&schema)
            .map_err(|error| format!("{}: {error}", error.instance_path()));
        Self { schema, validator }
    }

    /// Reports everything that is wrong with a value. Most values are right, and for them this costs no more than asking
    /// whether they are.
    pub(super) fn check(&self, value: &Value) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        match &self.validator {
            Ok(validator) if validator.is_valid(value) => {}
            Ok(validator) => validator.iter_errors(value).for_each(|error| self.diagnose(&error, &mut found)),
            Err(error) => {
                let message =
                    format!("nothing can be checked: the schema in the OpenAPI document is not valid at {error}");
                found.push(Diagnostic::new(Code::Value, "", message));
            }
        }
        found
    }

    /// Turns an error into diagnostics: several for one object with several unknown fields.
    fn diagnose(&self, error: &ValidationError<'_>, found: &mut Vec<Diagnostic>) {
        let (value, kind) = (error.instance().as_ref(), error.kind());
        let schema = self.schema_of(error);
        let at = error.instance_path().as_str();
        let limit = |limit: &u64, unit, length: usize| {
            Diagnostic::mismatch(Code::Limit, at, format!("at most {limit} {unit}"), length.to_string())
        };
        let diagnostic = match kind {
            Kind::AdditionalProperties { unexpected } => {
                let known = || schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
                found.extend(unexpected.iter().map(|name| {
                    let renamed = || find_misspelled(name, known()).map(|name| Fix::Rename(name.into()));
                    let fix = if value[name].is_null() { Some(Fix::Remove) } else { renamed() };
                    let unknown =
                        Diagnostic::new(Code::UnknownField, format!("{at}/{}", escaped(name)), "unknown field");
                    Diagnostic { fix, ..with_suggestion(unknown, find_similar(name, known())) }
                }));
                return;
            }
            Kind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                missing_field(at, &format!("{} is missing", quote(name)), &schema["properties"][name])
            }
            // A value of the wrong type is not one of the allowed ones either, and once is enough.
            Kind::Enum { .. } if !value.is_string() && schema.get("type").is_some() => return,
            Kind::Type { .. } if value.is_null() => {
                let fix = is_optional_entry(error).then_some(Fix::Remove);
                Diagnostic { fix, ..missing_field(at, "null counts as absent", schema) }
            }
            Kind::Enum { .. } if value.is_string() => {
                let known = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let nearest = find_similar(value.as_str().unwrap_or_default(), known);
                with_suggestion(mismatch(Code::Value, at, schema, value), nearest)
            }
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
                return self.diagnose_branches(error, schema, context, found);
            }
            Kind::OneOfMultipleValid { .. } => {
                let kinds = exclusive_properties(schema);
                let present = kinds.iter().filter(|kind| !value[**kind].is_null()).copied();
                kind_mismatch(at, &kinds, &present.collect::<Vec<_>>().join(" and "))
            }
            Kind::MaxLength { limit: max } => {
                limit(max, "characters", value.as_str().map_or(0, |text| text.chars().count()))
            }
            Kind::MaxItems { limit: max } => limit(max, "entries", value.as_array().map_or(0, Vec::len)),
            Kind::MaxProperties { limit: max } => {
                limit(max, "names", value.as_object().map_or(0, serde_json::Map::len))
            }
            Kind::Type { .. } => {
                Diagnostic { fix: quote_fix(schema, value), ..mismatch(Code::Type, at, schema, value) }
            }
            _ => mismatch(Code::Value, at, schema, value),
        };
        found.push(diagnostic);
    }

    /// Explains that none of several branches fits. One of them is for values of this type, and knows better what is wrong.
    fn diagnose_branches(
        &self,
        error: &ValidationError<'_>,
        schema: &Value,
        context: &[Vec<ValidationError<'static>>],
        found: &mut Vec<Diagnostic>,
    ) {
        let (value, at) = (error.instance().as_ref(), error.instance_path().as_str());
        let kinds = exclusive_properties(schema);
        if !kinds.is_empty() {
            found.push(kind_mismatch(at, &kinds, "none"));
            return;
        }
        let branches = schema["anyOf"].as_array().or(schema["oneOf"].as_array()).map_or(&[][..], Vec::as_slice);
        match match_tag(branches, value) {
            TagMatch::Branch(index) => {
                context[index].iter().for_each(|error| self.diagnose(error, found));
                return;
            }
            TagMatch::Unknown(name, tags) => {
                let tags = json!({ "enum": tags });
                found.push(match value.get(name) {
                    Some(tag) => {
                        let nearest = find_similar(
                            tag.as_str().unwrap_or_default(),
                            tags["enum"].as_array().into_iter().flatten().filter_map(Value::as_str),
                        );
                        with_suggestion(mismatch(Code::Value, &format!("{at}/{}", escaped(name)), &tags, tag), nearest)
                    }
                    None => missing_field(at, &format!("{} is missing", quote(name)), &tags),
                });
                return;
            }
            TagMatch::Untagged => {}
        }
        let mut fitting = branches.iter().zip(context).filter(|(branch, _)| matches_type(branch, value));
        match (fitting.next(), fitting.next()) {
            (Some((_, errors)), None) => errors.iter().for_each(|error| self.diagnose(error, found)),
            (Some(_), Some(_)) => found.push(mismatch(Code::Value, at, schema, value)),
            (None, _) => {
                let removed = (value.is_null() && is_optional_entry(error)).then_some(Fix::Remove);
                let fix = removed.or_else(|| quote_fix(schema, value));
                found.push(Diagnostic { fix, ..mismatch(Code::Type, at, schema, value) });
            }
        }
    }

    /// The part of the schema that an error comes from: the error's own place names the keyword in it as well.
    fn schema_of(&self, error: &ValidationError<'_>) -> &Value {
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

fn mismatch(code: Code, at: &str, schema: &Value, value: &Value) -> Diagnostic {
    Diagnostic::mismatch(code, at, describe_schema(schema), describe_value(value))
}

fn missing_field(at: &str, reason: &str, schema: &Value) -> Diagnostic {
    let expected = describe_schema(schema);
    let message = format!("{reason}, expected {expected}");
    Diagnostic { expected: Some(expected), ..Diagnostic::new(Code::MissingField, at, message) }
}

fn kind_mismatch(at: &str, kinds: &[&str], present: &str) -> Diagnostic {
    Diagnostic::mismatch(Code::CommerceKind, at, format!("exactly one of {}", kinds.join(", ")), present)
}

/// Adds the name that may have been meant.
fn with_suggestion(mut diagnostic: Diagnostic, name: Option<&str>) -> Diagnostic {
    if let Some(name) = name {
        diagnostic.message += &format!(", did you mean {}?", quote(name));
        diagnostic.suggestion = Some(name.into());
    }
    diagnostic
}

/// A number, true or false can stand in quotes where any text is taken.
fn quote_fix(schema: &Value, value: &Value) -> Option<Fix> {
    ((value.is_number() || value.is_boolean()) && accepts_any_text(schema)).then_some(Fix::Quote)
}

/// Whether the value is an entry of a list or of a map: something that may as well not be there.
fn is_optional_entry(error: &ValidationError<'_>) -> bool {
    let place = error.schema_path().as_str();
    place.rsplit('/').nth(1).is_some_and(|part| ["items", "additionalProperties"].contains(&part))
}

/// The branch that a tag selects, if each branch has a property with one value of its own, such as `event_type`.
enum TagMatch<'a> {
    /// The value has the tag of the branch with this index.
    Branch(usize),
    /// The value has no tag of any branch: the property, and its values.
    Unknown(&'a str, Vec<&'a Value>),
    /// The branches have no tags, or the value is not an object.
    Untagged,
}

fn match_tag<'a>(branches: &'a [Value], value: &Value) -> TagMatch<'a> {
    let tag = |branch: &'a Value, name: &str| match branch["properties"][name]["enum"].as_array().map(Vec::as_slice) {
        Some([tag] | [tag, Value::Null]) if tag.is_string() => Some(tag),
        _ => None,
    };
    let names = branches.first().and_then(|branch| branch["properties"].as_object()).filter(|_| value.is_object());
    for name in names.into_iter().flatten().map(|(name, _)| name) {
        let tags: Option<Vec<_>> =
            branches.iter().filter(|b| b["type"] != "null").map(|branch| tag(branch, name)).collect();
        if let Some(tags) = tags {
            let index =
                branches.iter().position(|branch| value.get(name).is_some() && tag(branch, name) == value.get(name));
            return index.map_or(TagMatch::Unknown(name, tags), TagMatch::Branch);
        }
    }
    TagMatch::Untagged
}

/// The properties of which exactly one is asked for, if a schema does so.
fn exclusive_properties(schema: &Value) -> Vec<&str> {
    let branches = schema["oneOf"].as_array().into_iter().flatten();
    branches.filter_map(|branch| branch["required"][0].as_str().filter(|_| branch.get("type").is_none())).collect()
}
