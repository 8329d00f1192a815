//! The limits that the service documents.
//!
//! The service enforces most of them silently: it truncates, or drops. [`Batch::check`](crate::Batch::check) reports that before.

/// At most this many bytes in one batch, written as JSON: the service says that a batch should not exceed 128 KB.
pub const MAX_BATCH_BYTES: usize = 128_000;

/// At most this many bytes in the body of one request: the service documents "under 256 KB", and one kB is taken as
/// 1,000 bytes here, to be on the safe side of both readings.
pub const MAX_REQUEST_BYTES: usize = 256_000;

/// At most this many batches in one bulk request.
pub const MAX_BATCHES_PER_REQUEST: usize = 100;

/// At most this many characters in the name of an event; the service truncates longer ones.
pub const MAX_EVENT_NAME_CHARACTERS: usize = 256;

/// At most this many attributes of a user, and as many of an event.
pub const MAX_ATTRIBUTES: usize = 100;

/// At most this many characters in the name of an attribute; the service truncates longer ones.
pub const MAX_ATTRIBUTE_NAME_CHARACTERS: usize = 256;

/// At most this many characters in the value of an attribute.
pub const MAX_ATTRIBUTE_VALUE_CHARACTERS: usize = 4096;

/// At most this many entries in a user attribute that is a list.
pub const MAX_LIST_ENTRIES: usize = 1000;

/// At most this many characters in an entry of such a list.
pub const MAX_LIST_ENTRY_CHARACTERS: usize = 512;

/// At most this many characters in the `action_identifier` of a push message.
pub const MAX_ACTION_IDENTIFIER_CHARACTERS: usize = 100;

/// Data that is sent as historical has to be at least this old, in hours.
pub const MIN_HISTORICAL_AGE_HOURS: i64 = 72;

/// A time that is further ahead than this, in hours, is taken for a slip: clocks and time zones do not differ so much.
pub const MAX_HOURS_AHEAD: i64 = 24;
