#![doc = include_str!("guide.md")]
#![deny(missing_docs)]
// On docs.rs, shows the feature that each item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
// Links to items of these features are checked with all features.
#![cfg_attr(not(all(feature = "blocking", feature = "mock")), allow(rustdoc::broken_intra_doc_links))]

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
#[cfg(feature = "metrics")]
mod meter;
mod model;
mod pointer;
mod random;
mod runtime;
mod seal;
mod settings;
pub mod spool;
mod sync;
mod text;
mod time;
mod uploader;
mod when_some;

// Its code blocks need crates that only examples/opentelemetry depends on, which compiles and runs them.
#[cfg_attr(not(doctest), doc = include_str!("observability.md"))]
pub mod observability {}

#[cfg(feature = "blocking")]
pub use client::blocking;
// The crates whose types are part of this API. `guide.md` states their versions.
#[doc(no_inline)]
pub use {bytes, chrono, reqwest, uuid};

pub use client::{Client, ClientBuilder, Credentials, Pod, UploadError};
pub use completion::Completion;
pub use delivery::{Accepted, Rejected, Report, Retry, RetryPolicy};
pub use error::{Error, ErrorKind};
/// The types of the OpenAPI document.
///
/// All fields are public. Values that are large and rarely set are boxed, so that events and batches stay small: each struct in a
/// field that JSON can omit, and the payload of each event type except [`CustomEvent`] and [`ScreenView`]. Setters, and the
/// conversions of payloads into [`Event`], take the plain value. A literal needs `Box::new`, or `.map(Box::new)` for an `Option`. A
/// pattern binds the box: its fields can be read, `as_deref` gives a reference to the value, and `*data` moves it out.
///
/// ```
/// use mparticle::types::{Batch, CommerceEvent, Environment, Event, PromotionAction, UserIdentities};
///
/// let identities = UserIdentities { email: Some("mira@shop.example".into()), ..Default::default() };
/// let promotion = CommerceEvent {
///     promotion_action: Some(Box::new(PromotionAction::view([]))),
///     currency_code: Some("EUR".into()),
///     ..Default::default()
/// };
/// let batch = Batch {
///     user_identities: Some(Box::new(identities)),
///     events: vec![Event::CommerceEvent(Box::new(promotion))],
///     ..Batch::new(Environment::Production)
/// };
/// match &batch.events[0] {
///     Event::CommerceEvent(data) => assert_eq!(data.currency_code.as_deref(), Some("EUR")),
///     _ => unreachable!(),
/// }
/// ```
pub use generated::types;
pub use model::{Number, Session, SessionId, Text};
pub use seal::{BatchTemplate, IntoSealed, SealError, SealedBatch};
pub use settings::Settings;
#[doc(inline)]
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
    //! Low-level access to the generated endpoints; see [`Client::raw`](crate::Client::raw).
    //!
    //! They take the same [`types`](crate::types) as [`Client`](crate::Client), and use the same connections and credentials. They
    //! send exactly what they are given: no ids are assigned, nothing is checked, and nothing is retried. Every response but a
    //! 202 is returned unchanged in [`Error::UnexpectedResponse`].
    //!
    //! [`ResponseValue<()>`](ResponseValue) has no body. The service can accept a bulk request in part and list the batches that it
    //! refuses in the body of the 202. These endpoints cannot show that list; use
    //! [`Client::upload_bulk`](crate::Client::upload_bulk) for it.
    #[doc(inline)]
    #[allow(rustdoc::all)]
    pub use crate::generated::{ByteStream, Client, ClientInfo, Error, ResponseValue};
}

/// Compiles and runs the code blocks of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
