//! Boxes values that are large and rarely set. Events and batches stay small, which matters because each setter moves them.
//!
//! The rule names no property and counts no bytes, so that an added property needs no edit: an optional property that is an object
//! of its own is boxed, and so is the payload of each event type except the most frequent ones.

use syn::{Expr, Fields, FnArg, GenericArgument, ImplItem, ImplItemFn, Item, PathArguments, Stmt, Type, parse_quote};

use super::types::{Types, argument_mut, boxed, field, kind};

/// The event types whose payloads are not boxed, by their variants of `Event`.
const FREQUENT: [&str; 2] = ["CustomEvent", "ScreenView"];

/// Boxes fields and payloads of the generated types, and adapts the conversions of payloads into `Event`.
pub fn apply(items: &mut [Item]) {
    let types = Types::of(items);
    for item in items {
        match item {
            Item::Struct(item) => {
                if let Fields::Named(fields) = &mut item.fields {
                    fields.named.iter_mut().for_each(|field| box_optional_object(field, &types));
                }
            }
            Item::Enum(item) if item.ident == "Event" => {
                let rare = item.variants.iter_mut().filter(|variant| FREQUENT.iter().all(|name| variant.ident != name));
                let payloads =
                    rare.flat_map(|variant| &mut variant.fields).filter(|payload| boxed(&payload.ty).is_none());
                payloads.for_each(|payload| wrap(&mut payload.ty));
            }
            Item::Impl(item) if kind(&item.self_ty) == "Event" => {
                if let Some((path, _)) = &mut item.trait_ {
                    take_plain_payload(path, &mut item.items);
                }
                let functions = item.items.iter_mut().filter_map(|item| match item {
                    ImplItem::Fn(function) if function.sig.ident == "from" => Some(function),
                    _ => None,
                });
                functions.for_each(convert_payload);
            }
            _ => {}
        }
    }
}

/// Turns the type `Option<T>` of an optional property into `Option<Box<T>>` if `T` is an object.
fn box_optional_object(of_struct: &mut syn::Field, types: &Types) {
    let is_optional = field(of_struct).is_some_and(|field| !field.is_required && field.kind.starts_with("Option<"));
    if is_optional
        && let Some(object) = argument_mut(&mut of_struct.ty)
        && boxed(object).is_none()
        && is_object(types, &kind(object))
    {
        wrap(object);
    }
}

/// Returns true for a struct with fields, and for a newtype of one.
fn is_object(types: &Types, name: &str) -> bool {
    let wraps = |name: &str| types.structs.get(name).map(|of_struct| of_struct.wraps.as_deref());
    match wraps(name) {
        Some(Some(wrapped)) => wraps(wrapped) == Some(None),
        Some(None) => true,
        None => false,
    }
}

/// Turns `From<Box<Payload>>`, which the generator writes for a payload that contains events, into `From<Payload>`.
fn take_plain_payload(path: &mut syn::Path, items: &mut [ImplItem]) {
    let arguments = path.segments.last_mut().map(|last| &mut last.arguments);
    let Some(PathArguments::AngleBracketed(arguments)) = arguments else { return };
    let Some(GenericArgument::Type(ty)) = arguments.args.first_mut() else { return };
    let Some(payload) = boxed(ty).cloned() else { return };
    *ty = payload.clone();
    for item in items {
        let ImplItem::Fn(function) = item else { continue };
        for input in &mut function.sig.inputs {
            if let FnArg::Typed(argument) = input
                && boxed(&argument.ty).is_some()
            {
                *argument.ty = payload.clone();
            }
        }
    }
}

fn wrap(ty: &mut Type) {
    *ty = parse_quote!(::std::boxed::Box<#ty>);
}

/// Turns `Self::Variant(value)` into `Self::Variant(value.into())`, which boxes the payload if the variant has a box.
fn convert_payload(function: &mut ImplItemFn) {
    if let Some(Stmt::Expr(Expr::Call(call), _)) = function.block.stmts.last_mut()
        && let Some(payload) = call.args.first_mut()
    {
        *payload = parse_quote!(#payload.into());
    }
}
