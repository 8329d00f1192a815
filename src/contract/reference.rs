//! References within a document: following them, and schemas without them.

use serde_json::{Map, Value, json};

/// How many references are followed from one to the next. More are a circle, which no generator takes.
const MAX_REFERENCES: usize = 32;

/// Returns the pointer of what is at this pointer, once all references there are followed.
pub(super) fn follow<'a>(document: &'a Value, mut pointer: &'a str) -> &'a str {
    for _ in 0..MAX_REFERENCES {
        match document.pointer(pointer).and_then(reference_target) {
            Some(next) => pointer = next,
            None => break,
        }
    }
    pointer
}

/// Returns a part of a document, or what it refers to. Null if that does not exist.
pub(super) fn resolve<'a>(document: &'a Value, part: &'a Value) -> &'a Value {
    match reference_target(part) {
        Some(pointer) => document.pointer(follow(document, pointer)).unwrap_or(&Value::Null),
        None => part,
    }
}

/// The pointer that a reference holds.
pub(super) fn reference_target(part: &Value) -> Option<&str> {
    part.get("$ref")?.as_str()?.strip_prefix('#')
}

/// Returns a schema of a document as one that refers to nothing outside of it: the place of an error in it is then the place in
/// the schema.
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
    /// The pointers that are being inlined, the outer ones first.
    within: Vec<&'a str>,
    /// The pointers of schemas that refer to themselves, and so remain definitions.
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
        // A property that refers to a component does so through an `allOf` of one, to have a description of its own.
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
        // A validator ignores what stands beside a reference. The words of an error need the type.
        if let Some(kind) = schema.get("type") {
            reference["type"] = kind.clone();
        }
        reference
    }
}
