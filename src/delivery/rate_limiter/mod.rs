//! Rate limiting: decides when a request may be sent or retried. [`retry`](super::retry) decides whether to retry.
//!
//! A client and its clones share a [`ClientLimiter`]; each uploader has an [`AdaptiveLimiter`]. Both wait at the same
//! [`RateLimitGate`], so that the wait after a 429 applies to everything that is sent with the client.

mod adaptive;
mod backoff;
mod budget;
mod circuit_breaker;
mod client;
mod gate;
mod limiter;
mod rate;
#[cfg(test)]
mod tests;

pub(crate) use adaptive::{AdaptiveConfig, AdaptiveLimiter};
pub(crate) use client::ClientLimiter;
pub(crate) use limiter::{RateLimiter, RequestState};
pub(crate) use rate::Rates;
