//! Sends every request: credentials, user agent, timeout, tracing, and one HTTP client for each runtime.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use progenitor_client::{ClientHooks, ClientInfo, OperationInfo};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use reqwest::{Method, Request, StatusCode, Url};
use tokio::runtime::{Handle, Id};
use tracing::Instrument;

use super::attempt_span::{AttemptInfo, AttemptSpan, ServerAddress};
use super::{http_error, response};
use crate::delivery::{Accepted, Transport, join};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::generated;
use crate::seal::SealedBatch;

/// Capacity of the least-recently-used cache of HTTP clients, one for each runtime. A program has one or two runtimes; a test
/// suite creates one for each test.
const MAX_HTTP_CLIENTS: usize = 16;

const USER_AGENT_VALUE: HeaderValue = HeaderValue::from_static(concat!("mparticle-rust/", env!("CARGO_PKG_VERSION")));

pub(crate) type HttpFactory = Box<dyn Fn() -> reqwest::Result<reqwest::Client> + Send + Sync>;

/// The transport that the client and the generated endpoints share. Cloning shares everything.
#[derive(Clone)]
pub struct HttpTransport(Arc<TransportInner>);

struct TransportInner {
    base_url: String,
    server: ServerAddress,
    /// The URL of each endpoint: cloning one is faster than parsing it for each request.
    urls: [Url; Endpoint::ALL.len()],
    /// `None` if the client is disabled and sends nothing.
    authorization: Option<HeaderValue>,
    timeout: Duration,
    factory: HttpFactory,
    /// Created by `ClientBuilder::build`, and taken by the first runtime that needs an HTTP client.
    first_client: Mutex<Option<reqwest::Client>>,
    /// A reqwest client belongs to the runtime in which it was first used: that runtime drives its connections.
    clients: Mutex<Vec<(Option<Id>, reqwest::Client)>>,
    body_buffer: Mutex<BytesMut>,
}

impl HttpTransport {
    pub(super) fn new(
        base: &Url,
        authorization: Option<HeaderValue>,
        timeout: Duration,
        factory: HttpFactory,
        first_client: Option<reqwest::Client>,
    ) -> Self {
        let urls = Endpoint::ALL.map(|endpoint| {
            let mut url = base.clone();
            url.set_path(&format!("{}{}", base.path().trim_end_matches('/'), endpoint.path()));
            url
        });
        Self(Arc::new(TransportInner {
            base_url: base.as_str().trim_end_matches('/').to_owned(),
            server: ServerAddress::new(base),
            urls,
            authorization,
            timeout,
            factory,
            first_client: Mutex::new(first_client),
            clients: Mutex::default(),
            body_buffer: Mutex::default(),
        }))
    }

    pub(crate) fn is_disabled(&self) -> bool {
        self.0.authorization.is_none()
    }

    pub(super) fn base_url(&self) -> &str {
        &self.0.base_url
    }

    /// Returns the HTTP client of the current runtime, which the factory creates at the first call.
    pub(super) fn http(&self) -> reqwest::Result<reqwest::Client> {
        let runtime = Handle::try_current().ok().map(|handle| handle.id());
        let mut clients = self.0.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = clients.iter().position(|(id, _)| *id == runtime) {
            // Most recently used last. The first one is evicted.
            clients[place..].rotate_left(1);
            return Ok(clients[clients.len() - 1].1.clone());
        }
        let first_client = self.0.first_client.lock().unwrap_or_else(PoisonError::into_inner).take();
        let client = first_client.map_or_else(|| (self.0.factory)(), Ok)?;
        if clients.len() == MAX_HTTP_CLIENTS {
            clients.remove(0);
        }
        clients.push((runtime, client.clone()));
        Ok(client)
    }

    /// Creates the HTTP client of the current runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the factory fails.
    pub(crate) fn prepare(&self) -> Result<(), Error> {
        if self.is_disabled() { Ok(()) } else { self.http().map(drop).map_err(http_error::convert) }
    }

    /// Returns the body of a bulk request. Reuses the memory of an earlier one, because for a fresh allocation of this size the
    /// system may have to provide and clear the pages.
    fn join(&self, batches: &[&SealedBatch]) -> Bytes {
        let mut body_buffer = mem::take(&mut *self.0.body_buffer.lock().unwrap_or_else(PoisonError::into_inner));
        let body = join(batches, &mut body_buffer);
        *self.0.body_buffer.lock().unwrap_or_else(PoisonError::into_inner) = body_buffer;
        body
    }

    /// Sends a request once. Neither its body nor a header is ever logged.
    async fn execute(&self, http: &reqwest::Client, mut request: Request) -> reqwest::Result<reqwest::Response> {
        let headers = request.headers_mut();
        headers.remove("api-version"); // The generated code adds this header, which the service does not know.
        headers.insert(USER_AGENT, USER_AGENT_VALUE);
        if let Some(authorization) = &self.0.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        request.timeout_mut().get_or_insert(self.0.timeout);
        http.execute(request).await
    }
}

impl Transport for HttpTransport {
    async fn attempt(
        &self,
        endpoint: Endpoint,
        batches: &[&SealedBatch],
        resend_count: u32,
    ) -> Result<Accepted, Error> {
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        if self.is_disabled() {
            return Ok(Accepted::new(StatusCode::ACCEPTED, None));
        }
        let body = match (endpoint, batches) {
            (Endpoint::Events, [batch]) => batch.json().clone(),
            _ => self.join(batches),
        };
        let http = self.http().map_err(http_error::convert)?;
        let url = &self.0.urls[endpoint as usize];
        let info = AttemptInfo {
            method: &Method::POST,
            url,
            operation: endpoint.operation(),
            batches: Some(batches.len()),
            body_bytes: Some(body.len()),
            resend_count,
        };
        let span = AttemptSpan::start(&self.0.server, &info);
        let mut request = Request::new(Method::POST, url.clone());
        request.headers_mut().insert(CONTENT_TYPE, JSON);
        *request.body_mut() = Some(body.into());
        let attempt = async {
            let response = self.execute(&http, request).await.map_err(http_error::convert)?;
            if response.url() != url {
                // The batch may be lost: a client that follows a 302 repeats the request without its body.
                return Err(response::unexpected(&response));
            }
            response::read(response).await
        };
        let result = attempt.instrument(span.span().clone()).await;
        span.end(&result);
        result
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport")
            .field("base_url", &self.0.base_url)
            .field("timeout", &self.0.timeout)
            .finish_non_exhaustive()
    }
}

impl ClientHooks<HttpTransport> for generated::Client {
    async fn exec(&self, request: Request, info: &OperationInfo) -> reqwest::Result<reqwest::Response> {
        let transport = self.inner();
        let http = transport.http()?;
        let span = AttemptSpan::start(
            &transport.0.server,
            &AttemptInfo {
                method: request.method(),
                url: request.url(),
                operation: info.operation_id,
                batches: None,
                body_bytes: request.body().and_then(|body| body.as_bytes()).map(<[u8]>::len),
                resend_count: 0,
            },
        );
        let result = transport.execute(&http, request).instrument(span.span().clone()).await;
        span.end_raw(&result);
        result
    }
}
