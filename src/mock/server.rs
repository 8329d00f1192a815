//! The socket side of the mock: a thread with a runtime of its own, so that it works beside any other and outside of all.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::reply::{self, Auth, REFUSED_BODY_BYTES};
use super::{MockServerBuilder, Received, Seen};

/// How long a client may take over the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(super) fn start(settings: &MockServerBuilder, seen: Arc<Mutex<Seen>>) -> io::Result<Self> {
        let pair = format!("{}:{}", settings.key, settings.secret);
        let mock = Arc::new(Mock { authorization: format!("Basic {}", BASE64_STANDARD.encode(pair)), seen });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let (bound, address) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("mparticle-mock".into()).spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
                let address = listener
                    .as_ref()
                    .map_err(ToString::to_string)
                    .and_then(|listener| listener.local_addr().map_err(|error| error.to_string()));
                let _ = bound.send(address);
                if let Ok(listener) = listener {
                    tokio::select! {
                        () = accept(listener, mock) => {}
                        _ = stopped => {}
                    }
                }
            });
        })?;
        let address = address.recv().map_err(io::Error::other)?.map_err(io::Error::other)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Mock {
    authorization: String,
    seen: Arc<Mutex<Seen>>,
}

async fn accept(listener: TcpListener, mock: Arc<Mock>) {
    while let Ok((stream, _)) = listener.accept().await {
        let mock = Arc::clone(&mock);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let mock = Arc::clone(&mock);
                async move { Ok::<_, std::convert::Infallible>(mock.answer(request).await) }
            });
            // A connection that breaks is its client's affair.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Mock {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = read_body(body).await;
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let auth = self.auth(&head.headers);
        let reply = reply::to(head.method.as_str(), head.uri.path(), auth, content_type, body.as_deref());

        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.batches.extend(reply.accepted);
        seen.requests.push(Received {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            headers: shown(&head.headers),
            body: body.unwrap_or_default(),
            status: reply.status,
        });
        drop(seen);

        let mut response = Response::builder().status(reply.status);
        if reply.status == 202 {
            response = response.header("X-mp-rate-limit-percentage-used", "0");
        }
        let body = reply.body.map(|body| body.to_string());
        if body.is_some() {
            response = response.header(CONTENT_TYPE, "application/json");
        }
        response.body(Full::from(body.unwrap_or_default())).expect("a status and headers from above")
    }

    fn auth(&self, headers: &HeaderMap) -> Auth {
        let Some(value) = headers.get(AUTHORIZATION) else {
            return Auth::Missing;
        };
        let encoded = value.to_str().ok().and_then(|value| value.strip_prefix("Basic "));
        let pair = encoded.and_then(|encoded| BASE64_STANDARD.decode(encoded).ok());
        match pair {
            Some(pair) if pair.contains(&b':') && *value == self.authorization => Auth::Right,
            Some(pair) if pair.contains(&b':') => Auth::Wrong,
            _ => Auth::Missing,
        }
    }
}

/// The body, or nothing if it is too large. Such a one is still read (and dropped) up to a bound, since closing on a client
/// that is sending resets the connection, and the client would never see the answer.
async fn read_body(mut body: Incoming) -> Option<Vec<u8>> {
    const DRAINED_BYTES: usize = 16 * 1024 * 1024;
    let (mut kept, mut size) = (Vec::new(), 0);
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        size += data.len();
        if size < REFUSED_BODY_BYTES {
            kept.extend_from_slice(&data);
        } else if size > DRAINED_BYTES {
            break;
        }
    }
    (size < REFUSED_BODY_BYTES).then_some(kept)
}

fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| *name != AUTHORIZATION)
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}
