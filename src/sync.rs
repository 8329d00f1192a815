//! The locks of the uploader and of completions: those of std, or those of shuttle, with which a test controls the order of
//! the threads (`just interleavings`).

#[cfg(all(test, mparticle_shuttle))]
pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};
pub(crate) use std::sync::PoisonError;
#[cfg(not(all(test, mparticle_shuttle)))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
