//! Batches that are JSON already: only the envelope is read, and the bytes stay as they are.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::user::{IdentityFields, UserKey};
use super::{RandomIds, SealedBatch, ids};
use crate::error::Error;
use crate::generated::types::{DeviceInfo, UserIdentities};

impl SealedBatch {
    /// Takes a batch that is JSON already: from a file, a queue, another program.
    ///
    /// The bytes stay as they are, whatever they hold; white space around them is cut off. Only if there is no
    /// `source_request_id` (or a null, or an empty text) a random one is put in, since without it sending again would not
    /// be safe. Whether the JSON is a batch that the service understands is not checked.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if it is not UTF-8, not one JSON object, or its
    /// `source_request_id` is there twice or is not text.
    pub fn from_json(json: impl Into<Bytes>) -> Result<Self, Error> {
        Self::from_json_with(json, || RandomIds::new().next())
    }

    /// As [`from_json`](Self::from_json), with a source of ids of your own.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn from_json_with(json: impl Into<Bytes>, new_id: impl FnOnce() -> Uuid) -> Result<Self, Error> {
        let json = json.into();
        let json = json.slice_ref(json.trim_ascii());
        let text =
            str::from_utf8(&json).map_err(|error| Error::invalid("the batch is not UTF-8").with_source(error))?;
        if !text.starts_with('{') {
            return Err(Error::invalid("the batch is not a JSON object"));
        }
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| parse_error(&error))?;
        match envelope.source_request_id.map(RawValue::get) {
            None | Some("null" | "\"\"") => {
                let source_request_id: Arc<str> = ids::text(new_id()).into();
                let user = envelope.user(&source_request_id);
                let json = insert_id(text, envelope.source_request_id, &source_request_id);
                Ok(Self { json: json.into(), source_request_id, user })
            }
            Some(id) => {
                let source_request_id: String = serde_json::from_str(id).map_err(|error| parse_error(&error))?;
                let user = envelope.user(&source_request_id);
                Ok(Self { json, source_request_id: source_request_id.into(), user })
            }
        }
    }
}

/// What is read of a batch: its id, and what may name its user. All else is somebody else's.
#[derive(Default)]
struct Envelope<'a> {
    source_request_id: Option<&'a RawValue>,
    user_identities: Option<&'a RawValue>,
    mpid: Option<&'a RawValue>,
    mp_deviceid: Option<&'a RawValue>,
    device_info: Option<&'a RawValue>,
    partner_identities: Option<&'a RawValue>,
    partner_identity: Option<&'a RawValue>,
}

impl Envelope<'_> {
    /// Whose batch it is. What does not read as the document says fields nobody.
    fn user(&self, source_request_id: &str) -> UserKey {
        fn read<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
            serde_json::from_str(raw?.get()).ok()
        }
        let identities = read(self.user_identities).or_else(|| identities_from_scalars(read(self.user_identities)?));
        let partner_identity: Option<String> = read(self.partner_identity);
        let device: Option<DeviceInfo> = read(self.device_info);
        let mp_deviceid: Option<String> = read(self.mp_deviceid);
        let partners: std::collections::BTreeMap<String, String> = read(self.partner_identities).unwrap_or_default();
        let fields = IdentityFields {
            identities: identities.as_ref(),
            mpid: read(self.mpid),
            mp_deviceid: mp_deviceid.as_deref(),
            device: device.as_ref(),
            partner: partners.iter().next().map(|(name, value)| (name.as_str(), value.as_str())),
            partner_identity: partner_identity.as_deref(),
        };
        fields.ordering_key(source_request_id)
    }
}

/// Identities of which some are not text: the service takes a number for one.
fn identities_from_scalars(mut identities: Map<String, Value>) -> Option<UserIdentities> {
    for value in identities.values_mut().filter(|value| !value.is_string() && !value.is_null()) {
        *value = Value::String(value.to_string());
    }
    serde_json::from_value(Value::Object(identities)).ok()
}

/// Written by hand, since only the id may not be there twice, and since absent and `null` differ: the one is added, the
/// other replaced.
impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "snake_case")]
        enum Field {
            SourceRequestId,
            UserIdentities,
            Mpid,
            MpDeviceid,
            DeviceInfo,
            PartnerIdentities,
            PartnerIdentity,
            #[serde(other)]
            Other,
        }

        struct EnvelopeVisitor;

        impl<'de> Visitor<'de> for EnvelopeVisitor {
            type Value = Envelope<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a batch")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Envelope<'de>, M::Error> {
                let mut envelope = Envelope::default();
                while let Some(field) = map.next_key()? {
                    let slot = match field {
                        Field::SourceRequestId if envelope.source_request_id.is_some() => {
                            return Err(M::Error::duplicate_field("source_request_id"));
                        }
                        Field::SourceRequestId => &mut envelope.source_request_id,
                        Field::UserIdentities => &mut envelope.user_identities,
                        Field::Mpid => &mut envelope.mpid,
                        Field::MpDeviceid => &mut envelope.mp_deviceid,
                        Field::DeviceInfo => &mut envelope.device_info,
                        Field::PartnerIdentities => &mut envelope.partner_identities,
                        Field::PartnerIdentity => &mut envelope.partner_identity,
                        Field::Other => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *slot = Some(map.next_value()?);
                }
                Ok(envelope)
            }
        }

        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

/// serde_json's own text can quote what it read, so only the slot is told.
fn parse_error(error: &serde_json::Error) -> Error {
    Error::invalid(format!(
        "the batch is not valid JSON, or its source_request_id is not one text, {}",
        position(error)
    ))
}

fn position(error: &serde_json::Error) -> String {
    format!("at line {} column {}", error.line(), error.column())
}

/// Puts the id in slot of the `null` or the empty text that stands for one, or first in the object.
fn insert_id(text: &str, placeholder: Option<&RawValue>, id: &str) -> String {
    let placeholder = placeholder.map(RawValue::get);
    let (before, name, after, rest) = match placeholder {
        Some(placeholder) => {
            let at = placeholder.as_ptr() as usize - text.as_ptr() as usize;
            (&text[..at], "\"", "\"", &text[at + placeholder.len()..])
        }
        None if text[1..].trim_ascii_start().starts_with('}') => ("{", "\"source_request_id\":\"", "\"", &text[1..]),
        None => ("{", "\"source_request_id\":\"", "\",", &text[1..]),
    };
    [before, name, id, after, rest].concat()
}
