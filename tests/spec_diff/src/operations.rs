//! Compares operations, responses and headers. Only the 2xx statuses of the responses affect the generated code.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::names::snake;
use super::schemas::At;
use super::{Changes, Heading, keys};

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// An operation with its method and path.
struct Operation<'a> {
    route: String,
    pointer: String,
    content: &'a Value,
}

impl Operation<'_> {
    fn success(&self, status: &str) -> Option<&Value> {
        self.content["responses"].get(status).filter(|_| status.starts_with('2'))
    }
}

/// Returns the operations of a document by `operationId`.
fn operations(document: &Value) -> BTreeMap<String, Operation<'_>> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, item)| {
            METHODS.into_iter().filter_map(move |method| {
                let content = item.get(method)?;
                let route = format!("{} {path}", method.to_uppercase());
                let pointer = format!("/paths/{}/{method}", path.replace('/', "~1"));
                let id = content["operationId"].as_str().unwrap_or(&route).to_owned();
                Some((id, Operation { route, pointer, content }))
            })
        })
        .collect()
}

impl Changes {
    pub(super) fn operations(&mut self, old: &Value, new: &Value) {
        let (was, is) = (operations(old), operations(new));
        for (id, operation) in &was {
            let method = snake(id);
            let renamed = is.iter().find(|(id, now)| now.route == operation.route && !was.contains_key(*id));
            match (is.get(id), renamed) {
                (Some(now), _) => self.operation(&method, (old, operation), (new, now)),
                (None, Some((now, renamed))) => {
                    let text = format!("Renamed `raw::Client::{method}` (`{id}`) to `{}` (`{now}`)", snake(now));
                    self.push(Heading::Breaking, text);
                    self.operation(&snake(now), (old, operation), (new, renamed));
                }
                (None, None) => {
                    self.push(Heading::Breaking, format!("Removed `raw::Client::{method}` (`{}`)", operation.route));
                }
            }
        }
        for (id, operation) in &is {
            let renamed = was.iter().any(|(id, before)| before.route == operation.route && !is.contains_key(id));
            if !was.contains_key(id) && !renamed {
                self.push(Heading::Added, format!("`raw::Client::{}` (`{}`)", snake(id), operation.route));
            }
        }
        for path in keys(&old["paths"], &new["paths"]) {
            let (was, is) = (&old["paths"][&path], &new["paths"][&path]);
            let pointer = format!("/paths/{}", path.replace('/', "~1"));
            for key in keys(was, is).iter().filter(|key| !METHODS.contains(&key.as_str())) {
                self.other(&pointer, key, &was[key], &is[key]);
            }
        }
    }

    fn operation(&mut self, method: &str, old: (&Value, &Operation<'_>), new: (&Value, &Operation<'_>)) {
        let ((old_document, old), (new_document, new)) = (old, new);
        if old.route != new.route {
            let text = format!("`raw::Client::{method}` sends to `{}`, was `{}`", new.route, old.route);
            self.push(Heading::Changed, text);
        }
        let (was, is) = (old.content, new.content);
        for key in keys(was, is) {
            match key.as_str() {
                "operationId" => {}
                _ if was[&key] == is[&key] && key != "requestBody" => {}
                "summary" | "description" | "tags" | "externalDocs" => {
                    self.documented(&format!("`raw::Client::{method}`"));
                }
                "security" => self.push_for(Heading::Changed, "The `security` of", method),
                "requestBody" => self.request_body(
                    method,
                    &new.pointer,
                    resolve(old_document, &was[&key]),
                    resolve(new_document, &is[&key]),
                ),
                "responses" => self.responses(method, old, new),
                "parameters" if without_documentation(&was[&key]) != without_documentation(&is[&key]) => {
                    self.push_for(Heading::Breaking, "Changed the parameters of", method);
                }
                "parameters" => self.documented(&format!("`raw::Client::{method}`")),
                _ => self.other(&new.pointer, &key, &was[&key], &is[&key]),
            }
        }
    }

    fn request_body(&mut self, method: &str, pointer: &str, old: &Value, new: &Value) {
        let pointer = format!("{pointer}/requestBody");
        for key in keys(old, new).iter().filter(|key| *key != "content" && *key != "description") {
            if old[key] != new[key] {
                self.push_for(Heading::Breaking, format!("Changed `{key}` of the request body of"), method);
            }
        }
        if old["description"] != new["description"] {
            self.documented(&format!("the request body of `{method}`"));
        }
        for kind in keys(&old["content"], &new["content"]) {
            let (Some(was), Some(is)) = (old["content"].get(&kind), new["content"].get(&kind)) else {
                let verb = if new["content"].get(&kind).is_some() { "Added" } else { "Removed" };
                let text = format!("{verb} the content type `{kind}` of the request body of");
                self.push_for(Heading::Breaking, text, method);
                continue;
            };
            let pointer = format!("{pointer}/content/{}", kind.replace('/', "~1"));
            let name = super::names::pascal(&format!("{method}_body"));
            let label = format!("the request body of `{method}`");
            for key in keys(was, is) {
                match key.as_str() {
                    "schema" => {
                        let at = At::new(format!("{pointer}/schema"), label.clone(), name.clone());
                        self.schema(&at, &was[&key], &is[&key]);
                    }
                    _ if was[&key] == is[&key] => {}
                    "example" | "examples" => self.documented(&label),
                    _ => self.other(&pointer, &key, &was[&key], &is[&key]),
                }
            }
        }
    }

    fn responses(&mut self, method: &str, old: &Operation<'_>, new: &Operation<'_>) {
        let (was, is) = (&old.content["responses"], &new.content["responses"]);
        for status in keys(was, is) {
            match (was.get(&status), is.get(&status)) {
                (None, Some(_)) if new.success(&status).is_some() => {
                    let text =
                        format!("Status {status}, with which the raw endpoint now returns `Ok`, to the responses of");
                    self.push_for(Heading::Added, text, method);
                }
                (None, Some(_)) => {
                    self.push_for(Heading::Added, format!("Status {status} to the responses of"), method);
                }
                (Some(_), None) if old.success(&status).is_some() => {
                    let text = format!(
                        "Removed status {status}, with which the raw endpoint now returns `Err`, from the responses of"
                    );
                    self.push_for(Heading::Breaking, text, method);
                }
                (Some(_), None) => {
                    self.push_for(Heading::Removed, format!("Status {status} from the responses of"), method);
                }
                (Some(was), Some(is)) if was != is && without_documentation(was) == without_documentation(is) => {
                    self.documented(&format!("status {status} of `{method}`"));
                }
                (Some(was), Some(is)) if was != is => {
                    self.push_for(Heading::Changed, format!("The response with status {status} of"), method);
                }
                _ => {}
            }
        }
    }

    /// Compares the responses, headers or security schemes among the components, which are not generated.
    pub(super) fn shared(&mut self, kind: &str, old: &Value, new: &Value) {
        let noun = match kind {
            "responses" => "response",
            "headers" => "header",
            _ => "security scheme",
        };
        for name in keys(old, new).into_iter().filter(|name| old.get(name) != new.get(name)) {
            let label = format!("{noun} `{name}`");
            let (Some(was), Some(is)) = (old.get(&name), new.get(&name)) else {
                let heading = if new.get(&name).is_some() { Heading::Added } else { Heading::Removed };
                self.push(heading, format!("Component {label}"));
                continue;
            };
            for header in keys(&was["headers"], &is["headers"]) {
                match (was["headers"].get(&header), is["headers"].get(&header)) {
                    (None, _) => self.push(Heading::Added, format!("Header `{header}` to the {label}")),
                    (_, None) => self.push(Heading::Removed, format!("Header `{header}` from the {label}")),
                    (Some(was), Some(is)) if was != is => {
                        self.push(Heading::Changed, format!("Header `{header}` of the {label}"));
                    }
                    _ => {}
                }
            }
            let (rest_was, rest_is) = (without(was, "headers"), without(is, "headers"));
            if without_documentation(&rest_was) != without_documentation(&rest_is) {
                self.push(Heading::Changed, format!("The {label} (contract and mock)"));
            } else if rest_was != rest_is {
                self.documented(&format!("the {label}"));
            }
        }
    }
}

fn resolve<'a>(document: &'a Value, node: &'a Value) -> &'a Value {
    let target = node["$ref"].as_str().and_then(|target| document.pointer(target.strip_prefix('#')?));
    target.unwrap_or(node)
}

pub(super) fn without(node: &Value, key: &str) -> Value {
    let mut node = node.clone();
    node.as_object_mut().map(|node| node.remove(key));
    node
}

/// Removes descriptions and examples, but keeps properties, headers and responses with such a name.
pub(super) fn without_documentation(node: &Value) -> Value {
    const NAMED: [&str; 3] = ["properties", "headers", "responses"];
    match node {
        Value::Object(object) => {
            let documentation = ["description", "summary", "example", "examples"];
            let kept = object.iter().filter(|(key, _)| !documentation.contains(&key.as_str())).map(|(key, value)| {
                let value = match value {
                    Value::Object(named) if NAMED.contains(&key.as_str()) => {
                        let each = named.iter().map(|(name, value)| (name.clone(), without_documentation(value)));
                        json!(each.collect::<Map<_, _>>())
                    }
                    value => without_documentation(value),
                };
                (key.clone(), value)
            });
            json!(kept.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(without_documentation).collect(),
        value => value.clone(),
    }
}
