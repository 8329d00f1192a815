//! Turns the errors of a validator into diagnostics, with suggestions and fixes.

use jsonschema::{ValidationError, Validator, error::ValidationErrorKind as Kind};
use serde_json::{Value, json};

use super::describe::{
    accepts_any_text, describe_schema, describe_value, find_misspelled, find_similar, matches_type, normalize, quote,
    type_name,
};
use super::number::{self, WrittenWhole};
use super::schemas::WRITTEN_WHOLE;
use crate::diagnostics::identities::identifies_device;
use crate::diagnostics::{Code, Diagnostic, Fix};
use crate::pointer::escaped;

/// A self-contained schema and its validator.
#[derive(Debug)]
pub(super) struct CompiledSchema {
    schema: Value,
    /// An error if the schema is not valid, for example because of a malformed pattern.
    validator: Result<Validator, String>,
}

impl CompiledSchema {
    pub(super) fn new(schema: Value) -> Self {
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft7)
            .should_validate_formats(true)
            .with_format("ip", |text: &str| text.parse::<std::net::IpAddr>().is_ok())
            .with_format("uuid", |text: &str| text.len() == 36 && text.parse::<uuid::Uuid>().is_ok())
            .with_keyword(WRITTEN_WHOLE, |schema, _, _| Ok(Box::new(WrittenWhole::new(schema))))
            .build(&schema)
            .map_err(|error| format!("{}: {error}", error.instance_path()));
        Self { schema, validator }
    }

    /// Reports all errors of a value. Valid values, which most are, take only the fast path of the validator.
    pub(super) fn check(&self, value: &Value) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        match &self.validator {
            Ok(validator) if validator.is_valid(value) => {}
            Ok(validator) => validator.iter_errors(value).for_each(|error| self.diagnose(&error, &mut found)),
            Err(error) => {
                let message =
                    format!("failed to check the value: the schema in the OpenAPI document is not valid at {error}");
                found.push(Diagnostic::new(Code::Value, "", message));
            }
        }
        found
    }

    /// Turns an error into diagnostics: one for each unknown field of an object.
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
            // The error for the type is reported as well, and suffices.
            Kind::Enum { .. } if !value.is_string() && schema.get("type").is_some() => return,
            Kind::Type { .. } if value.is_null() => {
                let fix = is_optional_entry(error).then_some(Fix::Remove);
                Diagnostic { fix, ..missing_field(at, "null counts as absent", schema) }
            }
            Kind::Enum { .. } if value.is_string() => {
                let known = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let fix = spelling_fix(value, known.clone());
                let nearest = find_similar(value.as_str().unwrap_or_default(), known);
                Diagnostic { fix, ..with_suggestion(mismatch(Code::Value, at, schema, value), nearest) }
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
            // A float within the range: `type` reports one with a fraction, `x-written-whole` one without.
            Kind::Type { .. } | Kind::Custom { .. } if value.is_f64() && type_name(schema) == Some("integer") => {
                number::diagnose_float(at, schema, value)
            }
            Kind::Type { .. } => {
                let fix = quote_fix(at, schema, value).or_else(|| number::unquote_fix(schema, value));
                Diagnostic { fix, ..mismatch(Code::Type, at, schema, value) }
            }
            _ => mismatch(Code::Value, at, schema, value),
        };
        found.push(diagnostic);
    }

    /// Diagnoses a value that matches no branch, by the errors of the branch for its tag or its type if there is one.
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
                let fix = removed.or_else(|| quote_fix(at, schema, value));
                found.push(Diagnostic { fix, ..mismatch(Code::Type, at, schema, value) });
            }
        }
    }

    /// Returns the part of the schema that an error comes from. The path of an error ends with the keyword.
    fn schema_of(&self, error: &ValidationError<'_>) -> &Value {
        let path = error.schema_path().as_str();
        let end = path.rfind('/').unwrap_or(0);
        self.schema.pointer(&path[..end]).unwrap_or(&Value::Null)
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

/// Adds the name that was probably meant.
fn with_suggestion(mut diagnostic: Diagnostic, name: Option<&str>) -> Diagnostic {
    if let Some(name) = name {
        diagnostic.message += &format!(", did you mean {}?", quote(name));
        diagnostic.suggestion = Some(name.into());
    }
    diagnostic
}

/// Returns the fix of quoting a number or a boolean where any text is allowed. An identity is quoted only if its text is certain.
fn quote_fix(at: &str, schema: &Value, value: &Value) -> Option<Fix> {
    if !(value.is_number() || value.is_boolean()) || !accepts_any_text(schema) {
        return None;
    }
    if names_identity(at) && !(value.is_i64() || value.is_u64()) {
        return number::exact_integer(value).map(|number| Fix::Replace(format!("\"{number}\"")));
    }
    Some(Fix::Quote)
}

/// Returns whether the pointer is that of an identity.
fn names_identity(at: &str) -> bool {
    let (parent, name) = at.rsplit_once('/').unwrap_or_default();
    ["_identities", "_identity"].iter().any(|end| parent.ends_with(end))
        || name == "identity"
        || name == "partner_identity"
        || parent == "/device_info" && identifies_device(name)
}

/// Returns the fix of a value that differs from a single allowed one only by capitalisation and separators.
fn spelling_fix<'a>(value: &Value, known: impl Iterator<Item = &'a str>) -> Option<Fix> {
    let wanted = normalize(value.as_str()?);
    let mut same = known.filter(|known| normalize(known) == wanted);
    let (only, None) = (same.next()?, same.next()) else { return None };
    Some(Fix::Replace(Value::from(only).to_string()))
}

/// Returns whether the value is an entry of a list or a map, which can be removed.
fn is_optional_entry(error: &ValidationError<'_>) -> bool {
    let path = error.schema_path().as_str();
    path.rsplit('/').nth(1).is_some_and(|part| ["items", "additionalProperties"].contains(&part))
}

/// The branch that a tag selects. A tag is a property with a single allowed value in each branch, such as `event_type`.
enum TagMatch<'a> {
    /// The value has the tag of the branch with this index.
    Branch(usize),
    /// The value has the tag of no branch. Contains the property and its allowed values.
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

/// Returns the properties of which a schema requires exactly one.
fn exclusive_properties(schema: &Value) -> Vec<&str> {
    let branches = schema["oneOf"].as_array().into_iter().flatten();
    branches.filter_map(|branch| branch["required"][0].as_str().filter(|_| branch.get("type").is_none())).collect()
}
