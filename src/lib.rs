#![doc = include_str!("../README.md")]

#[cfg(feature = "mock")]
pub mod contract;
#[cfg(feature = "mock")]
pub mod mock;

mod client;
mod error;
mod generated;
pub mod limits;
mod model;
mod seal;

pub use client::{Accepted, Client, ClientBuilder, Credentials, Pod};
pub use error::{Error, ErrorKind};
pub use generated::types;
pub use seal::{IntoSealed, SealedBatch};
pub use types::{Batch, CustomEvent, CustomEventType, Environment, Event};

pub mod raw {
    //! The generated endpoints, for those who want the wire and nothing else: [`Client::raw`](crate::Client::raw) opens
    //! this door.
    //!
    //! They take the same [`types`](crate::types), over the same connections and with the same credentials, and send
    //! exactly what they are given: no ids are stamped, nothing is checked, nothing is retried. Every answer but a 202 comes
    //! back as it is, in [`Error::UnexpectedResponse`].
    #[doc(inline)]
    #[allow(rustdoc::all)]
    pub use crate::generated::{ByteStream, Client, ClientInfo, Error, ResponseValue};
}
