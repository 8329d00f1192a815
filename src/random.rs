//! The source of random numbers for delays, which tests can replace.

use std::sync::Arc;

use uuid::Uuid;

/// A function that returns numbers from 0 to 1.
pub(crate) type Random = Arc<dyn Fn() -> f64 + Send + Sync>;

/// Returns a source that draws from the operating system: delays are rare enough not to need a generator.
pub(crate) fn system() -> Random {
    const BITS: u64 = 1 << 53;
    #[expect(clippy::cast_precision_loss, reason = "a float has 53 bits")]
    Arc::new(|| (Uuid::new_v4().as_u64_pair().1 % BITS) as f64 / BITS as f64)
}
