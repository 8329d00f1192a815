//! The form in which mParticle writes batches to a bucket of its customers: identities as a list, numbers as text, and fields that
//! the API does not take.

use std::collections::BTreeSet;
use std::fmt;

use mparticle::diagnostics::{Code, Diagnostic};
use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::position::tokens;
use crate::text::shorten;

/// The maximum number of rounds. Only the first thousand diagnostics of a batch are listed, and an object has to be known before
/// its fields are.
const MAX_ROUNDS: usize = 20;

/// The start of the pointers to identities.
const IDENTITIES: &str = "/user_identities/";

/// A batch that can be sent, apart from problems that have nothing to do with the form.
#[derive(Debug)]
pub struct ConvertedBatch {
    pub text: Vec<u8>,
    identities: usize,
    /// The number of texts that became numbers or booleans.
    unquoted: usize,
    /// The pointers to fields that the API does not have, and the names of those of the listed identities.
    removed: Vec<String>,
}

impl ConvertedBatch {
    /// Returns the fields that are not in the converted batch, as a list; `None` if all are.
    pub fn removed(&self) -> Option<String> {
        (!self.removed.is_empty()).then(|| self.removed.join(", "))
    }
}

impl fmt::Display for ConvertedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { identities, unquoted, .. } = self;
        let identity = if *identities == 1 { "identity" } else { "identities" };
        let number = if *unquoted == 1 { "number or boolean" } else { "numbers and booleans" };
        write!(f, "export form converted: {identities} {identity}, {unquoted} {number}")?;
        self.removed().map_or(Ok(()), |removed| write!(f, "; removed {removed}"))
    }
}

/// Returns whether a batch has the form of mParticle's exports. The API takes identities as an object only.
pub fn is_export_form(batch: &Value) -> bool {
    let identities = batch["user_identities"].as_array();
    identities.is_some_and(|identities| identities.iter().all(|identity| identity["identity_type"].is_string()))
}

/// Converts a batch of this form. Names, texts and numbers keep their digits and characters.
///
/// # Errors
///
/// The reason why the identities cannot be converted without a guess.
pub fn convert(text: &[u8], diagnose: impl Fn(&Value) -> Vec<Diagnostic>) -> Result<ConvertedBatch, String> {
    let raw: &RawValue = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let mut batch = Node::parse(raw);
    let Some(Node::List(listed)) = batch.get("/user_identities") else { return Err("no list of identities".into()) };
    let identities = identities(listed)?;
    let of_identities = removed_of_identities(listed);
    let mut converted =
        ConvertedBatch { text: Vec::new(), identities: identities.len(), unquoted: 0, removed: Vec::new() };
    batch.set("/user_identities", Node::Object(identities));
    for _ in 0..MAX_ROUNDS {
        let text = batch.to_string();
        let value: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        converted.text = text.into_bytes();
        let before = converted.unquoted + converted.removed.len();
        for Diagnostic { code, pointer, expected, fix, .. } in diagnose(&value) {
            match (code, value.pointer(&pointer)) {
                (Code::Type, Some(Value::String(found))) if is_unquotable(found, expected.as_deref()) => {
                    batch.set(&pointer, Node::Scalar(found.clone()));
                    converted.unquoted += 1;
                }
                // An identity without its type would be lost.
                (Code::UnknownField, Some(_)) if fix.is_none() && pointer.starts_with(IDENTITIES) => {
                    let name = tokens(&pointer).last().unwrap_or_default();
                    return Err(format!("the API has no identity of the type {name}"));
                }
                (Code::UnknownField, Some(found)) if fix.is_none() || found.is_null() => {
                    batch.remove(&pointer);
                    converted.removed.push(pointer);
                }
                _ => {}
            }
        }
        if converted.unquoted + converted.removed.len() == before {
            break;
        }
    }
    converted.removed.extend(of_identities);
    Ok(converted)
}

/// Returns whether a text has to become a number or a boolean.
fn is_unquotable(text: &str, expected: Option<&str>) -> bool {
    let expected = expected.unwrap_or_default();
    match serde_json::from_str(text) {
        Ok(Value::Bool(_)) => expected == "true or false",
        Ok(Value::Number(number)) => {
            expected == "a number" || expected.starts_with("a whole number") && (number.is_i64() || number.is_u64())
        }
        _ => false,
    }
}

/// Returns the members of the object of identities.
fn identities(listed: &[Node]) -> Result<Vec<(String, Node)>, String> {
    let mut members: Vec<(String, Node)> = Vec::new();
    for entry in listed {
        let text_of = |name: &str| entry.child(name).map(ToString::to_string).filter(|raw| raw != "null");
        let name = text_of("identity_type").and_then(|raw| serde_json::from_str::<String>(&raw).ok());
        let name = name.ok_or("an identity has no type")?;
        if let Some(encoding) =
            text_of("identity_encoding").filter(|raw| !["\"none\"", "\"raw\""].contains(&raw.as_str()))
        {
            return Err(format!("the identity {name} is encoded as {}", shorten(&encoding)));
        }
        let Some(raw) = text_of("identity") else { continue };
        // Digits without quotes are an identity too. Other numbers can have lost digits.
        let identity = match raw.strip_prefix('-').unwrap_or(&raw) {
            _ if raw.starts_with('"') => Node::Scalar(raw),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Node::Scalar(format!("\"{raw}\"")),
            _ => return Err(format!("the identity {name} is {}, neither a text nor digits", shorten(&raw))),
        };
        match members.iter().find(|(known, _)| *known == name) {
            None => members.push((name, identity)),
            Some((_, known)) if known.to_string() == identity.to_string() => {}
            Some(_) => return Err(format!("it has two identities of the type {name}")),
        }
    }
    Ok(members)
}

/// Returns the names of the members of the listed identities that have no place in an object of them.
fn removed_of_identities(listed: &[Node]) -> BTreeSet<String> {
    let members =
        listed.iter().filter_map(|entry| if let Node::Object(members) = entry { Some(members) } else { None });
    let names = members.flatten().map(|(name, _)| name.as_str());
    let removed = names.filter(|name| !["identity_type", "identity", "identity_encoding"].contains(name));
    removed.map(|name| format!("{name} of identities")).collect()
}

/// A JSON value whose scalars keep their bytes.
#[derive(Clone, Debug)]
enum Node {
    Object(Vec<(String, Node)>),
    List(Vec<Node>),
    Scalar(String),
}

impl Node {
    fn parse(raw: &RawValue) -> Self {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'{') => {
                let members = serde_json::Deserializer::from_str(text).deserialize_map(MemberList).unwrap_or_default();
                Self::Object(members.into_iter().map(|(name, value)| (name, Self::parse(value))).collect())
            }
            Some(b'[') => {
                let entries: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
                Self::List(entries.into_iter().map(Self::parse).collect())
            }
            _ => Self::Scalar(text.to_owned()),
        }
    }

    fn child(&self, token: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(name, _)| name == token).map(|(_, value)| value),
            Self::List(entries) => entries.get(token.parse::<usize>().ok()?),
            Self::Scalar(_) => None,
        }
    }

    fn child_mut(&mut self, token: &str) -> Option<&mut Self> {
        match self {
            Self::Object(members) => members.iter_mut().find(|(name, _)| name == token).map(|(_, value)| value),
            Self::List(entries) => entries.get_mut(token.parse::<usize>().ok()?),
            Self::Scalar(_) => None,
        }
    }

    fn get(&self, pointer: &str) -> Option<&Self> {
        tokens(pointer).try_fold(self, |node, token| node.child(&token))
    }

    fn get_mut(&mut self, pointer: &str) -> Option<&mut Self> {
        tokens(pointer).try_fold(self, |node, token| node.child_mut(&token))
    }

    fn set(&mut self, pointer: &str, value: Self) {
        if let Some(node) = self.get_mut(pointer) {
            *node = value;
        }
    }

    fn remove(&mut self, pointer: &str) {
        let Some((parent, _)) = pointer.rsplit_once('/') else { return };
        let name = tokens(pointer).last();
        if let Some(Self::Object(members)) = self.get_mut(parent) {
            members.retain(|(member, _)| Some(member) != name.as_ref());
        }
    }
}

/// Formats the value as JSON.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(raw) => f.write_str(raw),
            Self::List(entries) => {
                f.write_str("[")?;
                for (index, entry) in entries.iter().enumerate() {
                    write!(f, "{}{entry}", if index == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (index, (name, value)) in members.iter().enumerate() {
                    write!(f, "{}{}:{value}", if index == 0 { "" } else { "," }, Value::from(name.as_str()))?;
                }
                f.write_str("}")
            }
        }
    }
}

/// Reads the members of an object in order.
struct MemberList;

impl<'de> Visitor<'de> for MemberList {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}
