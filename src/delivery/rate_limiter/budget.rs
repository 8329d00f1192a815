//! The retry budget: a token bucket that limits the extra load during an outage.

use std::sync::{Mutex, PoisonError};

/// The cost of a retry, in tokens. A delivery earns one token, so in the long run there is at most one retry for five deliveries.
const RETRY_COST: u32 = 5;

/// The retry budget that all clones of a client share.
pub(crate) struct RetryBudget {
    capacity: u32,
    tokens: Mutex<u32>,
}

impl RetryBudget {
    /// Creates a full bucket for this many retries.
    pub(crate) fn new(retries: u32) -> Self {
        let capacity = retries.saturating_mul(RETRY_COST);
        Self { capacity, tokens: Mutex::new(capacity) }
    }

    /// Takes the tokens of one retry. Returns whether there were enough.
    pub(crate) fn withdraw(&self) -> bool {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let left = tokens.checked_sub(RETRY_COST);
        *tokens = left.unwrap_or(*tokens);
        left.is_some()
    }

    /// Adds the token of one accepted request.
    pub(crate) fn deposit(&self) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        *tokens = self.capacity.min(tokens.saturating_add(1));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn retries_are_limited_to_the_capacity_and_a_fifth_of_the_deliveries(
            retries in 0..50_u32,
            steps in proptest::collection::vec(any::<bool>(), 0..2_000),
        ) {
            let budget = RetryBudget::new(retries);
            let (mut taken, mut delivered) = (0, 0);
            for retry in steps {
                if retry {
                    taken += u32::from(budget.withdraw());
                } else {
                    budget.deposit();
                    delivered += 1;
                }
                prop_assert!(taken <= retries + delivered / RETRY_COST);
            }
        }
    }

    #[test]
    fn deliveries_refill_an_empty_budget() {
        let budget = RetryBudget::new(1);
        assert!(budget.withdraw() && !budget.withdraw());
        (0..4).for_each(|_| budget.deposit());
        assert!(!budget.withdraw());
        budget.deposit();
        assert!(budget.withdraw());
        assert!(!RetryBudget::new(0).withdraw());
    }
}
