//! The operations of a document except the delivery endpoints, with their request bodies and responses.

use std::sync::OnceLock;

use serde_json::{Value, json};

use super::bounded::BoundedDiagnostics;
use super::complexity;
use super::diagnose::CompiledSchema;
use super::reference::{inline, resolve};
use super::schemas::for_validator;
use crate::diagnostics::{Code, Diagnostic};
use crate::endpoint::Endpoint;

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// The operations of a document except the three that accept batches.
#[derive(Debug)]
pub(crate) struct Operations(Vec<(String, Vec<Operation>)>);

/// One operation.
#[derive(Debug)]
pub(crate) struct Operation {
    /// The method, in upper case.
    pub(crate) method: String,
    /// The body of its requests, if they have one.
    pub(crate) body: Option<RequestBody>,
    /// The status of its response: the lowest 2xx of the document, or 200 if that is a range or there is none.
    pub(crate) status: u16,
    /// The JSON body of its response, if the document gives an example.
    pub(crate) example: Option<Value>,
}

/// The body of the requests of an operation.
#[derive(Debug)]
pub(crate) struct RequestBody {
    pub(crate) is_required: bool,
    /// Each media type, with the strict view of its schema.
    contents: Vec<(String, Schema)>,
}

#[derive(Debug)]
struct Schema {
    schema: Value,
    /// Compiled when the first body is checked.
    compiled: OnceLock<CompiledSchema>,
}

impl Operations {
    /// Reads the operations of a document, of which the caller has the strict view.
    pub(super) fn new(document: &Value, strict: &Value) -> Self {
        let paths = document["paths"].as_object().into_iter().flatten();
        let paths = paths.map(|(path, item)| {
            let (item, strict_item) = (resolve(document, item), resolve(strict, &strict["paths"][path]));
            let is_other = |method: &&str| *method != "post" || Endpoint::at(path).is_none();
            let methods = METHODS.iter().copied().filter(is_other);
            let operations = methods.filter_map(|method| {
                let body = strict_item.get(method)?.get("requestBody");
                let body = body.map(|body| RequestBody::new(strict, resolve(strict, body)));
                Some(Operation::new(document, method, item.get(method)?, body))
            });
            (path.clone(), operations.collect::<Vec<_>>())
        });
        let mut paths: Vec<_> = paths.filter(|(_, operations)| !operations.is_empty()).collect();
        // An exact path takes precedence over one with parameters.
        paths.sort_by_cached_key(|(path, _)| path.split('/').map(|segment| segment.contains('{')).collect::<Vec<_>>());
        Self(paths)
    }

    /// Returns the operations at this path, or none if it is unknown.
    pub(crate) fn at(&self, path: &str) -> &[Operation] {
        let is_at = |template: &str| {
            let (segments, templates) = (path.split('/'), template.split('/'));
            segments.clone().count() == templates.clone().count()
                && segments.zip(templates).all(|(segment, template)| matches(template, segment))
        };
        self.0.iter().find(|(template, _)| is_at(template)).map_or(&[], |(_, operations)| operations)
    }
}

/// Returns whether a segment of a path matches that of a template, in which `{name}` stands for at least one character.
fn matches(template: &str, segment: &str) -> bool {
    let Some((literal, rest)) = template.split_once('{') else { return template == segment };
    let Some((parameter, rest)) =
        rest.split_once('}').and_then(|(_, rest)| Some((segment.strip_prefix(literal)?, rest)))
    else {
        return false;
    };
    let ends = parameter.char_indices().map(|(index, character)| index + character.len_utf8());
    ends.into_iter().any(|end| matches(rest, &parameter[end..]))
}

impl Operation {
    fn new(document: &Value, method: &str, operation: &Value, body: Option<RequestBody>) -> Self {
        let responses = operation["responses"].as_object().into_iter().flatten();
        let mut successes = responses.clone().filter(|(status, _)| status.starts_with('2'));
        let success = successes.next().or_else(|| responses.clone().find(|(status, _)| *status == "default"));
        let response = success.map_or(&Value::Null, |(_, response)| resolve(document, response));
        let content = &response["content"]["application/json"];
        let examples = content["examples"].as_object().and_then(|examples| examples.values().next());
        let first = || examples.and_then(|example| resolve(document, example).get("value"));
        Self {
            method: method.to_uppercase(),
            body,
            status: success.and_then(|(status, _)| status.parse().ok()).unwrap_or(200),
            example: content.get("example").or_else(first).cloned(),
        }
    }
}

impl RequestBody {
    fn new(document: &Value, body: &Value) -> Self {
        let contents = body["content"].as_object().into_iter().flatten().map(|(media_type, content)| {
            // Without a schema any value is valid.
            let schema = content.get("schema").map_or_else(|| json!({}), |schema| inline(document, schema));
            (media_type.clone(), Schema { schema: for_validator(schema), compiled: OnceLock::new() })
        });
        Self { is_required: body["required"] == true, contents: contents.collect() }
    }

    /// Returns the media types, for a message: `application/json or text/csv`.
    pub(crate) fn media_types(&self) -> String {
        self.contents.iter().map(|(media_type, _)| media_type.as_str()).collect::<Vec<_>>().join(" or ")
    }

    /// Returns whether a body can have this media type. A media type of the document can end in `*`.
    pub(crate) fn takes(&self, media_type: &str) -> bool {
        self.content(media_type).is_some()
    }

    /// Reports the errors of a body of this media type, including exceeded limits, at most
    /// [`MAX_DIAGNOSTICS`](super::bounded::MAX_DIAGNOSTICS).
    pub(crate) fn check(&self, media_type: &str, body: &Value) -> Vec<Diagnostic> {
        if !complexity::is_bounded(body) {
            return vec![Diagnostic::new(Code::Limit, "", complexity::TOO_COMPLEX)];
        }
        let Some((_, content)) = self.content(media_type) else { return Vec::new() };
        let compiled = content.compiled.get_or_init(|| CompiledSchema::new(content.schema.clone()));
        let mut found = BoundedDiagnostics::default();
        found.extend("", None, compiled.check(body));
        found.into_diagnostics()
    }

    fn content(&self, media_type: &str) -> Option<&(String, Schema)> {
        let is_taken = |known: &str| match known.strip_suffix('*') {
            Some("*/") => true,
            Some(start) => media_type.get(..start.len()).is_some_and(|given| given.eq_ignore_ascii_case(start)),
            None => known.eq_ignore_ascii_case(media_type),
        };
        // The most specific one first: `application/json` before `application/*` before `*/*`.
        let mut taken: Vec<_> = self.contents.iter().filter(|(known, _)| is_taken(known)).collect();
        taken.sort_by_key(|(known, _)| std::cmp::Reverse(known.trim_end_matches(['*', '/']).len()));
        taken.first().copied()
    }
}
