//! The texts that setters accept.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

/// A text as the service reads it, made of any type of text, of an integer or of a UUID.
///
/// Setters of identities, ids and other texts take `impl Into<Text>`. The digits of an integer are kept, whatever its size. A float
/// is not accepted: its text is not always the number that was meant. A type of your own becomes a text by one `impl`:
///
/// ```
/// use mparticle::{Batch, Environment, Text};
///
/// struct CustomerId(i64);
///
/// impl From<CustomerId> for Text {
///     fn from(id: CustomerId) -> Self {
///         id.0.into()
///     }
/// }
///
/// let batch = Batch::new(Environment::Production).customer_id(CustomerId(4711)).email("mira@shop.example");
/// assert_eq!(batch, Batch::new(Environment::Production).customer_id(4711).email(String::from("mira@shop.example")));
/// ```
///
/// `Debug` does not show the text, which may be personal data.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Text(String);

/// `From` for types whose `Display` is the text, and for references to them.
macro_rules! from_displayed {
    ($($type:ty),*) => {$(
        impl From<$type> for Text {
            fn from(value: $type) -> Self {
                Self(value.to_string())
            }
        }

        impl From<&$type> for Text {
            fn from(value: &$type) -> Self {
                Self(value.to_string())
            }
        }
    )*};
}

/// `From` for types that become a `String`.
macro_rules! from_texts {
    ($($type:ty),*) => {$(
        impl From<$type> for Text {
            fn from(text: $type) -> Self {
                Self(String::from(text))
            }
        }
    )*};
}

from_displayed!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize, Uuid, char);
from_texts!(String, &String, &str, Box<str>, Cow<'_, str>);

impl From<Arc<str>> for Text {
    fn from(text: Arc<str>) -> Self {
        Self((*text).to_owned())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(..)")
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_integers_and_uuids_are_converted_to_what_they_display() {
        let texts: [Text; 8] = [
            "7".into(),
            (&String::from("7")).into(),
            Box::<str>::from("7").into(),
            Arc::<str>::from("7").into(),
            Cow::from("7").into(),
            '7'.into(),
            7.into(),
            (&7_u64).into(),
        ];
        assert_eq!(texts.map(String::from), ["7"; 8]);
        assert_eq!(String::from(Text::from(i128::MIN)), i128::MIN.to_string());
        assert_eq!(String::from(Text::from(Uuid::nil())), "00000000-0000-0000-0000-000000000000");
    }

    #[test]
    fn debug_does_not_show_the_text() {
        assert_eq!(format!("{:?}", Text::from("mira@shop.example")), "Text(..)");
    }
}
