//! The bodies of requests and responses.

use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;

use super::reply::REFUSED_BODY_BYTES;

/// The body of a response: whole, or written part by part.
pub(super) type ResponseBody = Either<Full<Bytes>, Channel<Bytes>>;

/// The body of a request, as far as it was received.
pub(super) enum Body {
    Whole(Bytes),
    TooLarge,
    /// The connection ended or the body came too slowly, or a fault left it unread.
    Unread,
}

impl Body {
    /// Reads a body and keeps less than [`REFUSED_BODY_BYTES`] of it.
    ///
    /// A larger one is read and dropped, up to a bound: closing the connection to a client that is still sending resets it,
    /// and the client would never see the response.
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
