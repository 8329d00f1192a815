#![doc = include_str!("../README.md")]

#[cfg(feature = "mock")]
pub mod contract;
#[cfg(feature = "mock")]
pub mod mock;

mod client;
mod completion;
mod delivery;
pub mod diagnostics;
mod duration;
mod endpoint;
mod error;
mod generated;
mod json;
pub mod limits;
mod model;
mod pointer;
mod random;
mod seal;
mod settings;
pub mod spool;
mod sync;
mod text;
mod time;
mod uploader;

#[cfg(feature = "blocking")]
pub use client::blocking;
// The crates whose types stand in this API.
#[doc(no_inline)]
pub use {bytes, chrono, reqwest, uuid};

pub use client::{Client, ClientBuilder, Credentials, Pod, UploadError};
pub use completion::Completion;
pub use delivery::{Accepted, Rejected, Report, Retry, RetryPolicy};
pub use error::{Error, ErrorKind};
pub use generated::types;
pub use model::{Session, SessionId};
pub use seal::{BatchTemplate, IntoSealed, SealError, SealedBatch};
pub use settings::Settings;
#[doc(no_inline)]
pub use types::{
    AppState, ApplicationInfo, AttributeValue, AttributionInfo, Batch, Breadcrumb, CcpaConsent, CommerceEvent, Consent,
    CrashReport, CustomEvent, CustomEventType, DeviceCurrentState, DeviceInfo, Environment, Event, FirstRun,
    IdentityType, Location, NetworkPerformance, OptOut, Platform, Product, ProductAction, ProductImpression, Profile,
    ProfileEventType, Promotion, PromotionAction, PushMessage, PushMessageType, PushRegistration, ScreenView,
    SessionEnd, SessionStart, Uninstall, UserAttributeChange, UserAttributeValue, UserIdentity, UserIdentityChange,
};
pub use uploader::{
    DeliveryError, DeliveryReport, DeliveryReports, DeliveryStatus, SendHandle, TrySendError, Uploader,
    UploaderBuilder, UploaderStats, UploaderStatus, WhenFull,
};

pub mod raw {
    //! The generated endpoints, for those who want the wire and nothing else: [`Client::raw`](crate::Client::raw) opens
    //! this door.
    //!
    //! They take the same [`types`](crate::types), over the same connections and with the same credentials, and send
    //! exactly what they are given: no ids are stamped, nothing is checked, nothing is retried. Every answer but a 202 comes
    //! back as it is, in [`Error::UnexpectedResponse`].
    //!
    //! Their [`ResponseValue<()>`](ResponseValue) has no body. The service can accept a bulk request in part and name the
    //! batches that it refuses in the body of the 202: these endpoints cannot show that, and
    //! [`Client::upload_bulk`](crate::Client::upload_bulk) can.
    #[doc(inline)]
    #[allow(rustdoc::all)]
    pub use crate::generated::{ByteStream, Client, ClientInfo, Error, ResponseValue};
}
