//! The generated types, as far as the hand-written code depends on them, from the syntax tree of the generator.

use std::collections::BTreeMap;

use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, Fields, GenericArgument, Ident, Item, Lit, Meta, Path, PathArguments, Token, Type};

/// The generated types, by name.
#[derive(Default)]
pub struct Types {
    pub structs: BTreeMap<String, Struct>,
    pub enums: BTreeMap<String, Vec<Variant>>,
    /// The `A` of each `impl From<A> for Event`.
    pub into_event: Vec<String>,
}

pub struct Struct {
    pub fields: Vec<Field>,
    /// The type that a newtype wraps; it has no `fields`.
    pub wraps: Option<String>,
    pub has_default: bool,
}

pub struct Field {
    pub name: Ident,
    pub ty: Type,
    /// The type without module paths: `Option<BTreeMap<String, Consent>>`.
    pub kind: String,
    /// The name of the property.
    pub property: String,
    pub description: String,
    /// True if the document requires the property, even if it may be null.
    pub is_required: bool,
}

pub struct Variant {
    pub name: Ident,
    /// The value on the wire.
    pub value: String,
    /// The type that the variant holds.
    pub payload: Option<String>,
}

impl Types {
    pub fn of(items: &[Item]) -> Self {
        let mut types = Self::default();
        for item in items {
            match item {
                Item::Struct(item) => _ = types.structs.insert(item.ident.to_string(), structure(item)),
                Item::Enum(item) => {
                    types.enums.insert(item.ident.to_string(), item.variants.iter().map(variant).collect());
                }
                Item::Impl(item) if kind(&item.self_ty) == "Event" => {
                    let conversion = item.trait_.as_ref().map(|(path, _)| kind_at(path)).unwrap_or_default();
                    let from = conversion.strip_prefix("From<").and_then(|rest| rest.strip_suffix('>'));
                    types.into_event.extend(from.map(str::to_owned));
                }
                _ => {}
            }
        }
        types
    }
}

fn structure(item: &syn::ItemStruct) -> Struct {
    let has_default = |attribute: &Attribute| list::<Path>(attribute).iter().any(|path| path.is_ident("Default"));
    let (fields, wraps) = match &item.fields {
        Fields::Named(fields) => (fields.named.iter().filter_map(field).collect(), None),
        Fields::Unnamed(fields) => (Vec::new(), fields.unnamed.first().map(|field| kind(&field.ty))),
        Fields::Unit => (Vec::new(), None),
    };
    Struct { fields, wraps, has_default: attributes(&item.attrs, "derive").any(has_default) }
}

pub fn field(field: &syn::Field) -> Option<Field> {
    let name = field.ident.clone()?;
    let serde: Vec<Meta> = attributes(&field.attrs, "serde").flat_map(list).collect();
    let optional_keys = ["default", "skip_serializing_if", "flatten"];
    Some(Field {
        kind: kind(&field.ty),
        ty: field.ty.clone(),
        property: serde_name(&serde).unwrap_or_else(|| name.to_string()),
        description: attributes(&field.attrs, "doc").filter_map(|doc| text(&doc.meta)).collect(),
        is_required: !serde.iter().any(|meta| optional_keys.iter().any(|name| meta.path().is_ident(name))),
        name,
    })
}

fn variant(variant: &syn::Variant) -> Variant {
    let serde: Vec<Meta> = attributes(&variant.attrs, "serde").flat_map(list).collect();
    Variant {
        name: variant.ident.clone(),
        value: serde_name(&serde).unwrap_or_else(|| variant.ident.to_string()),
        payload: variant.fields.iter().next().map(|field| kind(&field.ty)),
    }
}

fn attributes<'a>(all: &'a [Attribute], name: &str) -> impl Iterator<Item = &'a Attribute> {
    all.iter().filter(move |attribute| attribute.path().is_ident(name))
}

/// Parses the arguments of an attribute, which are separated by commas.
fn list<T: syn::parse::Parse>(attribute: &Attribute) -> Vec<T> {
    let parsed = attribute.parse_args_with(Punctuated::<T, Token![,]>::parse_terminated);
    parsed.into_iter().flatten().collect()
}

fn serde_name(serde: &[Meta]) -> Option<String> {
    serde.iter().find(|meta| meta.path().is_ident("rename")).and_then(text)
}

fn text(meta: &Meta) -> Option<String> {
    match &meta.require_name_value().ok()?.value {
        Expr::Lit(syn::ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}

/// Returns the type without module paths and boxes, which the hand-written code need not know.
pub fn kind(ty: &Type) -> String {
    if let Type::Path(ty) = ty { kind_at(&ty.path) } else { "another type".to_owned() }
}

fn kind_at(path: &Path) -> String {
    let Some(last) = path.segments.last() else { return String::new() };
    let arguments: Vec<_> = arguments(last).map(kind).collect();
    if last.ident == "Box" {
        return arguments.concat();
    }
    if arguments.is_empty() { last.ident.to_string() } else { format!("{}<{}>", last.ident, arguments.join(", ")) }
}

/// Returns the types between the angle brackets.
pub fn arguments(segment: &syn::PathSegment) -> impl Iterator<Item = &Type> {
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        _ => None,
    };
    arguments.into_iter().flatten().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// Returns the type in a box.
pub fn boxed(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    path.path.segments.last().filter(|last| last.ident == "Box").and_then(|last| arguments(last).next())
}

/// Returns the first type between the angle brackets of a type.
pub fn argument_mut(ty: &mut Type) -> Option<&mut Type> {
    let Type::Path(path) = ty else { return None };
    let PathArguments::AngleBracketed(arguments) = &mut path.path.segments.last_mut()?.arguments else { return None };
    arguments.args.iter_mut().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}
