//! The parts of schemas that are compared.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::names::{is_null, optional_type, pascal, reference, rust_type};

/// The parts of a schema that become one struct.
#[derive(Default)]
pub struct Members<'a> {
    /// The components whose fields it includes.
    pub shared: BTreeSet<&'a str>,
    /// Its own fields, with the place of each.
    pub own: BTreeMap<&'a str, (String, &'a Value)>,
    pub required: Vec<&'a str>,
    /// The other keywords of its branches.
    pub rest: Vec<Value>,
}

impl<'a> Members<'a> {
    pub fn of(schema: &'a Value) -> Self {
        let mut members = Self::default();
        members.take("", schema);
        for (index, branch) in schema["allOf"].as_array().into_iter().flatten().enumerate() {
            if let Some(component) = reference(branch) {
                members.shared.insert(component);
            } else {
                members.take(&format!("allOf/{index}/"), branch);
                let mut rest = branch.clone();
                rest.as_object_mut()
                    .into_iter()
                    .for_each(|rest| rest.retain(|key, _| key != "properties" && key != "required"));
                members.rest.push(rest);
            }
        }
        members
    }

    fn take(&mut self, path: &str, schema: &'a Value) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            self.own.insert(name, (format!("{path}properties/{name}"), property));
        }
        self.required.extend(schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str));
    }

    /// Returns the type of a field that the schema itself declares. `schemas` are the components of its document.
    pub fn field_type(&self, owner: &str, name: &str, schemas: &Value) -> Option<String> {
        let (_, schema) = self.own.get(name)?;
        let own = format!("{owner}{}", pascal(name));
        Some(if self.required.contains(&name) { rust_type(schema, &own) } else { optional_type(schema, &own, schemas) })
    }

    /// Returns the only component of the schema, for which a newtype is generated.
    pub fn newtype(&self) -> Option<&'a str> {
        let alone = self.shared.len() == 1 && self.own.is_empty() && self.required.is_empty();
        self.shared.first().copied().filter(|_| alone)
    }
}

/// The branches of a `oneOf` or an `anyOf`, by the names of their variants.
pub struct Branches<'a> {
    pub names: Vec<String>,
    pub schemas: Vec<&'a Value>,
}

impl<'a> Branches<'a> {
    /// Returns `None` if a branch has no name, or two have the same.
    pub fn of(branches: &'a Value) -> Option<Self> {
        let schemas: Vec<_> = branches.as_array().into_iter().flatten().collect();
        let names: Vec<String> = schemas.iter().map(|branch| branch_name(branch)).collect::<Option<_>>()?;
        let distinct: BTreeSet<_> = names.iter().collect();
        (distinct.len() == names.len()).then_some(Self { names, schemas })
    }

    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.names.iter().position(|known| known == name).map(|index| self.schemas[index])
    }

    pub fn is_tagged(&self) -> bool {
        self.schemas.iter().all(|branch| tag(branch).is_some())
    }

    pub fn content_type(&self, owner: &str, name: &str) -> String {
        let branch = self.get(name).unwrap_or(&Value::Null);
        let content = tag(branch).and_then(|(tag, _)| {
            branch["properties"].as_object()?.iter().find(|(name, _)| *name != tag).map(|(_, schema)| schema)
        });
        rust_type(content.unwrap_or(branch), &format!("{owner}{}", pascal(name)))
    }
}

fn branch_name(branch: &Value) -> Option<String> {
    let named = tag(branch).map(|(_, value)| value).or(branch["title"].as_str()).or(reference(branch));
    named.map(str::to_owned).or(is_null(branch).then(|| "Null".to_owned()))
}

/// Returns the property of a branch that tags the variant, with its only value.
pub fn tag(branch: &Value) -> Option<(&str, &str)> {
    branch["properties"].as_object()?.iter().find_map(|(name, schema)| match schema["enum"].as_array()?.as_slice() {
        [Value::String(value)] => Some((name.as_str(), value.as_str())),
        _ => None,
    })
}
