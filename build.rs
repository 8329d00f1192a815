//! Generates `events.rs` (types and endpoints) from the OpenAPI document, and writes the document itself beside it: `events.json`
//! for the mock and the contract, `events.yaml` as it was written.
//!
//! The document is `openapi/events.yaml`, or the one that `MPARTICLE_OPENAPI` names. progenitor does the work.
//! `tests/generation.rs` includes this file and breaks the document in every way caught here.

use std::panic::{self, AssertUnwindSafe};
use std::{env, ffi::OsString, fs, path::Path};

use progenitor::{GenerationSettings, Generator, HooksMode, TypePatch};
use serde_json::Value;
use syn::{File, ImplItem, Item};

#[path = "build/events.rs"]
mod events;
#[path = "build/glue.rs"]
mod glue;
#[path = "build/model.rs"]
mod model;
#[path = "build/places.rs"]
mod places;
#[path = "build/types.rs"]
mod types;

use events::Events;
use places::Place;
use types::Types;

/// The document of this crate.
const OWN: &str = "openapi/events.yaml";
/// Names a document of the user's, a superset of ours.
const VARIABLE: &str = "MPARTICLE_OPENAPI";

fn main() {
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    println!("cargo::rustc-check-cfg=cfg(mparticle_custom_document)");
    for input in [OWN, "build.rs", "build"] {
        println!("cargo::rerun-if-changed={input}");
    }
    if let Err(error) = run() {
        // This fails the build. An exit status would add all that was printed here.
        println!("cargo::error={error}");
    }
}

fn run() -> Result<(), String> {
    let path = document_path(env::var_os(VARIABLE))?;
    println!("cargo::rerun-if-changed={path}");
    let yaml = read(&path)?;
    if path != OWN && yaml != read(OWN)? {
        println!("cargo::rustc-cfg=mparticle_custom_document");
    }
    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run this through cargo")?;
    let (code, json) = generate(&path, &yaml)?;
    for (name, text) in [("events.rs", code), ("events.json", json), ("events.yaml", yaml)] {
        fs::write(Path::new(&out).join(name), text).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

/// Returns the path of the document: that in the variable, if it is set.
///
/// # Errors
/// If the path is relative: it would be looked up in the directory of this crate, wherever cargo unpacked that.
pub fn document_path(variable: Option<OsString>) -> Result<String, String> {
    let Some(path) = variable.filter(|path| !path.is_empty()) else { return Ok(OWN.to_owned()) };
    let path = path.into_string().map_err(|path| format!("{VARIABLE} is not UTF-8: {}", path.display()))?;
    if Path::new(&path).is_relative() {
        return Err(format!(
            "{VARIABLE} has to be an absolute path, which cargo makes of a relative one in .cargo/config.toml: \
             [env] {VARIABLE} = {{ value = {path:?}, relative = true }}"
        ));
    }
    Ok(path)
}

/// Generates the Rust code, and the whole document as JSON, from a document with this path.
///
/// # Errors
/// One line that names the place: the YAML line, and the component or path if the YAML as such is right.
pub fn generate(path: &str, yaml: &str) -> Result<(String, String), String> {
    let published: Value = serde_saphyr::from_str(yaml).map_err(|error| {
        let place = error.location().map(|at| format!(":{}:{}", at.line(), at.column())).unwrap_or_default();
        format!("{path}{place}: {}", first_line(&error.without_snippet().to_string()))
    })?;
    let mut view = published.clone();
    take_generation_view(&mut view);
    drop_accepted_bodies(&mut view);
    let code = places::check(&published)
        .map_err(|(place, error)| (Some(place), error))
        .and_then(|()| rust(&view).map_err(|error| (places::culprit(&view, |part| rust(part).is_ok()), error)))
        .and_then(|file| with_glue(file, &view));
    code.map(|code| (code, published.to_string())).map_err(|(place, error)| {
        let place = place.map(|place| place.within(yaml)).unwrap_or_default();
        format!("{path}{place}: {}", first_line(&error))
    })
}

/// Adds what the hand-written code builds on, after a look whether the document has all that this code names.
fn with_glue(mut file: File, view: &Value) -> Result<String, (Option<Place>, String)> {
    let modules = file.items.iter_mut().filter_map(|item| match item {
        Item::Mod(module) if module.ident == "types" => module.content.as_mut(),
        _ => None,
    });
    let (_, items) = modules.last().ok_or((None, "the generator made no types".to_owned()))?;
    let (types, model) = (Types::of(items), model::read().map_err(|error| (None, error))?);
    let events = Events::of(view, &types).map_err(|(place, error)| (Some(place), error))?;
    model::check(view, &model, &types, &events).map_err(|(place, error)| (Some(place), error))?;
    describe_newtypes(items, view);
    items.retain(|item| !glue::replaces(item, &types));
    items.extend(glue::items(view, &types, &events, &model));
    remove_constructors(&mut file);
    Ok(prettyplease::unparse(&file))
}

/// Removes the constructors of the generated client: they take a transport, which only a `Client` of this crate has, and an operation
/// may have their name.
fn remove_constructors(file: &mut File) {
    for item in &mut file.items {
        if let Item::Impl(item) = item
            && item.trait_.is_none()
            && types::kind(&item.self_ty) == "Client"
        {
            item.items.retain(|item| matches!(item, ImplItem::Fn(function) if function.sig.asyncness.is_some()));
        }
    }
}

/// The generator documents a newtype by its name alone.
fn describe_newtypes(items: &mut [Item], view: &Value) {
    for item in items {
        if let Item::Struct(newtype) = item
            && newtype.fields.iter().all(|field| field.ident.is_none())
            && let Some(text) = view["components"]["schemas"][newtype.ident.to_string()]["description"].as_str()
        {
            newtype.attrs.retain(|attribute| !attribute.path().is_ident("doc"));
            newtype.attrs.push(syn::parse_quote!(#[doc = #text]));
        }
    }
}

/// Keeps what types and endpoints are made of: answers of 2xx, so that every other answer reaches our own error whole;
/// no limits and no string formats, so that text stays `String` and reaches the wire as it was given.
fn take_generation_view(node: &mut Value) {
    const LIMITS: [&str; 4] = ["maxLength", "maxItems", "maxProperties", "pattern"];
    match node {
        Value::Object(object) => {
            // A keyword holds a plain value; a property that bears the same name holds a schema.
            object.retain(|key, value| value.is_object() || !LIMITS.contains(&key.as_str()));
            if object.get("type").is_some_and(|kind| kind == "string") {
                object.remove("format");
            }
            if object.contains_key("operationId")
                && let Some(Value::Object(responses)) = object.get_mut("responses")
            {
                responses.retain(|status, _| status.starts_with('2'));
            }
            object.values_mut().for_each(take_generation_view);
        }
        Value::Array(items) => items.iter_mut().for_each(take_generation_view),
        _ => {}
    }
}

/// Drops the body of each 202. It is optional, which OpenAPI 3.0 cannot say: the generator would read an empty one as an error.
fn drop_accepted_bodies(view: &mut Value) {
    let paths = view.get_mut("paths").and_then(Value::as_object_mut).into_iter().flat_map(|paths| paths.values_mut());
    let operations = paths.filter_map(Value::as_object_mut).flat_map(|path| path.values_mut());
    let accepted = operations.filter_map(|operation| operation.pointer_mut("/responses/202"));
    let mut shared = Vec::new();
    for response in accepted.filter_map(Value::as_object_mut) {
        response.remove("content");
        shared.extend(
            response.get("$ref").and_then(Value::as_str).map(|target| target.trim_start_matches('#').to_owned()),
        );
    }
    for response in shared {
        view.pointer_mut(&response).and_then(Value::as_object_mut).and_then(|response| response.remove("content"));
    }
}

fn rust(view: &Value) -> Result<File, String> {
    let mut settings = GenerationSettings::new();
    settings
        .with_derive("PartialEq")
        .with_map_type("::std::collections::BTreeMap")
        .with_hooks(HooksMode::Expected)
        .with_inner_type("crate::client::HttpTransport".parse().map_err(|_| "the inner type is not a path")?);
    // Enums grow with the service, and an open match costs a sender nothing. Structs stay open to literals.
    for (name, schema) in places::schemas(view) {
        if ["enum", "oneOf", "anyOf"].iter().any(|kind| schema.get(kind).is_some()) {
            settings.with_patch(name, TypePatch::default().with_attr("#[non_exhaustive]"));
        }
    }
    quietly(|| {
        let spec = serde_json::from_value(view.clone()).map_err(|error| error.to_string())?;
        let tokens = Generator::new(&settings).generate_tokens(&spec).map_err(|error| error.to_string())?;
        syn::parse2(tokens).map_err(|error| error.to_string())
    })
}

/// The generator asserts where it meets what it does not know; here that is an error like any other.
fn quietly<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    panic::set_hook(hook);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("the generator gave up");
        Err(if text.contains("response_types.len() <= 1") {
            "its responses of 2xx have bodies of different types, and the generator takes one".to_owned()
        } else {
            text.to_owned()
        })
    })
}

fn first_line(text: &str) -> String {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason given").to_owned()
}
