//! Sealed batches from existing JSON: only the envelope is parsed, and the bytes are kept.

use std::fmt;

use bytes::Bytes;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::request_id::RequestId;
use super::user::{IdentityFields, UserKey};
use super::{RandomIds, SealedBatch, ids};
use crate::error::Error;
use crate::generated::types::{DeviceInfo, UserIdentities};

impl SealedBatch {
    /// Creates a sealed batch from JSON, for example from a file, a queue or another program.
    ///
    /// The bytes are kept unchanged, except for white space at both ends. If there is no `source_request_id`, or it is null or an
    /// empty string, a random one is inserted, because sending the batch again would not be safe without it. The JSON is not
    /// validated further.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if it is not UTF-8, not a single JSON object, or its
    /// `source_request_id` is duplicated or not a string.
    pub fn from_json(json: impl Into<Bytes>) -> Result<Self, Error> {
        Self::from_json_with(json, || RandomIds::new().next())
    }

    /// Creates a sealed batch as [`from_json`](Self::from_json) does, with a custom source of ids.
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
                let source_request_id = RequestId::from(ids::text(new_id()).as_str());
                let user = envelope.user(&source_request_id);
                let json = insert_id(text, envelope.source_request_id, &source_request_id);
                Ok(Self { json: json.into(), source_request_id, user })
            }
            Some(id) => {
                let source_request_id: String = serde_json::from_str(id).map_err(|error| parse_error(&error))?;
                let user = envelope.user(&source_request_id);
                Ok(Self { json, source_request_id: RequestId::from(source_request_id.as_str()), user })
            }
        }
    }
}

/// The properties of a batch that are parsed: its id, and those that may identify its user. All others are skipped.
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
    /// Returns the key of the user. Ignores a property that does not have the documented form.
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

/// Converts identities of which some are not strings: the service accepts a number as an identity.
fn identities_from_scalars(mut identities: Map<String, Value>) -> Option<UserIdentities> {
    for value in identities.values_mut().filter(|value| !value.is_string() && !value.is_null()) {
        *value = Value::String(value.to_string());
    }
    serde_json::from_value(Value::Object(identities)).ok()
}

/// Written by hand, because only a duplicate id is an error, and because an absent id is inserted, but a `null` is replaced.
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

/// Creates the error for invalid JSON. It has only the position, because serde_json's own text can quote the data.
fn parse_error(error: &serde_json::Error) -> Error {
    Error::invalid(format!(
        "the batch is not valid JSON, or its source_request_id is not a single string, {}",
        position(error)
    ))
}

fn position(error: &serde_json::Error) -> String {
    format!("at line {} column {}", error.line(), error.column())
}

/// Inserts the id in place of a `null` or an empty string, or as the first property.
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
