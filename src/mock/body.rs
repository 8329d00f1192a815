//! The bodies of requests and responses.

use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;

use super::protocol::REFUSED_BODY_BYTES;

/// The body of a response: complete, or written by a task.
pub(super) type MockResponseBody = Either<Full<Bytes>, Channel<Bytes>>;

/// The received part of the body of a request.
pub(super) enum ReceivedBody {
    Whole(Bytes),
    TooLarge,
    /// The connection was closed, the body was too slow, or a fault left it unread.
    Unread,
}

impl ReceivedBody {
    /// Reads a body of less than [`REFUSED_BODY_BYTES`].
    ///
    /// A larger body is read and discarded, up to 16 MiB: closing the connection while the client is still sending would reset
    /// it, and the client would not see the response.
    pub(super) async fn read(incoming: &mut Incoming) -> Self {
        const DRAINED_BYTES: usize = 16 * 1024 * 1024;
        let (mut kept, mut size) = (Vec::new(), 0);
        while let Some(frame) = incoming.frame().await {
            let Ok(frame) = frame else { return Self::Unread };
            let Ok(data) = frame.into_data() else { continue };
            size += data.len();
            if size < REFUSED_BODY_BYTES {
                kept.extend_from_slice(&data);
            } else if size > DRAINED_BYTES {
                break;
            }
        }
        if size < REFUSED_BODY_BYTES { Self::Whole(kept.into()) } else { Self::TooLarge }
    }
}
