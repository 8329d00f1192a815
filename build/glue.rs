//! Generates the items that the hand-written code builds on from the generated types, so that no list is written twice.

use serde_json::Value;
use syn::{Expr, FnArg, Ident, ImplItem, Item, Type, Visibility, parse_quote};

use super::events::{COMMON, EventType, Events};
use super::fields;
use super::model::Model;
use super::types::{Field, Struct, Types, Variant, arguments, boxed, kind};

/// Returns the items for the module of the types.
pub fn items(document: &Value, types: &Types, events: &Events, model: &Model) -> Vec<Item> {
    let constructors = types.structs.iter().filter_map(|(name, of_struct)| {
        let is_payload = events.has_payload(name);
        let is_public = model.get(name).is_none_or(|used| used.new.is_none());
        let is_wanted = is_payload || !(of_struct.has_default || of_struct.wraps.is_some());
        is_wanted.then(|| constructor(name, of_struct, is_public, document))
    });
    let setters = model.iter().filter(|(name, _)| *name != COMMON).filter_map(|(name, used)| {
        let fields = types.structs.get(name)?.fields.iter().filter(|field| used.setters.contains_key(&field.property));
        Some(setters(name, fields, &parse_quote!(self)))
    });
    let values =
        plain_enums(types).flat_map(|(name, variants)| [values_of(name, variants), from_str_impl(name, variants)]);
    let is_built = |name: &&String| {
        let has_setters = model.get(*name).is_some_and(|used| !used.setters.is_empty() && *name != COMMON);
        has_setters || events.has_payload(name)
    };
    let when_some = types.structs.keys().filter(is_built).map(|name| when_some(name));
    let shared = event(types, events).chain(common(types, events, model)).chain(identities(types, model));
    constructors.chain(setters).chain(when_some).chain(values).chain(shared).chain(known_fields(document)).collect()
}

/// Returns the fields that the rules of `src/diagnostics` know.
fn known_fields(document: &Value) -> [Item; 2] {
    let times = fields::times(document);
    let times = times.iter();
    let read_only = fields::read_only(document);
    let (names, paths): (Vec<_>, Vec<_>) = read_only.iter().unzip();
    let count = names.len();
    [
        parse_quote!(
            pub(crate) const TIME_FIELDS: &[&str] = &[#(#times),*];
        ),
        parse_quote!(
            pub(crate) const READ_ONLY_FIELDS: [(&str, &[&str]); #count] = [#((#names, &[#(#paths),*])),*];
        ),
    ]
}

/// Returns the constructor that the hand-written ones call. It takes the required properties, in the order of the document.
fn constructor(name: &str, of_struct: &Struct, is_public: bool, document: &Value) -> Item {
    let order = required(document, &document["components"]["schemas"][name]);
    let (mut required, optional): (Vec<_>, Vec<_>) = of_struct.fields.iter().partition(|field| field.is_required);
    required.sort_by_key(|field| order.iter().position(|property| *property == field.property));
    // Names, which code hands on as `impl Into<String>`.
    let text: Type = parse_quote!(::std::string::String);
    let (arguments, given): (Vec<_>, Vec<_>) = required.iter().map(|field| argument(field, &field.ty, &text)).unzip();
    let (required, optional) = (required.iter().map(|field| &field.name), optional.iter().map(|field| &field.name));
    let body: Expr = match of_struct.wraps {
        Some(_) => parse_quote!(Self(::std::default::Default::default())),
        None => parse_quote!(Self { #(#required: #given,)* #(#optional: ::std::default::Default::default(),)* }),
    };
    let visibility: Visibility = if is_public { parse_quote!(pub) } else { parse_quote!(pub(crate)) };
    let doc = format!(" Creates a `{name}` from the required properties. All others are absent.");
    let name = ident(name);
    parse_quote! {
        impl #name {
            #[doc = #doc]
            #[must_use]
            #visibility fn with_required(#(#arguments),*) -> Self { #body }
        }
    }
}

/// Returns the names of the properties that a schema requires, including those of its `allOf`.
fn required<'a>(document: &'a Value, schema: &'a Value) -> Vec<&'a str> {
    let own = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let merged = schema["allOf"].as_array().into_iter().flatten().flat_map(|branch| {
        let target = branch["$ref"].as_str().and_then(|target| document.pointer(target.strip_prefix('#')?));
        required(document, target.unwrap_or(branch))
    });
    own.chain(merged).collect()
}

/// Returns setters that consume and return `self`, for optional fields. `place` is the owner of the fields: `self`, or `self.0`.
fn setters<'a>(of_type: &str, fields: impl Iterator<Item = &'a Field>, place: &Expr) -> Item {
    let setters = fields.filter_map(|field| {
        let Type::Path(option) = &field.ty else { return None };
        let ty = arguments(option.path.segments.last()?).next()?;
        let (argument, value) = argument(field, ty, &parse_quote!(crate::Text));
        let (name, doc) = (&field.name, doc("Sets", field));
        Some::<ImplItem>(parse_quote! {
            #[doc = #doc]
            #[must_use]
            pub fn #name(mut self, #argument) -> Self {
                #place.#name = ::std::option::Option::Some(#value);
                self
            }
        })
    });
    let of_type = ident(of_type);
    parse_quote!(impl #of_type { #(#setters)* })
}

/// Returns the argument of a setter and the value to store. A text is taken as `impl Into<text>`, and a float as any type of
/// number. An integer has the type of the field, because `Into` would infer `i32` for its literals.
fn argument(field: &Field, ty: &Type, text: &Type) -> (FnArg, Expr) {
    let name = &field.name;
    let is =
        |name: &str| matches!(ty, Type::Path(ty) if ty.path.segments.last().is_some_and(|last| last.ident == name));
    if is("String") {
        let value: Expr = parse_quote!(::std::convert::Into::<#text>::into(#name));
        (parse_quote!(#name: impl ::std::convert::Into<#text>), parse_quote!(#value.into()))
    } else if is("f64") {
        let number: Expr = parse_quote!(::std::convert::Into::<crate::Number>::into(#name));
        (parse_quote!(#name: impl ::std::convert::Into<crate::Number>), parse_quote!(#number.into()))
    } else if let Some(boxed) = boxed(ty) {
        (parse_quote!(#name: #boxed), parse_quote!(::std::boxed::Box::new(#name)))
    } else {
        (parse_quote!(#name: #ty), parse_quote!(#name))
    }
}

fn values_of(name: &str, variants: &[Variant]) -> Item {
    let (names, values): (Vec<_>, Vec<_>) = variants.iter().map(|variant| (&variant.name, &variant.value)).unzip();
    let name = ident(name);
    parse_quote! {
        impl #name {
            /// Every value, in the order of the document.
            pub const ALL: &'static [Self] = &[#(Self::#names),*];

            /// Returns the value as the service spells it.
            #[must_use]
            pub const fn as_str(&self) -> &'static str {
                match self { #(Self::#names => #values,)* }
            }
        }
    }
}

/// Returns a `FromStr` whose error lists the values, in place of the generator's "invalid value".
fn from_str_impl(name: &str, variants: &[Variant]) -> Item {
    let values: Vec<_> = variants.iter().map(|variant| variant.value.as_str()).collect();
    let expected = format!("unknown {name}, expected one of: {}", values.join(", "));
    let name = ident(name);
    parse_quote! {
        impl ::std::str::FromStr for #name {
            type Err = self::error::ConversionError;

            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                Self::ALL.iter().find(|value| value.as_str() == text).copied().ok_or_else(|| #expected.into())
            }
        }
    }
}

/// Returns true if [`items`] replaces this item of the generator.
pub fn replaces(item: &Item, types: &Types) -> bool {
    let Item::Impl(item) = item else { return false };
    let of_trait = item.trait_.as_ref().and_then(|(path, _)| path.segments.last());
    of_trait.is_some_and(|last| last.ident == "FromStr")
        && plain_enums(types).any(|(name, _)| *name == kind(&item.self_ty))
}

/// Returns the enums without payloads, which are the enumerations of the document.
fn plain_enums(types: &Types) -> impl Iterator<Item = (&String, &Vec<Variant>)> {
    types.enums.iter().filter(|(_, variants)| variants.iter().all(|variant| variant.payload.is_none()))
}

/// Returns the method `when_some` for a type with setters.
fn when_some(name: &str) -> Item {
    let name = ident(name);
    parse_quote! {
        impl #name {
            crate::when_some::when_some!();
        }
    }
}

/// Returns `Event::event_type`, and the conversions into `Event` that the generator omits: those of payloads of two event types.
fn event(types: &Types, events: &Events) -> impl Iterator<Item = Item> {
    let (variants, names): (Vec<_>, Vec<_>) = events.all.iter().map(|event| (&event.variant, &event.name)).unzip();
    let event_type = parse_quote! {
        impl Event {
            /// Returns the name of the event type on the wire, such as `custom_event`.
            #[must_use]
            pub fn event_type(&self) -> &'static str {
                match self { #(Self::#variants(_) => #names,)* }
            }
        }
    };
    let shared = events.payloads().filter(|event| !types.into_event.contains(&event.payload));
    let conversions = shared.map(|event| {
        let (payload, variant) = (ident(&event.payload), &event.variant);
        parse_quote! {
            /// Converts into the first of the event types with this payload.
            impl ::std::convert::From<#payload> for Event {
                fn from(payload: #payload) -> Self {
                    Self::#variant(payload.into())
                }
            }
        }
    });
    [event_type].into_iter().chain(conversions)
}

/// Returns the plain setters of all events, and `each_event!`, which calls a macro with the variants of `Event` and the payloads,
/// each with the path to its common fields.
fn common(types: &Types, events: &Events, model: &Model) -> impl Iterator<Item = Item> {
    let setters = events.payloads().map(|event| {
        let plain = &model[COMMON].setters;
        let fields = types.structs[COMMON].fields.iter().filter(|field| plain.contains_key(&field.property));
        let place = if event.is_newtype { parse_quote!(self.0) } else { parse_quote!(self) };
        setters(&event.payload, fields, &place)
    });
    let entry = |name: &str, event: &EventType| format!("{name}({}),", if event.is_newtype { ".0" } else { "" });
    let variants: Vec<_> = events.all.iter().map(|event| entry(&event.variant.to_string(), event)).collect();
    let payloads: Vec<_> = events.payloads().map(|event| entry(&event.payload, event)).collect();
    let lists = format!("variants {{ {} }} payloads {{ {} }}", variants.concat(), payloads.concat());
    let each_event = format!("macro_rules! each_event {{ ($then:ident) => {{ $then! {{ {lists} }} }}; }}");
    let each_event = [
        syn::parse_str(&each_event).expect("a macro"),
        parse_quote!(
            pub(crate) use each_event;
        ),
    ];
    setters.collect::<Vec<_>>().into_iter().chain(each_event)
}

/// Returns access to the identities of a user, by type and in the order of their types, and the setters of a batch for them.
fn identities(types: &Types, model: &Model) -> [Item; 2] {
    let all = &types.structs["UserIdentities"].fields;
    let field_of =
        |variant: &Variant| all.iter().find(|field| field.property == variant.value).map(|field| &field.name);
    let (of_type, variants): (Vec<_>, Vec<_>) =
        types.enums["IdentityType"].iter().filter_map(|variant| Some((field_of(variant)?, &variant.name))).unzip();
    let without_type = all.iter().map(|field| &field.name).filter(|name| !of_type.contains(name));
    // An identity with the name of a property or a method of `Batch` has no setter of its own, only `Batch::identity`.
    let is_taken = |field: &Field| {
        let is_property = types.structs["Batch"].fields.iter().any(|other| other.name == field.name);
        is_property || model["Batch"].methods.iter().any(|method| field.name == method)
    };
    let setters = all.iter().filter(|field| !is_taken(field)).map(|field| -> ImplItem {
        let (name, doc) = (&field.name, doc("Sets the user identity", field));
        let (argument, value) = argument(field, &parse_quote!(::std::string::String), &parse_quote!(crate::Text));
        parse_quote! {
            #[doc = #doc]
            #[must_use]
            pub fn #name(mut self, #argument) -> Self {
                self.user_identities.get_or_insert_default().#name = ::std::option::Option::Some(#value);
                self
            }
        }
    });
    let of_identities = parse_quote! {
        impl UserIdentities {
            pub(crate) fn get_mut(&mut self, identity_type: IdentityType) -> &mut ::std::option::Option<::std::string::String> {
                match identity_type { #(IdentityType::#variants => &mut self.#of_type,)* }
            }

            /// Returns every identity, in the order of their types in the document, then those without a type.
            pub(crate) fn all(&self) -> impl ::std::iter::Iterator<Item = &::std::option::Option<::std::string::String>> {
                [#(&self.#of_type,)* #(&self.#without_type),*].into_iter()
            }
        }
    };
    [of_identities, parse_quote!(impl Batch { #(#setters)* })]
}

fn doc(sets: &str, field: &Field) -> String {
    format!(" {sets} `{}`. {}", field.property, field.description.trim())
}

fn ident(name: &str) -> Ident {
    syn::parse_str(name).expect("the name of a generated type")
}
