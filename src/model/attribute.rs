//! Conversions into attribute values from the types that Rust code has at hand.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::SystemTime;

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeZone, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::Number;
use crate::error::Error;
use crate::generated::types::{AttributeValue, UserAttributeValue};

/// `From` for types that are copied, and for references to them.
macro_rules! from_copies {
    ($value:ident: $($type:ty),* => |$copy:ident| $converted:expr) => {$(
        impl From<$type> for $value {
            fn from($copy: $type) -> Self {
                $converted
            }
        }

        impl From<&$type> for $value {
            fn from(value: &$type) -> Self {
                Self::from(*value)
            }
        }
    )*};
}

/// `From` for texts that are not a `String`.
macro_rules! from_texts {
    ($value:ident: $($type:ty),*) => {$(
        impl From<$type> for $value {
            fn from(text: $type) -> Self {
                Self::String(String::from(&*text))
            }
        }
    )*};
}

macro_rules! conversions {
    ($value:ident: $list_of:expr) => {
        from_copies!($value: i8, i16, i32, u8, u16, u32 => |number| Self::Integer(i64::from(number)));
        from_copies!($value: isize, usize, u64, i128, u128 => |number| {
            // The service's numbers have 64 bits with a sign. What is larger keeps its digits as text.
            i64::try_from(number).map_or_else(|_| Self::String(number.to_string()), Self::Integer)
        });
        from_copies!($value: f32 => |number| Self::Number(Number::from(number).into()));
        from_copies!($value: char, Uuid, NaiveDate, IpAddr, Ipv4Addr, Ipv6Addr => |value| Self::String(ToString::to_string(&value)));
        from_texts!($value: &String, Box<str>, Arc<str>, Cow<'_, str>);

        /// Text. A type of your own becomes an attribute value by one `impl`:
        ///
        /// ```
        #[doc = concat!("use mparticle::", stringify!($value), ";")]
        ///
        /// enum Channel {
        ///     Web,
        ///     Shop,
        /// }
        ///
        #[doc = concat!("impl From<Channel> for ", stringify!($value), " {")]
        ///     fn from(channel: Channel) -> Self {
        ///         match channel {
        ///             Channel::Web => "web".into(),
        ///             Channel::Shop => "shop".into(),
        ///         }
        ///     }
        /// }
        ///
        #[doc = concat!("assert_eq!(", stringify!($value), "::from(Channel::Web), \"web\".into());")]
        #[doc = concat!("assert_eq!(", stringify!($value), "::from(Some(Channel::Shop)), \"shop\".into());")]
        /// ```
        impl From<&str> for $value {
            fn from(text: &str) -> Self {
                Self::String(text.to_owned())
            }
        }

        impl From<String> for $value {
            fn from(text: String) -> Self {
                Self::String(text)
            }
        }

        impl From<&i64> for $value {
            fn from(number: &i64) -> Self {
                Self::Integer(*number)
            }
        }

        impl From<&f64> for $value {
            fn from(number: &f64) -> Self {
                Self::Number(*number)
            }
        }

        impl From<&bool> for $value {
            fn from(truth: &bool) -> Self {
                Self::Boolean(*truth)
            }
        }

        /// The time as text in the form of RFC 3339, in UTC, cut to milliseconds: `2026-11-25T21:56:55.394Z`.
        impl<Z: TimeZone> From<DateTime<Z>> for $value {
            fn from(time: DateTime<Z>) -> Self {
                Self::String(time.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::Millis, true))
            }
        }

        impl<Z: TimeZone> From<&DateTime<Z>> for $value {
            fn from(time: &DateTime<Z>) -> Self {
                Self::from(time.with_timezone(&Utc))
            }
        }

        /// The time as text, as that of `chrono`.
        impl From<SystemTime> for $value {
            fn from(time: SystemTime) -> Self {
                Self::from(DateTime::<Utc>::from(time))
            }
        }

        impl From<serde_json::Number> for $value {
            fn from(number: serde_json::Number) -> Self {
                match (number.as_i64(), number.as_u64(), number.as_f64()) {
                    (Some(number), ..) => Self::Integer(number),
                    (None, Some(number), _) => Self::from(number),
                    (None, None, Some(number)) => Self::Number(number),
                    (None, None, None) => Self::String(number.to_string()),
                }
            }
        }

        /// `None` is sent as null: the name alone, without a value.
        impl<T: Into<$value>> From<Option<T>> for $value {
            fn from(value: Option<T>) -> Self {
                value.map_or(Self::Null, Into::into)
            }
        }

        impl TryFrom<Value> for $value {
            type Error = Error;

            /// # Errors
            /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a value that this type cannot hold.
            fn try_from(value: Value) -> Result<Self, Error> {
                match value {
                    Value::Null => Ok(Self::Null),
                    Value::Bool(truth) => Ok(Self::Boolean(truth)),
                    Value::Number(number) => Ok(Self::from(number)),
                    Value::String(text) => Ok(Self::String(text)),
                    Value::Array(list) => $list_of(list),
                    Value::Object(_) => Err(Error::invalid("an attribute value cannot be a JSON object")),
                }
            }
        }
    };
}

conversions!(AttributeValue: |_| {
    Err(Error::invalid("the value of an event attribute cannot be a list: only user attributes can"))
});
conversions!(UserAttributeValue: |list: Vec<Value>| {
    let texts = list.into_iter().map(|entry| match entry {
        Value::String(text) => Ok(text),
        _ => Err(Error::invalid("a list in a user attribute can hold only strings")),
    });
    texts.collect::<Result<_, _>>().map(Self::List)
});

impl From<AttributeValue> for UserAttributeValue {
    fn from(value: AttributeValue) -> Self {
        #[allow(unreachable_patterns, reason = "a later document may have more kinds of values")]
        match value {
            AttributeValue::String(text) => Self::String(text),
            AttributeValue::Integer(number) => Self::Integer(number),
            AttributeValue::Number(number) => Self::Number(number),
            AttributeValue::Boolean(truth) => Self::Boolean(truth),
            AttributeValue::Null => Self::Null,
            other => by_json(&other, Self::String),
        }
    }
}

/// Converts a value of a kind that this file does not know, because a later document added it: by its JSON if the other type can
/// hold that, otherwise as the text of its JSON.
pub(super) fn by_json<T: DeserializeOwned>(value: &impl Serialize, text: impl FnOnce(String) -> T) -> T {
    let json = serde_json::to_value(value).unwrap_or_default();
    T::deserialize(&json).unwrap_or_else(|_| text(json.to_string()))
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;
    use serde_json::json;

    use super::*;

    /// Each value as event attribute and as user attribute, written as JSON.
    macro_rules! assert_json {
        ($($value:expr => $json:tt),* $(,)?) => {$(
            let value = $value;
            let (event, user) = (AttributeValue::from(value.clone()), UserAttributeValue::from(value));
            assert_eq!(serde_json::to_value(&event).unwrap(), json!($json), "{}", stringify!($value));
            assert_eq!(serde_json::to_value(&user).unwrap(), json!($json), "{}", stringify!($value));
            assert_eq!(UserAttributeValue::from(event), user, "{}", stringify!($value));
        )*};
    }

    #[test]
    fn integers_keep_every_digit() {
        assert_json!(
            -1_i8 => (-1), 2_i16 => 2, 3_i32 => 3, i64::MIN => (i64::MIN), 5_isize => 5,
            1_u8 => 1, 2_u16 => 2, 3_u32 => 3, 4_u64 => 4, vec![1, 2].len() => 2,
            i128::from(i64::MIN) => (i64::MIN), u128::from(7_u8) => 7,
            u64::MAX => "18446744073709551615",
            i128::MIN => "-170141183460469231731687303715884105728",
            u128::MAX => "340282366920938463463374607431768211455",
            9_223_372_036_854_775_808_u64 => "9223372036854775808",
            &7_i64 => 7, &8_usize => 8, &u64::MAX => "18446744073709551615",
        );
    }

    #[test]
    fn f32_becomes_the_number_with_the_same_digits() {
        assert_json!(0.1_f32 => 0.1, 0.1_f64 => 0.1, &0.5_f32 => 0.5, &0.5_f64 => 0.5, f32::MAX => 3.402_823_5e38);
        let not_a_number = AttributeValue::from(f32::NAN);
        assert!(matches!(not_a_number, AttributeValue::Number(number) if number.is_nan()), "{not_a_number:?}");
    }

    #[test]
    fn text_is_unchanged() {
        let text = String::from("web");
        assert_json!(
            "web" => "web", text.clone() => "web", &text => "web", Cow::Borrowed("web") => "web",
            Cow::<str>::Owned(text.clone()) => "web", Box::<str>::from("web") => "web", Arc::<str>::from("web") => "web",
            'é' => "é", true => true, &false => false,
        );
    }

    #[test]
    fn ids_dates_and_addresses_become_text() {
        let time = DateTime::from_timestamp_nanos(1_795_643_815_394_987_013);
        let zone = FixedOffset::east_opt(3600).unwrap();
        assert_json!(
            Uuid::nil() => "00000000-0000-0000-0000-000000000000",
            time => "2026-11-25T21:56:55.394Z", &time => "2026-11-25T21:56:55.394Z",
            time.with_timezone(&zone) => "2026-11-25T21:56:55.394Z",
            SystemTime::from(time) => "2026-11-25T21:56:55.394Z",
            time.date_naive() => "2026-11-25",
            IpAddr::from([127, 0, 0, 1]) => "127.0.0.1", Ipv4Addr::LOCALHOST => "127.0.0.1", Ipv6Addr::LOCALHOST => "::1",
        );
    }

    #[test]
    fn none_of_any_type_is_null() {
        let text = String::from("web");
        assert_json!(
            None::<u64> => null, None::<DateTime<Utc>> => null, Some(Uuid::nil()).map(|_| 3_usize) => 3,
            Some(&text) => "web", text.strip_prefix("w") => "eb",
        );
    }

    #[test]
    fn json_converts_if_the_type_allows_it() {
        for value in [json!(null), json!(true), json!(-3), json!(0.5), json!("text")] {
            let event = AttributeValue::try_from(value.clone()).expect("a scalar");
            assert_eq!(serde_json::to_value(event).unwrap(), value);
            let user = UserAttributeValue::try_from(value.clone()).expect("a scalar");
            assert_eq!(serde_json::to_value(user).unwrap(), value);
        }
        assert_eq!(AttributeValue::try_from(json!(u64::MAX)).unwrap(), u64::MAX.into());
        assert_eq!(UserAttributeValue::try_from(json!(["a", "b"])).unwrap(), ["a", "b"].into());

        let refused = |result: Result<UserAttributeValue, Error>| result.expect_err("no attribute value").to_string();
        assert_eq!(refused(json!({"a": 1}).try_into()), "an attribute value cannot be a JSON object");
        assert_eq!(refused(json!(["a", 1]).try_into()), "a list in a user attribute can hold only strings");
        assert_eq!(
            AttributeValue::try_from(json!([])).expect_err("a list").to_string(),
            "the value of an event attribute cannot be a list: only user attributes can"
        );
    }
}
