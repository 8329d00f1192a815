//! The source of random numbers for waits, which tests replace.

use std::sync::Arc;

use uuid::Uuid;

/// Returns numbers from 0 to 1.
pub(crate) type Random = Arc<dyn Fn() -> f64 + Send + Sync>;

/// Returns a source that asks the operating system, as for ids: a wait is drawn too seldom for a generator to pay.
pub(crate) fn system() -> Random {
    const BITS: u64 = 1 << 53;
    #[expect(clippy::cast_precision_loss, reason = "a float has 53 bits")]
    Arc::new(|| (Uuid::new_v4().as_u64_pair().1 % BITS) as f64 / BITS as f64)
}
