//! Follows and inlines the references of a document.

use serde_json::{Map, Value, json};

/// The maximum length of a chain of references. A longer one is a cycle, which generators reject.
const MAX_REFERENCES: usize = 32;

/// Follows the references at a pointer and returns the pointer of their target.
pub(super) fn follow<'a>(document: &'a Value, mut pointer: &'a str) -> &'a str {
    for _ in 0..MAX_REFERENCES {
        match document.pointer(pointer).and_then(reference_target) {
            Some(next) => pointer = next,
            None => break,
        }
    }
    pointer
}

/// Returns a part of a document or, if it is a reference, its target. Returns null if the target does not exist.
pub(super) fn resolve<'a>(document: &'a Value, part: &'a Value) -> &'a Value {
    match reference_target(part) {
        Some(pointer) => document.pointer(follow(document, pointer)).unwrap_or(&Value::Null),
        None => part,
    }
}

/// Returns the pointer of a reference.
pub(super) fn reference_target(part: &Value) -> Option<&str> {
    part.get("$ref")?.as_str()?.strip_prefix('#')
}

/// Returns a self-contained copy of a schema, without references into the document, so that the schema path of an error is a path in
/// the copy.
pub(super) fn inline(document: &Value, schema: &Value) -> Value {
    let mut inliner = Inliner { document, within: Vec::new(), recursive: Vec::new() };
    let mut whole = inliner.inline(schema);
    let mut definitions = Map::new();
    while let Some(pointer) = inliner.recursive.get(definitions.len()).copied() {
        inliner.within = vec![pointer];
        let definition = inliner.inline(document.pointer(pointer).unwrap_or(&Value::Null));
        definitions.insert(definitions.len().to_string(), definition);
    }
    if !definitions.is_empty() {
        whole["definitions"] = definitions.into();
    }
    whole
}

struct Inliner<'a> {
    document: &'a Value,
    /// The pointers that are being inlined, from the outermost to the innermost.
    within: Vec<&'a str>,
    /// The pointers of recursive schemas, which remain definitions.
    recursive: Vec<&'a str>,
}

impl<'a> Inliner<'a> {
    fn inline(&mut self, node: &'a Value) -> Value {
        let object = match node {
            Value::Object(object) => object,
            Value::Array(items) => return items.iter().map(|item| self.inline(item)).collect(),
            other => return other.clone(),
        };
        if let Some(pointer) = reference_target(node) {
            return self.inline_target(pointer);
        }
        let mut inlined: Map<_, _> = object.iter().map(|(key, value)| (key.clone(), self.inline(value))).collect();
        // Properties with a description of their own refer to a component through an `allOf` with one branch.
        if let Some([only]) = object.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
            inlined.remove("allOf");
            if let Value::Object(component) = self.inline(only) {
                component.into_iter().for_each(|(key, value)| _ = inlined.entry(key).or_insert(value));
            }
        }
        inlined.into()
    }

    fn inline_target(&mut self, pointer: &'a str) -> Value {
        let schema = self.document.pointer(pointer).unwrap_or(&Value::Null);
        if !self.within.contains(&pointer) {
            self.within.push(pointer);
            let inlined = self.inline(schema);
            self.within.pop();
            return inlined;
        }
        let index = self.recursive.iter().position(|known| *known == pointer).unwrap_or_else(|| {
            self.recursive.push(pointer);
            self.recursive.len() - 1
        });
        let mut reference = json!({ "$ref": format!("#/definitions/{index}") });
        // Validators ignore keywords beside a reference, but messages need the type.
        if let Some(kind) = schema.get("type") {
            reference["type"] = kind.clone();
        }
        reference
    }
}
