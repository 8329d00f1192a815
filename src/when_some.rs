//! The method of every builder, and of every generated type with setters, that takes an optional setting.

/// Expands to the method, for use in an `impl` block. Takes further doc comments. The paths are complete, because the document can
/// have a type with any name.
macro_rules! when_some {
    ($(#[$doc:meta])*) => {
        /// Calls the setter with the value if it is `Some`: `.when_some(value, Self::setter)`.
        $(#[$doc])*
        #[must_use]
        pub fn when_some<T>(
            self,
            value: ::std::option::Option<T>,
            set: impl ::std::ops::FnOnce(Self, T) -> Self,
        ) -> Self {
            match value {
                ::std::option::Option::Some(value) => set(self, value),
                ::std::option::Option::None => self,
            }
        }
    };
}

pub(crate) use when_some;
