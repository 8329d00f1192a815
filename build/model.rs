//! Checks that everything that the hand-written code uses of the document (`build/model.yaml`) was generated from it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::events::{COMMON, Events};
use super::places::Place;
use super::types::{Field, Struct, Types};

const FILE: &str = "build/model.yaml";

/// The operations that the hand-written delivery calls.
const OPERATIONS: [(&str, &str); 3] = [
    ("/events", "uploadEvents"),
    ("/bulkevents", "bulkUploadEvents"),
    ("/bulkevents/historical", "bulkUploadHistoricalEvents"),
];

/// The parts of the document that the hand-written code uses, by component.
pub type Model = BTreeMap<String, Used>;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Used {
    pub event: Option<String>,
    pub new: Option<BTreeMap<String, String>>,
    pub setters: BTreeMap<String, String>,
    pub fields: BTreeMap<String, String>,
    pub values: Vec<String>,
    pub methods: Vec<String>,
}

pub fn read() -> Result<Model, String> {
    serde_saphyr::from_str(include_str!("model.yaml")).map_err(|error| format!("{FILE}: {}", error.without_snippet()))
}

/// Returns an error for the first part that the hand-written code uses and that was not generated.
pub fn check(document: &Value, model: &Model, types: &Types, events: &Events) -> Result<(), (Place, String)> {
    // First the common data, because an error in it affects every payload.
    for (component, used) in model.get_key_value(COMMON).into_iter().chain(model) {
        let at = || Place::component(component);
        if !types.structs.contains_key(component) && !types.enums.contains_key(component) {
            return Err((at(), format!("missing, but {FILE} uses it")));
        }
        let of_struct = types.structs.get(component);
        used.check_properties(component, of_struct.map_or(&[], |of_struct| &of_struct.fields))?;
        if let Some(event) = &used.event
            && !events.all.iter().any(|one| one.name == *event && one.payload == *component)
        {
            return Err((
                Place::component("Event"),
                format!("no event type `{event}` with the payload `{component}`, but {FILE} uses it"),
            ));
        }
        let variants = types.enums.get(component).map_or(&[][..], Vec::as_slice);
        if let Some(value) = used.values.iter().find(|value| !variants.iter().any(|variant| variant.name == value)) {
            return Err((at(), format!("no value `{value}` (its name in Rust), but {FILE} uses it")));
        }
    }
    identities(types)?;
    operations(document)
}

impl Used {
    fn check_properties(&self, component: &str, fields: &[Field]) -> Result<(), (Place, String)> {
        let required = self.new.iter().flatten().map(|(name, kind)| (name, kind.clone(), true));
        let setters = self.setters.iter().map(|(name, kind)| (name, format!("Option<{kind}>"), false));
        let others = self.fields.iter().map(|(name, kind)| (name, kind.clone(), false));
        for (property, kind, is_required) in required.chain(setters).chain(others) {
            let at = || Place::property(component, property);
            // The generator takes a required name without a property for any JSON.
            let is_there = |field: &&Field| field.property == *property && field.kind != "Value";
            let Some(field) = fields.iter().find(is_there) else {
                return Err((Place::missing_property(component, property), format!("missing, but {FILE} uses it")));
            };
            if field.is_required != is_required {
                let (is, needed) = if is_required { ("optional", "required") } else { ("required", "optional") };
                return Err((at(), format!("{is}, but {FILE} expects it to be {needed}")));
            }
            if field.kind != kind {
                return Err((at(), format!("`{}` in Rust, but {FILE} expects `{kind}`", field.kind)));
            }
        }
        let Some(given) = &self.new else { return Ok(()) };
        match fields.iter().find(|field| field.is_required && !given.contains_key(&field.property)) {
            Some(field) => {
                let why = format!(
                    "required, but no hand-written constructor of `{component}` takes it: add it to one, and to {FILE}"
                );
                Err((Place::property(component, &field.property), why))
            }
            None => Ok(()),
        }
    }
}

/// Checks that each type of identity is the name of an identity.
fn identities(types: &Types) -> Result<(), (Place, String)> {
    let identities: &[Field] =
        types.structs.get("UserIdentities").map_or(&[], |identities: &Struct| &identities.fields);
    if let Some(other) = identities.iter().find(|field| field.kind != "Option<String>") {
        let why = format!("`{}` in Rust, but an identity has to be optional text", other.kind);
        return Err((Place::property("UserIdentities", &other.property), why));
    }
    for identity_type in &types.enums["IdentityType"] {
        if !identities.iter().any(|field| field.property == identity_type.value) {
            let why = format!("its value `{}` is not a property of `UserIdentities`", identity_type.value);
            return Err((Place::component("IdentityType"), why));
        }
    }
    Ok(())
}

fn operations(document: &Value) -> Result<(), (Place, String)> {
    let is_missing = |(path, id): &(&str, &str)| document["paths"][*path]["post"]["operationId"] != *id;
    match OPERATIONS.into_iter().find(is_missing) {
        Some((path, id)) => Err((Place::path(path), format!("no POST operation `{id}`, but delivery calls it"))),
        None => Ok(()),
    }
}
