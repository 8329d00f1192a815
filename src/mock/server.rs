//! The socket side of the mock: a thread with a runtime of its own, so that it works beside any other and outside of all.

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

use super::body::{Body, ResponseBody};
use super::engine::Engine;
use super::fault::FaultKind;
use super::page;
use super::reply::Answer;
use super::wire::{Stream, Wire};

/// How long a client may take over the head of a request, and how long over its body.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest that a stall lasts, if the client does not give up before.
const STALL: Duration = Duration::from_secs(600);

/// At most this many connections are open at a time; the next ones wait to be accepted.
const CONNECTIONS: usize = 1024;

/// At most this many bytes of a request's head, or of a part of its body, are buffered.
const BUFFER_BYTES: usize = 64 * 1024;

/// A request that gets no answer: the connection ends.
#[derive(Debug)]
struct NoAnswer;

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no answer, on purpose")
    }
}

impl std::error::Error for NoAnswer {}

/// A server that listens. Dropping it ends it and all its connections.
pub(super) struct Running {
    address: SocketAddr,
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Binds on the calling thread, which takes no time worth waiting for, and serves on one of its own.
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
            // Answers that stall on purpose are not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { address, runtime: handle, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The runtime of the server, for what waits for it: callers may have none, or one whose clock stands still.
    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
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

async fn accept(listener: TcpListener, engine: Arc<Engine>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: the next connection may end and give one back.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let engine = Arc::clone(&engine);
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let wire = Wire::default();
            let service = service_fn(|request| answer(&engine, &wire, request));
            // A connection that breaks is its client's affair, or a fault's.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_buf_size(BUFFER_BYTES)
                .serve_connection(TokioIo::new(Stream::new(stream, wire.clone())), service)
                .await;
            drop(place);
        });
    }
}

async fn answer(
    engine: &Arc<Engine>,
    wire: &Wire,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, NoAnswer> {
    let (head, incoming) = request.into_parts();
    if let Some(answer) = page::answer(engine, &head) {
        return Ok(answer);
    }
    let fault = if engine.is_known(&head) { engine.next_fault() } else { None };
    let kind = fault.as_ref().map(|fault| &fault.0);
    let stall = async |body: &Body| {
        if let Some(fault) = &fault {
            engine.remember(&head, body, fault, None);
        }
        tokio::time::sleep(STALL).await;
        Err(NoAnswer)
    };

    let mut incoming = incoming;
    match kind {
        Some(FaultKind::StallBeforeBody) => return stall(&Body::Unread).await,
        Some(FaultKind::StallDuringBody) => {
            let _ = incoming.frame().await;
            return stall(&Body::Unread).await;
        }
        _ => {}
    }
    let Ok(body) = tokio::time::timeout(BODY_TIMEOUT, Body::read(&mut incoming)).await else {
        return Ok(response(Answer::bare(408).header("connection", "close")));
    };
    match (kind, &fault) {
        (Some(FaultKind::StallAfterBody), _) => return stall(&body).await,
        (Some(FaultKind::Delay(time)), _) => tokio::time::sleep(*time).await,
        (Some(FaultKind::Reset), Some(fault)) => {
            engine.remember(&head, &body, fault, None);
            wire.reset();
            return Err(NoAnswer);
        }
        (Some(FaultKind::MalformedResponse), Some(fault)) => {
            engine.remember(&head, &body, fault, None);
            wire.garbage();
            return Ok(response(Answer::bare(200).header("connection", "close")));
        }
        (Some(FaultKind::Status { status, retry_after, limit }), Some(fault)) => {
            engine.remember(&head, &body, fault, Some(*status));
            return Ok(response(answer_with(*status, *retry_after, limit.as_deref())));
        }
        (Some(FaultKind::Html), Some(fault)) => {
            engine.remember(&head, &body, fault, Some(200));
            return Ok(sign_in_page());
        }
        _ => {}
    }
    let answer = engine.answer(&head, &body, fault.as_ref());
    match kind {
        Some(FaultKind::LostResponse) => {
            wire.reset();
            Err(NoAnswer)
        }
        Some(FaultKind::StallInResponse) => {
            Ok(long_response(&answer, 2 * PART.len() as u64, |mut sender| async move {
                let _ = sender.send_data(Bytes::from_static(PART)).await;
                tokio::time::sleep(STALL).await;
            }))
        }
        Some(FaultKind::TruncatedResponse) => {
            Ok(long_response(&answer, 2 * PART.len() as u64, |mut sender| async move {
                let _ = sender.send_data(Bytes::from_static(PART)).await;
            }))
        }
        Some(FaultKind::OversizedResponse(bytes)) => {
            let bytes = *bytes;
            Ok(long_response(&answer, bytes, move |sender| send(sender, bytes)))
        }
        _ => Ok(response(answer)),
    }
}

/// A part of an answer that is longer than it needs to be.
const PART: &[u8] = &[b' '; 16 * 1024];

async fn send(mut sender: Sender<Bytes>, bytes: u64) {
    let mut left = bytes;
    while left > 0 {
        let part = PART.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if sender.send_data(Bytes::from_static(&PART[..part])).await.is_err() {
            return; // The client has had enough.
        }
        left -= part as u64;
    }
}

/// The answer that a fault gives in place of the service.
fn answer_with(status: u16, retry_after: Option<u64>, limit: Option<&str>) -> Answer {
    let mut answer = if status == 400 {
        Answer::bad_request(["a fault that was asked for".to_owned()])
    } else {
        Answer::bare(status)
    };
    if let Some(seconds) = retry_after {
        answer = answer.header("retry-after", seconds.to_string());
    }
    match limit.or((status == 429).then_some("account")) {
        // The service may wrap this value in quotes.
        Some(limit) => answer.header("x-mp-rate-limit-exceeded", format!("\"{limit}\"")),
        None => answer,
    }
}

/// The response of a captive portal, in place of any other.
fn sign_in_page() -> Response<ResponseBody> {
    const PAGE: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>Sign in to the network</title></head>\n\
        <body><h1>Sign in to the network</h1><form method=\"post\" action=\"/login\"><input name=\"user\">\
        <button>Sign in</button></form></body>\n</html>\n";
    let response = Response::builder().header(CONTENT_TYPE, "text/html; charset=utf-8");
    response.body(Either::Left(Full::from(PAGE))).expect("a header of our own")
}

fn response(answer: Answer) -> Response<ResponseBody> {
    let mut response = head_of(&answer);
    if answer.body.is_some() {
        response = response.header(CONTENT_TYPE, "application/json");
    }
    let body = answer.body.map(|body| body.to_string()).unwrap_or_default();
    response.body(Either::Left(Full::from(body))).expect("statuses and headers are checked where faults are made")
}

/// An answer whose body is written by a task of its own, and claims to have this many bytes.
fn long_response<F>(answer: &Answer, bytes: u64, write: impl FnOnce(Sender<Bytes>) -> F) -> Response<ResponseBody>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, body) = Channel::new(1);
    tokio::spawn(write(sender));
    let response = head_of(answer).header(CONTENT_LENGTH, bytes);
    response.body(Either::Right(body)).expect("statuses and headers are our own")
}

fn head_of(answer: &Answer) -> response::Builder {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(*name, value);
    }
    response
}
