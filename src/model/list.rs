//! Conversions of collections of texts into a list, the value of a user attribute.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use crate::generated::types::UserAttributeValue;

/// A list of texts.
///
/// ```
/// use mparticle::UserAttributeValue;
///
/// let plans: UserAttributeValue = ["free", "pro"].iter().copied().filter(|plan| *plan != "free").collect();
/// assert_eq!(plans, UserAttributeValue::List(vec!["pro".to_owned()]));
/// ```
impl<T: Into<String>> FromIterator<T> for UserAttributeValue {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        Self::List(texts.into_iter().map(Into::into).collect())
    }
}

/// `From` for collections of texts, each of which is taken by value.
macro_rules! from_lists {
    ($([$($generics:tt)*] $type:ty),* $(,)?) => {$(
        impl<$($generics)*> From<$type> for UserAttributeValue {
            fn from(texts: $type) -> Self {
                texts.into_iter().collect()
            }
        }
    )*};
}

/// `From` for references to collections of texts, of which a copy is made.
macro_rules! from_borrowed_lists {
    ($([$($generics:tt)*] $type:ty),* $(,)?) => {$(
        impl<T: AsRef<str>, $($generics)*> From<&$type> for UserAttributeValue {
            fn from(texts: &$type) -> Self {
                texts.iter().map(AsRef::as_ref).collect()
            }
        }
    )*};
}

// A `Vec` of strings has its `From` from the generator, so that the others are listed.
from_lists!(
    [T: Into<String>, const N: usize] [T; N],
    [T: Into<String>] BTreeSet<T>,
    [] Vec<&str>,
    [] Vec<&String>,
    [] Vec<Box<str>>,
    [] Vec<Cow<'_, str>>,
    [] Vec<char>,
    [] Vec<Uuid>,
);
from_borrowed_lists!([] [T], [const N: usize] [T; N], [] Vec<T>, [] BTreeSet<T>);

/// The texts in ascending order, because a `HashSet` has none.
impl<T: Into<String> + Ord, S> From<HashSet<T, S>> for UserAttributeValue {
    fn from(texts: HashSet<T, S>) -> Self {
        texts.into_iter().collect::<BTreeSet<_>>().into()
    }
}

/// The texts in ascending order, because a `HashSet` has none.
impl<T: AsRef<str>, S> From<&HashSet<T, S>> for UserAttributeValue {
    fn from(texts: &HashSet<T, S>) -> Self {
        texts.iter().map(AsRef::as_ref).collect::<BTreeSet<&str>>().into()
    }
}

impl From<Vec<Arc<str>>> for UserAttributeValue {
    fn from(texts: Vec<Arc<str>>) -> Self {
        Self::from(&texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_any_text_become_a_list_of_a_user() {
        let owned = vec![String::from("a"), String::from("b")];
        let list = UserAttributeValue::List(owned.clone());
        let set: HashSet<String> = owned.iter().cloned().collect();
        let lists: [UserAttributeValue; 20] = [
            ["a", "b"].into(),
            (&["a", "b"]).into(),
            [String::from("a"), String::from("b")].into(),
            ['a', 'b'].into(),
            owned.clone().into(),
            (&owned).into(),
            owned.as_slice().into(),
            owned.iter().collect::<Vec<&String>>().into(),
            owned.iter().map(String::as_str).collect::<Vec<_>>().into(),
            owned.iter().map(|text| Box::from(text.as_str())).collect::<Vec<Box<str>>>().into(),
            owned.iter().map(|text| Arc::from(text.as_str())).collect::<Vec<Arc<str>>>().into(),
            owned.iter().map(Cow::from).collect::<Vec<Cow<'_, str>>>().into(),
            vec!['a', 'b'].into(),
            owned.iter().cloned().collect::<BTreeSet<_>>().into(),
            (&owned.iter().cloned().collect::<BTreeSet<_>>()).into(),
            (&set).into(),
            set.iter().map(String::as_str).collect::<HashSet<_>>().into(),
            set.into(),
            owned.iter().collect(),
            Some(owned).into(),
        ];
        for value in lists {
            assert_eq!(value, list);
        }
        let id = UserAttributeValue::from(vec![Uuid::nil()]);
        assert_eq!(id, UserAttributeValue::List(vec![Uuid::nil().to_string()]));
    }
}
