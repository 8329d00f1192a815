//! The method of every builder that takes an optional setting. `build/glue.rs` generates its like for the types of the document.

/// Expands to the method, for use in an `impl` block. Takes further doc comments.
macro_rules! when_some {
    ($(#[$doc:meta])*) => {
        /// Calls `set` with the value if there is one, for optional settings.
        $(#[$doc])*
        #[must_use]
        pub fn when_some<T>(self, value: Option<T>, set: impl FnOnce(Self, T) -> Self) -> Self {
            match value {
                Some(value) => set(self, value),
                None => self,
            }
        }
    };
}

pub(crate) use when_some;
