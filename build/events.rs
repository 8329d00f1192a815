//! The event types, from the branches of `Event`, and the way from the payload of each to the fields that all events share.

use serde_json::Value;

use super::places::{Place, referred, schemas};
use super::types::{Field, Types};

/// The component that each payload takes in.
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
    /// The payload wraps the common data, because it has no fields of its own.
    pub is_newtype: bool,
}

impl Events {
    /// Reads the branches of `Event`.
    ///
    /// # Errors
    /// If a branch is not of the one form from which the generator makes a variant with a payload, or a payload does not take in
    /// the common data.
    pub fn of(document: &Value, types: &Types) -> Result<Self, (Place, String)> {
        let at = || Place::component("Event");
        let schema = schemas(document).find(|(name, _)| *name == "Event").map(|(_, schema)| schema);
        let branches =
            schema.and_then(|schema| schema["oneOf"].as_array()).ok_or((at(), "not a `oneOf`".to_owned()))?;
        for (index, branch) in branches.iter().enumerate() {
            let properties = &branch["properties"];
            let values = properties["event_type"]["enum"].as_array().map_or(&[][..], Vec::as_slice);
            let event_type = values.first().and_then(Value::as_str);
            let named = event_type.map_or_else(|| format!("branch {index}"), |name| format!("the event type `{name}`"));
            let wrong = |why: &str| Err((at(), format!("{named} {why}")));
            let requires =
                |name: &str| branch["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
            let Some(payload) = referred(&properties["data"]) else {
                return wrong("needs a `data` that refers to a component");
            };
            if event_type.is_none() || values.len() > 1 || !requires("event_type") || !requires("data") {
                return wrong("needs an `event_type` of one value, and has to require it and `data`");
            }
            let mut others = properties.as_object().into_iter().flatten().map(|(name, _)| name);
            if let Some(other) = others.find(|name| *name != "event_type" && *name != "data") {
                return wrong(&format!(
                    "has a property `{other}` beside `event_type` and `data`: it belongs into the `data`"
                ));
            }
            if !takes_in_common(document, payload) {
                let why = format!(
                    "the payload of {named} does not take in `{COMMON}`: `allOf: [{{$ref: '#/components/schemas/{COMMON}'}}, ...]`"
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

    /// The event types, without those whose payload another one before has.
    pub fn payloads(&self) -> impl Iterator<Item = &EventType> {
        let is_first =
            |(index, one): &(usize, &EventType)| !self.all[..*index].iter().any(|other| other.payload == one.payload);
        self.all.iter().enumerate().filter(is_first).map(|(_, one)| one)
    }
}

/// The fields that all events share are written through every payload, so each has them as the common data has them.
fn has_common_fields(types: &Types, payload: &str) -> Result<(), (Place, String)> {
    let (Some(common), Some(of_payload)) = (types.structs.get(COMMON), types.structs.get(payload)) else {
        return Err((
            Place::component(payload),
            "no struct in Rust: a payload is an object with properties".to_owned(),
        ));
    };
    if let Some(wrapped) = of_payload.wraps.as_ref().filter(|wrapped| *wrapped != COMMON) {
        let why =
            format!("no property of its own beside those of `{wrapped}`: refer to `{wrapped}` itself, or add one");
        return Err((Place::component(payload), why));
    }
    let own = |field: &Field| of_payload.fields.iter().find(|own| own.property == field.property);
    let differs =
        |field: &&Field| own(field).is_none_or(|own| (&own.kind, own.is_required) != (&field.kind, field.is_required));
    match common.fields.iter().filter(|_| of_payload.wraps.is_none()).find(differs) {
        Some(field) => {
            let why = format!("not as `{COMMON}` has it: optional, `{}` in Rust", field.kind);
            Err((Place::property(payload, &field.property), why))
        }
        None => Ok(()),
    }
}

fn takes_in_common(document: &Value, component: &str) -> bool {
    component == COMMON
        || document["components"]["schemas"][component]["allOf"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(referred)
            .any(|target| takes_in_common(document, target))
}
