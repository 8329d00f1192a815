//! Compares schemas by their generated code: structs with public fields, and enums, which are `#[non_exhaustive]` if they are
//! components.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::names::{has_fields, pascal, reference, rust_type, snake};
use super::operations::{without, without_documentation};
use super::shapes::{Branches, Members, tag};
use super::{Changes, Heading, keys};

/// Keywords that affect the contract, the mock and `check`, but no type. `minimum` and `format` can also affect the type, which is
/// compared first.
const CONTRACT: [&str; 8] =
    ["maxLength", "maxItems", "maxProperties", "pattern", "minimum", "format", "readOnly", "writeOnly"];

/// A place in the document.
pub struct At {
    pointer: String,
    /// The text that names the place.
    label: String,
    /// The name of the generated type, if there is one.
    name: String,
    /// The number of event types that include its fields.
    event_types: usize,
    /// True for a component, whose enum is `#[non_exhaustive]`.
    component: bool,
}

impl At {
    pub fn new(pointer: String, label: String, name: String) -> Self {
        Self { pointer, label, name, event_types: 0, component: false }
    }

    fn component(name: &str, event_types: usize) -> Self {
        let (pointer, rust) = (format!("/components/schemas/{name}"), pascal(name));
        Self { pointer, label: format!("`{rust}`"), name: rust, event_types, component: true }
    }

    fn below(&self, path: &str, label: String, name: String) -> Self {
        Self::new(format!("{}/{path}", self.pointer), label, name)
    }
}

/// The form in which a schema is generated.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Struct,
    Enum,
    OneOf,
    AnyOf,
    List,
    Map,
    Plain,
}

impl Kind {
    fn of(schema: &Value) -> Self {
        match schema {
            _ if reference(schema).is_some() => Self::Plain,
            _ if schema["allOf"].is_array() || has_fields(schema) => Self::Struct,
            _ if schema["oneOf"].is_array() => Self::OneOf,
            _ if schema["anyOf"].is_array() => Self::AnyOf,
            _ if schema["enum"].is_array() => Self::Enum,
            _ if schema["items"].is_object() => Self::List,
            _ if schema["additionalProperties"].is_object() => Self::Map,
            _ if schema["type"] == "object" => Self::Struct,
            _ => Self::Plain,
        }
    }

    /// Returns its text, and the keywords that it is compared by.
    fn say(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Struct => ("a struct", &["properties", "required", "allOf", "additionalProperties"]),
            Self::Enum => ("an enum of values", &["enum"]),
            Self::OneOf => ("an enum by `oneOf`", &["oneOf"]),
            Self::AnyOf => ("an enum by `anyOf`", &["anyOf"]),
            Self::List => ("a list", &["items"]),
            Self::Map => ("a map", &["additionalProperties"]),
            Self::Plain => ("a plain type", &["$ref"]),
        }
    }
}

impl Changes {
    pub(super) fn schemas(&mut self, old: &Value, new: &Value) {
        let (was, is) = (&old["components"]["schemas"], &new["components"]["schemas"]);
        for name in keys(was, is) {
            match (was.get(&name), is.get(&name)) {
                (None, _) => self.push(Heading::Added, format!("Type `{}`", pascal(&name))),
                (_, None) => self.push(Heading::Breaking, format!("Removed the type `{}`", pascal(&name))),
                (Some(was), Some(is)) if was != is => {
                    let event_types = event_types_with(old, &name).min(event_types_with(new, &name));
                    self.schema(&At::component(&name, event_types), was, is);
                }
                _ => {}
            }
        }
    }

    /// Compares two schemas at the same place.
    pub(super) fn schema(&mut self, at: &At, old: &Value, new: &Value) {
        if old == new {
            return;
        }
        let noted = self.noted;
        let (was, is) = (unwrap_reference(old), unwrap_reference(new));
        let types = (rust_type(&was, &at.name), rust_type(&is, &at.name));
        let kinds = (Kind::of(&was), Kind::of(&is));
        if types.0 != types.1 {
            let text = format!("Changed the type of {} from `{}` to `{}`", at.label, types.0, types.1);
            return self.push(Heading::Breaking, text);
        }
        if kinds.0 != kinds.1 {
            let (was, is) = (kinds.0.say().0, kinds.1.say().0);
            return self.push(Heading::Breaking, format!("Changed {} from {was} to {is}", at.label));
        }
        if was == is {
            self.documented(&at.label);
        }
        match kinds.0 {
            Kind::Struct => self.fields(at, &was, &is),
            Kind::Enum => self.values(at, &was["enum"], &is["enum"]),
            Kind::OneOf => self.branches(at, "oneOf", &was, &is),
            Kind::AnyOf => self.branches(at, "anyOf", &was, &is),
            Kind::List => {
                let below = at.below("items", format!("an item of {}", at.label), format!("{}Item", at.name));
                self.schema(&below, &was["items"], &is["items"]);
            }
            Kind::Map => {
                let name = format!("{}Value", at.name);
                let below = at.below("additionalProperties", format!("a value of {}", at.label), name);
                self.schema(&below, &was["additionalProperties"], &is["additionalProperties"]);
            }
            Kind::Plain => {}
        }
        self.keywords(at, &was, &is, kinds.0.say().1);
        if self.noted == noted {
            self.push(Heading::Breaking, format!("Not classified, needs review: `{}`", at.pointer));
        }
    }

    fn keywords(&mut self, at: &At, old: &Value, new: &Value, compared: &[&str]) {
        for key in keys(old, new) {
            match key.as_str() {
                known if compared.contains(&known) || old[known] == new[known] => {}
                "description" | "example" | "examples" | "externalDocs" => self.documented(&at.label),
                known if CONTRACT.contains(&known) => {
                    let of = "contract, mock and `check`; no type";
                    self.keyword(&format!("`{key}` of {}", at.label), of, old, new, &key);
                }
                _ => self.other(&at.pointer, &key, &old[&key], &new[&key]),
            }
        }
    }

    fn fields<'a>(&mut self, at: &At, old: &'a Value, new: &'a Value) {
        let (was, is) = (Members::of(old), Members::of(new));
        if was.rest != is.rest {
            if without_documentation(&json!(was.rest)) == without_documentation(&json!(is.rest)) {
                self.documented(&at.label);
            } else {
                self.other(&at.pointer, "allOf", &json!(was.rest), &json!(is.rest));
            }
        }
        let list = |members: &Members<'_>, schemas| {
            let fields =
                members.own.keys().filter_map(|name| Some((name, members.field_type(&at.name, name, schemas)?)));
            fields.map(|(name, kind)| format!("`{}: {kind}`", snake(name))).collect::<Vec<_>>().join(", ")
        };
        match (was.newtype(), is.newtype()) {
            (Some(common), None) if is.shared == was.shared => {
                let text = format!(
                    "`{name}`, which was the newtype `{name}({common})`, is a struct of the fields of `{common}` and its own {}: \
                     `{name}(..)`, `.0`, and the conversions from and into `{common}` are removed",
                    list(&is, &self.schemas[1]),
                    name = at.name,
                );
                return self.push(Heading::Breaking, text);
            }
            (None, Some(common)) if is.shared == was.shared => {
                let text = format!(
                    "`{name}`, which had its own {}, is the newtype `{name}({common})`: its fields are reached through `.0`",
                    list(&was, &self.schemas[0]),
                    name = at.name,
                );
                return self.push(Heading::Breaking, text);
            }
            _ => {}
        }
        if was.shared != is.shared {
            let list =
                |members: &Members<'_>| match members.shared.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>()
                {
                    names if names.is_empty() => "no other type".to_owned(),
                    names => names.join(", "),
                };
            let text = format!("{} includes the fields of {}, was {}", at.label, list(&is), list(&was));
            self.push(Heading::Breaking, text);
        }
        let names: BTreeSet<_> = [&was, &is].iter().flat_map(|m| m.own.keys().chain(&m.required)).copied().collect();
        let same = |name: &&str| {
            let schema = |members: &Members<'a>| members.own.get(name).map(|(_, schema)| *schema);
            schema(&was) == schema(&is) && was.required.contains(name) == is.required.contains(name)
        };
        for name in names.into_iter().filter(|name| !same(name)) {
            self.field(at, name, &was, &is);
        }
        if was.shared == is.shared {
            match (was.required.is_empty(), is.required.is_empty()) {
                (true, false) => {
                    self.push(Heading::Breaking, format!("{} no longer implements `Default`", at.label));
                }
                (false, true) => self.push(Heading::Added, format!("{} implements `Default`", at.label)),
                _ => {}
            }
        }
        if order(&was.required, &is.required) != order(&is.required, &was.required) {
            let text = format!("The order of the required fields of {}, in which a constructor takes them", at.label);
            self.push(Heading::Breaking, text);
        }
        self.additional(at, old, new);
    }

    fn field(&mut self, at: &At, name: &str, was: &Members<'_>, is: &Members<'_>) {
        let rust = snake(name);
        let wire = if rust == name { String::new() } else { format!(" (`{name}` in JSON)") };
        let (shared, owner) = match at.event_types {
            0 => (String::new(), format!("`{}`", at.name)),
            count => (format!(", which {count} event types share"), "each of them".to_owned()),
        };
        let path = format!("{}::{rust}", at.name);
        let required = is.required.contains(&name);
        let [old, new] = &self.schemas;
        match (was.field_type(&at.name, name, old), is.field_type(&at.name, name, new)) {
            (None, Some(kind)) => {
                let (which, effect) = if required {
                    ("required field", ", and JSON without it is no longer valid")
                } else {
                    ("field", "")
                };
                let text = format!(
                    "Added the {which} `{path}: {kind}`{wire}{shared}: a literal of {owner} has to set it{effect}"
                );
                self.push(Heading::Breaking, text);
            }
            (Some(kind), None) => {
                self.push(Heading::Breaking, format!("Removed the field `{path}: {kind}`{wire}{shared}"));
            }
            (None, None) => {
                if was.required.contains(&name) != required {
                    let now = if required { "required" } else { "optional" };
                    self.push(Heading::Breaking, format!("The field `{path}`{wire} is now {now}"));
                }
            }
            (Some(before), Some(now)) => {
                let name_of_type = format!("{}{}", at.name, pascal(name));
                let ((pointer, old), (_, new)) = (&is.own[name], &is.own[name]);
                let old = was.own.get(name).map_or(old, |(_, schema)| schema);
                if was.required.contains(&name) != required {
                    let is_now = if required { "required" } else { "optional" };
                    let types = match (before == now, required) {
                        (false, _) => format!("its type is `{now}`, was `{before}`"),
                        (true, true) => format!("an empty `{now}` is written to JSON"),
                        (true, false) => format!("an empty `{now}` is omitted from JSON"),
                    };
                    let effect = if required { "; JSON without it is no longer valid" } else { "" };
                    let text = format!("The field `{path}`{wire}{shared} is {is_now}: {types}{effect}");
                    self.push(Heading::Breaking, text);
                } else if before != now {
                    let text = format!("Changed the type of `{path}`{wire}{shared} from `{before}` to `{now}`");
                    return self.push(Heading::Breaking, text);
                }
                let below = at.below(pointer, format!("`{path}`{wire}"), name_of_type);
                self.schema(&below, old, new);
            }
        }
    }

    /// Compares the treatment of unnamed fields.
    fn additional(&mut self, at: &At, old: &Value, new: &Value) {
        let (was, is) = (&old["additionalProperties"], &new["additionalProperties"]);
        let name = format!("{}Extra", at.name);
        let map = |schema: &Value| format!("BTreeMap<String, {}>", rust_type(schema, &name));
        match (was.is_object(), is.is_object()) {
            (true, true) => {
                let below = at.below("additionalProperties", format!("a further field of {}", at.label), name);
                self.schema(&below, was, is);
            }
            (false, true) => {
                let text = format!("Added the field `{}::extra: {}`, for unnamed fields", at.name, map(is));
                self.push(Heading::Breaking, text);
            }
            (true, false) => {
                let text = format!("Removed the field `{}::extra: {}`, for unnamed fields", at.name, map(was));
                self.push(Heading::Breaking, text);
            }
            (false, false) => {
                let of = "contract, mock, `check`, and what is read from JSON; no type";
                let keyword = "additionalProperties";
                self.keyword(&format!("`{keyword}` of {}", at.label), of, old, new, keyword);
            }
        }
    }

    fn values(&mut self, at: &At, old: &Value, new: &Value) {
        let texts = |values: &Value| -> Vec<String> {
            let values = values.as_array().into_iter().flatten();
            values.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect()
        };
        let (was, is) = (texts(old), texts(new));
        self.variants(at, "value", &was, &is, |_, _| String::new());
        if order(&was, &is) != order(&is, &was) {
            self.push(Heading::Changed, format!("The order of the values of {}, which `Ord` follows", at.label));
        }
    }

    /// Adds the added and removed values of an enum, by their names in JSON.
    fn variants(&mut self, at: &At, noun: &str, old: &[String], new: &[String], more: impl Fn(bool, &str) -> String) {
        let say = |is: bool, name: &String| {
            let variant = pascal(name);
            let wire = if variant == *name { String::new() } else { format!(" (`{name}`)") };
            format!("`{}::{variant}`{wire}{}", at.name, more(is, name))
        };
        for name in old.iter().filter(|name| !new.contains(name)) {
            self.push(Heading::Breaking, format!("Removed the {noun} {}", say(false, name)));
        }
        for name in new.iter().filter(|name| !old.contains(name)) {
            if at.component {
                let noun = format!("{}{}", noun[..1].to_uppercase(), &noun[1..]);
                self.push(Heading::Added, format!("{noun} {}", say(true, name)));
            } else {
                // Only the enums of components are generated as `#[non_exhaustive]`.
                let text = format!("Added the {noun} {}: a `match` has to have an arm for it", say(true, name));
                self.push(Heading::Breaking, text);
            }
        }
    }

    fn branches(&mut self, at: &At, keyword: &str, old: &Value, new: &Value) {
        let (was, is) = (Branches::of(&old[keyword]), Branches::of(&new[keyword]));
        let (Some(was), Some(is)) = (was, is) else {
            return self.other(&at.pointer, keyword, &old[keyword], &new[keyword]);
        };
        let noun = if at.name == "Event" { "event type" } else { "variant" };
        self.variants(at, noun, &was.names, &is.names, |new, name| {
            let branches = if new { &is } else { &was };
            format!(", with `{}`", branches.content_type(&at.name, name))
        });
        if order(&was.names, &is.names) != order(&is.names, &was.names) {
            if was.is_tagged() && is.is_tagged() {
                self.push(Heading::Changed, format!("The order of the variants of {}", at.label));
            } else {
                // Deserialization uses the first branch that matches.
                self.other(&at.pointer, keyword, &old[keyword], &new[keyword]);
            }
        }
        let nullable = rust_type(old, &at.name).starts_with("Option<");
        for (index, name) in is.names.iter().enumerate() {
            let Some(before) = was.get(name) else { continue };
            let variant = if nullable { at.label.clone() } else { format!("`{}::{}`", at.name, pascal(name)) };
            let own = if nullable { at.name.clone() } else { format!("{}{}", at.name, pascal(name)) };
            let below = at.below(&format!("{keyword}/{index}"), variant, own);
            self.branch(&below, before, is.schemas[index]);
        }
    }

    fn branch(&mut self, at: &At, old: &Value, new: &Value) {
        if tag(old).is_none() {
            self.other(&at.pointer, "title", &old["title"], &new["title"]);
            return self.schema(at, &without(old, "title"), &without(new, "title"));
        }
        // A tag and its content are one variant, whose parts have no types of their own.
        for name in keys(&old["properties"], &new["properties"]) {
            match (old["properties"].get(&name), new["properties"].get(&name)) {
                (Some(was), Some(is)) => {
                    let below = at.below(&format!("properties/{name}"), at.label.clone(), at.name.clone());
                    self.schema(&below, was, is);
                }
                _ => self.other(&at.pointer, "properties", &old["properties"], &new["properties"]),
            }
        }
        self.keywords(at, old, new, &["properties"]);
    }
}

/// Returns the common names of both lists, in the order of the first.
fn order<'a, T: PartialEq>(of: &'a [T], and: &[T]) -> Vec<&'a T> {
    of.iter().filter(|name| and.contains(name)).collect()
}

/// Replaces an `allOf` with only a `$ref`, which is a reference with a description, by the plain `$ref`.
fn unwrap_reference(schema: &Value) -> Cow<'_, Value> {
    let alone = schema["allOf"].as_array().is_some_and(|branches| branches.len() == 1);
    if !alone || reference(schema).is_none() {
        return Cow::Borrowed(schema);
    }
    let mut unwrapped = schema.clone();
    let target = schema["allOf"][0]["$ref"].clone();
    unwrapped.as_object_mut().into_iter().for_each(|schema| {
        schema.remove("allOf");
        schema.insert("$ref".to_owned(), target.clone());
    });
    Cow::Owned(unwrapped)
}

/// Counts the event types whose payload includes the fields of a component.
fn event_types_with(document: &Value, component: &str) -> usize {
    let schemas = &document["components"]["schemas"];
    let branches = schemas["Event"]["oneOf"].as_array().into_iter().flatten();
    let payloads = branches.filter_map(|branch| reference(&branch["properties"]["data"]));
    payloads.filter(|payload| Members::of(&schemas[*payload]).shared.contains(component)).count()
}
