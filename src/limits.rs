//! The documented limits of the service.
//!
//! The service enforces most of them silently: it truncates or drops data. [`Batch::check`](crate::Batch::check) reports exceeded
//! limits before sending. A character is a UTF-16 code unit, as for the service: most emoji count as two.

/// The maximum size of a batch as JSON, in bytes: the service documents that a batch should not exceed 128 KB.
pub const MAX_BATCH_BYTES: usize = 128_000;

/// The maximum size of the body of a request, in bytes: the service documents "under 256 KB", and a KB counts as 1,000 bytes here,
/// which is safe for either meaning.
pub const MAX_REQUEST_BYTES: usize = 256_000;

/// The maximum number of batches in a bulk request.
pub const MAX_BATCHES_PER_REQUEST: usize = 100;

/// The maximum number of characters in the name of an event; the service truncates longer names.
pub const MAX_EVENT_NAME_CHARACTERS: usize = 256;

/// The maximum number of attributes of a user, and of an event.
pub const MAX_ATTRIBUTES: usize = 100;

/// The maximum number of characters in the name of an attribute; the service truncates longer names.
pub const MAX_ATTRIBUTE_NAME_CHARACTERS: usize = 256;

/// The maximum number of characters in the value of an attribute.
pub const MAX_ATTRIBUTE_VALUE_CHARACTERS: usize = 4096;

/// The maximum number of entries in a list as the value of a user attribute.
pub const MAX_LIST_ENTRIES: usize = 1000;

/// The maximum number of characters in an entry of such a list.
pub const MAX_LIST_ENTRY_CHARACTERS: usize = 512;

/// The maximum number of characters in the `action_identifier` of a push message.
pub const MAX_ACTION_IDENTIFIER_CHARACTERS: usize = 100;

/// The minimum age of historical data, in hours.
pub const MIN_HISTORICAL_AGE_HOURS: i64 = 72;

/// The number of hours by which a time can be ahead without a warning, which covers wrong clocks and time zones.
pub const MAX_HOURS_AHEAD: i64 = 24;
