//! Values of attributes from what Rust code has at hand.

use crate::generated::types::{AttributeValue, UserAttributeValue};

macro_rules! from_scalars {
    ($($value:ident),*) => {$(
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

        impl From<i32> for $value {
            fn from(number: i32) -> Self {
                Self::Integer(number.into())
            }
        }

        impl From<u32> for $value {
            fn from(number: u32) -> Self {
                Self::Integer(number.into())
            }
        }

        /// `None` is the name alone, without a value.
        impl<T: Into<$value>> From<Option<T>> for $value {
            fn from(value: Option<T>) -> Self {
                value.map_or(Self::Null, Into::into)
            }
        }
    )*};
}

from_scalars!(AttributeValue, UserAttributeValue);

impl<T: Into<String>, const N: usize> From<[T; N]> for UserAttributeValue {
    fn from(list: [T; N]) -> Self {
        Self::List(list.into_iter().map(Into::into).collect())
    }
}

impl From<Vec<&str>> for UserAttributeValue {
    fn from(list: Vec<&str>) -> Self {
        Self::List(list.into_iter().map(str::to_owned).collect())
    }
}
