//! Writes JSON, and rejects NaN and infinities, which serde_json would write as `null`.
//!
//! Fast path: serialize once with a formatter that counts the nulls. No nulls means no NaN. Otherwise a second pass, which writes
//! nothing, looks for the first number that is not finite. A formatter sees NaN only as a null, but the generated types omit
//! what is absent, so that only an attribute that is null itself makes a second pass necessary.

use std::fmt;
use std::io;

use bytes::Bytes;
use serde::Serialize;
use serde::ser::{self, Serializer};
use serde_json::ser::Formatter;

use crate::error::Error;
use crate::pointer::escaped;

/// Writes a value as compact JSON.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with the JSON pointer of the first number that is NaN or infinite.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<Bytes, Error> {
    // The size of a small batch.
    let mut json = Vec::with_capacity(2048);
    let mut formatter = NullCounter(0);
    value
        .serialize(&mut serde_json::Serializer::with_formatter(&mut json, &mut formatter))
        .map_err(|error| Error::invalid("failed to serialize the value as JSON").with_source(error))?;
    if formatter.0 > 0 {
        value.serialize(NonFiniteFinder).map_err(|NonFiniteError(pointer)| {
            Error::invalid(format!("{pointer} is NaN or infinite, which JSON cannot represent"))
        })?;
    }
    // Drops the spare capacity, because queues hold many of these.
    Ok(json.into_boxed_slice().into())
}

/// serde_json's compact format, with a count of the nulls.
struct NullCounter(usize);

impl Formatter for &mut NullCounter {
    fn write_null<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0 += 1;
        writer.write_all(b"null")
    }
}

/// The JSON pointer of a number that is not finite, built from the inside out.
#[derive(Debug)]
struct NonFiniteError(String);

impl NonFiniteError {
    fn within(self, key: impl fmt::Display) -> Self {
        Self(format!("/{}{}", escaped(&key.to_string()), self.0))
    }
}

impl fmt::Display for NonFiniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NonFiniteError {}

impl ser::Error for NonFiniteError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// A serializer without output that fails at the first number that is not finite.
struct NonFiniteFinder;

/// A list, a map, a struct or a variant, and the position in it.
#[derive(Default)]
struct Compound {
    variant: Option<&'static str>,
    index: usize,
    key: String,
}

impl Compound {
    fn variant(name: &'static str) -> Self {
        Self { variant: Some(name), ..Self::default() }
    }

    fn next<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NonFiniteError> {
        let index = self.index;
        self.index += 1;
        self.search(index, value)
    }

    fn search<T: Serialize + ?Sized>(&self, key: impl fmt::Display, value: &T) -> Result<(), NonFiniteError> {
        value.serialize(NonFiniteFinder).map_err(|found| {
            let found = found.within(key);
            self.variant.into_iter().fold(found, NonFiniteError::within)
        })
    }
}

macro_rules! no_op {
    ($($method:ident: $type:ty,)*) => {
        $(fn $method(self, _: $type) -> Result<(), NonFiniteError> { Ok(()) })*
    };
}

impl Serializer for NonFiniteFinder {
    type Ok = ();
    type Error = NonFiniteError;
    type SerializeSeq = Compound;
    type SerializeTuple = Compound;
    type SerializeTupleStruct = Compound;
    type SerializeTupleVariant = Compound;
    type SerializeMap = Compound;
    type SerializeStruct = Compound;
    type SerializeStructVariant = Compound;

    no_op! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_i128: i128,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_u128: u128,
        serialize_char: char,
        serialize_str: &str,
        serialize_bytes: &[u8],
        serialize_unit_struct: &'static str,
    }

    fn serialize_f32(self, number: f32) -> Result<(), NonFiniteError> {
        self.serialize_f64(number.into())
    }

    fn serialize_f64(self, number: f64) -> Result<(), NonFiniteError> {
        if number.is_finite() { Ok(()) } else { Err(NonFiniteError(String::new())) }
    }

    fn serialize_none(self) -> Result<(), NonFiniteError> {
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), NonFiniteError> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), NonFiniteError> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), NonFiniteError> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), NonFiniteError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), NonFiniteError> {
        value.serialize(self).map_err(|found| found.within(variant))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound, NonFiniteError> {
        Ok(Compound::default())
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound, NonFiniteError> {
        Ok(Compound::default())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Compound, NonFiniteError> {
        Ok(Compound::default())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound, NonFiniteError> {
        Ok(Compound::default())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Compound, NonFiniteError> {
        Ok(Compound::default())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound, NonFiniteError> {
        Ok(Compound::variant(variant))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound, NonFiniteError> {
        Ok(Compound::variant(variant))
    }
}

macro_rules! walk_elements {
    ($($kind:ident::$method:ident,)*) => {$(
        impl ser::$kind for Compound {
            type Ok = ();
            type Error = NonFiniteError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NonFiniteError> {
                self.next(value)
            }

            fn end(self) -> Result<(), NonFiniteError> {
                Ok(())
            }
        }
    )*};
}

walk_elements! {
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
}

impl ser::SerializeMap for Compound {
    type Ok = ();
    type Error = NonFiniteError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), NonFiniteError> {
        self.key = key_text(key)?;
        Ok(())
    }

    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), NonFiniteError> {
        // Makes the text of the key only if it is needed.
        value.serialize(NonFiniteFinder).map_err(|found| match key_text(key) {
            Ok(key) => found.within(key),
            Err(error) => error,
        })
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NonFiniteError> {
        self.search(&self.key, value)
    }

    fn end(self) -> Result<(), NonFiniteError> {
        Ok(())
    }
}

macro_rules! walk_fields {
    ($($kind:ident,)*) => {$(
        impl ser::$kind for Compound {
            type Ok = ();
            type Error = NonFiniteError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), NonFiniteError> {
                self.search(key, value)
            }

            fn end(self) -> Result<(), NonFiniteError> {
                Ok(())
            }
        }
    )*};
}

walk_fields! {
    SerializeStruct,
    SerializeStructVariant,
}

/// Returns the text of a key, as it is in a JSON pointer.
fn key_text<T: Serialize + ?Sized>(key: &T) -> Result<String, NonFiniteError> {
    let key = serde_json::to_value(key).map_err(ser::Error::custom)?;
    Ok(key.as_str().map_or_else(|| key.to_string(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[derive(Clone, Serialize)]
    enum Kind {
        Unit,
        Newtype(Option<f32>),
        Tuple((), f64),
        Struct { a: Vec<f64> },
    }

    #[derive(Serialize)]
    struct Outer {
        text: &'static str,
        kinds: Vec<Kind>,
        raw: Box<serde_json::value::RawValue>,
        numbers: (i8, u64, i128, char),
        #[serde(flatten)]
        rest: BTreeMap<String, Kind>,
    }

    fn outer(kinds: Vec<Kind>, rest: Kind) -> Outer {
        let raw = serde_json::value::to_raw_value(&json!({"raw": [null, 1.5]})).expect("JSON");
        let rest = BTreeMap::from([("a/b".to_owned(), rest)]);
        Outer { text: "\u{1}\"\\é\n", kinds, raw, numbers: (-1, u64::MAX, i128::MIN, '"'), rest }
    }

    #[test]
    fn writes_the_same_bytes_as_serde_json() {
        let kinds = vec![Kind::Unit, Kind::Newtype(None), Kind::Tuple((), -0.0), Kind::Struct { a: vec![1e300, 0.1] }];
        let value = outer(kinds, Kind::Newtype(Some(0.1)));
        for _ in 0..2 {
            assert_eq!(to_json(&value).expect("finite numbers"), serde_json::to_vec(&value).expect("JSON"));
        }
        let by_number = BTreeMap::from([(1, json!({"a": [null, {}], "b": 0.5})), (-2, json!(null))]);
        assert_eq!(to_json(&by_number).expect("finite numbers"), serde_json::to_vec(&by_number).expect("JSON"));
    }

    #[test]
    fn an_error_names_the_first_number_that_is_not_finite() {
        let nan = || Kind::Tuple((), f64::NAN);
        let table = [
            (outer(vec![Kind::Newtype(None), nan()], nan()), "/kinds/1/Tuple/1"),
            (outer(vec![Kind::Struct { a: vec![0.0, f64::INFINITY] }], Kind::Unit), "/kinds/0/Struct/a/1"),
            (outer(vec![Kind::Newtype(Some(f32::NAN))], Kind::Unit), "/kinds/0/Newtype"),
            (outer(Vec::new(), nan()), "/a~1b/Tuple/1"),
        ];
        for (value, pointer) in table {
            let error = to_json(&value).expect_err("a number is not finite");
            assert_eq!(error.to_string(), format!("{pointer} is NaN or infinite, which JSON cannot represent"));
        }
        let error = to_json(&BTreeMap::from([(7, f64::NAN)])).expect_err("a number is not finite");
        assert_eq!(error.to_string(), "/7 is NaN or infinite, which JSON cannot represent");
    }

    #[test]
    fn another_failure_is_no_error_about_a_number() {
        let value = BTreeMap::from([(vec![0_u8], 1.0)]);
        let error = to_json(&value).expect_err("a list is no key");
        assert_eq!(error.to_string(), "failed to serialize the value as JSON");
    }
}
