//! The change of the document between two versions, in terms of the Rust API, with its semver class.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

pub mod names;
mod operations;
mod schemas;
mod shapes;

/// The semver class of a change, by what it does to users of the Rust API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// The documents mean the same.
    None,
    /// Descriptions and examples only.
    Patch,
    /// Code that compiled before still compiles.
    Minor,
    /// Code that compiled before may no longer compile, or means something else.
    Major,
}

/// The heading of a change in the change log. All changes except those under `Breaking` are compatible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heading {
    Breaking,
    Added,
    Changed,
    Removed,
}

struct Change {
    heading: Heading,
    text: String,
    /// The operations with this change, which are appended to the text.
    operations: Vec<String>,
}

/// The change of a document. Its `Display` form is the text for the change log, which ends with the semver class.
#[derive(Default)]
pub struct Changes {
    list: Vec<Change>,
    documentation: BTreeSet<String>,
    /// The components of the old and of the new document.
    schemas: [Value; 2],
    /// The number of differences, including those that share a line.
    noted: usize,
}

impl Changes {
    /// Compares two versions of the document.
    #[must_use]
    pub fn between(old: &Value, new: &Value) -> Self {
        let schemas = [old, new].map(|document| document["components"]["schemas"].clone());
        let mut changes = Self { schemas, ..Self::default() };
        changes.document(old, new);
        if changes.noted == 0 && old != new {
            changes.push(Heading::Breaking, "Not classified, needs review: the document as a whole");
        }
        changes
    }

    /// Returns the semver class of all changes.
    #[must_use]
    pub fn class(&self) -> Class {
        if self.list.iter().any(|change| change.heading == Heading::Breaking) {
            Class::Major
        } else if !self.list.is_empty() {
            Class::Minor
        } else if self.documentation.is_empty() {
            Class::None
        } else {
            Class::Patch
        }
    }

    fn document(&mut self, old: &Value, new: &Value) {
        for key in keys(old, new) {
            let (was, is) = (&old[&key], &new[&key]);
            match key.as_str() {
                // Comparing the whole documents would be slow.
                "paths" => self.operations(old, new),
                "components" => self.components(old, new),
                _ if was == is => {}
                "info" => self.info(was, is),
                "servers" => self.servers(was, is),
                "security" => self.push(Heading::Changed, "The `security` of the document"),
                _ => self.other("", &key, was, is),
            }
        }
    }

    fn info(&mut self, old: &Value, new: &Value) {
        for key in keys(old, new) {
            match key.as_str() {
                _ if old[&key] == new[&key] => {}
                "version" => self.keyword("`info.version`", "the document, the header `api-version`", old, new, &key),
                "title" | "description" => self.documented("the document"),
                _ => self.other("/info", &key, &old[&key], &new[&key]),
            }
        }
    }

    /// Compares the servers, which are not generated: `Pod` lists them by hand.
    fn servers(&mut self, old: &Value, new: &Value) {
        let urls = |servers: &Value| -> Vec<String> {
            let servers = servers.as_array().into_iter().flatten();
            servers.filter_map(|server| server["url"].as_str().map(str::to_owned)).collect()
        };
        let (was, is) = (urls(old), urls(new));
        for url in was.iter().filter(|url| !is.contains(url)) {
            self.push(Heading::Removed, format!("Server <{url}>; `Pod` lists the servers by hand"));
        }
        for url in is.iter().filter(|url| !was.contains(url)) {
            self.push(Heading::Added, format!("Server <{url}>; `Pod` lists the servers by hand"));
        }
        if was == is && old != new {
            self.documented("the servers");
        } else if was != is && sorted(&was) == sorted(&is) {
            self.push(Heading::Changed, "The order of the servers");
        }
    }

    fn components(&mut self, old: &Value, new: &Value) {
        let (was, is) = (&old["components"], &new["components"]);
        for kind in keys(was, is) {
            match kind.as_str() {
                "schemas" => self.schemas(old, new),
                "responses" | "headers" | "securitySchemes" => self.shared(&kind, &was[&kind], &is[&kind]),
                _ => self.other("/components", &kind, &was[&kind], &is[&kind]),
            }
        }
    }

    fn push(&mut self, heading: Heading, text: impl Into<String>) {
        self.noted += 1;
        self.list.push(Change { heading, text: text.into(), operations: Vec::new() });
    }

    /// Adds a change of an operation. Operations with the same change share a line.
    fn push_for(&mut self, heading: Heading, text: impl Into<String>, operation: &str) {
        self.noted += 1;
        let (text, operation) = (text.into(), format!("`{operation}`"));
        let alike =
            |change: &&mut Change| change.heading == heading && change.text == text && !change.operations.is_empty();
        match self.list.iter_mut().find(alike) {
            Some(change) => change.operations.push(operation),
            None => self.list.push(Change { heading, text, operations: vec![operation] }),
        }
    }

    /// Adds a change of documentation only.
    fn documented(&mut self, label: &str) {
        self.noted += 1;
        self.documentation.insert(label.to_owned());
    }

    /// Adds a change of a keyword that the types do not depend on.
    fn keyword(&mut self, keyword: &str, of: &str, old: &Value, new: &Value, key: &str) {
        let say = |value: Option<&Value>| value.map_or("none".to_owned(), |value| format!("`{value}`"));
        let (was, is) = (old.get(key), new.get(key));
        if was != is {
            self.push(Heading::Changed, format!("{keyword} ({of}): {}, was {}", say(is), say(was)));
        }
    }

    /// Adds a change without a known rule. It counts as breaking until it has been reviewed.
    fn other(&mut self, pointer: &str, key: &str, old: &Value, new: &Value) {
        if old != new {
            let key = key.replace('~', "~0").replace('/', "~1");
            self.push(Heading::Breaking, format!("Not classified, needs review: `{pointer}/{key}`"));
        }
    }
}

fn keys(old: &Value, new: &Value) -> BTreeSet<String> {
    [old, new].into_iter().filter_map(Value::as_object).flat_map(|object| object.keys().cloned()).collect()
}

fn sorted(texts: &[String]) -> BTreeSet<&String> {
    texts.iter().collect()
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let titles = [
            (Heading::Breaking, "Breaking"),
            (Heading::Added, "Added"),
            (Heading::Changed, "Changed"),
            (Heading::Removed, "Removed"),
        ];
        for (heading, title) in titles {
            let changes: Vec<_> = self.list.iter().filter(|change| change.heading == heading).collect();
            let documentation = if heading == Heading::Changed { &self.documentation } else { &BTreeSet::new() };
            if changes.is_empty() && documentation.is_empty() {
                continue;
            }
            writeln!(f, "### {title}")?;
            for change in changes {
                let space = if change.operations.is_empty() { "" } else { " " };
                writeln!(f, "- {}{space}{}.", change.text, change.operations.join(", "))?;
            }
            if !documentation.is_empty() {
                let labels: Vec<_> = documentation.iter().map(String::as_str).collect();
                writeln!(f, "- Documentation (descriptions and examples) of {}.", labels.join(", "))?;
            }
            writeln!(f)?;
        }
        let class = match self.class() {
            Class::None => "none (no change)",
            Class::Patch => "patch (documentation only)",
            Class::Minor => "minor (compatible)",
            Class::Major => "major (breaking)",
        };
        writeln!(f, "Semver class: {class}")
    }
}
