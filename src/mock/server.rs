//! The server of the mock. It runs on a thread with its own runtime, so that callers need none.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use hyper::http::response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use super::body::{MockResponseBody, ReceivedBody};
use super::engine::Engine;
use super::fault::FaultKind;
use super::faulty_stream::{ConnectionFaults, FaultyStream};
use super::page;
use super::protocol::MockResponse;

/// The times within which a client must send the head of a request, and its body.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The time after which a stalled connection is closed if the client has not closed it before.
const MAX_STALL: Duration = Duration::from_secs(600);

/// The maximum number of open connections; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;

/// The size of the read buffer of a connection, which also bounds the head of a request.
const BUFFER_BYTES: usize = 64 * 1024;

/// Makes hyper close the connection without a response.
#[derive(Debug)]
struct NoResponseError;

impl std::fmt::Display for NoResponseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no response: an injected fault closes the connection")
    }
}

impl std::error::Error for NoResponseError {}

/// A running server. Dropping it closes the listener and all connections.
pub(super) struct ServerHandle {
    address: SocketAddr,
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ServerHandle {
    /// Binds on the calling thread, so that errors are returned to it, and serves on a thread of its own.
    pub(super) fn start(address: SocketAddr, engine: Arc<Engine>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("mparticle-mock".into()).spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                tokio::select! {
                    () = accept(listener, engine) => {}
                    _ = stopped => {}
                }
            });
            // Does not wait for stalled responses.
            runtime.shutdown_background();
        })?;
        Ok(Self { address, runtime: handle, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the runtime of the server. Callers may have no runtime, or one with a paused clock.
    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, engine: Arc<Engine>) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Most likely out of file descriptors: retry once a connection may have closed.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let engine = Arc::clone(&engine);
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let faults = ConnectionFaults::default();
            let service = service_fn(|request| serve(&engine, &faults, request));
            // A broken connection is caused by the client or by an injected fault.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_buf_size(BUFFER_BYTES)
                .serve_connection(TokioIo::new(FaultyStream::new(stream, faults.clone())), service)
                .await;
            drop(permit);
        });
    }
}

async fn serve(
    engine: &Arc<Engine>,
    faults: &ConnectionFaults,
    request: Request<Incoming>,
) -> Result<Response<MockResponseBody>, NoResponseError> {
    let (head, incoming) = request.into_parts();
    if let Some(response) = page::respond(engine, &head) {
        return Ok(response);
    }
    let fault = if engine.has_operation(&head) { engine.next_fault() } else { None };
    let kind = fault.as_ref().map(|fault| &fault.0);
    let stall = async |body: &ReceivedBody| {
        if let Some(fault) = &fault {
            engine.record(&head, body, fault, None);
        }
        tokio::time::sleep(MAX_STALL).await;
        Err(NoResponseError)
    };

    let mut incoming = incoming;
    match kind {
        Some(FaultKind::StallBeforeBody) => return stall(&ReceivedBody::Unread).await,
        Some(FaultKind::StallDuringBody) => {
            let _ = incoming.frame().await;
            return stall(&ReceivedBody::Unread).await;
        }
        _ => {}
    }
    let Ok(body) = tokio::time::timeout(BODY_TIMEOUT, ReceivedBody::read(&mut incoming)).await else {
        return Ok(into_http(MockResponse::bare(408).header("connection", "close")));
    };
    match (kind, &fault) {
        (Some(FaultKind::StallAfterBody), _) => return stall(&body).await,
        (Some(FaultKind::Delay(time)), _) => tokio::time::sleep(*time).await,
        (Some(FaultKind::Reset), Some(fault)) => {
            engine.record(&head, &body, fault, None);
            faults.reset();
            return Err(NoResponseError);
        }
        (Some(FaultKind::MalformedResponse), Some(fault)) => {
            engine.record(&head, &body, fault, None);
            faults.write_malformed();
            return Ok(into_http(MockResponse::bare(200).header("connection", "close")));
        }
        (Some(FaultKind::Status { status, retry_after, limit }), Some(fault)) => {
            engine.record(&head, &body, fault, Some(*status));
            return Ok(into_http(fault_response(*status, *retry_after, limit.as_deref())));
        }
        (Some(FaultKind::Html), Some(fault)) => {
            engine.record(&head, &body, fault, Some(200));
            return Ok(sign_in_page());
        }
        _ => {}
    }
    let response = engine.respond(&head, &body, fault.as_ref());
    match kind {
        Some(FaultKind::LostResponse) => {
            faults.reset();
            Err(NoResponseError)
        }
        Some(FaultKind::StallInResponse) => {
            Ok(long_response(&response, 2 * CHUNK.len() as u64, |mut sender| async move {
                let _ = sender.send_data(Bytes::from_static(CHUNK)).await;
                tokio::time::sleep(MAX_STALL).await;
            }))
        }
        Some(FaultKind::TruncatedResponse) => {
            Ok(long_response(&response, 2 * CHUNK.len() as u64, |mut sender| async move {
                let _ = sender.send_data(Bytes::from_static(CHUNK)).await;
            }))
        }
        Some(FaultKind::OversizedResponse(bytes)) => {
            let bytes = *bytes;
            Ok(long_response(&response, bytes, move |sender| send_spaces(sender, bytes)))
        }
        _ => Ok(into_http(response)),
    }
}

/// A chunk of a response body that a fault makes too long.
const CHUNK: &[u8] = &[b' '; 16 * 1024];

async fn send_spaces(mut sender: Sender<Bytes>, bytes: u64) {
    let mut left = bytes;
    while left > 0 {
        let part = CHUNK.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if sender.send_data(Bytes::from_static(&CHUNK[..part])).await.is_err() {
            return; // The client closed the connection.
        }
        left -= part as u64;
    }
}

/// Returns the response of a fault with a status.
fn fault_response(status: u16, retry_after: Option<u64>, limit: Option<&str>) -> MockResponse {
    let mut response = if status == 400 {
        MockResponse::bad_request(["injected fault".to_owned()])
    } else {
        MockResponse::bare(status)
    };
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds.to_string());
    }
    match limit.or((status == 429).then_some("account")) {
        // The service may wrap this value in quotes.
        Some(limit) => response.header("x-mp-rate-limit-exceeded", format!("\"{limit}\"")),
        None => response,
    }
}

/// Returns the response of a captive portal.
fn sign_in_page() -> Response<MockResponseBody> {
    const PAGE: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>Sign in to the network</title></head>\n\
        <body><h1>Sign in to the network</h1><form method=\"post\" action=\"/login\"><input name=\"user\">\
        <button>Sign in</button></form></body>\n</html>\n";
    let response = Response::builder().header(CONTENT_TYPE, "text/html; charset=utf-8");
    response.body(Either::Left(Full::from(PAGE))).expect("a valid header")
}

fn into_http(response: MockResponse) -> Response<MockResponseBody> {
    let mut builder = response_head(&response);
    if response.body.is_some() {
        builder = builder.header(CONTENT_TYPE, "application/json");
    }
    let body = response.body.map(|body| body.to_string()).unwrap_or_default();
    builder.body(Either::Left(Full::from(body))).expect("faults are validated where they are created")
}

/// Returns a response whose body is written by a spawned task, with a `Content-Length` of `bytes`.
fn long_response<F>(
    response: &MockResponse,
    bytes: u64,
    write: impl FnOnce(Sender<Bytes>) -> F,
) -> Response<MockResponseBody>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, body) = Channel::new(1);
    tokio::spawn(write(sender));
    let builder = response_head(response).header(CONTENT_LENGTH, bytes);
    builder.body(Either::Right(body)).expect("a valid status and valid headers")
}

fn response_head(response: &MockResponse) -> response::Builder {
    let mut builder = Response::builder().status(response.status);
    for (name, value) in &response.headers {
        builder = builder.header(*name, value);
    }
    builder
}
