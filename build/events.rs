//! The event types, which are the branches of `Event`, and the path from each payload to the fields that all events share.

use serde_json::Value;

use super::places::{Place, referenced_component, schemas};
use super::types::{Field, Types};

/// The component that each payload includes.
pub const COMMON: &str = "CommonEventData";

pub struct Events {
    /// In the order of the document.
    pub all: Vec<EventType>,
}

pub struct EventType {
    /// The value of `event_type`.
    pub name: String,
    /// The variant of `Event`.
    pub variant: syn::Ident,
    /// The component of its `data`.
    pub payload: String,
    /// True if the payload wraps the common data, because it has no fields of its own.
    pub is_newtype: bool,
}

impl Events {
    /// Reads the branches of `Event`.
    ///
    /// # Errors
    /// Returns an error if the generator does not make a variant with a payload of a branch, or a payload does not include the
    /// common data.
    pub fn of(document: &Value, types: &Types) -> Result<Self, (Place, String)> {
        let at = || Place::component("Event");
        let schema = schemas(document).find(|(name, _)| *name == "Event").map(|(_, schema)| schema);
        let branches =
            schema.and_then(|schema| schema["oneOf"].as_array()).ok_or((at(), "has to be a `oneOf`".to_owned()))?;
        for (index, branch) in branches.iter().enumerate() {
            let properties = &branch["properties"];
            let values = properties["event_type"]["enum"].as_array().map_or(&[][..], Vec::as_slice);
            let event_type = values.first().and_then(Value::as_str);
            let named = event_type.map_or_else(|| format!("branch {index}"), |name| format!("the event type `{name}`"));
            let wrong = |why: &str| Err((at(), format!("{named} {why}")));
            let requires =
                |name: &str| branch["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
            let Some(payload) = referenced_component(&properties["data"]) else {
                return wrong("needs a `data` that refers to a component");
            };
            if event_type.is_none() || values.len() > 1 || !requires("event_type") || !requires("data") {
                return wrong("needs an `event_type` of one value, and has to require it and `data`");
            }
            let mut others = properties.as_object().into_iter().flatten().map(|(name, _)| name);
            if let Some(other) = others.find(|name| *name != "event_type" && *name != "data") {
                return wrong(&format!(
                    "has a property `{other}` besides `event_type` and `data`: move it into the component of `data`"
                ));
            }
            if !includes_common(document, payload) {
                let why = format!(
                    "the payload of {named} does not include `{COMMON}`: add `allOf: [{{$ref: '#/components/schemas/{COMMON}'}}, ...]`"
                );
                return Err((Place::component(payload), why));
            }
            has_common_fields(types, payload)
                .map_err(|(place, why)| (place, format!("{why} (the payload of {named})")))?;
        }
        let all = types.enums.get("Event").into_iter().flatten().filter_map(|variant| {
            let payload = variant.payload.clone()?;
            let is_newtype = types.structs.get(&payload)?.wraps.as_deref() == Some(COMMON);
            Some(EventType { name: variant.value.clone(), variant: variant.name.clone(), payload, is_newtype })
        });
        Ok(Self { all: all.collect() })
    }

    pub fn has_payload(&self, component: &str) -> bool {
        self.all.iter().any(|event| event.payload == component)
    }

    /// Returns the event types, without those that share the payload of an earlier one.
    pub fn payloads(&self) -> impl Iterator<Item = &EventType> {
        let is_first =
            |(index, one): &(usize, &EventType)| !self.all[..*index].iter().any(|other| other.payload == one.payload);
        self.all.iter().enumerate().filter(is_first).map(|(_, one)| one)
    }
}

/// Checks that a payload has the common fields with their types, because the generated setters access them through each payload.
fn has_common_fields(types: &Types, payload: &str) -> Result<(), (Place, String)> {
    let (Some(common), Some(of_payload)) = (types.structs.get(COMMON), types.structs.get(payload)) else {
        return Err((
            Place::component(payload),
            "is not a struct in Rust: a payload has to be an object with properties".to_owned(),
        ));
    };
    if let Some(wrapped) = of_payload.wraps.as_ref().filter(|wrapped| *wrapped != COMMON) {
        let why =
            format!("has no property of its own besides those of `{wrapped}`: refer to `{wrapped}` itself, or add one");
        return Err((Place::component(payload), why));
    }
    let own = |field: &Field| of_payload.fields.iter().find(|own| own.property == field.property);
    let differs =
        |field: &&Field| own(field).is_none_or(|own| (&own.kind, own.is_required) != (&field.kind, field.is_required));
    match common.fields.iter().filter(|_| of_payload.wraps.is_none()).find(differs) {
        Some(field) => {
            let why = format!("differs from `{COMMON}`, where it is optional and `{}` in Rust", field.kind);
            Err((Place::property(payload, &field.property), why))
        }
        None => Ok(()),
    }
}

fn includes_common(document: &Value, component: &str) -> bool {
    component == COMMON
        || document["components"]["schemas"][component]["allOf"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(referenced_component)
            .any(|target| includes_common(document, target))
}
