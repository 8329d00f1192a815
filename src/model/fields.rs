//! Attributes from the fields of a struct, or the entries of a map.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::json;

/// Returns the fields of a struct, or the entries of a map, as attributes.
pub(super) fn attributes_of<V>(value: &impl Serialize) -> Result<Vec<(String, V)>, Error>
where
    V: TryFrom<Value, Error = Error> + From<i128> + From<u128>,
{
    // As raw values, because a `Value` does not hold every digit of an integer of 128 bits.
    let Ok(fields) = serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(&json::to_json(value)?) else {
        return Err(Error::invalid("attributes are made of the fields of a struct or the entries of a map"));
    };
    let attribute = |(name, json): (String, Box<RawValue>)| match attribute(json.get()) {
        Ok(value) => Ok((name, value)),
        Err(error) => Err(Error::invalid(format!("attribute {name:?}: {error}"))),
    };
    fields.into_iter().map(attribute).collect()
}

fn attribute<V>(json: &str) -> Result<V, Error>
where
    V: TryFrom<Value, Error = Error> + From<i128> + From<u128>,
{
    match (json.parse::<i128>(), json.parse::<u128>()) {
        (Ok(number), _) => Ok(number.into()),
        (_, Ok(number)) => Ok(number.into()),
        _ => serde_json::from_str::<Value>(json)
            .map_err(|error| Error::invalid("not JSON").with_source(error))?
            .try_into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::UserAttributeValue;

    #[test]
    fn fields_of_any_type_keep_their_value_or_are_refused_by_name() {
        #[derive(Serialize)]
        enum Kind {
            Unit,
            Newtype(f64),
            Tuple(f64, f64),
            Struct { a: f64 },
        }

        /// The null makes the writer look for NaN.
        #[derive(Serialize)]
        struct Fields<T> {
            absent: Option<i32>,
            value: T,
        }

        fn of<T: Serialize>(value: T) -> Result<Value, String> {
            let fields = attributes_of::<UserAttributeValue>(&Fields { absent: None, value });
            let [(_, absent), (_, value)] = fields.map_err(|error| error.to_string())?.try_into().expect("two fields");
            assert_eq!(absent, UserAttributeValue::Null);
            Ok(serde_json::to_value(value).unwrap())
        }

        assert_eq!(of(Kind::Unit), Ok(json!("Unit")));
        assert_eq!(of(u64::MAX), Ok(json!("18446744073709551615")));
        assert_eq!(of(i128::MIN), Ok(json!("-170141183460469231731687303715884105728")));
        assert_eq!(of(u128::MAX), Ok(json!("340282366920938463463374607431768211455")));
        assert_eq!(of(i128::from(i64::MIN)), Ok(json!(i64::MIN)));
        assert_eq!(of(1e300), Ok(json!(1e300)));
        assert_eq!(of(90.422_252_909_423_83), Ok(json!(90.422_252_909_423_83)));
        assert_eq!(of(0.1_f32), Ok(json!(0.1)));
        assert_eq!(of("7"), Ok(json!("7")));
        assert_eq!(of(b"ab"), Err("attribute \"value\": a list in a user attribute can hold only strings".to_owned()));
        for kind in [Kind::Newtype(0.0), Kind::Tuple(0.0, 0.0), Kind::Struct { a: 0.0 }] {
            assert_eq!(of(kind), Err("attribute \"value\": an attribute value cannot be a JSON object".to_owned()));
        }
        for (kind, pointer) in [
            (Kind::Newtype(f64::NAN), "/value/Newtype"),
            (Kind::Tuple(0.0, f64::NAN), "/value/Tuple/1"),
            (Kind::Struct { a: f64::NAN }, "/value/Struct/a"),
        ] {
            assert_eq!(of(kind), Err(format!("{pointer} is NaN or infinite, which JSON cannot represent")));
        }
    }
}
