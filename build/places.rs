//! Finds the place in the document that causes an error of the generator, which the generator does not report.

use std::collections::BTreeSet;

use openapiv3::{Header, PathItem, ReferenceOr, Response, Schema};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A place in the document: a section, a name to look for within it, and a property of that.
pub struct Place {
    section: &'static str,
    name: String,
    property: Option<String>,
    path: String,
}

impl Place {
    pub fn component(name: &str) -> Self {
        Self::shared("schemas", name)
    }

    pub fn property(component: &str, property: &str) -> Self {
        let path = format!("components.schemas.{component}.{property}");
        Self { property: Some(property.into()), path, ..Self::component(component) }
    }

    /// Creates the place of a missing property. It is the component: the name of the property may occur in an example.
    pub fn missing_property(component: &str, property: &str) -> Self {
        Self { property: None, ..Self::property(component, property) }
    }

    fn shared(section: &'static str, name: &str) -> Self {
        Self { section, name: name.into(), property: None, path: format!("components.{section}.{name}") }
    }

    pub fn path(name: &str) -> Self {
        Self { section: "paths", name: name.into(), property: None, path: format!("paths.{name}") }
    }

    /// Returns `:LINE: components.schemas.Batch`, with the first line of the part, or the line of the property if it has one.
    pub fn within(&self, yaml: &str) -> String {
        let lines: Vec<_> = yaml.lines().collect();
        let section = lines.iter().position(|line| is_key(line, self.section) && indent(line) <= 2);
        let part = section.and_then(|section| {
            // Properties and other sections can have the same name, so only the first level of this section counts.
            let mut within = deeper_than(&lines, section);
            let depth = within.clone().find(|(_, line)| is_content(line)).map(|(_, line)| indent(line))?;
            within.find(|(_, line)| indent(line) == depth && is_key(line, &self.name)).map(|(index, _)| index)
        });
        let property = part.zip(self.property.as_deref()).and_then(|(part, property)| {
            deeper_than(&lines, part).find(|(_, line)| is_key(line, property)).map(|(index, _)| index)
        });
        let line = property.or(part).map(|index| format!(":{}", index + 1)).unwrap_or_default();
        format!("{line}: {}", self.path)
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn is_content(line: &str) -> bool {
    !line.trim().is_empty() && !line.trim_start().starts_with('#')
}

/// Returns true if the line begins with this key, which may be quoted.
fn is_key(line: &str, key: &str) -> bool {
    let line = line.trim_start();
    let quote = line.chars().next().filter(|first| matches!(first, '"' | '\''));
    let line = quote.map_or(line, |_| &line[1..]);
    let Some(mut rest) = line.strip_prefix(key) else { return false };
    if let Some(quote) = quote {
        let Some(after) = rest.strip_prefix(quote) else { return false };
        rest = after;
    }
    rest.trim_start().starts_with(':')
}

/// Returns the lines below this one that are indented deeper, with their indices.
fn deeper_than<'a>(lines: &'a [&'a str], index: usize) -> impl Iterator<Item = (usize, &'a str)> + Clone {
    let depth = indent(lines[index]);
    let below = lines.iter().copied().enumerate().skip(index + 1);
    below.take_while(move |(_, line)| !is_content(line) || indent(line) > depth)
}

/// Reads each part of the document alone, because the errors of the generator do not name a place.
pub fn check(document: &Value) -> Result<(), (Place, String)> {
    let schemas = schemas(document).map(|(name, part)| (Place::component(name), part, read::<Schema> as Reader));
    let shared = [("responses", read::<Response> as Reader), ("headers", read::<Header>)].into_iter();
    let shared = shared.flat_map(|(kind, read)| {
        let parts = document["components"][kind].as_object().into_iter().flatten();
        parts.map(move |(name, part)| (Place::shared(kind, name), part, read))
    });
    let paths = paths(document).map(|(name, part)| (Place::path(name), part, read::<PathItem> as Reader));
    for (place, part, read) in schemas.chain(shared).chain(paths) {
        let dangling = references(part).into_iter().find(|target| resolve(document, target).is_none());
        if let Some(target) = dangling {
            return Err((place, format!("`{target}` does not exist")));
        }
        read(part).map_err(|error| (place, error))?;
    }
    match self::schemas(document).find(|(name, _)| merges_itself(document, name)) {
        Some((name, _)) => Err((Place::component(name), "its `allOf` refers back to itself".to_owned())),
        None => Ok(()),
    }
}

/// Returns true if the `allOf` of the component refers to itself, directly or through others.
fn merges_itself(document: &Value, name: &str) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![name]);
    while let Some(component) = next.pop() {
        let branches = document["components"]["schemas"][component]["allOf"].as_array().into_iter().flatten();
        let merged = branches.filter_map(referenced_component);
        next.extend(merged.filter(|target| seen.insert(*target)));
    }
    seen.contains(name)
}

/// Returns the smallest part with which `generate` fails: a component with the components that it refers to, or a path.
pub fn failing_part(document: &Value, generate: impl Fn(&Value) -> bool) -> Option<Place> {
    let mut bare = document.clone();
    for part in ["/paths", "/components/schemas"] {
        bare.pointer_mut(part)?.as_object_mut()?.clear();
    }
    if !generate(&bare) {
        return None;
    }
    let mut closures: Vec<_> = schemas(document).map(|(name, _)| (closure(document, name), name)).collect();
    closures.sort_by_key(|(closure, _)| closure.len());
    let component = closures.into_iter().find(|(closure, _)| {
        let mut alone = bare.clone();
        let all = &document["components"]["schemas"];
        for name in closure {
            alone["components"]["schemas"][*name] = all[*name].clone();
        }
        !generate(&alone)
    });
    let path = || {
        paths(document).find(|(name, item)| {
            let mut alone = document.clone();
            alone["paths"] = serde_json::json!({ *name: item });
            !generate(&alone)
        })
    };
    component.map(|(_, name)| Place::component(name)).or_else(|| path().map(|(name, _)| Place::path(name)))
}

/// Returns every component schema with its name.
pub fn schemas(document: &Value) -> impl Iterator<Item = (&String, &Value)> {
    document["components"]["schemas"].as_object().into_iter().flatten()
}

fn paths(document: &Value) -> impl Iterator<Item = (&String, &Value)> {
    document["paths"].as_object().into_iter().flatten()
}

/// Returns the names of a component and of everything that it refers to.
fn closure<'a>(document: &'a Value, name: &'a str) -> BTreeSet<&'a str> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![name]);
    while let Some(name) = next.pop() {
        if seen.insert(name) {
            let targets = references(&document["components"]["schemas"][name]);
            next.extend(targets.into_iter().filter_map(|target| target.rsplit('/').next()));
        }
    }
    seen
}

/// Returns the component that a `$ref` names.
pub fn referenced_component(node: &Value) -> Option<&str> {
    node["$ref"].as_str()?.rsplit('/').next()
}

fn references(node: &Value) -> Vec<&str> {
    match node {
        Value::Object(object) => match object.get("$ref") {
            Some(Value::String(target)) => vec![target],
            _ => object.values().flat_map(references).collect(),
        },
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

fn resolve<'a>(document: &'a Value, target: &str) -> Option<&'a Value> {
    document.pointer(target.strip_prefix('#')?)
}

type Reader = fn(&Value) -> Result<(), String>;

fn read<T: DeserializeOwned>(part: &Value) -> Result<(), String> {
    serde_json::from_value::<ReferenceOr<T>>(part.clone()).map(drop).map_err(|error| error.to_string())
}
