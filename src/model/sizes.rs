//! Tests of the sizes of events and batches. Setters take and return a value, so its size is paid with each call.

use std::mem::size_of;

use crate::generated::types::{self, each_event};
use crate::{Batch, Event};

/// Each event type, with the size of its payload in bytes.
macro_rules! payload_sizes {
    (variants { $($variants:tt)* } payloads { $($payload:ident($($inner:tt)*),)* }) => {
        const PAYLOAD_SIZES: &[(&str, usize)] = &[$((stringify!($payload), size_of::<types::$payload>())),*];
    };
}

each_event!(payload_sizes);

#[test]
#[cfg(all(target_pointer_width = "64", not(mparticle_custom_document)))]
fn an_event_takes_at_most_400_bytes_and_a_batch_600() {
    let (event, batch) = (("Event", size_of::<Event>()), ("Batch", size_of::<Batch>()));
    for (name, size) in PAYLOAD_SIZES.iter().chain([&event, &batch]) {
        println!("{size:>5} bytes  {name}");
    }
    assert!(event.1 <= 400, "an Event has {} bytes", event.1);
    assert!(batch.1 <= 600, "a Batch has {} bytes", batch.1);
}
