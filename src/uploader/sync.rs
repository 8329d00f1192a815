//! The locks of the uploader: those of std, or shuttle's, which lets a test choose who goes next (`just interleavings`).

#[cfg(all(test, mparticle_shuttle))]
pub(super) use shuttle::sync::{Condvar, Mutex, MutexGuard, PoisonError};
#[cfg(not(all(test, mparticle_shuttle)))]
pub(super) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
