//! The key that keeps the batches of one user in order.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::generated::types::{Batch, DeviceInfo, UserIdentities};

/// A hash of the identity of a batch's user. Batches with the same key are kept in order. A hash collision only makes two users
/// wait for each other.
///
/// The first of these that is present decides: the customer id, the MPID, another identity, the device. Therefore a user with a
/// customer id who gains an e-mail address stays the same user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UserKey(u64);

/// The properties of a batch that may identify its user.
#[derive(Default)]
pub(super) struct IdentityFields<'a> {
    pub(super) identities: Option<&'a UserIdentities>,
    pub(super) mpid: Option<i64>,
    pub(super) mp_deviceid: Option<&'a str>,
    pub(super) device: Option<&'a DeviceInfo>,
    pub(super) partner: Option<(&'a str, &'a str)>,
    pub(super) partner_identity: Option<&'a str>,
}

impl<'a> IdentityFields<'a> {
    pub(super) fn from_batch(batch: &'a Batch) -> Self {
        Self {
            identities: batch.user_identities.as_deref(),
            mpid: batch.mpid,
            mp_deviceid: batch.mp_deviceid.as_deref(),
            device: batch.device_info.as_deref(),
            partner: batch.partner_identities.iter().next().map(|(name, value)| (name.as_str(), value.as_str())),
            partner_identity: batch.partner_identity.as_deref(),
        }
    }

    /// Returns the key of the user. A batch without a user has no order to keep, so its own id is the key.
    pub(super) fn ordering_key(&self, source_request_id: &str) -> UserKey {
        let identities = || self.identities.and_then(identity);
        let device = || self.device.and_then(advertising_id);
        if let Some(customer) = self.identities.and_then(|identities| identities.customer_id.as_deref()) {
            hash("customer", customer)
        } else if let Some(mpid) = self.mpid {
            hash("mpid", mpid)
        } else if let Some(identity) = identities() {
            hash("identity", identity)
        } else if let Some(id) = self.mp_deviceid {
            hash("mp device", id)
        } else if let Some(id) = device() {
            hash("device", id)
        } else if let Some(partner) = self.partner {
            hash("partner", partner)
        } else if let Some(identity) = self.partner_identity {
            hash("partner identity", identity)
        } else {
            hash("none", source_request_id)
        }
    }
}

/// Returns the first identity that is present, and its index in the list as its type.
fn identity(identities: &UserIdentities) -> Option<(usize, &str)> {
    first(identities.all())
}

/// Returns the first advertising or vendor id of the device, and its index in the list as its type.
fn advertising_id(device: &DeviceInfo) -> Option<(usize, &str)> {
    first([
        &device.ios_idfv,
        &device.ios_advertising_id,
        &device.android_uuid,
        &device.android_advertising_id,
        &device.roku_publisher_id,
        &device.roku_advertising_id,
        &device.fire_advertising_id,
        &device.amp_id,
        &device.microsoft_publisher_id,
        &device.microsoft_advertising_id,
    ])
}

fn first<'a>(ids: impl IntoIterator<Item = &'a Option<String>>) -> Option<(usize, &'a str)> {
    ids.into_iter().enumerate().find_map(|(place, id)| Some((place, id.as_deref()?)))
}

fn hash(kind: &str, name: impl Hash) -> UserKey {
    let mut hasher = DefaultHasher::new();
    (kind, name).hash(&mut hasher);
    UserKey(hasher.finish())
}

impl UserKey {
    /// Returns a number below `slots`, which is the same for the same user.
    pub(crate) fn slot(self, slots: usize) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "it is below `slots`")]
        let slot = (self.0 % slots as u64) as usize;
        slot
    }
}

#[cfg(test)]
impl UserKey {
    pub(crate) fn numbered(number: u64) -> Self {
        Self(number)
    }
}

#[cfg(test)]
mod tests {
    use crate::Environment;
    use crate::diagnostics::identities::{DEVICE_IDENTITIES, has_identity};
    use crate::seal::SealedBatch;

    use super::*;

    fn batch() -> Batch {
        Batch::new(Environment::Development)
    }

    fn key(batch: &Batch) -> UserKey {
        batch.clone().seal().expect("a batch").user()
    }

    #[test]
    fn the_first_identity_decides() {
        let same = [
            (batch().customer_id("1"), batch().customer_id("1").email("a@b.c").mpid(7)),
            (batch().mpid(7), batch().mpid(7).email("a@b.c")),
            (batch().email("a@b.c"), batch().email("a@b.c").mp_deviceid("d").user_attribute("seats", 5)),
            (batch().mp_deviceid("d"), batch().mp_deviceid("d").device_info(DeviceInfo::default())),
        ];
        for (one, other) in same {
            assert_eq!(key(&one), key(&other));
        }
        let mut different = [
            key(&batch().customer_id("1")),
            key(&batch().customer_id("2")),
            key(&batch().mpid(1)),
            key(&batch().email("1")),
            key(&batch().facebook("1")),
            key(&batch().mp_deviceid("1")),
            key(&batch().partner_identity_for("P", "1")),
            key(&batch()),
            key(&batch()),
        ]
        .map(|key| key.0);
        different.sort_unstable();
        assert!(different.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn every_identity_identifies_a_user() {
        const IDENTITIES: &str = "customer_id email mobile_number other other_id_2 other_id_3 other_id_4 other_id_5 \
            other_id_6 other_id_7 other_id_8 other_id_9 other_id_10 phone_number_2 phone_number_3 facebook twitter google \
            microsoft yahoo facebook_custom_audience_id alias";
        let named = |id: &str, what: &str| {
            let json = format!(r#"{{"source_request_id":"{id}",{what}}}"#);
            let value = serde_json::from_str(&json).expect("JSON");
            assert!(has_identity(&value), "{what}");
            SealedBatch::from_json(json).expect("a batch").user()
        };
        let of_device = DEVICE_IDENTITIES.map(|name| format!(r#""device_info":{{"{name}":"1"}}"#));
        let of_user = IDENTITIES.split(' ').map(|name| format!(r#""user_identities":{{"{name}":"1"}}"#));
        let others =
            [r#""mpid":1"#, r#""mp_deviceid":"1""#, r#""partner_identity":"1""#, r#""partner_identities":{"p":"1"}"#];
        for what in of_device.into_iter().chain(of_user).chain(others.map(str::to_owned)) {
            assert_eq!(named("a", &what), named("b", &what), "{what}");
        }
    }

    #[test]
    fn json_has_the_same_key_as_its_batch() {
        let device = DeviceInfo { ios_idfv: Some("I".into()), ..DeviceInfo::default() };
        for batch in [
            batch().customer_id("é\n1"),
            batch().mpid(-7),
            batch().email("a@b.c"),
            batch().mp_deviceid("d"),
            batch().device_info(device),
            batch().partner_identity_for("P", "1"),
        ] {
            let sealed = batch.seal().expect("a batch");
            let read = SealedBatch::from_json(sealed.json().clone()).expect("JSON");
            assert_eq!(read.user(), sealed.user());
        }
        // The service accepts numbers as identities.
        let numbers = r#"{"source_request_id":"a","user_identities":{"customer_id":7,"email":null,"other":[1]}}"#;
        let numbers = SealedBatch::from_json(numbers).expect("an object");
        assert_eq!(numbers.user(), key(&batch().customer_id("7")));
        // Invalid identities identify no user, and are not an error here.
        for odd in [r#"{"user_identities":[1],"mpid":"x"}"#, r#"{"user_identities":{},"mpid":1e400}"#] {
            SealedBatch::from_json(odd).expect("an object");
        }
    }
}
